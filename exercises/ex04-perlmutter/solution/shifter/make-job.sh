#!/bin/sh
# Writes the batch scripts for Perlmutter: heat.sbatch and shifter.sbatch
sealift job docker://registry.nersc.gov/m1234/heat:1 --site perlmutter-cpu --kind mpi --nodes 2 --tasks-per-node 4 \
    --time 10 --account m1234 -- heat > heat.sbatch
sealift job docker://registry.nersc.gov/m1234/heat:1 --site perlmutter-cpu --kind mpi --nodes 2 --tasks-per-node 4 \
    --time 10 --account m1234 --engine shifter -- heat > shifter.sbatch

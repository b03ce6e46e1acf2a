#!/bin/sh
# Writes the batch script for Perlmutter: heat.sbatch
sealift job docker://registry.nersc.gov/m1234/heat:1 --site perlmutter --nodes 2 -- heat > heat.sbatch

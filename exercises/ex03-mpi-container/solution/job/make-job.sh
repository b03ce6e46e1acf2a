#!/bin/sh
# Writes the batch script for pi.py: ours.sbatch
sealift job mpi.sif --site slurm --kind mpi --nodes 2 --tasks-per-node 2 --time 5 -- python pi.py > ours.sbatch

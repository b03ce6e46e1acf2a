#!/bin/sh
# Writes the batch script for pi.py: ours.sbatch
sealift job mpi.sif --site slurm --nodes 4 -- python pi.py > ours.sbatch

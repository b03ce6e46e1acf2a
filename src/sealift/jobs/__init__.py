"""A job as a value, and the batch script that it means: text alone, for Slurm and people to read."""

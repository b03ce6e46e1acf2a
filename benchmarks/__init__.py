"""The numbers that we claim, measured beside Apptainer on the same machine in the same run: `make bench`."""

#!/bin/sh
# From here to Perlmutter: what is typed here, then what is typed there.
scp heat.sif perlmutter.nersc.gov:
ssh perlmutter.nersc.gov podman-hpc load --input heat.sif

#!/bin/sh
# From here to Perlmutter: what is typed here, then what is typed there.
sealift push heat.sif docker://registry.nersc.gov/m1234/heat:1
ssh perlmutter.nersc.gov podman-hpc pull registry.nersc.gov/m1234/heat:1

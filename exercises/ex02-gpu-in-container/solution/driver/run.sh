#!/bin/sh
# Asks for GPUs from inside gpu.sif.
exec sealift exec --nv gpu.sif python /opt/gpu.py

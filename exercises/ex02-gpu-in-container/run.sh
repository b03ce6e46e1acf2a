#!/bin/sh
# Asks for GPUs from inside gpu.sif.
exec sealift exec gpu.sif python /opt/gpu.py

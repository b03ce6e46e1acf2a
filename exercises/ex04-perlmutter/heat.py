#!/opt/env/bin/python
"""Heat in a rod that is parted among ranks: each step, neighbours tell each other the temperature at their ends."""

import os
import sys

from mpi4py import MPI

CELLS, STEPS = 64, 500

world = MPI.COMM_WORLD
tasks = int(os.environ.get("SLURM_NTASKS", world.size))
if world.size != tasks:
    sys.exit(f"{tasks} tasks were started, and this one sees a world of {world.size}")

below = world.rank - 1 if world.rank > 0 else MPI.PROC_NULL
above = world.rank + 1 if world.rank < world.size - 1 else MPI.PROC_NULL
rod = [0.0] * CELLS
for _ in range(STEPS):
    left = world.sendrecv(rod[-1], dest=above, source=below)
    right = world.sendrecv(rod[0], dest=below, source=above)
    left = 1.0 if left is None else left  # the rod's hot end
    right = rod[-1] if right is None else right
    rod = [(a + b + c) / 3 for a, b, c in zip([left, *rod[:-1]], rod, [*rod[1:], right], strict=True)]
heat = world.reduce(sum(rod))
if world.rank == 0:
    print(f"{world.size} ranks: the rod took in {heat:.3f}")

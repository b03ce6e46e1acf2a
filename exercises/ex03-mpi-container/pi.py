"""Pi by the midpoint rule: each rank adds up its share, and MPI the shares."""

import socket

from mpi4py import MPI

STEPS = 200_000

world = MPI.COMM_WORLD
print(f"rank {world.rank} of {world.size} on {socket.gethostname()}", flush=True)

width = 1.0 / STEPS
share = width * sum(4.0 / (1.0 + ((step + 0.5) * width) ** 2) for step in range(world.rank, STEPS, world.size))
total = world.reduce(share)
if world.rank == 0:
    name, version = MPI.get_vendor()
    print(f"pi is {total:.8f}, by {world.size} ranks with {name} {'.'.join(map(str, version))}")

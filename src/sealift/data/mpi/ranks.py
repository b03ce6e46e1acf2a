"""What ranks of an MPI job run to tell who they are and whether they reach each other. ranks.c is its twin in C.

    ranks.py tasks=N library=SONAME path=FILE world=… byte=… int64=… sum=… [messages=BYTES:ROUNDS,…]

Runs with the image's own MPI and Python, 3.6 and later. One line of JSON for each thing that is known, on stdout:

    rank        of each rank: rank, size, host, library (the file that was loaded), version
    allreduce   of rank 0: expected and found
    ring        with `messages`, of rank 0: expected and found
    pair        with `messages`, of rank 0: bytes, microseconds one way and MB/s between the first and the last rank

Ends with 3 when the world has another size than `tasks`, with 4 when a sum is wrong, with 5 where there is no such MPI.
"""

import ctypes
import json
import os
import sys
import time


def main(words):
    given = dict(word.split("=", 1) for word in words)
    mpi = load(given)
    if mpi is None:
        return 5
    world, byte, int64, add = (handle(mpi, given[name]) for name in ("world", "byte", "int64", "sum"))
    must(mpi.MPI_Init(None, None), "MPI_Init")
    number = ctypes.c_int()
    must(mpi.MPI_Comm_rank(world, ctypes.byref(number)), "MPI_Comm_rank")
    rank = number.value
    must(mpi.MPI_Comm_size(world, ctypes.byref(number)), "MPI_Comm_size")
    size = number.value
    host = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
    say(kind="rank", rank=rank, size=size, host=host, library=loaded(mpi), version=version(mpi))
    right = True
    if size == int(given["tasks"]):
        right = allreduce(mpi, world, int64, add, rank, size)
        if "messages" in given and size > 1:
            right = ring(mpi, world, int64, rank, size) and right
            for message in given["messages"].split(","):
                length, rounds = message.split(":")
                pair(mpi, world, byte, rank, size, int(length), int(rounds))
    must(mpi.MPI_Finalize(), "MPI_Finalize")
    return 3 if size != int(given["tasks"]) else 0 if right else 4


def load(given):
    """By its name, so that the host's library is found where it stands in front; else where it lies in the image."""
    fault = None
    for name in (given["library"], given["path"]):
        try:
            # Open MPI's plugins look for its symbols among the global ones.
            return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            fault = fault or error
    sys.stderr.write("sealift: the image's MPI cannot be loaded: {}\n".format(fault))
    return None


def handle(mpi, text):
    if text.startswith("&"):
        return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(mpi, text[1:])))
    return ctypes.c_void_p(int(text, 16))


def must(code, what):
    if code != 0:
        sys.stderr.write("sealift: {} failed with {}\n".format(what, code))
        sys.exit(6)


def say(**what):
    """In one write, so that the lines of many ranks do not mix."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def version(mpi):
    text, length = ctypes.create_string_buffer(8192), ctypes.c_int()
    if mpi.MPI_Get_library_version(text, ctypes.byref(length)) != 0:
        return ""
    return " ".join(text.value.decode("utf-8", "replace").split())[:160]


def loaded(mpi):
    """The file whose code runs: the one that the function lies in."""
    address = ctypes.cast(mpi.MPI_Comm_rank, ctypes.c_void_p).value or 0
    with open("/proc/self/maps") as maps:
        for line in maps:
            words = line.split()
            first, last = (int(each, 16) for each in words[0].split("-"))
            if first <= address < last and len(words) > 5:
                return words[5]
    return ""


def allreduce(mpi, world, int64, add, rank, size):
    mine, found = ctypes.c_int64((rank + 1) * 1000003), ctypes.c_int64()
    must(mpi.MPI_Allreduce(ctypes.byref(mine), ctypes.byref(found), 1, int64, add, world), "MPI_Allreduce")
    expected = size * (size + 1) // 2 * 1000003
    if rank == 0:
        say(kind="allreduce", expected=expected, found=found.value)
    return found.value == expected


def ring(mpi, world, int64, rank, size):
    """A number goes round once; each rank adds its own."""
    number, status = ctypes.c_int64(0), ctypes.create_string_buffer(256)
    before, after = (rank - 1) % size, (rank + 1) % size
    if rank > 0:
        must(mpi.MPI_Recv(ctypes.byref(number), 1, int64, before, 1, world, status), "MPI_Recv")
    number.value += rank + 1
    must(mpi.MPI_Send(ctypes.byref(number), 1, int64, after, 1, world), "MPI_Send")
    if rank > 0:
        return True
    must(mpi.MPI_Recv(ctypes.byref(number), 1, int64, before, 1, world, status), "MPI_Recv")
    expected = size * (size + 1) // 2
    say(kind="ring", expected=expected, found=number.value)
    return number.value == expected


def pair(mpi, world, byte, rank, size, length, rounds):
    must(mpi.MPI_Barrier(world), "MPI_Barrier")
    if rank not in (0, size - 1):
        return
    other = size - 1 if rank == 0 else 0
    text, status = ctypes.create_string_buffer(length), ctypes.create_string_buffer(256)
    start = 0.0
    # The first tenth warms up.
    for number in range(-(rounds // 10) - 1, rounds):
        if number == 0:
            start = time.perf_counter()
        for sends in (rank == 0, rank != 0):
            if sends:
                must(mpi.MPI_Send(text, length, byte, other, 2, world), "MPI_Send")
            else:
                must(mpi.MPI_Recv(text, length, byte, other, 2, world, status), "MPI_Recv")
    seconds = (time.perf_counter() - start) / rounds / 2
    if rank == 0:
        say(kind="pair", bytes=length, microseconds=round(seconds * 1e6, 2), rate=round(length / seconds / 1e6, 1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

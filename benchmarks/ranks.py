"""What ranks of a node cost that start containers at once: `singularity exec IMAGE true`, by the shim and by Apptainer.

`python -m benchmarks.ranks [--ranks 64]`. Each rank starts a container of its own, as `srun singularity exec …` does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import ground, measure
from tests import parts
from tests.ground import install, tiny, users

NEEDS = ("apptainer", "squashfuse", "subuid-user")
NAMES = ("apptainer", "singularity")
DEFINITION = "Bootstrap: localimage\nFrom: root\n"
REAPER = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
subprocess.Popen(sys.argv[1:])
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""
"""Runs a command and waits for all that it leaves behind: FUSE servers outlive their parents, and cost, too."""
FILE_CALLS = "openat,open,stat,lstat,newfstatat,statx,access,faccessat2,readlink,readlinkat,execve"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description=__doc__)
    parser.add_argument("--ranks", type=int, default=64, help="containers started at once")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions; the median is shown")
    options = parser.parse_args(arguments)
    with ground.standing(NEEDS) as folder:
        return _measure(options, folder)


def _measure(options: argparse.Namespace, folder: Path) -> int:
    base = folder / "ranks"
    base.mkdir()
    as_user = users.AsUser(bin=install.installed(), base=base)
    work = as_user.folder()
    tiny.make_tiny_root(work / "root")
    (work / "image.def").write_text(DEFINITION)
    as_user.give(work)
    programs = _programs_without_apptainer(base / "programs")
    shim = {"PATH": f"{work}/bin:{as_user.bin}:{programs}"}
    _need(as_user, ("sealift", "shim", "install", str(work / "bin")), shim)
    _need(as_user, ("singularity", "build", "image.sif", "image.def"), shim)
    print(f"{len(os.sched_getaffinity(0))} cores; {options.ranks} ranks at once, medians of {options.repeat}\n")
    print("| | wall | CPU | CPU of a rank | peak memory of all | file calls of one start |")
    print("|---|---:|---:|---:|---:|---:|")
    for title, env in (("Sealift's shim", shim), ("Apptainer", {})):
        print(_row(title, options, as_user, env))
    return 0


def _row(title: str, options: argparse.Namespace, as_user: users.AsUser, env: Mapping[str, str]) -> str:
    ranks = f"for rank in $(seq {options.ranks}); do singularity exec image.sif true & done; wait"
    whole = as_user.environment() | dict(env)
    runs = [
        measure.run(
            (as_user.bin / "python", "-c", REAPER, "/bin/sh", "-c", ranks),
            user=users.get("subuid"),
            env=whole,
            cwd=as_user.folder(),
        )
        for _ in range(options.repeat)
    ]
    wall, cpu = (statistics.median(values) for values in zip(*((run.wall, run.cpu) for run in runs), strict=True))
    memory = max(run.memory for run in runs) / 1e6
    calls = _file_calls(as_user, env)
    return f"| {title} | {wall:.2f} s | {cpu:.2f} s | {1000 * cpu / options.ranks:.0f} ms | {memory:.0f} MB | {calls} |"


def _file_calls(as_user: users.AsUser, env: Mapping[str, str]) -> str:
    """How often one start asks the file system by name, which is what a shared one feels; empty without strace."""
    strace = parts.program("strace")
    if strace is None:
        return ""
    argv = (strace, "-f", "-qq", "-o", "calls", "-e", f"trace={FILE_CALLS}", "singularity", "exec", "image.sif", "true")
    done = as_user(argv, env=env)
    if done.returncode != 0:
        return "not known"
    return str(len((as_user.folder() / "calls").read_text(errors="replace").splitlines()))


def _programs_without_apptainer(folder: Path) -> Path:
    folder.mkdir()
    for place in ("/usr/sbin", "/usr/bin"):
        for program in Path(place).iterdir():
            link = folder / program.name
            if not program.name.startswith(NAMES) and not link.is_symlink():
                link.symlink_to(program)
    return folder


def _need(as_user: users.AsUser, argv: Sequence[str], env: Mapping[str, str]) -> None:
    done = as_user(argv, env=env)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, list(argv), done.stdout, done.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {error}\n{error.stderr.decode(errors='replace')}")

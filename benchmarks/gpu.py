"""Does a GPU work in an image of ours, and as fast as outside? `python -m benchmarks.gpu [--python PYTHON]`.

Wants a machine with an NVIDIA GPU and its driver; nothing else, no network. The image is made of what PYTHON needs of
the host's system, so that its PyTorch, where it has one, fits when it is bound in. It also has a libcuda that cannot be
loaded, first in its own library path, as images have stubs there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(__file__).with_name("gpu_program.py")
STUBS = "/opt/stubs"
DRIVERS = ("libcuda.so", "libnvidia", "libcudadebugger", "libnvoptix")
ASK = """
import ctypes, json, sys, sysconfig
maps = [line.split(maxsplit=5)[5].rstrip() for line in open("/proc/self/maps") if "/" in line]
print(json.dumps({
    "program": sys.executable,
    "library": sysconfig.get_path("stdlib"),
    "prefix": sys.base_prefix,
    "packages": sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}),
    "files": [path for path in maps if ".so" in path],
}))
"""
LACKING = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """The host's Python: its program, its standard library, and folders of packages, which are bound."""

    program: str
    library: str
    packages: tuple[str, ...]
    files: tuple[str, ...]

    @classmethod
    def ask(cls, program: str) -> Python:
        found = json.loads(_output([program, "-c", ASK]))
        return cls(
            program=os.path.realpath(found["program"]),
            library=found["library"],
            packages=tuple(each for each in found["packages"] if os.path.isdir(each)),
            files=tuple(found["files"]),
        )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--python", default="python3", help="the host's Python, best one that has PyTorch")
    parser.add_argument("--size", type=int, default=8192, help="rows of the square matrices")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args(arguments)
    work = [str(PROGRAM), str(options.size), str(options.rounds)]
    try:
        outside = json.loads(_output([options.python, *work, "--files"]))
    except subprocess.CalledProcessError:
        sys.stderr.write("bench: no GPU works outside of an image here\n")
        return LACKING
    python = Python.ask(options.python)
    with tempfile.TemporaryDirectory() as folder:
        image = make_image(Path(folder), python, outside.pop("files"))
        inside = json.loads(_output(inside_call(image, python, work)))
    print(_table(outside, inside))
    return 0


def make_image(folder: Path, python: Python, files: Sequence[str]) -> Path:
    """A SIF of the host's Python and of the libraries in `files`, but for the driver's and those of its packages."""
    root = folder / "root"
    for path in {*_needed(python.program), *_needed("/bin/sh"), *python.files, *files, python.program, "/bin/sh"}:
        if not path.startswith(tuple(f"{each}/" for each in python.packages)) and not _is_drivers(path):
            _copy(root, path)
    target = root / python.library.lstrip("/")
    shutil.copytree(
        python.library,
        target,
        symlinks=True,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("site-packages", "dist-packages", "__pycache__", "test", "config-*", "idlelib"),
    )
    for module in sorted(target.glob("lib-dynload/*.so")):
        for path in _needed(str(module)):
            _copy(root, path)
    stub = root / STUBS.lstrip("/") / "libcuda.so.1"
    stub.parent.mkdir(parents=True)
    stub.write_text("no library\n")
    (folder / "gpu.def").write_text(
        f"Bootstrap: localimage\nFrom: {root}\n\n%environment\n    export LD_LIBRARY_PATH={STUBS}\n"
    )
    _output([_sealift(), "build", str(folder / "gpu.sif"), str(folder / "gpu.def")])
    return folder / "gpu.sif"


def inside_call(image: Path, python: Python, work: Sequence[str]) -> list[str]:
    binds = [word for path in (*python.packages, str(PROGRAM)) for word in ("--bind", path)]
    # An interpreter that is called by its own path does not find the packages of a virtual environment.
    packages = ["--env", f"PYTHONPATH={':'.join(python.packages)}"]
    return [_sealift(), "exec", "--engine", "embedded", "--nv", *binds, *packages, str(image), python.program, *work]


def _sealift() -> str:
    return str(Path(sys.executable).with_name("sealift"))


def _needed(program: str) -> tuple[str, ...]:
    """What ldd says that the loader takes for it, the loader included."""
    lines = subprocess.run(["ldd", program], check=False, capture_output=True, text=True).stdout.splitlines()
    return tuple(word for line in lines for word in line.split() if word.startswith("/"))


def _is_drivers(path: str) -> bool:
    return os.path.basename(path).startswith(DRIVERS)


def _copy(root: Path, path: str) -> None:
    """The file under the name that it is called by; a symbolic link's file under both."""
    for name in {path, os.path.realpath(path)}:
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy2(path, target)


def _table(outside: dict[str, object], inside: dict[str, object]) -> str:
    lines = ["| | outside | inside |", "|---|---:|---:|"]
    lines += [f"| {name} | {value} | {inside.get(name, '—')} |" for name, value in outside.items()]
    return "\n".join(lines)


def _output(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        done.check_returncode()
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""From nothing to the first own container: `python -m benchmarks.newcomer`.

An ordinary user of an empty Debian that has Python and pip, and neither squashfuse nor subordinate ids nor any other
engine, types what the README says, and each line is timed. Nothing is cached; the index of Python's packages and the
distribution's mirror are the real ones. Two things are not: `sealift` comes as a wheel of this checkout, and
docker.io's image, of which a Debian of the mirror's takes the place, from a registry on loopback.
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ground
from tests import parts
from tests.ground import bare, debian, install, layouts, services

NEEDS = ("root", "registry", "skopeo", "mmdebstrap", "mirror")
IMAGE = "library/ubuntu:24.04"
WHEEL = "/opt/wheel"
INSTALL = (
    "python3 -m venv --without-pip ~/sealift && "
    f"pip --python ~/sealift/bin/python install --quiet --find-links {WHEEL} sealift"
)
FIRST = (
    ("install", INSTALL),
    ("a recipe", "sealift new hello first.def"),
    ("build", "sealift build first.sif first.def"),
    ("run", "sealift run first.sif you"),
)
AGAIN = (
    ("change the recipe", "sed -i 's/Hello/Good morning/' first.def"),
    ("build again", "sealift build -F first.sif first.def"),
    ("run again", "sealift run first.sif you"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    what: str
    line: str
    seconds: float
    cpu: float
    """Seconds of processor time of all its processes."""
    code: int
    out: str
    err: str


def walk(machine: bare.BareDebian, lines: Iterable[tuple[str, str]]) -> Iterator[Step]:
    """Type line after line, until one fails."""
    for what, line in lines:
        started, used = time.perf_counter(), _processor()
        done = machine(f"export PATH=~/sealift/bin:$PATH; {line}")
        took = {"seconds": time.perf_counter() - started, "cpu": _processor() - used}
        yield Step(what=what, line=line, **took, code=done.returncode, out=done.stdout, err=done.stderr)
        if done.returncode:
            return


def _processor() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def prepare(folder: Path, tar: Path, base: Path, registry: services.Registry) -> bare.BareDebian:
    """The machine, with the wheel and with the registry's image where docker.io's is looked for."""
    machine = bare.make_bare_debian(tar, folder / "machine")
    wheels = machine.root / WHEEL.lstrip("/")
    wheels.mkdir()
    install.build_wheel(wheels)
    registry.push(layouts.write_layout(folder / "base", [base], config={"Cmd": ["/bin/bash"]}), "latest", IMAGE)
    conf = machine.root / "etc" / "containers" / "registries.conf"
    conf.parent.mkdir()
    conf.write_text(f'[[registry]]\nprefix = "docker.io"\nlocation = "{registry.host}"\ninsecure = true\n')
    return machine


def main() -> int:
    with ground.standing(NEEDS) as folder:
        cache = parts.cache_folder()
        with services.registry(folder / "registry") as registry:
            tree = debian.kept_tree(cache, "pip", include=bare.PACKAGES)
            machine = prepare(folder, tree, debian.kept_tree(cache, "apt"), registry)
            steps = list(walk(machine, (*FIRST, *AGAIN)))
        shutil.rmtree(machine.root)
    print("| what | line | wall | CPU |\n|---|---|---:|---:|")
    for step in steps:
        print(f"| {step.what} | `{step.line}` | {step.seconds:.1f} s | {step.cpu:.1f} s |")
    first = steps[: len(FIRST)]
    wall, cpu = sum(step.seconds for step in first), sum(step.cpu for step in first)
    print(f"| **to the first answer** | | **{wall:.1f} s** | {cpu:.1f} s |")
    if steps[-1].code:
        sys.stderr.write(f"{steps[-1].line}\n{steps[-1].err}")
    return steps[-1].code


if __name__ == "__main__":
    sys.exit(main())

"""Builds definition files with each builder, and asks the images questions.

Apptainer builds as an ordinary user with `--fakeroot`; Sealift as the same user, and as root where root is who asks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmarks.parity import ground
from benchmarks.parity.cases import FOLDER, IMAGE, Case
from benchmarks.parity.comparing import SAYS, Answer, Outcome, by_value
from tests import parts
from tests.ground import users
from tests.ground.images import mounted
from tests.ground.listing import full_listing

Program = Literal["apptainer", "sealift"]

_OWN_OPTIONS: dict[Program, tuple[str, ...]] = {
    # Compression is what takes the time, and is not compared.
    "apptainer": ("--fakeroot", "--mksquashfs-args", "-noI -noD -noF -noX"),
    # A test that passed before on the same files would say nothing.
    "sealift": ("--no-cache",),
}

ENGINE_VERBS = ("run", "exec", "test")
INSPECT = ("inspect", "--all", IMAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    name: str
    program: Program
    as_root: bool = False


APPTAINER = Builder(name="apptainer", program="apptainer")
SEALIFT = Builder(name="sealift", program="sealift")
SEALIFT_AS_ROOT = Builder(name="root", program="sealift", as_root=True)


def builders() -> tuple[Builder, ...]:
    """Those that are compared with Apptainer on this machine, as this user."""
    return (SEALIFT, SEALIFT_AS_ROOT) if os.geteuid() == 0 else (SEALIFT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder that holds everything, and who works there."""

    folder: Path
    as_user: users.AsUser

    def run(self, argv: Sequence[str], *, at: Path, as_root: bool = False) -> subprocess.CompletedProcess[bytes]:
        env = self.as_user.environment() | {
            "SOURCE_DATE_EPOCH": str(ground.EPOCH),
            "TMPDIR": str(at / "tmp"),
            "SEALIFT_CACHE_DIR": str(at / "cache"),
            # Builds that run side by side read each other's half-written index there.
            "APPTAINER_DISABLE_CACHE": "true",
        }
        if as_root:
            program = shutil.which(argv[0], path=env["PATH"]) or argv[0]
            return subprocess.run([program, *argv[1:]], cwd=at, env=env, input=b"", capture_output=True, check=False)
        found = parts.program("apptainer") if argv[0] == "apptainer" else None
        return self.as_user([found or argv[0], *argv[1:]], cwd=at, env=env)


def versions(place: Place) -> dict[str, str]:
    """What the two programs say of themselves."""
    return {
        program: place.run((program, "--version"), at=place.folder / program).stdout.decode().strip()
        for program in ("apptainer", "sealift")
    }


def prepare(place: Place, chosen: Iterable[Builder]) -> None:
    """Make the bases: those of `ground`, the SIFs that both build of base.def, and a sandbox of Apptainer's."""
    bases = place.folder / "bases"
    bases.mkdir()
    ground.make_bases(bases)
    for builder in (APPTAINER, *chosen):
        at = place.folder / builder.name
        at.mkdir()
        (at / "tmp").mkdir()
        ground.make_given(at)
        (at / "bases").symlink_to("../bases-of-root" if builder.as_root else "../bases")
        for path in sorted(FOLDER.glob("*.def")):
            shutil.copyfile(path, at / path.name)
        if not builder.as_root:
            place.as_user.give(at)
    place.as_user.give(bases)
    for builder in (APPTAINER, SEALIFT):
        options = _OWN_OPTIONS[builder.program]
        _succeed(place, (builder.program, "build", *options, f"../bases/{builder.name}.sif", "base.def"))
    own = place.folder / "bases-of-root"
    if any(builder.as_root for builder in chosen):
        shutil.copytree(bases, own, symlinks=True)
    # All files of an image that Apptainer built without root are root's, so an owner's copy is the very tree.
    for folder in (bases, own):
        if folder.exists():
            (folder / "sandbox").mkdir()
            with mounted(bases / "apptainer.sif", below=place.folder) as root:
                ground.copy_tree(root, folder / "sandbox")
    place.as_user.give(bases / "sandbox")
    if own.exists():
        subprocess.run(["chown", "-hR", "0:0", str(own)], check=True)


def _succeed(place: Place, argv: Sequence[str]) -> None:
    done = place.run(argv, at=place.folder / "apptainer")
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{done.stderr.decode(errors='replace')}")


def build_all(place: Place, cases: Sequence[Case], builder: Builder) -> dict[str, Outcome]:
    """Build every case and ask its image with Apptainer and, if it is ours, with our own engine too."""
    at = place.folder / builder.name

    def work(case: Case) -> Outcome:
        image = f"{case.name}.sif"
        argv = (builder.program, "build", *_OWN_OPTIONS[builder.program], *case.options, image, case.path.name)
        done = place.run(argv, at=at, as_root=builder.as_root)
        log = (done.stdout + done.stderr).decode(errors="replace").replace(str(at), "FOLDER")
        said = tuple(line.strip().removeprefix(SAYS) for line in log.splitlines() if line.strip().startswith(SAYS))
        answers = {} if builder.as_root or done.returncode else _ask_all(place, case, builder, image, at)
        return Outcome(code=done.returncode, said=said, answers=answers, log=log)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        outcomes = dict(zip((case.name for case in cases), pool.map(work, cases), strict=True))
    # One after the other: a program started meanwhile would hold the mount.
    return {
        name: outcome if outcome.code else _with_tree(outcome, at / f"{name}.sif", place.folder)
        for name, outcome in outcomes.items()
    }


def _with_tree(outcome: Outcome, image: Path, below: Path) -> Outcome:
    with mounted(image, below=below) as root:
        tree = full_listing(root)
        contents = {
            path: (root / os.fsdecode(path)).read_bytes()
            for path, entry in tree.items()
            if entry.is_file and by_value(path)
        }
    return replace(outcome, tree=tree, contents=contents)


def _ask_all(place: Place, case: Case, builder: Builder, image: str, at: Path) -> Mapping[tuple[str, ...], Answer]:
    return {
        (program, *question): _ask(place, program, question, image, at)
        for program in dict.fromkeys(("apptainer", builder.program))
        for question in (*case.asks, INSPECT)
        if program == "apptainer" or question[0] in ENGINE_VERBS
    }


def _ask(place: Place, program: str, question: Sequence[str], image: str, at: Path) -> Answer:
    engine = ("--engine", "embedded") if program == "sealift" and question[0] in ENGINE_VERBS else ()
    words = [image if word == IMAGE else word for word in question[1:]]
    done = place.run((program, question[0], *engine, *words), at=at)
    said = done.stdout.decode("utf-8", "surrogateescape").replace(str(at), "FOLDER")
    return Answer(code=done.returncode, said=said, complaint=done.stderr.decode(errors="replace"))

"""Builds definition files with each builder, and asks the images questions.

Apptainer builds as an ordinary user with `--fakeroot`; Sealift as the same user, and where root asks also as root and
as a user without subordinate ids.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
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
Who = Literal["subuid", "plain", "root"]
"""An ordinary user with subordinate ids, one without, or root."""

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
    who: Who = "subuid"


APPTAINER = Builder(name="apptainer", program="apptainer")
SEALIFT = Builder(name="sealift", program="sealift")
OTHERS = (
    Builder(name="root", program="sealift", who="root"),
    Builder(name="single", program="sealift", who="plain"),
)
"""Whose images shall be those of the user with subordinate ids."""


def builders() -> tuple[Builder, ...]:
    """Those that are compared with Apptainer on this machine, as this user."""
    return (SEALIFT, *OTHERS) if os.geteuid() == 0 else (SEALIFT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder that holds everything, and who works there."""

    folder: Path
    as_user: users.AsUser
    env: Mapping[str, str] = field(default_factory=dict)
    """More of the environment."""

    def run(
        self, argv: Sequence[str], *, at: Path, who: Who = "subuid", given: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        # One environment for all: `%setup` and `%test` see it.
        env = self.as_user.environment() | {
            "SOURCE_DATE_EPOCH": str(ground.EPOCH),
            "TMPDIR": str(at / "tmp"),
            "SEALIFT_CACHE_DIR": str(at / "cache"),
            # Builds that run side by side read each other's half-written index there.
            "APPTAINER_DISABLE_CACHE": "true",
            **self.env,
        }
        if who == "root":
            program = shutil.which(argv[0], path=env["PATH"]) or argv[0]
            return subprocess.run([program, *argv[1:]], cwd=at, env=env, input=given, capture_output=True, check=False)
        found = parts.program("apptainer") if argv[0] == "apptainer" else None
        return self.as_user([found or argv[0], *argv[1:]], user=who, cwd=at, env=env, input=given)

    def give(self, path: Path, who: Who) -> None:
        if who == "root":
            subprocess.run(["chown", "-hR", "0:0", str(path)], check=True)
        else:
            self.as_user.give(path, who)


def versions(place: Place, programs: Sequence[str] = ("apptainer", "sealift")) -> dict[str, str]:
    """What the programs say of themselves."""
    return {
        program: place.run((program, "--version"), at=place.folder / "sealift").stdout.decode().strip()
        for program in programs
    }


def prepare(place: Place, chosen: Sequence[Builder]) -> None:
    """Make the bases: those of `ground`, the SIFs that both build of base.def, and a sandbox of Apptainer's."""
    bases = place.folder / "bases"
    bases.mkdir()
    ground.make_bases(bases)
    for builder in (APPTAINER, *chosen):
        at = place.folder / builder.name
        at.mkdir()
        (at / "tmp").mkdir()
        ground.make_given(at)
        (at / "bases").symlink_to(f"../{_bases_of(builder)}")
        for path in sorted(FOLDER.glob("*.def")):
            shutil.copyfile(path, at / path.name)
        place.give(at, builder.who)
    place.give(bases, "subuid")
    for builder in (APPTAINER, SEALIFT):
        options = _OWN_OPTIONS[builder.program]
        _succeed(place, (builder.program, "build", *options, f"../bases/{builder.name}.sif", "base.def"))
    for builder in (APPTAINER, *(one for one in chosen if one.who != "subuid")):
        folder = place.folder / _bases_of(builder)
        if folder != bases:
            shutil.copytree(bases, folder, symlinks=True, ignore=lambda _folder, _names: ["sandbox"])
        # All files of an image that Apptainer built without root are root's, so an owner's copy is the very tree.
        (folder / "sandbox").mkdir()
        with mounted(bases / "apptainer.sif", below=place.folder) as root:
            ground.copy_tree(root, folder / "sandbox")
        place.give(folder, builder.who)


def _bases_of(builder: Builder) -> str:
    """Each owner has its own, for it must be able to read all of it."""
    return "bases" if builder.who == "subuid" else f"bases-of-{builder.who}"


def _succeed(place: Place, argv: Sequence[str]) -> None:
    done = place.run(argv, at=place.folder / "apptainer")
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{done.stderr.decode(errors='replace')}")


def build_all(place: Place, cases: Sequence[Case], builder: Builder, *, look: bool = True) -> dict[str, Outcome]:
    """Build every case, and `look` at its image: its tree, and what it answers to Apptainer and to our own engine."""
    at = place.folder / builder.name

    def work(case: Case) -> Outcome:
        image = f"{case.name}.sif"
        argv = (builder.program, "build", *_OWN_OPTIONS[builder.program], *case.options, image, case.path.name)
        done = place.run(argv, at=at, who=builder.who)
        log = (done.stdout + done.stderr).decode(errors="replace").replace(str(at), "FOLDER")
        said = tuple(line.strip().removeprefix(SAYS) for line in log.splitlines() if line.strip().startswith(SAYS))
        asked = look and builder.who == "subuid" and done.returncode == 0
        answers = _ask_all(place, case, builder, image, at) if asked else {}
        return Outcome(code=done.returncode, said=said, answers=answers, log=log)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        outcomes = dict(zip((case.name for case in cases), pool.map(work, cases), strict=True))
    # One after the other: a program started meanwhile would hold the mount.
    return {
        name: outcome if outcome.code or not look else _with_tree(outcome, at / f"{name}.sif", place.folder)
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

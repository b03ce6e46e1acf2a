"""The story of `sealift` alone: what lies in this folder and what this host is, and so what one types first."""

from __future__ import annotations

import itertools
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sealift.errors import SealiftError
from sealift.system.platforms import works_on
from sealift.system.standin import find_real

RECIPE, IMAGE = ".def", ".sif"
_MOST = 5000
"""Entries of a folder that are looked at: a scratch folder may have millions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`recipes` and `images` lie in this folder, the newest first; `stale` are recipes that changed after their image.

    `site` is the known machine that this is, and `ships` whether its engines take images from a registry alone.
    """

    recipes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    site: str = ""
    title: str = ""
    ships: bool = False
    apptainer: str = ""
    platform: str = "linux"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    line: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A sentence that says why these steps, and the steps."""

    about: str
    steps: tuple[Step, ...]


def look_around(folder: str, environment: Mapping[str, str]) -> Surroundings:
    """What is here; nothing is changed, and what cannot be read is not there."""
    times = dict(_files(folder))
    by_age = sorted(times, key=lambda name: (-times[name], name))
    recipes = tuple(name for name in by_age if name.endswith(RECIPE))
    site, title, ships = _site(environment)
    return Surroundings(
        recipes=recipes,
        images=tuple(name for name in by_age if name.endswith(IMAGE)),
        stale=tuple(name for name in recipes if times.get(_image_of(name), times[name]) < times[name]),
        site=site,
        title=title,
        ships=ships,
        apptainer=find_real(("apptainer", "singularity"), environment.get("PATH", os.defpath)) or "",
        platform=sys.platform,
    )


def _files(folder: str) -> Iterator[tuple[str, float]]:
    try:
        with os.scandir(folder) as entries:
            for entry in itertools.islice(entries, _MOST):
                if entry.name.endswith((RECIPE, IMAGE)) and not entry.name.startswith("."):
                    yield entry.name, entry.stat().st_mtime
    except OSError:
        return


def _site(environment: Mapping[str, str]) -> tuple[str, str, bool]:
    from sealift.sites.marks import may_be_known, own_folder

    if not may_be_known(environment, own_folder(environment)):
        return "", "", False
    from sealift.engines.choose import takes_no_sif
    from sealift.flows.sites import site_here

    try:
        found = site_here("", environment)
    except SealiftError:  # a profile of the user's that is wrong: `sealift sites` says so
        return "", "", False
    return (found.name, found.text("site.title"), bool(takes_no_sif(found))) if found else ("", "", False)


def first_steps(around: Surroundings) -> Advice:
    """What to type first; the steps of one recipe or image, the newest, or those that lead to the first one.

    Those that this system can take: one without Linux has fewer.
    """
    advice = _on_linux(around)
    steps = tuple(step for step in advice.steps if works_on(around.platform, step.line.split()[1]))
    return replace(advice, steps=steps)


def _on_linux(around: Surroundings) -> Advice:
    if around.stale or (around.recipes and not _built(around)):
        return _to_build(around)
    if around.images:
        return _to_run(around)
    return Advice(
        about="no recipe and no image is in this folder; a first container of your own",
        steps=(
            Step(line="sealift new hello", why="write hello.def, a recipe to begin with"),
            Step(line="sealift build hello.sif hello.def", why="build it, without root"),
            Step(line="sealift run hello.sif you", why="run it"),
            Step(line="sealift new", why="other recipes: PyTorch, JAX, MPI …"),
            Step(line="sealift pull docker://ubuntu:24.04", why="or take a registry's image as it is"),
        ),
    )


def _image_of(recipe: str) -> str:
    return recipe.removesuffix(RECIPE) + IMAGE


def _built(around: Surroundings) -> bool:
    return _image_of(around.recipes[0]) in around.images


def _to_build(around: Surroundings) -> Advice:
    recipe = (around.stale or around.recipes)[0]
    image = _image_of(recipe)
    again = ("-F",) if around.stale else ()
    return Advice(
        about=f"{recipe} changed since {image} was built" if again else f"{recipe} is here, and no image of it",
        steps=(
            Step(line=_line("lint", recipe), why="what will bite when it is built or moved"),
            Step(line=_line("build", *again, image, recipe), why="build it, without root"),
            Step(line=_line("run", image), why="run it"),
        ),
    )


def _to_run(around: Surroundings) -> Advice:
    image = around.images[0]
    site = around.site or "perlmutter"
    check = Step(line=_line("check", image, "--site", site), why=f"will it run on {site}, and if not, why")
    # On a known machine a job is for that machine.
    there = () if around.site else ("--site", "slurm")
    steps: tuple[Step, ...] = (
        Step(line=_line("run", image), why="run it"),
        Step(line=_line("inspect", image), why="what it says of itself"),
        check,
        Step(line=_line("job", image, *there, "--", "PROGRAM"), why="a batch script for it"),
    )
    if around.ships:
        reference = f"docker://REGISTRY/{image.removesuffix(IMAGE)}:1"
        steps = (
            check,
            Step(line=_line("push", image, reference), why="where the engines here take it from"),
            Step(line=_line("job", reference, "--", "PROGRAM"), why="a batch script for it"),
        )
    return Advice(about=f"{image} is here", steps=steps)


def _line(*words: str) -> str:
    return shlex.join(("sealift", *words))

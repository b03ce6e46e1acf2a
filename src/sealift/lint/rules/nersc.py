"""NERSC: what Perlmutter's file systems and engines ask of an image."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.deffile.characters import short
from sealift.lint.examples import UBUNTU, file, post
from sealift.lint.recipe import Recipe
from sealift.lint.values import Hit, Rule

_HOMES = re.compile(r"(/global/homes/|/global/u[12]/|\$HOME\b|\$\{HOME\}|~/|/home/[^/]+/)")
_HOMES_OF_NERSC = re.compile(r"/global/homes/|/global/u[12]/")
"""Anybody's `$HOME` is meant only where the site is known."""

_MOUNTED = ("/global", "/pscratch", "/dvs_ro", "/cvmfs", "/opt/udiImage", "/opt/cray", "/var/opt/cray")


_WITH_VALUE = ("-b", "--branch", "--depth", "-c", "--config", "-j", "--jobs", "-o", "--origin")
"""Options of `git clone` whose value is the next argument."""


def _image_in_home(recipe: Recipe) -> Iterator[Hit]:
    homes = _HOMES if "perlmutter" in recipe.site else _HOMES_OF_NERSC
    for stage in recipe.stages:
        if stage.stage.bootstrap == "localimage" and homes.match(stage.stage.source):
            yield stage.hit_header(
                "from",
                f"`{short(stage.stage.source)}` lies in a home: 40 GB, and slow for many nodes",
                "keep images on scratch: mv IMAGE $SCRATCH/images/",
            )
    comment = re.compile(r"(?:singularity|apptainer|sealift)\s+(?:build|pull)\s+(?:-\S+\s+)*(\S+\.sif)")
    for found in comment.finditer(recipe.text):
        if homes.match(found[1]):
            yield Hit(
                start=found.start(1),
                end=found.end(1),
                message=f"`{short(found[1])}` lies in a home: 40 GB, and slow for many nodes",
                hints=("keep images on scratch: $SCRATCH/images/",),
            )


def _below_mounts(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages[-1:]:
        for script in stage.scripts("post", "appinstall"):
            seen: set[str] = set()
            for call in script.calls:
                texts = [one.text for one in call.operands(_WITH_VALUE if call.name == "git" else ())]
                targets = texts[-1:] if call.name in ("cp", "mv", "ln", "install") and len(texts) > 1 else []
                targets += [
                    text.partition("=")[2]
                    for text in call.texts
                    if text.startswith(("--prefix=", "-DCMAKE_INSTALL_PREFIX="))
                ]
                if call.name == "git" and "clone" in call.texts:
                    targets += texts[2:3]
                for target in targets:
                    top = next((top for top in _MOUNTED if target.startswith(top + "/")), "")
                    if top and top not in seen:
                        seen.add(top)
                        yield call.hit(
                            f"`{short(target)}` lies below `{top}`, over which the site lays its own",
                            "install below /opt/NAME",
                        )
        for group in stage.stage.files:
            for copy in group.copies if not group.is_ignored else ():
                target = copy.destination or (copy.source if copy.source.startswith("/") else "")
                top = next((top for top in _MOUNTED if target.startswith(top + "/")), "")
                if top:
                    yield recipe.hit_at(
                        copy.span,
                        f"`{short(target)}` lies below `{top}`, over which the site lays its own",
                        "copy it below /opt/NAME",
                    )


def _musl(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    if stage is not None and stage.base.distribution == "alpine" and stage.base.is_registry:
        yield stage.hit_header(
            "from",
            f"`{stage.base.text}` has musl for a C library: the site's MPI, GPU and NCCL libraries need glibc",
            "take a base with glibc: From: debian:bookworm-slim",
        )


RULES: tuple[Rule, ...] = (
    Rule(
        id="image-in-home",
        family="nersc",
        level="warning",
        title="An image is kept in a home",
        reason="Homes are small (40 GB at NERSC), and a file server for many small files. An image that hundreds "
        "of nodes read at once belongs on scratch, which is made for that: a job starts in seconds rather "
        "than minutes, and other people's shells stay usable.",
        remedy="Build and keep images below `$SCRATCH`. What was not read for eight weeks is removed there: keep "
        "the definition file, and a copy in a registry or on CFS.",
        bad=file(UBUNTU, help="sealift build /global/homes/a/ada/app.sif app.def"),
        good=file(UBUNTU, help="sealift build $SCRATCH/images/app.sif app.def"),
        look=_image_in_home,
    ),
    Rule(
        id="below-a-mount",
        family="nersc",
        level="warning",
        title="Something is installed where the site mounts its own",
        reason="`/global`, `/pscratch`, `/opt/cray` and `/opt/udiImage` are the site's when the image runs: what "
        "the image has there is not seen.",
        remedy="Install below /opt with a name of your own.",
        bad=post("mkdir -p /opt/cray/app\ncp -r /usr/share/misc /opt/cray/app"),
        good=post("mkdir -p /opt/app\ncp -r /usr/share/misc /opt/app"),
        look=_below_mounts,
    ),
    Rule(
        id="musl-base",
        family="nersc",
        level="warning",
        title="The base has no glibc",
        reason="podman-hpc and Shifter put the site's MPI, GPU and NCCL libraries into the container, and run the "
        "image's `ldconfig`. These libraries need glibc; with musl none of them loads.",
        remedy="Take a Debian, Ubuntu, Rocky or SUSE base; `-slim` variants are small too.",
        bad=post("echo ok", "Bootstrap: docker\nFrom: alpine:3.22.1\n"),
        good=post("echo ok", UBUNTU),
        look=_musl,
        site="perlmutter",
    ),
)

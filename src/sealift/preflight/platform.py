"""Processor and form: can these programs run there at all, and does the engine take this kind of image?"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Iterator

from sealift.core.finding import Finding
from sealift.core.reference import as_component
from sealift.preflight.question import Question, lines

_SHOWN = 3
_NAMES_PROCESSOR = re.compile(r"(?i)(arm|aarch|amd64|x86|x64|i[36]86|ppc|power|s390|riscv)")
_FORMS = {"sif": "a SIF", "squashfs": "a squashfs", "directory": "a folder"}


def architecture(question: Question) -> Iterator[Finding]:
    """Programs for another processor end with `exec format error`."""
    ours, theirs = question.image.architecture, question.site.text("node.architecture")
    if not (ours and theirs) or ours == theirs:
        return
    source = question.image.source
    name = shlex.quote(_stem(source))
    again = f"sealift build --arch {theirs} {name}.sif {name}.def"
    if "://" in source:
        again = f"sealift build --arch {theirs} {name}.sif {shlex.quote(source)}"
    yield Finding(
        id="platform.architecture",
        severity="error",
        what=f"the image is for {ours}, and the nodes of {question.site.name} are {theirs}",
        evidence=lines(f"its programs are made for {ours}", *question.says("node.architecture")),
        remedy=again,
    )


def programs(question: Question) -> Iterator[Finding]:
    """Programs for another processor in an image that is for the right one."""
    ours, theirs = question.image.architecture, question.site.text("node.architecture")
    # Bundles with a program for each processor say so in its name.
    foreign = {path: kind for path, kind in question.image.foreign.items() if not _NAMES_PROCESSOR.search(path)}
    if not foreign or ours != theirs:
        return
    folders = question.image.environment.get("PATH", "").split(":")
    on_path = [path for path in foreign if posixpath.dirname(path) in folders]
    path = [*on_path, *foreign][0]
    yield Finding(
        id="platform.architecture",
        severity="error" if on_path else "warning",
        what=f"`{path}` is for {foreign[path]}, and the nodes of {question.site.name} are {theirs}",
        evidence=lines(", ".join(list(foreign)[:_SHOWN]), *question.says("node.architecture")),
        remedy=f"take or compile the one for {theirs}",
    )


def engine(question: Question) -> Iterator[Finding]:
    """An engine that the site does not have, or that takes no such image."""
    order = question.site.texts("engines.order")
    name = question.engine.name
    if order and name not in order:
        yield Finding(
            id="engine.absent",
            severity="warning",
            what=f"{name} is not among the engines that are known of {question.site.name}",
            evidence=lines(*question.says("engines.order")),
            remedy=f"for {order[0]}: sealift check {shlex.quote(question.image.source)} --site {question.site.name}",
        )
    ways = ways_in(question)
    if ways:
        yield Finding(
            id="engine.form",
            severity="note",
            what=f"{name} takes {_taken(question)}, and this is {_FORMS[question.image.form]}",
            evidence=lines(*question.says(f"engines.{name}.images")),
            remedy="\n".join(ways),
        )


def ways_in(question: Question) -> tuple[str, ...]:
    """What to type so that the engine has the image, the best way first; nothing where it takes it as it is."""
    takes, source = question.engine.takes, question.image.source
    if "sif" in takes or source.startswith("docker://"):
        return ()
    name, shown = as_component(_stem(source)), shlex.quote(source)
    ways = []
    if "squashfs" in takes:
        if question.image.form == "squashfs":
            return ()
        ways.append(f"sealift build {shlex.quote(_stem(source) + '.sqsh')} {shown}")
    if question.engine.name == "podman-hpc":
        ways.append(f"sealift push {shown} podman-hpc:{name}   (on a login node there)")
    registry = question.site.text("registry.host") or "REGISTRY"
    reference = f"{registry}/PROJECT/{name}:TAG"
    pull = question.site.text(f"engines.{question.engine.name}.pull").replace("REFERENCE", reference)
    ways.append(f"sealift push {shown} docker://{reference}" + (f"   then there: {pull}" if pull else ""))
    return tuple(ways)


def fetched(question: Question) -> tuple[str, ...]:
    """What brings an image of a registry into an engine that keeps images of its own."""
    source, takes = question.image.source, question.engine.takes
    line = question.site.text(f"engines.{question.engine.name}.pull")
    if not source.startswith("docker://") or "sif" in takes or "REFERENCE" not in line:
        return ()
    return (line.replace("REFERENCE", source.removeprefix("docker://")),)


def _taken(question: Question) -> str:
    names = {"oci": "images of registries", "squashfs": "a squashfs", "sif": "a SIF"}
    return " or ".join(names.get(each, each) for each in question.engine.takes)


def _stem(source: str) -> str:
    """A short name for an image: `app` of `./app.sif` and of `docker://host/group/app:1`."""
    last = posixpath.basename(source.rstrip("/")).partition("@")[0]
    stem = last.partition(":")[0] if "://" in source else os.path.splitext(last)[0]
    return stem.lower() or "image"

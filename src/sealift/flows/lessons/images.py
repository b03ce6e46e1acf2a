"""Checks of the images that the learner built: whether they are new enough, and what is in them. Nothing is run."""

from __future__ import annotations

import fnmatch
import os
import re

from sealift.deffile.characters import encode
from sealift.deffile.prepare import prepare
from sealift.errors import ImageError, SealiftError
from sealift.flows.lessons.desk import Desk, Seen, quoted
from sealift.flows.lessons.recipes import build_line
from sealift.learn.course import Check

_SHOWN = 5


def look_at_built(check: Check, desk: Desk) -> Seen:
    """The recipe inside is what tells: times of files say nothing after a copy."""
    image, recipe = check.text("image"), check.text("recipe")
    line = build_line(image, recipe, desk)
    if not os.path.exists(desk.path(image)):
        return Seen(right=False, seen=f"there is no `{image}` yet", remedy=(f"build it: {line}",))
    try:
        inside = str(desk.view(image).inspection.attributes.get("deffile", ""))
    except ImageError as error:
        return Seen(right=False, seen=f"`{image}` cannot be read: {error.message}", remedy=(f"build it again: {line}",))
    with open(desk.path(recipe), "rb") as file:
        data = file.read()
    wanted = {data.decode("utf-8", "surrogateescape").strip()}
    try:
        wanted.add(encode(prepare(data, allow_unused=True).text).decode("utf-8", "surrogateescape").strip())
    except SealiftError as error:
        return Seen(right=False, seen=error.message, remedy=error.hints)
    if inside.strip() in wanted:
        return Seen(right=True)
    why = f"`{image}` was built from another recipe than `{recipe}` is now" if inside else f"`{image}` has no recipe"
    return Seen(right=False, seen=why, remedy=(f"build it again: {line}",))


def look_at_size(check: Check, desk: Desk) -> Seen:
    size, below = desk.view(check.text("image")).size, int(check.fields["below"])
    seen = f"`{check.text('image')}` has {_megabytes(size)}, and {_megabytes(below)} are enough"
    return (
        Seen(right=True)
        if size < below
        else Seen(
            right=False, seen=seen, remedy=(f"where they went: {quoted('sealift', 'size', check.text('image'))}",)
        )
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def look_at_holds(check: Check, desk: Desk) -> Seen:
    image, path = check.text("image"), check.text("path").rstrip("/")
    there = desk.view(image).files.row(path) is not None
    if there != bool(check.fields.get("absent", False)):
        return Seen(right=True)
    return Seen(right=False, seen=f"`{path}` is in `{image}`" if there else f"there is no `{path}` in `{image}`")


def look_at_package(check: Check, desk: Desk) -> Seen:
    image, name, manager = check.text("image"), check.text("name"), check.text("manager")
    found = [
        one
        for one in desk.view(image).packages.packages
        if fnmatch.fnmatchcase(one.name, name) and manager in ("", one.manager)
    ]
    listed = ", ".join(f"{one.name} {one.version}" for one in found[:_SHOWN])
    if check.fields.get("absent", False):
        return Seen(right=not found, seen=f"in `{image}`: {listed}" if found else "")
    if not found:
        return Seen(right=False, seen=f"no package `{name}` is in `{image}`")
    right = "version" not in check.fields or any(re.search(check.text("version"), one.version) for one in found)
    return Seen(right=right, seen="" if right else f"in `{image}`: {listed}")


def look_at_label(check: Check, desk: Desk) -> Seen:
    image, name = check.text("image"), check.text("name")
    labels = desk.view(image).inspection.attributes.get("labels", {})
    if name not in labels:
        return Seen(
            right=False, seen=f"`{image}` has no label `{name}`", remedy=(f"see them: sealift inspect {image}",)
        )
    value = str(labels[name])
    right = "contains" not in check.fields or re.search(check.text("contains"), value) is not None
    return Seen(right=right, seen="" if right else f"{name}: {value}", texts=(value,))


def look_at_leftovers(check: Check, desk: Desk) -> Seen:
    image, wanted = check.text("image"), check.texts("without")
    found = [one for one in desk.view(image).leftovers if not wanted or one.rule.id in wanted]
    if not found:
        return Seen(right=True)
    return Seen(
        right=False,
        seen="\n".join(f"{one.rule.what}  [{one.rule.id}]" for one in found[:_SHOWN]),
        remedy=(f"how much that is: {quoted('sealift', 'size', image)}",),
    )

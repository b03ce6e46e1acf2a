"""Where the image can lie: quotas, and folders of many files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from sealift.core.finding import Finding
from sealift.preflight.question import Question, lines

_MANY = 2000
"""Files of a folder that a parallel file system opens one by one, on every node."""


def quota(question: Question) -> Iterator[Finding]:
    """Is there a file system that can hold it, and one where people would put it that cannot?"""
    site, size = question.site, question.image.size / 1e9
    rooms = {
        name: site.number(f"filesystems.{name}.quota_gb")
        for name in site.names_below("filesystems")
        if site.text(f"filesystems.{name}.purpose") != "node"
    }
    known = {name: room for name, room in rooms.items() if room}
    if not known:
        return
    if size > max(known.values()):
        yield Finding(
            id="storage.quota",
            severity="error",
            what=f"the image has {size:.0f} GB, more than any quota of {site.name}",
            evidence=lines(*question.says(*(f"filesystems.{name}.quota_gb" for name in known))),
            remedy=f"see where the bytes went: sealift size {shlex.quote(question.image.source)}",
        )
        return
    home = next((name for name in known if site.text(f"filesystems.{name}.purpose") == "home"), "")
    if home and size > known[home] / 2:
        better = place_for_images(question)
        yield Finding(
            id="storage.home",
            severity="note",
            what=f"the image has {size:.0f} GB, more than half of the quota of $HOME on {site.name}",
            evidence=lines(*question.says(f"filesystems.{home}.quota_gb")),
            remedy=f"keep it in {better}" if better else "",
        )


def many_files(question: Question) -> Iterator[Finding]:
    """A folder as an image asks a parallel file system for every file, on every node."""
    image, site = question.image, question.site
    if image.form != "directory" or image.entries < _MANY or site.text("site.kind", "cluster") == "host":
        return
    if "sif" not in question.engine.takes:
        return
    name = image.source.rstrip("/")
    yield Finding(
        id="storage.files",
        severity="warning",
        what=f"the image is a folder of {image.entries:,} files, which many nodes open one by one",
        evidence=lines(
            *question.says(
                *(f"filesystems.{each}.inodes" for each in site.names_below("filesystems") if each == "scratch")
            )
        ),
        remedy=f"make one file of it: sealift build {shlex.quote(name)}.sif {shlex.quote(name)}",
    )


def place_for_images(question: Question) -> str:
    """Where the site wants images: a variable, else a path; empty where it is not known."""
    site = question.site
    for name in site.names_below("filesystems"):
        if site.flag(f"filesystems.{name}.images", default=False):
            variable = site.text(f"filesystems.{name}.variable")
            return f"${variable}" if variable else site.text(f"filesystems.{name}.path")
    return ""

"""Releases that get no more updates. Dates are those of the projects, as known in November 2026."""

from __future__ import annotations

import re

from sealift.deffile.values import Stage
from sealift.lint.bases import Base

_UBUNTU = {
    "12.04": "2017-04", "14.04": "2019-04", "16.04": "2021-04", "16.10": "2017-07", "17.04": "2018-01",
    "17.10": "2018-07", "18.04": "2023-05", "18.10": "2019-07", "19.04": "2020-01", "19.10": "2020-07",
    "20.04": "2025-05", "20.10": "2021-07", "21.04": "2022-01", "21.10": "2022-07", "22.10": "2023-07",
    "23.04": "2024-01", "23.10": "2024-07", "24.10": "2025-07",
}  # fmt: skip
"""The end of standard support; paid support goes on for some, and no image has it."""

_UBUNTU_NAMES = {
    "precise": "12.04", "trusty": "14.04", "xenial": "16.04", "yakkety": "16.10", "zesty": "17.04", "artful": "17.10",
    "bionic": "18.04", "cosmic": "18.10", "disco": "19.04", "eoan": "19.10", "focal": "20.04", "groovy": "20.10",
    "hirsute": "21.04", "impish": "21.10", "kinetic": "22.10", "lunar": "23.04", "mantic": "23.10", "oracular": "24.10",
}  # fmt: skip
_DEBIAN = {
    "wheezy": "2018-05", "jessie": "2020-06", "stretch": "2022-06", "buster": "2024-06", "bullseye": "2026-08",
    "7": "2018-05", "8": "2020-06", "9": "2022-06", "10": "2024-06", "11": "2026-08",
}  # fmt: skip
_CENTOS = {"5": "2017-03", "6": "2020-11", "7": "2024-06", "8": "2021-12"}
_PYTHON = {
    "2": "2020-01", "2.7": "2020-01", "3.4": "2019-03", "3.5": "2020-09", "3.6": "2021-12", "3.7": "2023-06",
    "3.8": "2024-10", "3.9": "2025-10",
}  # fmt: skip
_NODE = {str(major): "2025-04" for major in range(8, 19)}
_LAST_FEDORA, _LAST_ALPINE, _LAST_LEAP = 41, 20, (15, 5)

Ended = tuple[str, str, str]
"""What it is, since when, and what to take instead."""


def end_of_life(base: Base, stage: Stage) -> Ended | None:
    """The part of a base's name that is past its end, if any."""
    if not base.known:
        return None
    if base.agent == "debootstrap":
        return _codename(stage.key("osversion").lower())
    if base.agent in ("yum", "dnf"):
        mirror, version = stage.key("mirrorurl").lower(), stage.key("osversion").partition(".")[0]
        return _centos(version) if "centos" in mirror and "stream" not in mirror else None
    if base.agent not in ("docker", "library", "shub", "oras", "docker-daemon"):
        return None
    name, tag = base.name.rpartition("/")[2].lower(), base.tag.lower()
    words = re.split(r"[-_]", tag)
    if name == "ubuntu":
        return _ubuntu(words[0]) or _codename(words[0])
    if name == "debian":
        return _debian(words[0].partition(".")[0]) or _codename(words[0])
    if name == "centos":
        if "stream" in tag:
            return ("CentOS Stream 8", "2024-05", "rockylinux:9") if "stream8" in tag else None
        return _centos(re.sub(r"^centos", "", words[0]).partition(".")[0])
    if name == "fedora" and words[0].isdigit() and int(words[0]) <= _LAST_FEDORA:
        return f"Fedora {words[0]}", _fedora_end(int(words[0])), "fedora:43"
    if name == "alpine":
        found = re.match(r"3\.(\d+)", tag)
        if found and int(found[1]) <= _LAST_ALPINE:
            return f"Alpine 3.{found[1]}", "two years after it was released", "alpine:3.22"
        return None
    if name == "leap" or base.name == "opensuse/leap":
        found = re.match(r"(\d+)\.(\d+)", tag)
        if found and (int(found[1]), int(found[2])) <= _LAST_LEAP:
            return f"openSUSE Leap {found[0]}", "18 months after it was released", "opensuse/leap:15.6"
    if name == "python" and base.is_official:
        found = re.match(r"(\d+(?:\.\d+)?)", tag)
        if found and found[1] in _PYTHON:
            return f"Python {found[1]}", _PYTHON[found[1]], "python:3.12-slim-bookworm"
    if name == "node" and base.is_official:
        found = re.match(r"(\d+)", tag)
        if found and found[1] in _NODE:
            return f"Node.js {found[1]}", "2025-04 or before", "node:22-bookworm-slim"
    named = re.search(r"ubuntu-(\d\d\.\d\d)$", name)
    return _within([f"ubuntu{named[1]}"] if named else words)


def _within(words: list[str]) -> Ended | None:
    """A system that the tag of another image names: `12.2.0-devel-ubuntu20.04`."""
    for word in words:
        ubuntu = re.fullmatch(r"ubuntu(\d\d\.\d\d|\d{4})", word)
        if ubuntu:
            version = ubuntu[1] if "." in ubuntu[1] else f"{ubuntu[1][:2]}.{ubuntu[1][2:]}"
            return _ubuntu(version)
        centos = re.fullmatch(r"centos(\d)(\.\d+)*", word)
        if centos:
            return _centos(centos[1])
        debian = re.fullmatch(r"debian(\d+)", word)
        if debian:
            return _debian(debian[1])
        found = _codename(word)
        if found is not None:
            return found
    return None


def _codename(word: str) -> Ended | None:
    if word in _UBUNTU_NAMES:
        return _ubuntu(_UBUNTU_NAMES[word])
    return _debian(word) if word.isalpha() else None


def _ubuntu(version: str) -> Ended | None:
    found = re.match(r"\d\d\.\d\d", version)
    if found is None or found[0] not in _UBUNTU:
        return None
    return f"Ubuntu {found[0]}", _UBUNTU[found[0]], "ubuntu:24.04"


def _debian(word: str) -> Ended | None:
    return (f"Debian {word}", _DEBIAN[word], "debian:bookworm-slim") if word in _DEBIAN else None


def _centos(version: str) -> Ended | None:
    return (f"CentOS {version}", _CENTOS[version], "rockylinux:9") if version in _CENTOS else None


def _fedora_end(version: int) -> str:
    """A release in April and one in October, each supported for about 13 months."""
    return f"{2018 + (version - 26) // 2}" if version >= 26 else "2018 or before"

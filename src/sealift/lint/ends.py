"""Releases that get no more updates. Dates are those of the projects, as known in November 2026."""

from __future__ import annotations

import re

from sealift.deffile.values import Stage
from sealift.lint.bases import Base

_UBUNTU = {
    "12.04": "2017-04", "14.04": "2019-04", "16.04": "2021-04", "16.10": "2017-07", "17.04": "2018-01",
    "17.10": "2018-07", "18.04": "2023-05", "18.10": "2019-07", "19.04": "2020-01", "19.10": "2020-07",
    "20.04": "2025-05", "20.10": "2021-07", "21.04": "2022-01", "21.10": "2022-07", "22.10": "2023-07",
    "23.04": "2024-01", "23.10": "2024-07", "24.10": "2025-07", "25.04": "2026-01", "25.10": "2026-07",
}  # fmt: skip
"""The end of standard support; paid support goes on for some, and no image has it."""

_UBUNTU_NAMES = {
    "precise": "12.04", "trusty": "14.04", "xenial": "16.04", "yakkety": "16.10", "zesty": "17.04", "artful": "17.10",
    "bionic": "18.04", "cosmic": "18.10", "disco": "19.04", "eoan": "19.10", "focal": "20.04", "groovy": "20.10",
    "hirsute": "21.04", "impish": "21.10", "kinetic": "22.10", "lunar": "23.04", "mantic": "23.10", "oracular": "24.10",
    "plucky": "25.04", "questing": "25.10",
}  # fmt: skip
_DEBIAN = {
    "wheezy": "2018-05", "jessie": "2020-06", "stretch": "2022-06", "buster": "2024-06", "bullseye": "2026-08",
    "7": "2018-05", "8": "2020-06", "9": "2022-06", "10": "2024-06", "11": "2026-08",
}  # fmt: skip
_CENTOS = {"5": "2017-03", "6": "2020-11", "7": "2024-06", "8": "2021-12"}
_PYTHON = {
    "2": "2020-01", "2.7": "2020-01", "3.4": "2019-03", "3.5": "2020-09", "3.6": "2021-12", "3.7": "2023-06",
    "3.8": "2024-10", "3.9": "2025-10", "3.10": "2026-10",
}  # fmt: skip
_NODE = {
    "8": "2019-12", "9": "2018-06", "10": "2021-04", "11": "2019-06", "12": "2022-04", "13": "2020-06",
    "14": "2023-04", "15": "2021-06", "16": "2023-09", "17": "2022-06", "18": "2025-04", "19": "2023-06",
    "20": "2026-04", "21": "2024-06", "23": "2025-06",
}  # fmt: skip
_FEDORA = {
    "26": "2018-05", "27": "2018-11", "28": "2019-05", "29": "2019-11", "30": "2020-05", "31": "2020-11",
    "32": "2021-05", "33": "2021-11", "34": "2022-06", "35": "2022-12", "36": "2023-05", "37": "2023-12",
    "38": "2024-05", "39": "2024-11", "40": "2025-05", "41": "2025-12", "42": "2026-05",
}  # fmt: skip
_ALPINE = {
    "3.3": "2017-11", "3.4": "2018-05", "3.5": "2018-11", "3.6": "2019-05", "3.7": "2019-11", "3.8": "2020-05",
    "3.9": "2020-11", "3.10": "2021-05", "3.11": "2021-11", "3.12": "2022-05", "3.13": "2022-11", "3.14": "2023-05",
    "3.15": "2023-11", "3.16": "2024-05", "3.17": "2024-11", "3.18": "2025-05", "3.19": "2025-11", "3.20": "2026-04",
    "3.21": "2026-11",
}  # fmt: skip
_LEAP = {
    "42.1": "2017-05", "42.2": "2018-01", "42.3": "2019-07", "15.0": "2019-12", "15.1": "2021-02", "15.2": "2022-01",
    "15.3": "2022-12", "15.4": "2023-12", "15.5": "2024-12", "15.6": "2026-04",
}  # fmt: skip
_NUMBERED = {
    "fedora": ("Fedora", _FEDORA, "fedora:43"),
    "alpine": ("Alpine", _ALPINE, "alpine:3.22"),
    "leap": ("openSUSE Leap", _LEAP, "opensuse/leap:16.0"),
}

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
    if name in _NUMBERED:
        title, ends, instead = _NUMBERED[name]
        found = re.match(r"\d+(\.\d+)?", tag)
        return (f"{title} {found[0]}", ends[found[0]], instead) if found and found[0] in ends else None
    if name == "python" and base.is_official:
        found = re.match(r"(\d+(?:\.\d+)?)", tag)
        if found and found[1] in _PYTHON:
            return f"Python {found[1]}", _PYTHON[found[1]], "python:3.12-slim-bookworm"
    if name == "node" and base.is_official:
        found = re.match(r"(\d+)", tag)
        if found and found[1] in _NODE:
            return f"Node.js {found[1]}", _NODE[found[1]], "node:22-bookworm-slim"
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

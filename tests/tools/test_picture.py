"""The README's picture is what its commands say now, and asks nothing of the network."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.docs.blocks import ROOT
from tests.ground import services, users

NAMED = {"http://www.w3.org/2000/svg", "https://www.textualize.io", "docker://registry.nersc.gov/PROJECT/wave:TAG"}
"""The language of pictures, who drew it, and what is said of the site."""
TOOL = runpy.run_path(str(ROOT / "tools" / "picture.py"))


CELL = 12.2
"""The width of a character in such a picture."""


def shown(svg: str) -> list[str]:
    """The lines of text that a picture of a terminal shows."""
    lines: dict[float, str] = {}
    for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        if "clip-path" in text.attrib:
            line = float(text.attrib["y"])
            before = lines.get(line, "").ljust(round(float(text.attrib["x"]) / CELL))
            lines[line] = before + (text.text or "").replace("\xa0", " ")
    return [row.rstrip() for _, row in sorted(lines.items()) if row.strip()]


def masked(lines: list[str]) -> list[str]:
    """Without what differs from run to run: times, sizes and digests; lines may break elsewhere because of them.

    Of the work that took time only the first is kept: what took next to none is not told.
    """
    text = re.sub(r"(time  fetch and pack) .*? (?=space, before)", r"\1 # ", " ".join(lines))
    return re.sub(r"sha256:[0-9a-f]+|\b[0-9a-f]{12}\b|[0-9][0-9.,]*", "#", text).split()


def test_what_is_drawn_is_what_was_on_the_screen():
    svg = TOOL["drawn"]("\x1b[1;32m$\x1b[0m \x1b[1msealift build <a> & b\x1b[0m\n\n   wide   open")
    assert shown(svg) == ["$ sealift build <a> & b", "   wide   open"]


def test_the_picture_is_of_these_commands_and_names_nothing_of_the_machine():
    svg = TOOL["TARGET"].read_text("utf-8")
    lines = shown(svg)
    assert [line[2:] for line in lines if line.startswith("$ ")] == list(TOOL["COMMANDS"])
    assert [line for line in TOOL["RECIPE"].splitlines() if line and line not in lines] == []
    assert "@import" not in svg
    assert set(re.findall(r"\w+://[^\s\"'<&]+", svg)) == NAMED
    assert not re.search(r"/(tmp|home|root|var)/|127\.0\.0\.1|localhost", "\n".join(lines))
    assert len(svg) < 30_000


@pytest.mark.slow
@pytest.mark.needs(*TOOL["NEEDS"])
def test_the_commands_say_the_same_now(
    registry: services.Registry, debian_oci: Path, as_user: users.AsUser, open_folder: Path
):
    registry.push(debian_oci, "latest", "library/debian:12")
    screen = TOOL["record"](open_folder, registry)
    assert masked(shown(TOOL["drawn"](screen))) == masked(shown(TOOL["TARGET"].read_text("utf-8")))

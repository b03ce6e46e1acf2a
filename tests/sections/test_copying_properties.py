"""A law of copying: whatever lies there, whatever is copied onto whatever, it comes out as `cp -fLr` has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from sealift.sections.copying import Copier, CopyError

from .test_copying import listing

NAMES = ("a", "b", "c")
FILE_MODES = (0o644, 0o600, 0o755, 0o4755, 0o444, 0o666)
IMAGE_MODES = (0o644, 0o600, 0o755, 0o444)
"""No setuid bit: as root `cp` leaves it to a file that it writes, for all others the kernel takes it away."""
FOLDER_MODES = (0o755, 0o700, 0o2775, 0o1777)


@dataclass(frozen=True)
class Node:
    """Of a tree: a file, a folder or a link to a name beside it, with its mode."""

    path: str
    kind: str
    mode: int
    link: str = ""


@st.composite
def trees(draw: st.DrawFn, file_modes: tuple[int, ...] = FILE_MODES) -> tuple[Node, ...]:
    nodes: list[Node] = []

    def grow(folder: str, depth: int) -> None:
        for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3)):
            path = f"{folder}{name}"
            kind = draw(st.sampled_from(("file", "folder", "folder", "link") if depth else ("file", "link")))
            if kind == "folder":
                nodes.append(Node(path, kind, draw(st.sampled_from(FOLDER_MODES))))
                grow(f"{path}/", depth - 1)
            elif kind == "file":
                nodes.append(Node(path, kind, draw(st.sampled_from(file_modes))))
            else:
                # Only onwards in the alphabet, so that no links go in a circle.
                targets = [other for other in (*NAMES, "d") if other > name]
                nodes.append(Node(path, kind, 0, draw(st.sampled_from(targets))))

    grow("", 2)
    return tuple(nodes)


def paths(*ends: str) -> st.SearchStrategy[str]:
    name = st.sampled_from(NAMES)
    return st.builds(
        lambda parts, end: "/".join(parts) + end,
        st.lists(name, min_size=1, max_size=3),
        st.sampled_from(ends),
    )


def plant(root: Path, tree: tuple[Node, ...], word: str) -> Path:
    root.mkdir()
    for node in tree:
        place = root / node.path
        if node.kind == "folder":
            place.mkdir()
        elif node.kind == "file":
            place.write_text(f"{word} {node.path}")
        else:
            place.symlink_to(node.link)
    for node in tree:
        if node.kind != "link":
            (root / node.path).chmod(node.mode)
    return root


@pytest.mark.slow
@pytest.mark.needs("root")
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=trees(), image=trees(IMAGE_MODES), what=paths("", "/", "/."), destination=paths("", "/"))
def test_any_copy_is_that_of_cp(source: tuple[Node, ...], image: tuple[Node, ...], what: str, destination: str) -> None:
    work = Path(tempfile.mkdtemp())
    try:
        given_ = plant(work / "given", source, "given")
        ours, theirs = plant(work / "ours", image, "old"), plant(work / "theirs", image, "old")
        if not os.path.exists(f"{given_}/{what}"):
            return
        # Apptainer follows the destination itself, and makes what is missing above, before it calls cp.
        target = os.path.realpath(f"{theirs}/{destination}") + ("/" if destination.endswith("/") else "")
        try:
            os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        except OSError:
            return
        done = subprocess.run(["cp", "-fLr", f"{given_}/{what}", target], umask=0o002, capture_output=True, check=False)
        note(done.stderr.decode())
        try:
            Copier(root=str(ours), umask=0o002).copy(f"{given_}/{what}", f"/{destination}")
            worked = True
        except CopyError as error:
            note(str(error))
            worked = False
        assert worked == (done.returncode == 0)
        if worked:
            assert listing(ours) == listing(theirs)
    finally:
        shutil.rmtree(work)

"""Overlays as typed, and paths through their layers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.engines.embedded.overlays import Overlay, find_overlays, lower_of, make_ready
from sealift.engines.embedded.paths import find, resolve
from sealift.errors import UsageError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("dir")
    (tmp_path / "x.sqfs").write_bytes(b"hsqs" + bytes(200))
    (tmp_path / "x.img").write_bytes(bytes(1080) + b"\x53\xef" + bytes(100))
    (tmp_path / "text").write_text("hello\n")
    return tmp_path


def test_what_overlays_are(place: Path) -> None:
    found, warnings = find_overlays(("link", "dir:ro", "x.sqfs:ro", "x.sqfs"), cwd=str(place))
    assert found == (
        Overlay(text="link", path=f"{place}/dir", kind="folder", writable=True),
        Overlay(text="dir:ro", path=f"{place}/dir", kind="folder", writable=False),
        Overlay(text="x.sqfs:ro", path=f"{place}/x.sqfs", kind="squashfs", writable=False),
        Overlay(text="x.sqfs", path=f"{place}/x.sqfs", kind="squashfs", writable=False),
    )
    assert warnings == (f"the overlay `{place}/x.sqfs` is a squashfs, which is only read",)


@pytest.mark.parametrize(
    ("texts", "message", "hint"),
    [
        (("none",), "there is no overlay `none`", "make one: mkdir none"),
        (("text",), "`text` is no overlay: neither a folder nor a squashfs", "make one: mkdir overlay"),
        (("x.img:ro",), "the overlay `x.img` is an ext3 image, which this engine cannot mount", "use a folder"),
        (("dir", "link"), "only one overlay is written to: `dir` or `link`", "--overlay PLACE/dir:ro"),
    ],
)
def test_what_is_no_overlay(place: Path, texts: tuple[str, ...], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_overlays(texts, cwd=str(place))
    assert caught.value.message == message
    assert caught.value.hints[0].startswith(hint.replace("PLACE", str(place)))


def test_a_folder_is_laid_out_as_apptainer_does(place: Path) -> None:
    folder = str(place / "dir")
    assert lower_of(folder) == folder
    for _ in range(2):
        make_ready(folder, Overlay(text="dir", path=folder, kind="folder", writable=True))
    assert sorted(os.listdir(folder)) == ["upper", "work"]
    assert lower_of(folder) == f"{folder}/upper"


def test_a_folder_that_cannot_be_written(place: Path) -> None:
    (place / "dir/upper").write_text("")
    with pytest.raises(UsageError) as caught:
        make_ready(str(place / "dir"), Overlay(text="dir", path="/o", kind="folder", writable=True))
    assert caught.value.message == "the overlay `/o` cannot be written: file exists"
    assert caught.value.hints[0] == "only read it: --overlay /o:ro"


def test_paths_through_layers(tmp_path: Path) -> None:
    top, low = tmp_path / "top", tmp_path / "low"
    for path in ("top/replaced", "top/both", "low/replaced", "low/both/sub", "low/only"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("top/replaced/.wh..wh..opq", "top/file", "low/replaced/old", "low/both/sub/f"):
        (tmp_path / path).write_text("")
    (low / "link").symlink_to("/both/sub")
    (top / "sub").symlink_to("../only")
    (low / "file").mkdir()
    layers = (str(top), str(low))
    assert [
        find(layers, path) for path in ("/only", "/replaced", "/replaced/old", "/both/sub/f", "/file/x", "/none")
    ] == [f"{low}/only", f"{top}/replaced", None, f"{low}/both/sub/f", None, None]
    assert [resolve(layers, path) for path in ("/", "/link/f", "/sub/new", "/both/../link", "/none/x")] == [
        "",
        "/both/sub/f",
        "/only/new",
        "/both/sub",
        "/none/x",
    ]

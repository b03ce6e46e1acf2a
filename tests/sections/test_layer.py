from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

from sealift.sections.draft import Added
from sealift.sections.layer import layer_tar, write_added

ADDED = (
    Added(path="/d", kind="directory", mode=0o755),
    Added(path="/d/f", kind="file", mode=0o644, content=b"text"),
    Added(path="/d/\udcff" + "x" * 120, kind="file", mode=0o755, content=b""),
    Added(path="/link", kind="symlink", mode=0o777, link="d/f"),
)


def test_a_whole_layer() -> None:
    data = layer_tar(ADDED, mtime=7)
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
        found = [(one.name, one.type, one.mode, one.mtime, one.uid, one.uname, one.linkname) for one in tar]
    assert found == [
        ("d", tarfile.DIRTYPE, 0o755, 7, 0, "", ""),
        ("d/f", tarfile.REGTYPE, 0o644, 7, 0, "", ""),
        ("d/\udcff" + "x" * 120, tarfile.REGTYPE, 0o755, 7, 0, "", ""),
        ("link", tarfile.SYMTYPE, 0o777, 7, 0, "", "d/f"),
    ]
    assert layer_tar(ADDED, mtime=7) == data


def test_the_bytes_of_a_layer() -> None:
    data = layer_tar((ADDED[0], ADDED[1], ADDED[3]), mtime=0)
    assert hashlib.sha256(data).hexdigest() == "13e69c50cf7fff750f2f60ee81cfa1882e7f1d7087d51ae024223aa1ac33890e"


def test_writing_replaces_and_follows_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.write_text("kept")
    (root / "d/f").symlink_to(outside)
    (root / "link").write_text("replaced")
    mask = os.umask(0o077)
    try:
        write_added(str(root), ADDED)
    finally:
        os.umask(mask)
    assert outside.read_text() == "kept"
    assert (root / "d/f").read_bytes() == b"text"
    assert stat.S_IMODE((root / "d/f").lstat().st_mode) == 0o644
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o755
    assert os.readlink(root / "link") == "d/f"

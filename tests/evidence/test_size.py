"""Where the bytes went: whole reports, and sums that add up."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sealift.evidence.opening import open_image
from sealift.evidence.size import Sizes, measure
from sealift.evidence.sizereport import report, show_name
from tests.evidence.conftest import Content, write_root

CONTENT: dict[str, Content] = {
    "usr/bin/bash": b"b" * 5000,
    "usr/lib/libc.so": b"c" * 9000,
    "usr/lib/libz.a": b"z" * 700,
    "usr/copy": b"c" * 9000,
    "var/lib/dpkg/status": b"Package: bash\nStatus: install ok installed\nVersion: 5\nArchitecture: amd64\n",
    "var/lib/dpkg/info/bash.list": b"/usr/bin/bash\n",
    "var/lib/apt/lists/x": b"x" * 300,
    "lib": "usr/lib",
    "var/lib/rpm/Packages": b"",
}


def measured(path: Path) -> Sizes:
    with open_image(str(path)) as image:
        return measure(image)


def test_a_report(tmp_path) -> None:
    root = write_root(tmp_path / "root", CONTENT)
    os.link(root / "usr/bin/bash", root / "usr/bin/rbash")
    line = {"size": 14, "files": 1, "stored": None}
    assert report(measured(root), folders=2) == {
        "image": str(root),
        "form": "directory",
        "file_size": None,
        "entries": 21,
        "files": 8,
        "size": 24088,
        "stored": None,
        "managers": [
            {"manager": "dpkg", "packages": 1, "files": 1, "size": 5000, "stored": None},
            {"manager": "none", "packages": 0, "files": 7, "size": 19088, "stored": None},
        ],
        "packages": [
            {"manager": "none", "name": "", "version": "", "architecture": "", "place": ""}
            | line
            | {"size": 19088, "files": 7},
            {"manager": "dpkg", "name": "bash", "version": "5", "architecture": "amd64", "place": ""}
            | line
            | {"size": 5000},
        ],
        "folders": [
            {"path": "/", "depth": 0, "files": 8, "size": 24088, "own": 388},
            {"path": "/usr", "depth": 1, "files": 4, "size": 23700, "own": 14000},
            {"path": "/usr/lib", "depth": 2, "files": 2, "size": 9700, "own": 9700},
        ],
        "layers": [],
        "leftovers": [
            {
                "id": "apt-lists",
                "kind": "cache",
                "what": "apt's lists of packages",
                "remove": "rm -rf /var/lib/apt/lists/*",
            }
            | line
            | {"size": 300},
            {
                "id": "static-libraries",
                "kind": "build",
                "what": "static libraries, which only linking reads",
                "remove": "find / -xdev -type f -name '*.a' -delete",
            }
            | line
            | {"size": 700},
        ],
        "duplicates": [
            {
                "digest": f"sha256:{hashlib.sha256(b'c' * 9000).hexdigest()}",
                "size": 9000,
                "spare": 9000,
                "spare_stored": None,
                "paths": ["/usr/copy", "/usr/lib/libc.so"],
            }
        ],
        "unread": ["RPM's database `/var/lib/rpm/Packages` is in the form Berkeley DB, which is not read"],
    }


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"", "/"),
        (b"a/\xc3\xa9", "/a/é"),
        (b"\xff", "/\\xff"),
        (b"\x1b[31m\n", "/\\x1b[31m\\n"),
        ("\u202e".encode(), "/\\u202e"),
    ],
)
def test_names_that_may_go_anywhere(path, shown) -> None:
    assert show_name(path) == shown

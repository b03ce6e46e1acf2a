"""Names and pieces of an image's files, the same for a folder and a squashfs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sealift.evidence.opening import open_image
from sealift.evidence.searching import find_names, open_file
from tests import parts
from tests.evidence.conftest import write_root

CONTENT = {
    "usr/lib/libmpi.so.12.1": b"\x7fELF" + bytes(range(256)) * 40,
    "usr/lib/libmpi.so.12": "libmpi.so.12.1",
    "opt/mpi/lib/libmpi.so.12": "/usr/lib/libmpi.so.12",
    "lib": "usr/lib",
    "loop": "loop",
    "out": "../../../../etc/passwd",
    "etc/passwd": b"inside\n",
    "etc/empty": b"",
    "var/folder": None,
    # As deep as programs like to nest what they bring
    f"{'/'.join(100 * ['node_modules'])}/index.js": b"deep",
}


@pytest.fixture(params=["folder", "squashfs"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root = write_root(tmp_path / "root", CONTENT)
    if request.param == "folder":
        return root
    target = tmp_path / "image.sqfs"
    argv = [parts.program("mksquashfs") or "mksquashfs", str(root), str(target), "-quiet"]
    subprocess.run(argv, check=True, capture_output=True)
    return target


@pytest.mark.slow
@pytest.mark.needs("mksquashfs")
def test_names_and_what_they_lead_to(image: Path) -> None:
    with open_image(str(image)) as opened:
        assert sorted(find_names(opened, lambda _: True)) == sorted(
            f"/{name}" for name, what in CONTENT.items() if what is not None
        )
        assert sorted(find_names(opened, lambda name: name.startswith("libmpi"))) == [
            "/opt/mpi/lib/libmpi.so.12",
            "/usr/lib/libmpi.so.12",
            "/usr/lib/libmpi.so.12.1",
        ]
        for path, real in {
            "/usr/lib/libmpi.so.12.1": "/usr/lib/libmpi.so.12.1",
            "/opt/mpi/lib/libmpi.so.12": "/usr/lib/libmpi.so.12.1",
            "/lib/libmpi.so.12": "/usr/lib/libmpi.so.12.1",
            "/out": "/etc/passwd",
            "/etc/empty": "/etc/empty",
        }.items():
            data = CONTENT[real[1:]]
            assert isinstance(data, bytes)
            found = open_file(opened, path)
            assert found is not None
            assert (found.path, found.size) == (real, len(data))
            assert [found.read(*place) for place in ((0, 1 << 20), (3, 5), (len(data), 1))] == [data, data[3:8], b""]
        for path in ("/loop", "/var/folder", "/none", "/etc/passwd/below", "/var/folder/none"):
            assert open_file(opened, path) is None, path


def test_a_folder_s_root_may_end_with_a_slash(tmp_path: Path) -> None:
    root = write_root(tmp_path / "root", {"a": b"a", "b/c": b"c"})
    with open_image(f"{root}/") as opened:
        assert sorted(find_names(opened, lambda _: True)) == ["/a", "/b/c"]
    assert os.path.isdir(root)

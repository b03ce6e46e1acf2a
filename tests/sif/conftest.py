"""A small root file system that runs, and SIFs of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sealift.core.tree import Entry
from tests.squashfs.samples import Sample, file, folder

PROGRAMS = ("dash", "cat")


def runnable() -> Sample:
    """A shell and `cat` of this machine with the libraries that they need, and what Apptainer wants to find."""
    entries = {
        path: folder(path)
        for path in (b"", b"bin", b"dev", b"etc", b"home", b"proc", b"root", b"sys", b"tmp", b"var", b"var/tmp")
    }
    contents: dict[bytes, bytes] = {}

    def add(path: bytes, source: Path) -> None:
        parent = path.rpartition(b"/")[0]
        while parent and parent not in entries:
            entries[parent] = folder(parent)
            parent = parent.rpartition(b"/")[0]
        entries[path] = file(path, mode=0o100755)
        contents[path] = source.read_bytes()

    for name in PROGRAMS:
        program = Path(shutil.which(name) or f"/bin/{name}").resolve()
        add(b"bin/" + name.encode(), program)
        needed = subprocess.run(["ldd", program], capture_output=True, check=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", needed):
            add(library[1:].encode(), Path(library))
    entries[b"bin/sh"] = Entry(path=b"bin/sh", mode=0o120777, link=b"dash")
    entries[b"etc/greeting"] = file(b"etc/greeting")
    contents[b"etc/greeting"] = b"hello from the squashfs\n"
    return list(entries.values()), contents


@pytest.fixture(scope="session", name="runnable")
def runnable_fixture() -> Sample:
    return runnable()

"""Looking into images without our own readers: where a SIF's root filesystem lies, and mounting it."""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIF_MAGIC = b"SIF_MAGIC\0"
PARTITION = 0x4004
DESCRIPTOR_SIZE = 585


def partition_offset(image: str | Path) -> int:
    """The byte where the squashfs of a SIF begins, read by the format's published layout; 0 for a bare squashfs."""
    with open(image, "rb") as file:
        head = file.read(128)
        if head[32:42] != SIF_MAGIC:
            return 0
        total, start = struct.unpack_from("<q", head, 88)[0], struct.unpack_from("<q", head, 96)[0]
        for number in range(total):
            file.seek(start + number * DESCRIPTOR_SIZE)
            kind, used, _id, _group, _link, offset = struct.unpack("<i?IIIq", file.read(25))
            if used and kind == PARTITION:
                return int(offset)
    raise AssertionError(f"{image} has no partition")


@contextmanager
def mounted(image: str | Path, *, below: Path) -> Iterator[Path]:
    """The root filesystem of a SIF or squashfs, read-only: by the kernel as root, else by squashfuse."""
    target = Path(tempfile.mkdtemp(dir=below))
    offset = partition_offset(image)
    if os.geteuid() == 0:
        mount = ["mount", "-t", "squashfs", "-o", f"loop,ro,offset={offset}", str(image), str(target)]
        unmount = ["umount", str(target)]
    else:
        mount = ["squashfuse", "-o", f"offset={offset}", str(image), str(target)]
        unmount = ["fusermount3", "-u", str(target)]
    subprocess.run(mount, check=True)
    try:
        yield target
    finally:
        subprocess.run(unmount, check=True)
        target.rmdir()

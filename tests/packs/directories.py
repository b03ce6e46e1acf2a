"""A layer with everything that a directory can or cannot hold, written as a directory."""

from __future__ import annotations

import os
import random
import tarfile
from pathlib import Path

from sealift.core.digest import Digest
from sealift.core.tree import Entry
from sealift.packs.extract import extract
from sealift.packs.merge import Merged, merge
from sealift.packs.treedigest import tree_digest
from sealift.packs.treefile import TREE_FILE, TreeFile, read_tree_file, write_tree_file
from tests.ground.listing import full_listing
from tests.packs.layers import POOL, Part, device, file, folder, hard_link, pack, symlink, tar

CAPABILITY = b"\x01\0\0\x02\0\x04" + bytes(14)
"""cap_net_bind_service, permitted, as the kernel keeps it in version 2 (linux/capability.h)."""
NOISE = random.Random(7).randbytes(20_000)

ODD: tuple[Part, ...] = (
    folder(".", mode=0o755, mtime=99),
    folder(".singularity.d", mtime=5),
    file(".singularity.d/labels.json", b"{}", mtime=5),
    folder("etc", mode=0o755),
    file("etc/shadow", b"secret", mode=0, owner=(0, 42)),
    file("etc/owned", b"owned", mode=0o640, owner=(33, 34)),
    file("etc/large ids", b"x" * 5000, owner=(100_000, 70_000)),
    hard_link("etc/again", "etc/owned", mode=0o640, owner=(33, 34)),
    folder("locked", mode=0, owner=(5, 6)),
    file("locked/in", b"in", mode=0o400, owner=(5, 6)),
    folder("read-only", mode=0o555),
    file("read-only/in", NOISE, mode=0o444, mtime=0),
    file("set-id", b"#!/bin/true\n", mode=0o6755, owner=(7, 8)),
    folder("set-gid", mode=0o2775, owner=(0, 50)),
    folder("tmp", mode=0o1777),
    file("empty", b""),
    file("block", bytes(range(256)) * 16),
    file("blocks and tail", NOISE[:9000]),
    file("sparse", b"a" + bytes(50_000) + b"b" + bytes(20_000)),
    file("holes", bytes(40_960)),
    file("noted", b"noted", xattrs={"user.note": b"hello", "security.capability": CAPABILITY}),
    file(b"not \xff\xfe utf-8", b"name"),
    file("latest", b"late", mtime=2**32 - 1),
    symlink("link", "etc/owned", owner=(7, 8)),
    symlink("dangling", "/nowhere/at/all"),
    device("pipe", tarfile.FIFOTYPE, 0, 0, mode=0o600),
    device("null", tarfile.CHRTYPE, 1, 3, mode=0o666),
    device("disk", tarfile.BLKTYPE, 8, 1, mode=0o660, owner=(0, 6)),
    hard_link("again-null", "null", mode=0o666),
)


def merged(tmp_path: Path, parts: tuple[Part, ...] = ODD) -> Merged:
    return merge([pack(tmp_path, tar(parts))], base_count=1)


def write(image: Merged, root: Path, *, as_root: bool) -> Digest:
    """Write the image to `root` with its tree file; its tree digest."""
    root.mkdir(mode=0o700)
    disk = extract(image, os.fsencode(root), pool=POOL, as_root=as_root)
    digest = tree_digest(image.tree)
    with open(os.fsencode(root) + b"/" + TREE_FILE, "r+b") as out:
        write_tree_file(out, TreeFile(tree=image.tree, disk=disk, notes={"tree_digest": digest}))
    return digest


def kept(root: Path) -> TreeFile:
    with open(os.fsencode(root) + b"/" + TREE_FILE, "rb") as source:
        return read_tree_file(source)


def on_disk(root: Path) -> dict[bytes, Entry]:
    """All that is on disk but the tree file."""
    found = full_listing(root)
    del found[TREE_FILE]
    return found

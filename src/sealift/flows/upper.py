"""What runs inside a sandbox for a build: it is called by name, see `Sandbox.call`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sealift.packs.capabilities import CAPABILITY, capabilities_of
from sealift.packs.directory import pack_directory
from sealift.packs.merge import merge
from sealift.packs.options import PackOptions
from sealift.packs.pack import open_pack
from sealift.sandbox.inside import Inside
from sealift.sandbox.owners import BaseOwner, Owner, Record
from sealift.sections import inner
from sealift.squashfs.compression import parse_compression
from sealift.squashfs.reader import SquashfsReader
from sealift.system import kernel
from sealift.system.mounts import mount_squashfs
from sealift.system.process import cpu_count

APT_FOLDERS = ("var/lib/apt/lists/partial", "var/lib/apt/lists/auxfiles", "var/cache/apt/archives/partial")


def pack_upper(inside: Inside, *, compression: str, block_size: int, base: Sequence[str]) -> None:
    """Pack the upper layer into the file whose descriptor was handed over.

    In a namespace with one id the base is shown as root's throughout, so its true owners come from its packs.
    """
    options = PackOptions(compression=parse_compression(compression), block_size=block_size)
    with (
        os.fdopen(os.dup(inside.descriptors[0]), "r+b") as file,
        ThreadPoolExecutor(max_workers=cpu_count()) as pool,
        _owners_of(base if inside.footing.mode == "single" else ()) as below,
    ):
        _give_back_capabilities(inside, base)
        owners = dict(inside.owners(below))
        if inside.footing.mode == "single":
            owners |= _folders_of_apt(inside, owners)
        pack_directory(inside.upper, file, options=options, pool=pool, owners=owners, overlay=True)


def _give_back_capabilities(inside: Inside, base: Sequence[str]) -> None:
    """To files that were changed in all but their content: the base was shown without (`form_to_change`)."""
    with contextlib.ExitStack() as stack:
        packs = [stack.enter_context(open_pack(path)) for path in base]
        if not any(capabilities_of(pack.tree) for pack in packs):
            return
        tree = merge(packs, base_count=len(packs)).tree
    for row, value in capabilities_of(tree).items():
        place = os.path.join(os.fsencode(inside.upper), tree.paths[row])
        with contextlib.suppress(OSError):  # it is not in the upper layer, or this namespace may not give any
            if not stat.S_ISREG(os.lstat(place).st_mode):
                continue
            with open(place, "rb") as file:
                same = hashlib.file_digest(file, "sha256").digest() == tree.digest(row)
            if same:
                os.setxattr(place, CAPABILITY, value, os.XATTR_CREATE)


def _folders_of_apt(inside: Inside, known: Mapping[int, Owner]) -> dict[int, Owner]:
    """What apt gives to its own user: where one id is all there is, the sandbox tells it to stay root."""
    try:
        with open(os.path.join(inside.root, "etc/passwd"), encoding="utf-8", errors="replace") as file:
            fields = next(line.split(":") for line in file if line.startswith("_apt:"))
        uid = int(fields[2])
    except (OSError, StopIteration, IndexError, ValueError):
        return {}
    owners: dict[int, Owner] = {}
    for path in APT_FOLDERS:
        with contextlib.suppress(OSError):
            found = os.lstat(os.path.join(inside.upper, path))
            if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and found.st_ino not in known:
                owners[found.st_ino] = Owner(uid=uid, gid=0, mode=found.st_mode)
    return owners


def pack_folder(inside: Inside, *, folder: str, compression: str, block_size: int) -> None:
    """Pack a folder of the host as it looks from inside."""
    options = PackOptions(compression=parse_compression(compression), block_size=block_size)
    with (
        os.fdopen(os.dup(inside.descriptors[0]), "r+b") as file,
        ThreadPoolExecutor(max_workers=cpu_count()) as pool,
    ):
        pack_directory(folder, file, options=options, pool=pool)


@contextlib.contextmanager
def _owners_of(packs: Sequence[str]) -> Iterator[BaseOwner]:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(open_pack(path)) for path in packs]
        tree = merge(opened, base_count=len(opened)).tree if opened else None

        def below(path: bytes) -> tuple[int, int, int] | None:
            row = tree.find(path) if tree is not None else None
            if tree is None or row is None:
                return None
            return tree.modes[row], tree.uids[row], tree.gids[row]

        yield below


def copy_from_image(inside: Inside, *, image: str, copies: Sequence[Sequence[Any]], umask: int) -> list[list[Any]]:
    """`%files from STAGE`: mount the stage's squashfs beside the root, copy, and take it away again."""
    place = os.path.join(inside.work, "stage")
    os.makedirs(place, exist_ok=True)
    owner = 0 if inside.footing.mode == "single" else None
    mounted = mount_squashfs(
        image, place, uid=owner, gid=owner, by="fuse" if inside.footing.squashfs == "fuse" else "any"
    )
    try:
        if owner is None:
            return inner.copy_from_stage(inside, root=place, copies=copies, umask=umask)
        with open(image, "rb") as file:
            # Shown as root's, the tree says neither who owns what nor which names are one file: the image does.
            reader = SquashfsReader(file.fileno())
            kept, inode = _recorder(inside, reader, place), _inodes(reader, place)
            return inner.copy_from_stage(inside, root=place, copies=copies, umask=umask, kept=kept, inode=inode)
    finally:
        mounted.unmount()


def _inodes(image: SquashfsReader, mounted: str) -> Callable[[str], int | None]:
    def inode(source: str) -> int | None:
        found = image.find(os.fsencode(source[len(mounted) :].strip("/")))
        return found.number if found is not None and found.nlink > 1 else None

    return inode


def _recorder(inside: Inside, image: SquashfsReader, mounted: str) -> Callable[[str, str], None]:
    """Records the owners of copied entries as the supervisor records what sections ask for."""

    def record(source: str, place: str) -> None:
        entry = image.lookup(os.fsencode(source[len(mounted) :].strip("/")))
        if entry is None or not (entry.uid or entry.gid):
            return
        inode, birth = kernel.birth(os.fsencode(inside.upper + place[len(inside.root) :]))
        line = Record(inode=inode, birth=birth, uid=entry.uid, gid=entry.gid, at=time.time_ns()).line()
        with open(os.path.join(inside.work, "owners"), "ab") as journal:
            journal.write(line)

    return record

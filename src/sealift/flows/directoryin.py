"""A directory as the base of an image: one that we wrote is known by its tree file, any other is read as it lies there.

What was changed in ours since becomes a pack of its own above the rest, and is normalised like everything above a base.
An unchanged one is the image that it was written from: it need not even be read, where its pack is kept.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, BinaryIO, Protocol

from sealift.core.event import Said
from sealift.errors import HostError, ImageError, SealiftError, UsageError
from sealift.flows.base import Base, returned
from sealift.flows.rooms import find_footing, opened_sandbox
from sealift.flows.targets import lies_in, parse_target
from sealift.flows.workshop import Workshop, check_pack, verify_pack
from sealift.packs.changes import Compared, Ids, compare, pack_compared
from sealift.packs.options import PackOptions
from sealift.packs.pack import open_pack
from sealift.packs.treedigest import tree_digest
from sealift.packs.treefile import TREE_FILE, TreeFile, read_tree_file
from sealift.sandbox.container import Sandbox
from sealift.sandbox.inside import Inside
from sealift.squashfs.compression import parse_compression
from sealift.system.folders import remove_folder
from sealift.system.namespaces import IdMap
from sealift.system.process import cpu_count


def open_directory(shop: Workshop, path: str) -> Base:
    """The directory as packs. HostError where something in it cannot be read, ImageError where it changes meanwhile."""
    folder = os.path.abspath(path)
    _check_place_of_target(shop, folder)
    kept = _kept(shop, folder)
    if kept is None:
        with _sandbox(shop) as sandbox:
            pack = _entry(shop, folder, lambda file: _call_pack(shop, sandbox, "upper:pack_folder", folder, file))
        return Base(packs=(pack,), keys=_keys(shop, (pack,)), origin=_origin(folder), ours=True)
    try:
        packs = _packs(shop, folder, kept, _Direct(shop, folder, kept))
    except _OutOfReach:
        with _sandbox(shop) as sandbox:
            packs = _packs(shop, folder, kept, _FromInside(shop, folder, sandbox))
    base = Base(
        packs=packs,
        keys=_keys(shop, packs),
        origin=_origin(folder),
        own_above=len(packs) - 1,
        created=_created(kept.notes),
    )
    base = replace(base, oci_config=str(kept.notes.get("oci_config", "")).encode())
    return returned(shop, base, kept.notes)


def _check_place_of_target(shop: Workshop, folder: str) -> None:
    """An image in the directory that it is made of would be a part of the next one."""
    if not shop.request.target:
        return
    target = parse_target(shop.request.target, sandbox=shop.request.sandbox)
    if lies_in(target.place, folder) and target.place != os.path.realpath(folder):
        raise UsageError(
            f"`{target.text}` lies in `{folder}`, which it is made of",
            hints=(f"write it beside: {os.path.basename(target.path)}",),
        )


def is_as_left(folder: str) -> bool:
    """Whether everything in a directory of ours is as it was when it was written; False where that cannot be said."""
    root = os.fsencode(folder)
    try:
        with open(os.path.join(root, TREE_FILE), "rb") as file:
            compared = compare(root, read_tree_file(file), Ids())
    except (SealiftError, OSError):
        return False
    return not compared.gone and not any(compared.changed)


class _OutOfReach(Exception):  # noqa: N818 -- not a fault: there is another way
    """Files that programs made under other ids, or closed to their owner: root of a namespace can read them."""


class _Reading(Protocol):
    """A way to read the directory. `look` says how many entries are not as they were left, and how many are gone."""

    def look(self) -> tuple[int, int]: ...
    def pack(self, file: BinaryIO, *, changed: bool) -> None: ...


class _Direct:
    """As the caller, whose files are root's in the image: enough for a directory that only its owner worked in."""

    def __init__(self, shop: Workshop, folder: str, kept: TreeFile) -> None:
        self._shop = shop
        self._root = os.fsencode(folder)
        uid, gid = os.geteuid(), os.getegid()
        ids = Ids() if not uid else Ids(image_uid=_own(uid), image_gid=_own(gid))
        try:
            self._compared = compare(self._root, kept, ids)
        except HostError as error:
            raise _reached(error) from error
        if self._compared.uncertain:
            raise _OutOfReach

    def look(self) -> tuple[int, int]:
        return sum(self._compared.changed), self._compared.gone

    def pack(self, file: BinaryIO, *, changed: bool) -> None:
        options, pool = self._shop.options, self._shop.pool
        try:
            pack_compared(self._root, self._compared, file, changed=changed, options=options, pool=pool)
        except HostError as error:
            raise _reached(error) from error


def _own(number: int) -> Callable[[int], int | None]:
    return {number: 0}.get


def _reached(error: HostError) -> Exception:
    return _OutOfReach() if isinstance(error.__cause__, PermissionError) and os.geteuid() else error


class _FromInside:
    """As root of a namespace, where the caller's files are root's, and other ids are what they were there."""

    def __init__(self, shop: Workshop, folder: str, sandbox: Sandbox) -> None:
        self._shop = shop
        self._folder = folder
        self._sandbox = sandbox

    def look(self) -> tuple[int, int]:
        changed, gone = self._sandbox.call("sealift.flows.directoryin:look", folder=self._folder)
        return changed, gone

    def pack(self, file: BinaryIO, *, changed: bool) -> None:
        work = "directoryin:pack_changed" if changed else "directoryin:pack_unchanged"
        _call_pack(self._shop, self._sandbox, work, self._folder, file)


def _sandbox(shop: Workshop) -> contextlib.AbstractContextManager[Sandbox]:
    return opened_sandbox(shop, find_footing(shop), (), bare=True)


def _call_pack(shop: Workshop, sandbox: Sandbox, work: str, folder: str, file: BinaryIO) -> None:
    sandbox.call(
        f"sealift.flows.{work}",
        descriptors=(file.fileno(),),
        folder=folder,
        compression=str(shop.options.compression),
        block_size=shop.options.block_size,
    )


def _kept(shop: Workshop, folder: str) -> TreeFile | None:
    try:
        with open(os.path.join(os.fsencode(folder), TREE_FILE), "rb") as file:
            return read_tree_file(file)
    except FileNotFoundError:
        return None
    except (ImageError, OSError) as error:
        shop.events(
            Said(
                text=f"`{folder}`: {error}: owners, devices and times are taken from the disk",
                level="warning",
                hint="build the directory again: sealift build -F --sandbox DIR SPEC",
            )
        )
        return None


def _packs(shop: Workshop, folder: str, kept: TreeFile, reading: _Reading) -> tuple[str, ...]:
    """The pack of what is as it was left, and above it the pack of what is not, where there is such."""

    def packed(*, changed: bool) -> str:
        return _entry(shop, folder, lambda file: reading.pack(file, changed=changed))

    changed, gone = reading.look()
    if changed or gone:
        shop.say(f"{folder} is not as it was written: {changed:,} changed or added, {gone:,} removed")
    if changed:
        return packed(changed=False), packed(changed=True)
    record = shop.key("directory of tree", str(kept.notes.get("tree_digest")))
    if not gone and (known := shop.store.record("directories", record)) is not None:
        pack = shop.store.find("packs", str(known.get("pack", "")), check=check_pack, whole=verify_pack)
        if pack is not None:
            return (pack,)
    pack = packed(changed=False)
    # Believed only once it was read: somebody may have changed a file and set its time back.
    if not gone and _tree_digest(pack) == kept.notes.get("tree_digest"):
        shop.store.put_record("directories", record, {"pack": os.path.basename(pack)})
    return (pack,)


def _entry(shop: Workshop, folder: str, make: Callable[[BinaryIO], None]) -> str:
    return shop.store.entry("packs", shop.key("directory", os.urandom(16).hex()), make, what=os.path.basename(folder))


def _tree_digest(pack: str) -> str:
    with open_pack(pack) as opened:
        return tree_digest(opened.tree)


def _keys(shop: Workshop, packs: Sequence[str]) -> tuple[str, ...]:
    """Names of what is in them, so that what was made of an equal directory is found again."""
    return tuple(shop.key("tree", _tree_digest(pack)) for pack in packs)


def _origin(folder: str) -> str:
    return f"localimage:{os.path.basename(folder)}"


def _created(notes: Mapping[str, Any]) -> int | None:
    epoch = notes.get("epoch")
    return epoch if isinstance(epoch, int) and epoch >= 0 else None


# What runs inside the sandbox.


def look(inside: Inside, *, folder: str) -> tuple[int, int]:
    compared = _compared(inside, folder)
    return sum(compared.changed), compared.gone


def pack_changed(inside: Inside, *, folder: str, compression: str, block_size: int) -> None:
    _pack(inside, folder, compression, block_size, changed=True)


def pack_unchanged(inside: Inside, *, folder: str, compression: str, block_size: int) -> None:
    _pack(inside, folder, compression, block_size, changed=False)


def remove(inside: Inside, *, folder: str) -> None:  # noqa: ARG001 -- what every function called inside is given
    remove_folder(folder)


def _pack(inside: Inside, folder: str, compression: str, block_size: int, *, changed: bool) -> None:
    options = PackOptions(compression=parse_compression(compression), block_size=block_size)
    with (
        os.fdopen(os.dup(inside.descriptors[0]), "r+b") as file,
        ThreadPoolExecutor(max_workers=cpu_count()) as pool,
    ):
        compared = _compared(inside, folder)
        pack_compared(os.fsencode(folder), compared, file, changed=changed, options=options, pool=pool)


def _compared(inside: Inside, folder: str) -> Compared:
    root = os.fsencode(folder)
    with open(os.path.join(root, TREE_FILE), "rb") as file:
        kept = read_tree_file(file)
    maps = inside.footing.maps
    if maps is None:
        return compare(root, kept, Ids())
    uid, gid = _to_host(maps.uids), _to_host(maps.gids)
    return compare(root, kept, Ids(host_uid=uid, host_gid=gid, image_uid=_mapped(uid), image_gid=_mapped(gid)))


def _to_host(lines: Sequence[IdMap]) -> Callable[[int], int | None]:
    def host(number: int) -> int | None:
        for line in lines:
            if line.inside <= number < line.inside + line.count:
                return line.outside + number - line.inside
        return None

    return host


def _mapped(to_host: Callable[[int], int | None]) -> Callable[[int], int | None]:
    return lambda number: number if to_host(number) is not None else None

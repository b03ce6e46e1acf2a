"""Reads a SIF, whoever wrote it: objects in any order, signatures, further partitions."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, BinaryIO, TypeVar

from sealift.core.architecture import Architecture, by_sif_code
from sealift.errors import ImageError
from sealift.sif.layout import (
    DESCRIPTOR,
    GROUP,
    HEADER,
    MAGIC,
    PARTITION,
    DataType,
    Descriptor,
    FileSystem,
    Header,
    Partition,
    PartitionKind,
)

_Names = TypeVar("_Names", bound=IntEnum)
_DESCRIPTORS_LIMIT = 65536
_AGAIN = ("fetch or build the image again",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SifImage:
    """An open SIF: its header and its used descriptors, in the file's order; `descriptor` must stay open."""

    descriptor: int
    header: Header
    descriptors: tuple[Descriptor, ...]

    @property
    def partitions(self) -> tuple[Partition, ...]:
        return tuple(_partition(one) for one in self.descriptors if one.data_type == DataType.PARTITION)

    @property
    def primary_partition(self) -> Partition:
        """The partition that is the container's root; ImageError when there is none, or more than one."""
        found = [one for one in self.partitions if one.kind == PartitionKind.PRIMARY_SYSTEM]
        if len(found) != 1:
            raise ImageError(
                f"the SIF has {len(found)} primary system partitions instead of one",
                hints=("see what it holds: apptainer sif list IMAGE",),
            )
        return found[0]

    @property
    def root_squashfs(self) -> Partition:
        """The primary partition where it is a squashfs that can be read; else ImageError saying what it is."""
        partition = self.primary_partition
        match partition.file_system:
            case FileSystem.SQUASHFS:
                return partition
            case FileSystem.ENCRYPTED_SQUASHFS:
                raise ImageError(
                    "the SIF is encrypted, and Sealift has no key",
                    hints=("unpack it with its key: apptainer build --sandbox DIR IMAGE",),
                )
            case _:
                kind = partition.file_system
                name = kind.name.lower() if isinstance(kind, FileSystem) else f"a file system of kind {kind}"
                raise ImageError(
                    f"the root of the SIF is no squashfs but {name}",
                    hints=("convert it: apptainer build NEW.sif IMAGE",),
                )

    @property
    def architecture(self) -> Architecture | None:
        """The primary partition's architecture; None where its code is unknown."""
        return by_sif_code(self.primary_partition.architecture)

    def find(self, data_type: DataType, name: str | None = None) -> Descriptor | None:
        """The first object of this type, and of this name where one is given."""
        for one in self.descriptors:
            if one.data_type == data_type and name in (None, one.name):
                return one
        return None

    def data(self, descriptor: Descriptor, limit: int = 64 << 20) -> bytes:
        """An object's bytes; ImageError when they are more than `limit`."""
        if descriptor.size > limit:
            raise ImageError(
                f"object {descriptor.id} of the SIF has {descriptor.size} bytes; at most {limit} are expected here"
            )
        data = os.pread(self.descriptor, descriptor.size, descriptor.offset)
        if len(data) < descriptor.size:
            raise ImageError(f"the SIF is cut off in object {descriptor.id}", hints=_AGAIN)
        return data


def is_sif(start: bytes) -> bool:
    """Is this how a SIF begins? `start` is the file's first 42 bytes or more."""
    return start[32:42] == MAGIC


def read_sif(file: int | BinaryIO) -> SifImage:
    """Read the header and the descriptors of a SIF; every object lies inside the file.

    ImageError for what is no SIF, of a newer version, cut off or damaged.
    """
    descriptor = file if isinstance(file, int) else file.fileno()
    length = os.fstat(descriptor).st_size
    header = _header(os.pread(descriptor, HEADER.size, 0))
    size = header.descriptors_total * DESCRIPTOR.size
    if not 0 <= header.descriptors_total <= _DESCRIPTORS_LIMIT or header.descriptors_offset < HEADER.size:
        raise ImageError("the SIF is damaged: its header counts an impossible number of descriptors", hints=_AGAIN)
    raw = os.pread(descriptor, size, header.descriptors_offset) if header.descriptors_offset < length else b""
    if len(raw) < size:
        raise _cut_off("its descriptors", header.descriptors_offset + size, length)
    descriptors = tuple(_descriptor(fields) for fields in DESCRIPTOR.iter_unpack(raw) if fields[1])
    for one in descriptors:
        if one.offset < 0 or one.size < 0:
            raise ImageError(f"the SIF is damaged: object {one.id} has a negative place or size", hints=_AGAIN)
        if one.offset + one.size > length:
            raise _cut_off(f"object {one.id}", one.offset + one.size, length)
    return SifImage(descriptor=descriptor, header=header, descriptors=descriptors)


def _header(raw: bytes) -> Header:
    if not is_sif(raw):
        raise ImageError("this is not a SIF image: `SIF_MAGIC` is missing", hints=("see what it is: file IMAGE",))
    if len(raw) < HEADER.size:
        raise _cut_off("its header", HEADER.size, len(raw))
    launch, _, version, architecture, image_id, *numbers = HEADER.unpack(raw)
    if _text(version) != "01":
        raise ImageError(
            f"this SIF is of version `{_text(version)}`; Sealift reads `01`",
            hints=("a newer Sealift may read it: pip install --upgrade sealift",),
        )
    created, modified, free, total, offset, size, data_offset, data_size = numbers
    return Header(
        launch_script=launch.rstrip(b"\0"),
        version="01",
        architecture=_text(architecture),
        id=image_id,
        created=created,
        modified=modified,
        descriptors_free=free,
        descriptors_total=total,
        descriptors_offset=offset,
        descriptors_size=size,
        data_offset=data_offset,
        data_size=data_size,
    )


def _descriptor(fields: tuple[Any, ...]) -> Descriptor:
    data_type, _, number, group, link, offset, size, padded, created, modified, _uid, _gid, name, extra = fields
    return Descriptor(
        data_type=_named(DataType, data_type),
        id=number,
        group=group & ~GROUP,
        link=link & ~GROUP,
        links_group=link & GROUP == GROUP,
        offset=offset,
        size=size,
        size_with_padding=padded,
        created=created,
        modified=modified,
        name=_text(name),
        extra=extra,
    )


def _partition(one: Descriptor) -> Partition:
    file_system, kind, architecture = PARTITION.unpack_from(one.extra)
    return Partition(
        id=one.id,
        offset=one.offset,
        size=one.size,
        file_system=_named(FileSystem, file_system),
        kind=_named(PartitionKind, kind),
        architecture=_text(architecture),
    )


def _named(names: type[_Names], number: int) -> _Names | int:
    try:
        return names(number)
    except ValueError:
        return number


def _text(raw: bytes) -> str:
    """Up to the first zero; what is not UTF-8 is shown and not fatal, it is a name for people."""
    return raw.partition(b"\0")[0].decode("utf-8", "replace")


def _cut_off(what: str, end: int, length: int) -> ImageError:
    return ImageError(f"the SIF is cut off: {what} would end at byte {end}, and the file has {length}", hints=_AGAIN)

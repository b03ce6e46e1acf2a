"""Writes a SIF around a file system that lies in it already.

The file system is by far the largest object, so it is written straight to its place and never copied:

    plan = plan_sif(objects)
    … write the squashfs at plan.partition_offset of the file …
    write_sif(file, plan, partition_size=…, architecture=…, image_id=…, time=…)

As Apptainer does, the objects come first and the primary system partition last, all in group 1.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from sealift.core.architecture import Architecture
from sealift.sif.layout import (
    DATA_OFFSET,
    DESCRIPTOR,
    DESCRIPTORS,
    DESCRIPTORS_OFFSET,
    LAUNCH_SCRIPT,
    NAME_LIMIT,
    PARTITION,
    PARTITION_ALIGNMENT,
    DataType,
    Descriptor,
    FileSystem,
    Header,
    PartitionKind,
    SifObject,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SifPlan:
    """Where everything goes: the offset of each object, and of the partition behind them."""

    objects: tuple[SifObject, ...]
    offsets: tuple[int, ...]
    partition_offset: int


def plan_sif(objects: Sequence[SifObject]) -> SifPlan:
    """Place the objects one behind the other, and the partition at the next page; ValueError where it cannot be."""
    if len(objects) >= DESCRIPTORS:
        raise ValueError(f"a SIF has room for {DESCRIPTORS - 1} objects beside its partition, not for {len(objects)}")
    for one in objects:
        if one.data_type == DataType.PARTITION:
            raise ValueError("a SIF written here has one partition, which is not among its objects")
        if len(one.name.encode()) > NAME_LIMIT:
            raise ValueError(f"the name of an object is longer than {NAME_LIMIT} bytes: {one.name!r}")
    ends = tuple(itertools.accumulate((len(one.data) for one in objects), initial=DATA_OFFSET))
    return SifPlan(
        objects=tuple(objects),
        offsets=ends[:-1],
        partition_offset=-(-ends[-1] // PARTITION_ALIGNMENT) * PARTITION_ALIGNMENT,
    )


def write_sif(
    target: BinaryIO, plan: SifPlan, *, partition_size: int, architecture: Architecture, image_id: bytes, time: int
) -> None:
    """Write everything but the partition, whose `partition_size` bytes lie at `plan.partition_offset` already.

    The partition is filled up with zeros to whole pages and counts them: Linux reads a loop device by sectors, and
    would not see the end of one that stops in the middle of a sector. `image_id` is 16 bytes (see `derive_id`), `time`
    seconds since 1970: equal arguments give equal bytes. `target` is left at the end of the partition.
    """
    if len(image_id) != 16:
        raise ValueError(f"the ID of a SIF has 16 bytes, not {len(image_id)}")
    padding = -partition_size % PARTITION_ALIGNMENT
    target.seek(plan.partition_offset + partition_size)
    target.write(bytes(padding))
    partition_size += padding
    descriptors = _describe(plan, partition_size=partition_size, architecture=architecture, time=time)
    end = plan.partition_offset + partition_size
    header = Header(
        launch_script=LAUNCH_SCRIPT,
        version="01",
        architecture=architecture.sif,
        id=image_id,
        created=time,
        modified=time,
        descriptors_free=DESCRIPTORS - len(descriptors),
        descriptors_total=DESCRIPTORS,
        descriptors_offset=DESCRIPTORS_OFFSET,
        descriptors_size=DESCRIPTORS * DESCRIPTOR.size,
        data_offset=DATA_OFFSET,
        data_size=end - DATA_OFFSET,
    )
    target.seek(0)
    target.write(header.pack().ljust(DESCRIPTORS_OFFSET, b"\0"))
    target.write(b"".join(one.pack() for one in descriptors).ljust(header.descriptors_size, b"\0"))
    objects = b"".join(one.data for one in plan.objects)
    target.write(objects.ljust(plan.partition_offset - DATA_OFFSET, b"\0"))
    target.seek(end)


def derive_id(seed: bytes) -> bytes:
    """A UUID that depends on `seed` alone (RFC 9562, version 8: the bits are the maker's own)."""
    raw = bytearray(hashlib.sha256(b"sealift sif\0" + seed).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def _describe(plan: SifPlan, *, partition_size: int, architecture: Architecture, time: int) -> tuple[Descriptor, ...]:
    objects = tuple(
        Descriptor(
            data_type=one.data_type,
            id=number,
            group=1,
            offset=offset,
            size=len(one.data),
            size_with_padding=len(one.data),
            created=time,
            modified=time,
            name=one.name,
        )
        for number, (one, offset) in enumerate(zip(plan.objects, plan.offsets, strict=True), start=1)
    )
    behind = objects[-1].offset + objects[-1].size if objects else DATA_OFFSET
    partition = Descriptor(
        data_type=DataType.PARTITION,
        id=len(objects) + 1,
        group=1,
        offset=plan.partition_offset,
        size=partition_size,
        size_with_padding=plan.partition_offset + partition_size - behind,
        created=time,
        modified=time,
        extra=PARTITION.pack(FileSystem.SQUASHFS, PartitionKind.PRIMARY_SYSTEM, architecture.sif.encode()),
    )
    return (*objects, partition)

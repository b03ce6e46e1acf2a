"""The reader on SIFs of Apptainer's and on hostile ones."""

from __future__ import annotations

import io
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.core.architecture import find_architecture
from sealift.errors import ImageError
from sealift.sif.layout import (
    DATA_OFFSET,
    DESCRIPTOR,
    DESCRIPTORS_OFFSET,
    HEADER,
    INSPECT_METADATA,
    PARTITION,
    DataType,
    Descriptor,
    FileSystem,
    Partition,
    PartitionKind,
    SifObject,
)
from sealift.sif.reader import SifImage, is_sif, read_sif
from sealift.sif.writer import plan_sif, write_sif
from sealift.squashfs.reader import SquashfsReader

Apptainer = Callable[..., "subprocess.CompletedProcess[bytes]"]


def sif_bytes(*objects: SifObject) -> bytes:
    target = io.BytesIO()
    architecture = find_architecture("arm64")
    assert architecture is not None
    plan = plan_sif(objects)
    target.seek(plan.partition_offset)
    target.write(b"p" * 4096)
    write_sif(target, plan, partition_size=4096, architecture=architecture, image_id=bytes(16), time=7)
    return target.getvalue()


DEFINITION = SifObject(data_type=DataType.DEFINITION_FILE, data=b"Bootstrap: scratch\n")
IMAGE = sif_bytes(DEFINITION, SifObject(data_type=DataType.GENERIC_JSON, name="a.json", data=b"{}"))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[bytes], SifImage]]:
    descriptors: list[int] = []

    def read(data: bytes) -> SifImage:
        path = tmp_path / f"{len(descriptors)}.sif"
        path.write_bytes(data)
        descriptors.append(os.open(path, os.O_RDONLY))
        return read_sif(descriptors[-1])

    yield read
    for descriptor in descriptors:
        os.close(descriptor)


def with_descriptors(*descriptors: Descriptor, total: int | None = None) -> bytes:
    """The image with other descriptors in its table."""
    table = b"".join(one.pack() for one in descriptors).ljust(48 * DESCRIPTOR.size, b"\0")
    image = bytearray(IMAGE)
    image[DESCRIPTORS_OFFSET:DATA_OFFSET] = table
    if total is not None:
        image[88:96] = struct.pack("<q", total)
    return bytes(image)


def test_what_was_written_is_read(opened: Callable[[bytes], SifImage]) -> None:
    image = opened(IMAGE)
    assert image.header.id == bytes(16)
    assert (image.header.created, image.header.descriptors_free, image.header.architecture) == (7, 45, "04")
    assert [(one.data_type, one.id, one.group, one.name) for one in image.descriptors] == [
        (DataType.DEFINITION_FILE, 1, 1, ""),
        (DataType.GENERIC_JSON, 2, 1, "a.json"),
        (DataType.PARTITION, 3, 1, ""),
    ]
    assert image.primary_partition == Partition(
        id=3,
        offset=32768,
        size=4096,
        file_system=FileSystem.SQUASHFS,
        kind=PartitionKind.PRIMARY_SYSTEM,
        architecture="04",
    )
    assert [image.data(one) for one in image.descriptors] == [DEFINITION.data, b"{}", b"p" * 4096]
    assert image.find(DataType.GENERIC_JSON, "a.json") == image.descriptors[1]
    assert image.find(DataType.GENERIC_JSON, "b.json") is None
    assert image.architecture == find_architecture("arm64")


@pytest.mark.needs("apptainer", "subuid-user")
@pytest.mark.slow
def test_what_apptainer_writes_is_read_and_written_again(open_folder: Path, apptainer: Apptainer) -> None:
    """Of the objects, the ID and the time that it holds, our writer makes the same file."""
    definition = "Bootstrap: scratch\n\n%labels\n    Author me\n"
    (open_folder / "x.def").write_text(definition)
    done = apptainer("build", "--fakeroot", "x.sif", open_folder / "x.def")
    assert done.returncode == 0, done.stderr.decode()
    path = next(open_folder.rglob("x.sif"))
    with path.open("rb") as file:
        image = read_sif(file)
        names = [(one.data_type, one.name) for one in image.descriptors]
        assert names == [
            (DataType.DEFINITION_FILE, ""),
            (DataType.GENERIC_JSON, INSPECT_METADATA),
            (DataType.PARTITION, ""),
        ]
        assert image.data(image.descriptors[0]).decode() == definition
        partition = image.root_squashfs
        assert SquashfsReader(file, partition.offset).read_file(b".singularity.d/Singularity").decode() == definition
        objects = [
            SifObject(data_type=DataType(one.data_type), name=one.name, data=image.data(one))
            for one in image.descriptors[:2]
        ]
        target = io.BytesIO()
        plan = plan_sif(objects)
        target.seek(plan.partition_offset)
        target.write(os.pread(file.fileno(), partition.size, partition.offset))
        assert image.architecture is not None
        write_sif(
            target,
            plan,
            partition_size=partition.size,
            architecture=image.architecture,
            image_id=image.header.id,
            time=image.header.created,
        )
    assert target.getvalue() == path.read_bytes()


PRIMARY = Descriptor(
    data_type=DataType.PARTITION,
    id=1,
    group=1,
    offset=32768,
    size=4096,
    size_with_padding=4096,
    created=0,
    modified=0,
    extra=PARTITION.pack(1, 2, b"02"),
)
SIGNATURE = Descriptor(
    data_type=DataType.SIGNATURE,
    id=2,
    group=0,
    link=1,
    links_group=True,
    offset=DATA_OFFSET,
    size=10,
    size_with_padding=10,
    created=-62135596800,
    modified=-62135596800,
    extra=b"\1\0\0\0" + bytes(range(20)),
)


def test_objects_may_come_in_any_order(opened: Callable[[bytes], SifImage]) -> None:
    """Signatures link to a group, times may lie before 1970, and types may be newer than this reader."""
    unknown = replace(SIGNATURE, data_type=0x4FFF, id=9, link=1, links_group=False)
    overlay = replace(PRIMARY, id=5, extra=PARTITION.pack(2, 4, b"02"))
    image = opened(with_descriptors(SIGNATURE, unknown, overlay, PRIMARY))
    assert [replace(one, extra=one.extra.rstrip(b"\0")) for one in image.descriptors] == [
        SIGNATURE,
        unknown,
        replace(overlay, extra=PARTITION.pack(2, 4, b"02").rstrip(b"\0")),
        replace(PRIMARY, extra=PARTITION.pack(1, 2, b"02").rstrip(b"\0")),
    ]
    assert [(one.id, one.file_system, one.kind) for one in image.partitions] == [
        (5, FileSystem.EXT3, PartitionKind.OVERLAY),
        (1, FileSystem.SQUASHFS, PartitionKind.PRIMARY_SYSTEM),
    ]
    assert image.root_squashfs.id == 1


@pytest.mark.parametrize(
    ("descriptors", "message", "hint"),
    [
        ([], "the SIF has 0 primary system partitions instead of one", "see what it holds: apptainer sif list IMAGE"),
        (
            [PRIMARY, replace(PRIMARY, id=2)],
            "the SIF has 2 primary system partitions instead of one",
            "see what it holds: apptainer sif list IMAGE",
        ),
        (
            [replace(PRIMARY, extra=PARTITION.pack(5, 2, b"02"))],
            "the SIF is encrypted, and Sealift has no key",
            "unpack it with its key: apptainer build --sandbox DIR IMAGE",
        ),
        (
            [replace(PRIMARY, extra=PARTITION.pack(2, 2, b"02"))],
            "the root of the SIF is no squashfs but ext3",
            "convert it: apptainer build NEW.sif IMAGE",
        ),
        (
            [replace(PRIMARY, extra=PARTITION.pack(77, 2, b"02"))],
            "the root of the SIF is no squashfs but a file system of kind 77",
            "convert it: apptainer build NEW.sif IMAGE",
        ),
    ],
    ids=["none", "two", "encrypted", "ext3", "unknown"],
)
def test_a_root_that_cannot_be_read_is_an_error(
    opened: Callable[[bytes], SifImage], descriptors: list[Descriptor], message: str, hint: str
) -> None:
    with pytest.raises(ImageError) as caught:
        _ = opened(with_descriptors(*descriptors)).root_squashfs
    assert (caught.value.message, caught.value.hints) == (message, (hint,))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "this is not a SIF image: `SIF_MAGIC` is missing"),
        (b"#!/bin/sh\n" + bytes(200), "this is not a SIF image: `SIF_MAGIC` is missing"),
        (IMAGE[:100], "the SIF is cut off: its header would end at byte 128, and the file has 100"),
        (IMAGE[:5000], "the SIF is cut off: its descriptors would end at byte 32176, and the file has 5000"),
        (IMAGE[:32190], "the SIF is cut off: object 1 would end at byte 32195, and the file has 32190"),
        (IMAGE[:-1], "the SIF is cut off: object 3 would end at byte 36864, and the file has 36863"),
        (IMAGE[:42] + b"02" + IMAGE[44:], "this SIF is of version `02`; Sealift reads `01`"),
        (with_descriptors(total=-1), "the SIF is damaged: its header counts an impossible number of descriptors"),
        (with_descriptors(total=1 << 40), "the SIF is damaged: its header counts an impossible number of descriptors"),
        (
            with_descriptors(replace(PRIMARY, offset=-1)),
            "the SIF is damaged: object 1 has a negative place or size",
        ),
        (
            with_descriptors(replace(PRIMARY, size=(1 << 63) - 1)),
            "the SIF is cut off: object 1 would end at byte 9223372036854808575, and the file has 36864",
        ),
    ],
)
def test_what_is_no_whole_sif_is_an_error(opened: Callable[[bytes], SifImage], data: bytes, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        opened(data)
    assert caught.value.message == message
    assert caught.value.hints


def test_a_large_object_is_not_read_by_mistake(opened: Callable[[bytes], SifImage]) -> None:
    image = opened(IMAGE)
    with pytest.raises(ImageError, match="object 3 of the SIF has 4096 bytes; at most 4095 are expected here"):
        image.data(image.descriptors[2], 4095)


def test_a_sif_is_known_by_its_start() -> None:
    assert is_sif(IMAGE[:42])
    assert not is_sif(IMAGE[:41])
    assert not is_sif(b"hsqs" + bytes(100))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_changed_bytes_give_a_sif_or_an_image_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    image = bytearray(IMAGE)
    places = st.integers(0, HEADER.size - 1) | st.integers(DESCRIPTORS_OFFSET, DESCRIPTORS_OFFSET + 4 * DESCRIPTOR.size)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=5)):
        image[place] = value
    path = tmp_path_factory.getbasetemp() / "changed.sif"
    path.write_bytes(image)
    with path.open("rb") as file:
        try:
            found = read_sif(file)
            assert sum(len(found.data(one)) for one in found.descriptors) <= 48 * len(IMAGE)
            assert found.root_squashfs in found.partitions
        except ImageError as error:
            assert error.hints  # noqa: PT017 -- both outcomes are right, and each has its law

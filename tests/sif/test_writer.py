"""The writer before its judges: Apptainer, which lists, inspects and runs the SIF, and a golden file."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.core.architecture import ARCHITECTURES, Architecture, find_architecture
from sealift.sif.inspection import Inspected, Inspection
from sealift.sif.layout import DATA_OFFSET, OCI_CONFIG, DataType, SifObject
from sealift.sif.reader import read_sif
from sealift.sif.writer import derive_id, plan_sif, write_sif
from sealift.squashfs.reader import SquashfsReader
from tests.squashfs.laying import write_image
from tests.squashfs.samples import Sample, folder

Apptainer = Callable[..., "subprocess.CompletedProcess[bytes]"]
GOLDEN = Path(__file__).parent / "golden"
TIME = 1_700_000_000
IMAGE_ID = bytes(range(16))
DEFINITION = b"Bootstrap: docker\nFrom: debian:12\n\n%runscript\n    exec cat /etc/greeting\n"
INSPECTION = Inspection(
    container=Inspected(
        environment={"/.singularity.d/env/90-environment.sh": "#!/bin/sh\nexport A='<b> & c'\n"},
        labels={"Author": "me", "Version": "1.0"},
        runscript="#!/bin/sh\n\n    exec cat /etc/greeting\n",
        test="#!/bin/sh\n\n    true\n",
        help="    Größe\n",
        definition_file=DEFINITION.decode(),
    )
)
OBJECTS = (
    SifObject(data_type=DataType.DEFINITION_FILE, data=DEFINITION),
    INSPECTION.as_object(),
    SifObject(data_type=DataType.GENERIC_JSON, name=OCI_CONFIG, data=b"{}"),
)


def amd64() -> Architecture:
    found = find_architecture("amd64")
    assert found is not None
    return found


def host() -> Architecture:
    import platform

    found = find_architecture(platform.machine())
    assert found is not None
    return found


def sif_of(target: Path, sample: Sample, objects: tuple[SifObject, ...] = OBJECTS) -> Path:
    plan = plan_sif(objects)
    entries, contents = sample
    with target.open("w+b") as file:
        write_image(file, entries, contents, base=plan.partition_offset)
        size = file.seek(0, io.SEEK_END) - plan.partition_offset
        write_sif(file, plan, partition_size=size, architecture=host(), image_id=IMAGE_ID, time=TIME)
    target.chmod(0o755)
    return target


def ran(done: subprocess.CompletedProcess[bytes]) -> str:
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


@pytest.mark.needs("apptainer", "subuid-user")
@pytest.mark.slow
def test_apptainer_lists_the_objects(open_folder: Path, apptainer: Apptainer) -> None:
    image = sif_of(open_folder / "x.sif", ([folder(b"")], {}))
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in ran(apptainer("sif", "list", image)).splitlines()
        if line[:1].isdigit()
    ]
    size = image.stat().st_size
    first, second = DATA_OFFSET + len(DEFINITION), DATA_OFFSET + len(DEFINITION) + len(OBJECTS[1].data)
    assert rows == [
        ["1", "1", "NONE", f"{DATA_OFFSET}-{first}", "Def.FILE"],
        ["2", "1", "NONE", f"{first}-{second}", "JSON.Generic"],
        ["3", "1", "NONE", f"{second}-{second + 2}", "JSON.Generic"],
        ["4", "1", "NONE", f"32768-{size}", f"FS (Squashfs/*System/{host().oci})"],
    ]


@pytest.mark.needs("apptainer", "subuid-user")
@pytest.mark.slow
def test_apptainer_reads_the_header(open_folder: Path, apptainer: Apptainer) -> None:
    image = sif_of(open_folder / "x.sif", ([folder(b"")], {}))
    shown = dict(line.split(":", 1) for line in ran(apptainer("sif", "header", image)).splitlines())
    assert {name: value.strip() for name, value in shown.items()} == {
        "Launch Script": "#!/usr/bin/env run-singularity",
        "Version": "01",
        "Primary Architecture": host().oci,
        "ID": "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "Created At": "2023-11-14 22:13:20 +0000 UTC",
        "Modified At": "2023-11-14 22:13:20 +0000 UTC",
        "Descriptors Free": "44",
        "Descriptors Total": "48",
        "Descriptors Offset": "4096",
        "Descriptors Size": "27 KiB",
        "Data Offset": "32176",
        "Data Size": "5 KiB",
    }


@pytest.mark.needs("apptainer", "subuid-user")
@pytest.mark.slow
def test_apptainer_dumps_each_object(open_folder: Path, apptainer: Apptainer) -> None:
    image = sif_of(open_folder / "x.sif", ([folder(b"")], {}))
    dumped = [apptainer("sif", "dump", str(number), image).stdout for number in (1, 2, 3, 4)]
    assert dumped[:3] == [one.data for one in OBJECTS]
    assert dumped[3] == image.read_bytes()[32768:]


@pytest.mark.needs("apptainer", "subuid-user")
@pytest.mark.slow
def test_apptainer_inspects_the_image(open_folder: Path, apptainer: Apptainer) -> None:
    image = sif_of(open_folder / "x.sif", ([folder(b"")], {}))
    shown = json.loads(ran(apptainer("inspect", "--json", "--all", image)))
    assert shown == {
        "data": {
            "attributes": {
                "environment": {"/.singularity.d/env/90-environment.sh": "#!/bin/sh\nexport A='<b> & c'"},
                "labels": {"Author": "me", "Version": "1.0"},
                "runscript": "#!/bin/sh\n\n    exec cat /etc/greeting",
                "test": "#!/bin/sh\n\n    true",
                "helpfile": "    Größe",
                "deffile": DEFINITION.decode().rstrip("\n"),
            }
        },
        "type": "container",
    }
    assert ran(apptainer("inspect", "--labels", image)) == "Author: me\nVersion: 1.0\n"


@pytest.mark.needs("apptainer", "subuid-user")
@pytest.mark.slow
def test_apptainer_runs_what_is_in_the_image(open_folder: Path, apptainer: Apptainer, runnable: Sample) -> None:
    image = sif_of(open_folder / "x.sif", runnable)
    assert ran(apptainer("exec", image, "/bin/cat", "/etc/greeting")) == "hello from the squashfs\n"
    assert apptainer("exec", image, "/bin/sh", "-c", "exit 7").returncode == 7


@pytest.mark.needs("apptainer", "subuid-user")
@pytest.mark.slow
def test_apptainer_builds_from_the_image(open_folder: Path, apptainer: Apptainer, runnable: Sample) -> None:
    """Its own SIF, made of ours, holds the same files."""
    image = sif_of(open_folder / "x.sif", runnable)
    ran(apptainer("build", "--fakeroot", "again.sif", image))
    again = next(open_folder.rglob("again.sif"))
    with again.open("rb") as opened, image.open("rb") as original:
        partition = read_sif(opened).root_squashfs
        found = SquashfsReader(opened, partition.offset)
        source = SquashfsReader(original, read_sif(original).root_squashfs.offset)
        tree, _, _ = source.tree()
        names = [path for path in tree.paths if tree.entry(tree.find(path) or 0).is_file]
        assert {path: found.read_file(path) for path in names} == {path: source.read_file(path) for path in names}


def test_the_bytes_are_the_golden_ones() -> None:
    """Everything before the partition."""
    target = io.BytesIO()
    plan = plan_sif(OBJECTS)
    write_sif(target, plan, partition_size=4096, architecture=amd64(), image_id=IMAGE_ID, time=TIME)
    assert target.tell() == plan.partition_offset + 4096 == 36864
    assert target.getvalue() == (GOLDEN / "objects.golden").read_bytes()


@pytest.mark.parametrize(
    ("sizes", "offsets", "partition"),
    [
        ([], [], 32768),
        ([592], [32176], 32768),
        ([593], [32176], 36864),
        ([1, 0, 5000], [32176, 32177, 32177], 40960),
    ],
)
def test_objects_are_placed(sizes: list[int], offsets: list[int], partition: int) -> None:
    plan = plan_sif([SifObject(data_type=DataType.GENERIC, data=bytes(size)) for size in sizes])
    assert (list(plan.offsets), plan.partition_offset) == (offsets, partition)


def test_a_partition_is_filled_up_to_whole_pages(tmp_path: Path) -> None:
    with (tmp_path / "x.sif").open("w+b") as file:
        plan = plan_sif(())
        file.seek(plan.partition_offset)
        file.write(b"p" * 5000)
        write_sif(file, plan, partition_size=5000, architecture=amd64(), image_id=IMAGE_ID, time=TIME)
        file.flush()
        image = read_sif(file)
        assert image.primary_partition.size == 8192
        assert image.data(image.descriptors[0]) == b"p" * 5000 + bytes(3192)
        assert (tmp_path / "x.sif").stat().st_size == file.tell() == 32768 + 8192


def test_what_cannot_be_placed_is_a_value_error() -> None:
    one = SifObject(data_type=DataType.GENERIC, data=b"")
    assert len(plan_sif([one] * 47).objects) == 47
    with pytest.raises(ValueError, match="room for 47 objects"):
        plan_sif([one] * 48)
    with pytest.raises(ValueError, match="longer than 128 bytes"):
        plan_sif([SifObject(data_type=DataType.GENERIC, name="n" * 129, data=b"")])
    with pytest.raises(ValueError, match="one partition"):
        plan_sif([SifObject(data_type=DataType.PARTITION, data=b"")])
    with pytest.raises(ValueError, match="16 bytes"):
        write_sif(io.BytesIO(), plan_sif([]), partition_size=4096, architecture=amd64(), image_id=b"short", time=TIME)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda one: one.oci)
def test_each_architecture_comes_back(tmp_path: Path, architecture: Architecture) -> None:
    with (tmp_path / "x.sif").open("w+b") as file:
        plan = plan_sif(())
        file.seek(plan.partition_offset)
        file.write(bytes(4096))
        write_sif(file, plan, partition_size=4096, architecture=architecture, image_id=IMAGE_ID, time=TIME)
        file.flush()
        image = read_sif(file)
        assert (image.architecture, image.header.architecture) == (architecture, architecture.sif)


def test_an_id_depends_on_its_seed_alone() -> None:
    assert derive_id(b"seed").hex() == "2fa48b9f6f988e83a56811034ca29c6e"
    assert derive_id(b"seed") != derive_id(b"other")
    found = derive_id(b"x")
    assert (found[6] >> 4, found[8] >> 6) == (8, 2)

"""Pieces of files in any order, beside the whole file."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.errors import ImageError
from sealift.squashfs.pieces import FilePieces
from sealift.squashfs.reader import SquashfsReader
from tests import parts

SIZES = {"empty": 0, "one": 1, "tail": 5000, "block": 4096, "blocks": 40_960, "both": 45_000}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    source = random.Random(5)
    content = {name: source.randbytes(size) for name, size in SIZES.items()}
    return {**content, "text": b"word " * 9000, "hole": bytes(20_000) + b"end" + bytes(9000)}


@pytest.fixture(scope="module", params=["gzip", "zstd", "stored"])
def reader(request: pytest.FixtureRequest, files, tmp_path_factory) -> Iterator[SquashfsReader]:
    folder = tmp_path_factory.mktemp("pieces")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    image: Path = folder.parent / f"{request.param}.sqfs"
    how = ["-noD", "-noF"] if request.param == "stored" else ["-comp", request.param]
    argv = [parts.program("mksquashfs") or "mksquashfs", str(folder), str(image), "-b", "4096", "-quiet", *how]
    subprocess.run(argv, check=True, capture_output=True)
    descriptor = os.open(image, os.O_RDONLY)
    yield SquashfsReader(descriptor)
    os.close(descriptor)


@pytest.mark.slow
@pytest.mark.needs("mksquashfs")
def test_any_piece_is_that_of_the_whole_file(reader: SquashfsReader, files: dict[str, bytes]) -> None:
    source = random.Random(7)
    for name, data in files.items():
        inode = reader.find(name.encode())
        assert inode is not None
        pieces = FilePieces(reader, inode)
        places = [(0, len(data)), (0, 0), (len(data), 10), (len(data) + 5000, 10), (4095, 2), (4096, 1)]
        places += [(source.randrange(len(data) + 10), source.randrange(10_000)) for _ in range(50)]
        assert [pieces.read(*place) for place in places] == [data[start : start + size] for start, size in places]


@pytest.mark.slow
@pytest.mark.needs("mksquashfs")
def test_a_file_that_is_shorter_than_it_claims_is_refused(reader: SquashfsReader) -> None:
    from dataclasses import replace

    inode = reader.find(b"blocks")
    assert inode is not None
    with pytest.raises(ImageError):
        FilePieces(reader, replace(inode, size=1 << 40)).read(50_000, 10)

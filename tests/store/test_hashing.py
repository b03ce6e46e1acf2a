from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.store import hashing
from sealift.store.hashing import Digester, digest_file


@given(
    sizes=st.lists(st.integers(0, 3 * hashing._BATCH // 2), max_size=12),
    algorithm=st.sampled_from(("sha256", "sha512")),
)
def test_pieces_are_hashed_in_order(sizes: list[int], algorithm: str) -> None:
    digester, expected = Digester(algorithm), hashlib.new(algorithm)
    for number, size in enumerate(sizes):
        piece = bytes([number]) * size
        digester.update(piece)
        expected.update(piece)
    assert digester.digest() == f"{algorithm}:{expected.hexdigest()}"


def test_no_thread_stays() -> None:
    digester = Digester()
    for _ in range(20):
        digester.update(b"x" * hashing._BATCH)
    digester.close()
    digester.close()
    assert [thread.name for thread in threading.enumerate() if thread.name == "sealift-hash"] == []


@pytest.mark.parametrize("data", [b"", b"x" * 3_000_000])
def test_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    assert digest_file(str(tmp_path / "f")) == f"sha256:{hashlib.sha256(data).hexdigest()}"

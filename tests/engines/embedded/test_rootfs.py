from __future__ import annotations

from pathlib import Path

import pytest

from sealift.engines.embedded.rootfs import find_squashfuse


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        ({"a/squashfuse_ll": b"libfuse3.so.3", "a/squashfuse": b""}, "a/squashfuse_ll"),
        ({"a/squashfuse": b"libfuse3.so.3", "b/squashfuse_ll": b""}, "a/squashfuse"),
        ({"a/squashfuse_ll": b"\0libfuse.so.2\0", "b/squashfuse_ll": b"\0libfuse3.so.3\0"}, "b/squashfuse_ll"),
        ({"a/squashfuse_ll": b"static"}, "a/squashfuse_ll"),
    ],
)
def test_the_first_that_takes_a_device(tmp_path: Path, programs: dict[str, bytes], expected: str) -> None:
    for name, content in programs.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o755)
    assert find_squashfuse(f":{tmp_path}/a:{tmp_path}/b") == str(tmp_path / expected)

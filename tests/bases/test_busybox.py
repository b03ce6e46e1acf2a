from __future__ import annotations

import io
import tarfile

import pytest

from sealift.bases.busybox import layer_of_busybox, parse_applets


def test_the_layer() -> None:
    data = layer_of_busybox(b"program", ("sh", "busybox", "[", "sh"), mtime=7)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = [(member.name, member.type, oct(member.mode), member.linkname, member.mtime) for member in tar]
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}  # type: ignore[union-attr]
    assert found == [
        ("bin", tarfile.DIRTYPE, "0o755", "", 7),
        ("etc", tarfile.DIRTYPE, "0o755", "", 7),
        ("bin/busybox", tarfile.REGTYPE, "0o755", "", 7),
        ("bin/[", tarfile.LNKTYPE, "0o755", "bin/busybox", 7),
        ("bin/sh", tarfile.LNKTYPE, "0o755", "bin/busybox", 7),
        ("etc/group", tarfile.REGTYPE, "0o664", "", 7),
        ("etc/hosts", tarfile.REGTYPE, "0o644", "", 7),
        ("etc/passwd", tarfile.REGTYPE, "0o664", "", 7),
    ]
    assert files["bin/busybox"] == b"program"
    assert files["etc/passwd"] == b"root:!:0:0:root:/root:/bin/sh"


def test_applets() -> None:
    assert parse_applets(b"[\n[[\nash\n") == ("[", "[[", "ash")


@pytest.mark.parametrize("said", [b"../x\n", b"a/b\n", b"..\n", b"\x01\n", b"\xff\n"])
def test_names_that_lead_elsewhere(said: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_applets(said)

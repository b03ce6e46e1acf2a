from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.errors import ImageError
from sealift.packs.tarstream import BLOCK, Member, TarReader, normalise
from tests.packs.layers import TIME, device, entry, file, folder, hard_link, symlink, tar


def chunked(stream: bytes, size: int) -> Iterator[bytes]:
    return (stream[at : at + size] for at in range(0, len(stream), size))


def read(stream: bytes, *, size: int = 1000) -> list[tuple[Member, bytes]]:
    reader = TarReader(chunked(stream, size))
    return [(member, bytes(reader.take(member.stored))) for member in reader]


def member(path: bytes, mode: int, **more: object) -> Member:
    values: dict[str, object] = {
        "uid": 0, "gid": 0, "mtime": TIME, "size": 0, "stored": 0, "link": b"", "hard_link": None, "rdev": 0,
        "xattrs": (), "segments": None,
    }  # fmt: skip
    return Member(path=path, mode=mode, **(values | more))  # type: ignore[arg-type]


LONG = "n" * 90 + "/" + "m" * 95


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("size", [1, 511, 512, 4096, 1 << 20])
def test_reads_each_format(form: int, size: int) -> None:
    parts = [
        folder("./d", mode=0o1777),
        file("d/x", b"content" * 1000, mode=0o4755, owner=(1000, 100)),
        file(LONG, b"y"),
        symlink("s", "../else/where"),
        hard_link("h", "./d/x"),
        device("c", tarfile.CHRTYPE, 5, 1, mode=0o600),
        device("b", tarfile.BLKTYPE, 259, 300, mode=0o600),
        entry("p", tarfile.FIFOTYPE),
    ]
    assert read(tar(parts, form), size=size) == [
        (member(b"d", stat.S_IFDIR | 0o1777), b""),
        (
            member(b"d/x", stat.S_IFREG | 0o4755, uid=1000, gid=100, size=7000, stored=7000),
            b"content" * 1000,
        ),
        (member(LONG.encode(), stat.S_IFREG | 0o644, size=1, stored=1), b"y"),
        (member(b"s", stat.S_IFLNK | 0o777, link=b"../else/where"), b""),
        (member(b"h", stat.S_IFREG | 0o644, hard_link=b"d/x"), b""),
        (member(b"c", stat.S_IFCHR | 0o600, rdev=os.makedev(5, 1)), b""),
        (member(b"b", stat.S_IFBLK | 0o600, rdev=os.makedev(259, 300)), b""),
        (member(b"p", stat.S_IFIFO | 0o644), b""),
    ]


def test_passes_over_data_that_nobody_takes() -> None:
    stream = tar([file("a", b"1" * 5000), file("b", b"2" * 700), file("c", b"3")])
    reader = TarReader(chunked(stream, 300))
    seen = []
    for one in reader:
        if one.path == b"b":
            seen.append(bytes(reader.take(10)))
        seen.append(one.path)
    assert seen == [b"a", b"2" * 10, b"b", b"c"]


def test_long_names_and_targets_of_both_kinds() -> None:
    name, target = "p/" * 200 + "end", "t/" * 300
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        (found, _data) = read(tar([symlink(name, target)], form))[0]
        assert (found.path, found.link) == (name.encode(), target.encode())


def test_numbers_beyond_octal() -> None:
    big = file("a", b"", owner=(3_000_000_000, 4_000_000_000), mtime=1 << 40)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        (found, _data) = read(tar([big], form))[0]
        assert (found.uid, found.gid, found.mtime) == (3_000_000_000, 4_000_000_000, 2**32 - 1)


@pytest.mark.parametrize(
    ("mtime", "expected"), [("1700000000.999", 1700000000), ("-5.5", 0), ("0", 0), ("99999999999", 2**32 - 1)]
)
def test_pax_times_are_whole_seconds_of_32_bits(mtime: str, expected: int) -> None:
    info, data = file("a")
    info.pax_headers = {"mtime": mtime}
    assert read(tar([(info, data)]))[0][0].mtime == expected


def test_a_negative_time_in_base_256() -> None:
    assert read(tar([file("a", mtime=-1)], tarfile.GNU_FORMAT))[0][0].mtime == 0


def test_global_pax_headers_hold_until_taken_back() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"uid": "7"}) as archive:
        archive.addfile(file("a")[0])
        own = file("b")[0]
        own.pax_headers = {"uid": "8"}
        archive.addfile(own)
    assert [one.uid for one, _data in read(stream.getvalue())] == [7, 8]


def test_extended_attributes_of_both_spellings() -> None:
    info, data = file("a")
    info.pax_headers = {
        "SCHILY.xattr.user.z": "plain",
        "LIBARCHIVE.xattr.user.%61b": "AAEC",
        "LIBARCHIVE.xattr.user.z": "AAEC",
    }
    assert read(tar([(info, data)]))[0][0].xattrs == ((b"user.ab", b"\0\x01\x02"), (b"user.z", b"plain"))


def test_names_that_are_not_utf8() -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        assert read(tar([file(b"d\xff/\xc3\x28")], form))[0][0].path == b"d\xff/\xc3\x28"
    info, _data = file("x")
    raw = tar([(info, b"")], tarfile.USTAR_FORMAT)
    pax = _pax_header([b"path=\xff\xfe"]) + raw
    assert read(pax)[0][0].path == b"\xff\xfe"


def _pax_header(records: list[bytes]) -> bytes:
    body = b""
    for record in records:
        length = len(record) + 3
        while len(b"%d %b\n" % (length, record)) != length:
            length += 1
        body += b"%d %b\n" % (length, record)
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % BLOCK)


def test_old_types() -> None:
    """A name that ends in a slash is a directory, whatever its type says; NUL and 7 are regular files."""
    parts = [entry("d/", tarfile.AREGTYPE), entry("a", tarfile.AREGTYPE, b"x"), entry("b", tarfile.CONTTYPE, b"y")]
    raw = bytearray(tar(parts, tarfile.USTAR_FORMAT))
    found = [(one.path, stat.S_IFMT(one.mode), data) for one, data in read(bytes(raw))]
    assert found == [(b"d", stat.S_IFDIR, b""), (b"a", stat.S_IFREG, b"x"), (b"b", stat.S_IFREG, b"y")]


@pytest.mark.parametrize(
    "options", [["--format=gnu"], *(["--format=pax", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0"))]
)
@pytest.mark.parametrize("shape", ["many", "few", "end", "empty"])
def test_sparse_files_of_gnu_tar(tmp_path: Path, options: list[str], shape: str) -> None:
    whole = bytearray(2_000_000)
    match shape:
        case "many":
            for at in range(0, len(whole), 65536):
                whole[at : at + 4096] = bytes([at >> 16 | 1]) * 4096
        case "few":
            whole[1_000_000:1_004_096] = b"x" * 4096
        case "end":
            whole[-1:] = b"z"
        case _:
            pass
    with (tmp_path / "f").open("wb") as out:
        for at in range(0, len(whole), 4096):
            block = whole[at : at + 4096]
            if any(block):
                out.seek(at)
                out.write(block)
        out.truncate(len(whole))
    stream = subprocess.run(["tar", "-C", tmp_path, "-S", *options, "-cf", "-", "f"], capture_output=True, check=True)
    (found, data) = read(stream.stdout)[0]
    assert (found.path, found.size) == (b"f", len(whole))
    assert found.segments is not None
    rebuilt, at = bytearray(found.size), 0
    for offset, length in found.segments:
        rebuilt[offset : offset + length] = data[at : at + length]
        at += length
    assert (bytes(rebuilt), at) == (bytes(whole), found.stored)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a", b"a"), (b"./a/b/", b"a/b"), (b"/a//b/./c", b"a/b/c"), (b"./", b""), (b".", b""), (b"/", b""), (b"", b""),
        (b"a/../b", b"b"), (b"a/b/../../c", b"c"), (b"...", b"..."), (b"..a/b..", b"..a/b.."), (b".a", b".a"),
    ],
)  # fmt: skip
def test_normalise(name: bytes, expected: bytes) -> None:
    assert normalise(name) == expected


@pytest.mark.parametrize(
    "name", [b"..", b"../a", b"a/../../b", b"/../etc", b"./..", b"a/" + b"n" * 256, b"a/" * 2048 + b"b"]
)
def test_names_that_no_image_may_have(name: bytes) -> None:
    with pytest.raises(ImageError):
        normalise(name)


@given(st.binary(max_size=40))
def test_normalise_twice_is_once(name: bytes) -> None:
    try:
        once = normalise(name)
    except ImageError:
        return
    assert normalise(once) == once
    assert not any(part in {b"", b".", b".."} for part in once.split(b"/") if once)


def test_an_archive_without_an_end_mark_ends_with_its_last_member() -> None:
    stream = tar([file("a", b"x")])
    assert [one.path for one, _ in read(stream[:1024])] == [b"a"]
    assert read(b"") == []
    assert read(bytes(10240)) == []


@pytest.mark.parametrize("length", [100, 511, 513, 1023, 1535, 3000])
def test_a_cut_archive_is_an_error(length: int) -> None:
    stream = tar([file("a", b"x" * 600), file("b", b"y" * 5000)])
    with pytest.raises(ImageError, match="cut off"):
        read(stream[:length])


def _with(stream: bytes, at: int, data: bytes, *, sum_again: bool = True) -> bytes:
    block = bytearray(stream[:BLOCK])
    block[at : at + len(data)] = data
    if sum_again:
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + stream[BLOCK:]


HOSTILE = {
    "checksum": _with(tar([file("a", b"x")]), 0, b"b", sum_again=False),
    "number": _with(tar([file("a", b"x")]), 124, b"zz"),
    "digit nine": _with(tar([file("a", b"x")]), 124, b"00000000009"),
    "huge size": _with(tar([file("a", b"x")]), 124, b"\x80" + b"\xff" * 11),
    "negative size": _with(tar([file("a", b"x")]), 124, b"\xff" * 12),
    "unknown type": _with(tar([file("a", b"x")]), 156, b"M"),
    "huge name record": _with(tar([file("a", b"x")]), 156, b"L") + bytes(1024),
    "escaping hard link": tar([hard_link("a", "../../etc/passwd")]),
    "empty symbolic link": tar([symlink("a", "")]),
    "pax length": _with(_pax_header([b"path=x"]), 512, b"") [:512] + b"99 path=x\n" + bytes(502) + tar([file("a")]),
    "pax number": _pax_header([b"size=1e3"]) + tar([file("a")]),
    "pax without a member": _pax_header([b"path=x"]),
    "sparse map over the end": _pax_header([b"GNU.sparse.map=0,5", b"GNU.sparse.size=3"]) + tar([file("a", b"12345")]),
    "sparse map backwards": _pax_header([b"GNU.sparse.map=9,1,0,1", b"GNU.sparse.size=30"]) + tar([file("a", b"12")]),
    "sparse map of another length": _pax_header([b"GNU.sparse.map=0,1", b"GNU.sparse.size=30"])
    + tar([file("a", b"12")]),
    "sparse map that never ends": _pax_header([b"GNU.sparse.major=1", b"GNU.sparse.realsize=9"])
    + tar([file("a", b"999999999999\n")]),
    "name with NUL": _pax_header([b"path=a\0b"]) + tar([file("a")]),
}  # fmt: skip
HOSTILE["huge name record"] = _with(_with(tar([file("a")]), 156, b"L"), 124, b"77777777777")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives(name: str) -> None:
    with pytest.raises(ImageError):
        read(HOSTILE[name])


@given(st.integers(0, 5119), st.binary(min_size=1, max_size=8))
def test_damage_is_read_or_refused(at: int, junk: bytes) -> None:
    stream = bytearray(tar([folder("d"), file("d/a", b"x" * 700), symlink("s", "t"), file(LONG, b"z")]))
    stream[at : at + len(junk)] = junk
    try:
        read(bytes(stream))
    except ImageError:
        return


def test_signed_checksums_of_old_tars() -> None:
    stream = bytearray(tar([file(b"\xff\xfe\xfd")], tarfile.USTAR_FORMAT))
    stream[148:156] = b" " * 8
    stream[148:156] = b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in stream[:BLOCK])
    assert read(bytes(stream))[0][0].path == b"\xff\xfe\xfd"

"""Headers as Python's tarfile and GNU tar read them, and their exact bytes."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from sealift.core.tree import Entry
from sealift.errors import ImageError
from sealift.oci.tarheader import END, entry_header, padding, whiteout_header
from sealift.packs.tarstream import TarReader

FILE, FOLDER, LINK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777
SYMLINK = {"name": "l", "type": tarfile.SYMTYPE, "mode": 0o777}
LONG = b"n" * 90 + b"/" + b"m" * 95


def read(stream: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(stream + END), errors="surrogateescape") as archive:
        (member,) = archive
        return member


def shown(member: tarfile.TarInfo) -> dict[str, object]:
    return {name: getattr(member, name) for name in ("name", "type", "mode", "uid", "gid", "size", "mtime", "linkname")}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (Entry(path=b"a/b", mode=FILE, size=0, mtime=7), {"name": "a/b", "mode": 0o644, "mtime": 7}),
        (Entry(path=b"", mode=FOLDER), {"name": ".", "type": tarfile.DIRTYPE, "mode": 0o755}),
        (Entry(path=b"d", mode=stat.S_IFDIR | 0o3777), {"name": "d", "type": tarfile.DIRTYPE, "mode": 0o3777}),
        (Entry(path=b"s", mode=stat.S_IFREG | 0o6755), {"name": "s", "mode": 0o6755}),
        (Entry(path=b"l", mode=LINK, link=b"../x"), SYMLINK | {"linkname": "../x"}),
        (Entry(path=LONG, mode=FILE), {"name": LONG.decode(), "mode": 0o644}),
        (Entry(path=b"x" * 100, mode=FILE), {"name": "x" * 100, "mode": 0o644}),
        (Entry(path=b"x" * 99, mode=FOLDER), {"name": "x" * 99, "type": tarfile.DIRTYPE, "mode": 0o755}),
        (Entry(path=b"x" * 100, mode=FOLDER), {"name": "x" * 100, "type": tarfile.DIRTYPE, "mode": 0o755}),
        (Entry(path=b"l", mode=LINK, link=LONG), SYMLINK | {"linkname": LONG.decode()}),
        (Entry(path="é".encode(), mode=FILE), {"name": "é", "mode": 0o644}),
        (Entry(path=b"\xff", mode=FILE), {"name": os.fsdecode(b"\xff"), "mode": 0o644}),
        (Entry(path=LONG + b"\xff", mode=FILE), {"name": os.fsdecode(LONG + b"\xff"), "mode": 0o644}),
        (Entry(path=b"u", mode=FILE, uid=0o7777777, gid=1 << 21), {"name": "u", "uid": 0o7777777, "gid": 1 << 21}),
        (Entry(path=b"u", mode=FILE, uid=2**32 - 1), {"name": "u", "mode": 0o644, "uid": 2**32 - 1}),
        (Entry(path=b"t", mode=FILE, mtime=2**32 - 1), {"name": "t", "mode": 0o644, "mtime": 2**32 - 1}),
        (Entry(path=b"p", mode=stat.S_IFIFO | 0o600), {"name": "p", "type": tarfile.FIFOTYPE, "mode": 0o600}),
    ],
    ids=str,
)  # fmt: skip
def test_python_reads_what_was_meant(entry, expected):
    nothing = {"type": tarfile.REGTYPE, "mode": 0o644, "uid": 0, "gid": 0, "size": 0, "mtime": 0, "linkname": ""}
    assert shown(read(entry_header(entry))) == nothing | expected


@pytest.mark.parametrize("size", [1, 511, 512, 513, 0o77777777777, 0o77777777777 + 1, 2**43])
def test_sizes_of_files_of_any_size(size):
    member = next(iter(TarReader(iter([entry_header(Entry(path=b"f", mode=FILE, size=size))]))))
    assert (member.path, member.size) == (b"f", size)
    assert (size + len(padding(size))) % 512 == 0


def test_devices_keep_their_numbers():
    member = read(entry_header(Entry(path=b"b", mode=stat.S_IFBLK | 0o660, rdev=os.makedev(259, 300_000))))
    assert (member.type, member.devmajor, member.devminor) == (tarfile.BLKTYPE, 259, 300_000)


def test_a_further_name_repeats_the_attributes_and_has_no_content():
    entry = Entry(path=b"h", mode=stat.S_IFREG | 0o4755, size=9, uid=3, xattrs=((b"security.capability", b"\0\n="),))
    member = read(entry_header(entry, hard_link_to=b"first"))
    assert shown(member) == {
        "name": "h", "type": tarfile.LNKTYPE, "mode": 0o4755, "uid": 3, "gid": 0, "size": 0, "mtime": 0,
        "linkname": "first",
    }  # fmt: skip
    assert member.pax_headers == {"SCHILY.xattr.security.capability": "\0\n="}


def test_attributes_arrive_as_they_were():
    value = bytes(range(256)) * 30
    entry = Entry(
        path=LONG, mode=FILE, xattrs=((b"security.capability", b"\1" * 20), (b"user.a", value), (b"user.e", b""))
    )
    (member,) = TarReader(iter([entry_header(entry), END]))
    assert (member.path, member.xattrs) == (LONG, entry.xattrs)


def test_the_length_of_a_record_counts_its_own_digits():
    for size in (*range(60, 110), *range(950, 1010)):
        entry = Entry(path=b"f", mode=FILE, xattrs=((b"user.a", b"v" * size),))
        (member,) = TarReader(iter([entry_header(entry), END]))
        assert member.xattrs == entry.xattrs


def test_whiteouts():
    assert shown(read(whiteout_header(b"a/b", mtime=5))) == {
        "name": "a/.wh.b", "type": tarfile.REGTYPE, "mode": 0, "uid": 0, "gid": 0, "size": 0, "mtime": 5,
        "linkname": "",
    }  # fmt: skip
    assert read(whiteout_header(LONG, mtime=0)).name == "n" * 90 + "/.wh." + "m" * 95


@pytest.mark.parametrize("path", [b".wh.x", b"a/.wh..wh..opq"])
def test_a_file_that_would_be_a_whiteout_is_refused(path):
    with pytest.raises(ImageError) as caught:
        entry_header(Entry(path=path, mode=FILE))
    assert caught.value.message == (
        f"`/{path.decode()}` cannot be in an OCI image, where `.wh.` before a name means that it is removed"
    )


def test_an_attribute_with_an_equals_sign_is_refused():
    with pytest.raises(ImageError, match="`/f` has an extended attribute with `=` in its name"):
        entry_header(Entry(path=b"f", mode=FILE, xattrs=((b"user.a=b", b""),)))


def test_the_bytes_of_a_header_are_these():
    header = entry_header(Entry(path=b"bin", mode=stat.S_IFDIR | 0o755, uid=1, gid=2, mtime=8))
    assert header == (
        b"bin/" + bytes(96) + b"0000755\0" b"0000001\0" b"0000002\0" b"00000000000\0" b"00000000010\0"
        + b"007761\0 5" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" b"0000000\0" + bytes(167)
    )  # fmt: skip


@pytest.mark.needs("root")
def test_gnu_tar_unpacks_what_was_meant(tmp_path: Path):
    names = [b"a", LONG, b"\xff\n", LONG + b"\xff", "é".encode() * 80]
    parts = [entry_header(Entry(path=b"n" * 90, mode=FOLDER))]
    parts += [entry_header(Entry(path=name, mode=FILE, xattrs=((b"user.a", b"\0\xff"),))) for name in names]
    done = subprocess.run(
        ["tar", "--xattrs", "--xattrs-include=*", "-x", "-C", tmp_path], input=b"".join(parts) + END, check=True
    )
    assert done.returncode == 0
    top = os.fsencode(tmp_path)
    found = {os.path.relpath(os.path.join(folder, name), top) for folder, _, files in os.walk(top) for name in files}
    assert found == set(names)
    assert {os.getxattr(os.path.join(top, name), "user.a") for name in names} == {b"\0\xff"}

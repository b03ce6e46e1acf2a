import stat
import struct

import pytest

from sealift.core.tree import Entry, tree_of
from sealift.normalise.plan import follow_source, plan_normalising
from sealift.normalise.rules import load_rules

FILE = stat.S_IFREG | 0o644


def plan(*entries: Entry, epoch: int = 100, below: int = 0):
    tree = tree_of(entries)
    return plan_normalising(tree, range(below, len(tree)), epoch, load_rules())


@pytest.mark.parametrize(
    ("path", "action", "rule"),
    [
        (b"var/log/dpkg.log", "emptied", "logs"),
        (b"var/log/apt/term.log", "emptied", "logs"),
        (b"var/log/aptitude", "emptied", "logs"),
        (b"var/log/apt/eipp.log.xz", "removed", "apt-planner-log"),
        (b"var/cache/apt/pkgcache.bin", "removed", "apt-cache"),
        (b"var/cache/ldconfig/aux-cache", "removed", "ldconfig-aux-cache"),
        (b"etc/machine-id", "emptied", "machine-id"),
        (b"etc/passwd-", "removed", "account-backups"),
        (b"var/lib/dpkg/status-old", "removed", "package-database-backups"),
    ],
)
def test_noise_is_named_by_its_rule(path, action, rule):
    result = plan(Entry(path=path, mode=FILE, size=3))
    assert {"removed": result.removed, "emptied": result.emptied}[action] == {0: rule}


@pytest.mark.parametrize(
    "path",
    [b"var/log/app/dpkg.log", b"srv/var/log/dpkg.log", b"var/log/apt/deep/term.log", b"etc/passwd", b"etc/passwd-x"],
)
def test_what_only_looks_like_noise_stays(path):
    result = plan(Entry(path=path, mode=FILE, size=3))
    assert (result.removed, result.emptied) == ({}, {})


def test_links_and_directories_stay():
    result = plan(
        Entry(path=b"etc/group-", mode=FILE, size=3, group=1),
        Entry(path=b"etc/machine-id", mode=stat.S_IFLNK | 0o777, link=b"x"),
        Entry(path=b"etc/passwd-", mode=stat.S_IFDIR | 0o755),
    )
    assert (result.removed, result.emptied) == ({}, {})


def test_only_later_times_become_the_epoch():
    result = plan(
        Entry(path=b"a", mode=FILE, mtime=99),
        Entry(path=b"b", mode=FILE, mtime=100),
        Entry(path=b"c", mode=FILE, mtime=101),
    )
    assert result.retimed == (2,)


def test_the_base_is_never_touched():
    result = plan(
        Entry(path=b"etc/passwd-", mode=FILE, size=1, mtime=999), Entry(path=b"z", mode=FILE, mtime=999), below=1
    )
    assert (result.removed, result.retimed) == ({}, (1,))


def test_a_pyc_follows_its_source():
    result = plan(
        Entry(path=b"m/__pycache__/x.cpython-311.opt-1.pyc", mode=FILE, mtime=50),
        Entry(path=b"m/__pycache__/x.cpython-311.pyc", mode=FILE, mtime=50),
        Entry(path=b"m/__pycache__/y.cpython-311.pyc", mode=FILE, mtime=500),
        Entry(path=b"m/x.py", mode=FILE, mtime=500),
        Entry(path=b"m/y.py", mode=FILE, mtime=50),
    )
    assert result.compiled == ((0, 3), (1, 3))


HEADER = b"\xa7\x0d\x0d\x0a"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HEADER + struct.pack("<III", 0, 500, 7) + b"code", HEADER + struct.pack("<III", 0, 100, 7) + b"code"),
        (HEADER + struct.pack("<III", 1, 500, 7) + b"code", None),
        (HEADER + struct.pack("<III", 0, 499, 7) + b"code", None),
        (HEADER + b"\0\0", None),
    ],
    ids=["time-based", "hash-based", "stale already", "cut off"],
)
def test_the_pyc_header_moves_with_the_source(before, after):
    assert follow_source(before, 500, 100) == after

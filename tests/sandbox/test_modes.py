"""One script of changed owners, capabilities and rewritten files: the same tree in every mode, on every footing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.conftest import MODES, Drive, Who, base_owners, listing, sh

pytestmark = [pytest.mark.needs("root", "subuid-user", "plain-user", "mksquashfs", "squashfuse"), pytest.mark.slow]

SCRIPT = """
useradd -m -u 1001 -s /bin/sh alice
touch /opt/a; chown alice:mail /opt/a
mkdir /opt/d; chown 5:6 /opt/d; mv /opt/d /opt/renamed
ln -s a /opt/l; chown -h 7:8 /opt/l
mkdir /opt/group; chgrp mail /opt/group; chmod 2775 /opt/group; touch /opt/group/f
mkdir /opt/group/sub; touch /opt/group/sub/g
touch /opt/group/mine; chown root:root /opt/group/mine
cp /bin/true /opt/t; chown 33 /opt/t; chmod 4755 /opt/t; chown 34 /opt/t
cp /bin/true /opt/s; chmod 6755 /opt/s; chgrp 9 /opt/s
cp /bin/true /opt/c; setcap cap_net_raw+ep /opt/c
cp /bin/true /opt/lost; setcap cap_net_raw+ep /opt/lost; chown 3 /opt/lost
cp /bin/true /opt/kept; chown 3 /opt/kept; setcap cap_net_bind_service+ep /opt/kept
echo more >> /data/owned
chmod 600 /data/other
ln /opt/a /opt/linked
echo new > /data/new; rm /data/new; echo again > /data/new
touch /opt/gone; chown 9 /opt/gone; rm /opt/gone; touch /opt/next
mkdir -p /opt/tree/a/b; touch /opt/tree/a/b/c; chown -R 77:78 /opt/tree
cd /opt; mkdir in; chown 11 in; cd in; touch here; chown 12:13 here ../in/here; chown :14 ../in
touch /opt/edited; chown 15:16 /opt/edited; echo x > /opt/edited; sed -i s/x/y/ /opt/edited
sed -i s/1000/1234/ /data/owned
install -o 17 -g 18 -m 640 /bin/true /opt/installed
chown 19 /; chown 0 /
mkfifo /opt/pipe; chown 20 /opt/pipe
chown 21 /opt/pi'p'e /missing && exit 1
id -u
"""
DEVICES = """
mknod /opt/null c 1 3; chown 4:5 /opt/null
mknod -m 640 /opt/disk b 8 16
(umask 077; mknod /opt/private c 5 1)
mkdir /opt/r; cp -a /bin /opt/r/; cp -a /usr /lib /lib64 /opt/r/; chroot /opt/r /bin/mknod /zero c 1 5
chroot /opt/r /bin/chown 40:41 /zero; rm -rf /opt/r/bin /opt/r/usr /opt/r/lib /opt/r/lib64
"""


def tree_of(drive: Drive, who: Who, base: Path, script: str, without: str = "") -> tuple[list[Any], dict[str, Any]]:
    found = drive(
        who,
        lowers=[base],
        environment={"SEALIFT_WITHOUT": without},
        steps=[sh(script), {"do": "call", "function": "driver:listing", **listing(base)}],
    )
    assert found["steps"][0]["code"] == 0, found["steps"][0]
    return found["steps"][1]["value"], found


def test_every_mode_gives_the_tree_that_root_gives(drive: Drive, base: Path) -> None:
    expected, found = tree_of(drive, "root", base, SCRIPT + DEVICES)
    assert found["footing"][0] == "root"
    by_path = {row[0]: row[1:4] for row in expected}
    assert by_path["/opt/a"] == ["0o100664", 1001, 8]
    assert by_path["/opt/group/sub/g"] == ["0o100664", 0, 8]
    assert by_path["/etc/shadow"][1:] == [0, 42]
    assert by_path["/data/owned"] == ["0o100644", 1000, 100]
    for who in ("subuid", "plain"):
        tree, found = tree_of(drive, who, base, SCRIPT + DEVICES)
        assert found["footing"] == [MODES[who], "kernel", "fuse", True]
        assert tree == expected, who


@pytest.mark.parametrize(
    ("without", "footing"),
    [
        ("overlay", ["fuse", "fuse"]),
        ("overlay,fuse-overlayfs", ["copy", "fuse"]),
        ("squashfuse", ["kernel", "unpack"]),
        ("fuse", ["kernel", "unpack"]),
        ("overlay,fuse", ["copy", "unpack"]),
    ],
)
@pytest.mark.parametrize("who", ["subuid", "plain"])
@pytest.mark.needs("fuse-overlayfs")
def test_every_footing_gives_the_same_tree(
    drive: Drive, base: Path, who: Who, without: str, footing: list[str]
) -> None:
    expected, _ = tree_of(drive, "root", base, SCRIPT)
    tree, found = tree_of(drive, who, base, SCRIPT, without)
    assert found["footing"][1:3] == footing
    tree, expected = tidied(tree, base), tidied(expected, base)
    if found["footing"][1] == "fuse":
        # fuse-overlayfs gives a new folder in one with the setgid bit neither the bit nor the group.
        tree, expected = ([row for row in rows if "/opt/group/sub" not in row[0]] for rows in (tree, expected))
    assert tree == expected


def tidied(rows: list[Any], base: Path) -> list[Any]:
    """Less what differs by nature: files that useradd opens for writing and leaves as they are (an overlay copies them
    up, a comparison finds them equal), and fuse-overlayfs's whiteouts of what only the upper layer had.
    """
    opened = ("/etc/.pwd.lock", "/etc/group", "/etc/gshadow")
    below = base_owners(base)
    return [row for row in rows if row[0] not in opened and not (row[1].startswith("0o20") and row[0][1:] not in below)]


@pytest.mark.parametrize("who", ["root", "plain"])
def test_deletions_are_whiteouts_with_and_without_an_overlay(drive: Drive, base: Path, who: Who) -> None:
    script = "rm -r /data; mkdir /data; touch /data/new; rm /etc/passwd; rm -r /etc/skel"
    overlaid, _ = tree_of(drive, who, base, script)
    copied, found = tree_of(drive, who, base, script, "overlay,fuse-overlayfs")
    assert found["footing"][1] == "copy"
    assert [row[0] for row in overlaid] == ["/data", "/data/new", "/etc", "/etc/passwd", "/etc/skel"]
    assert [row[0] for row in copied] == [
        "/data",
        "/data/.wh.other",
        "/data/.wh.owned",
        "/data/new",
        "/etc",
        "/etc/.wh.passwd",
        "/etc/.wh.skel",
    ]


def test_without_notification_everything_is_roots_and_nothing_fails(drive: Drive, base: Path) -> None:
    script = "touch /opt/a; chown 5:6 /opt/a; mknod /opt/n c 1 3; id -u"
    tree, found = tree_of(drive, "plain", base, script, "notify")
    assert found["footing"] == ["single", "kernel", "fuse", False]
    assert [row[:4] for row in tree] == [["/opt", "0o40755", 0, 0], ["/opt/a", "0o100664", 0, 0]]

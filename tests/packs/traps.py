"""Layer stacks that are easy to get wrong, each by its name: lists of layers, the lowest first."""

from __future__ import annotations

import tarfile

from tests.packs.layers import Part, device, file, folder, hard_link, opaque, symlink, whiteout

LATER = 1_710_000_000
BINARY = bytes(range(256)) * 40

Stack = list[list[Part]]

TRAPS: dict[str, Stack] = {
    "hard link whose target a later layer deletes": [
        [folder("d"), file("d/a", b"one"), hard_link("d/b", "d/a")],
        [whiteout("d/a")],
    ],
    "hard link whose target a later layer replaces": [
        [file("a", b"one"), hard_link("b", "a"), hard_link("c", "a")],
        [file("a", b"two", mode=0o600, mtime=LATER)],
    ],
    "hard link to a name that is replaced in the same layer": [
        [file("a", b"one"), hard_link("b", "a"), file("a", b"two")],
    ],
    "directory replaced by a file": [
        [folder("d"), folder("d/e"), file("d/e/x", b"x"), file("d/y", b"y")],
        [file("d", b"now a file")],
    ],
    "directory replaced by a symbolic link": [
        [folder("d"), file("d/x", b"x"), folder("real"), file("real/r", b"r")],
        [symlink("d", "real")],
    ],
    "file replaced by a directory": [
        [file("d", b"a file"), symlink("l", "d")],
        [folder("d", mode=0o750), file("d/x", b"x"), folder("l"), file("l/y", b"y")],
    ],
    "directory replaced and back": [
        [folder("d"), file("d/old", b"old")],
        [file("d", b"file")],
        [folder("d"), file("d/new", b"new")],
    ],
    "opaque directory": [
        [folder("d"), folder("d/sub"), file("d/sub/x", b"x"), file("d/a", b"a"), file("e", b"e")],
        [folder("d", mode=0o700), opaque("d"), file("d/b", b"b")],
    ],
    "opaque mark behind its siblings": [
        [folder("d"), file("d/a", b"a"), file("d/b", b"old")],
        [folder("d"), file("d/b", b"new"), folder("d/c"), file("d/c/x", b"x"), opaque("d")],
    ],
    "opaque directory in the middle": [
        [folder("d"), file("d/one", b"1")],
        [folder("d"), opaque("d"), file("d/two", b"2")],
        [folder("d"), file("d/three", b"3")],
    ],
    "whiteout before its siblings": [
        [folder("d"), file("d/a", b"a"), file("d/z", b"z")],
        [folder("d"), whiteout("d/z"), file("d/b", b"b"), file("d/zz", b"zz")],
    ],
    "whiteout behind its siblings": [
        [folder("d"), file("d/a", b"a"), file("d/z", b"z")],
        [folder("d"), file("d/b", b"b"), file("d/zz", b"zz"), whiteout("d/a")],
    ],
    "whiteout of a directory, which comes again": [
        [folder("d", mode=0o700), file("d/old", b"old"), folder("d/sub"), file("d/sub/x", b"x")],
        [whiteout("d")],
        [folder("d"), file("d/new", b"new")],
    ],
    "whiteout of what is not there": [
        [file("a", b"a")],
        [whiteout("b"), file("c", b"c")],
    ],
    "a directory listed again keeps what is in it": [
        [folder("d", mode=0o755, mtime=1_600_000_000), file("d/a", b"a")],
        [folder("d", mode=0o1777, owner=(1000, 1000), mtime=LATER)],
    ],
    "the same path twice in one layer": [
        [
            file("a", b"first"),
            file("a", b"second", mode=0o600),
            folder("d"),
            file("d/x", b"x"),
            folder("d", mode=0o700),
        ],
    ],
    "missing parents": [
        [file("usr/lib/deep/x", b"x")],
        [file("usr/share/y", b"y")],
    ],
    "set-id and sticky bits": [
        [
            file("su", b"#!", mode=0o4755),
            file("sg", b"#!", mode=0o2755, owner=(0, 42)),
            folder("tmp", mode=0o1777),
            folder("g", mode=0o2775, owner=(5, 6)),
        ],
    ],
    "extended attributes and capabilities": [
        [
            file("cap", b"x", xattrs={"security.capability": b"\x01\x00\x00\x02\x00\x04" + bytes(14)}),
            file("user", b"x", xattrs={"user.note": b"hello"}),
            folder("dir", xattrs={"user.a": b"1", "user.b": b"2"}),
        ],
        [file("user", b"y")],
    ],
    "devices and pipes": [
        [
            folder("dev"),
            device("dev/null", tarfile.CHRTYPE, 1, 3, mode=0o666),
            device("dev/sda", tarfile.BLKTYPE, 8, 300, mode=0o660, owner=(0, 6)),
            device("pipe", tarfile.FIFOTYPE, 0, 0),
        ],
    ],
    "names that are not UTF-8": [
        [folder(b"d\xff"), file(b"d\xff/\xc3\x28", b"x"), file("ü", b"y"), file(b"new\nline", b"z"), file("a b", b"")],
    ],
    "long names": [
        [
            folder("n" * 120),
            file("n" * 120 + "/" + "m" * 200, b"x"),
            symlink("l", "t" * 300),
            hard_link("h" * 150, "n" * 120 + "/" + "m" * 200),
        ],
    ],
    "empty layers": [[], [file("a", b"a")], []],
    "absolute and dotted names": [
        [folder("./"), folder("./d/"), file("./d/a", b"a"), file("/abs", b"b"), hard_link("./h", "./d/a")],
    ],
    "hard link between directories of a layer": [
        [folder("x"), folder("y"), file("x/f", BINARY), hard_link("y/f", "x/f")],
        [whiteout("x")],
    ],
    "symbolic link hard-linked": [
        [symlink("s", "target"), hard_link("t", "s")],
    ],
    "a deleted file comes again": [
        [file("a", b"one"), file("b", b"b")],
        [whiteout("a")],
        [file("a", b"three")],
    ],
    "symbolic link as a parent in the same layer": [
        [folder("real"), symlink("dir", "real"), file("dir/x", b"x"), symlink("abs", "/real"), file("abs/y", b"y")],
    ],
}

LOOKING_DOWN: dict[str, Stack] = {
    "hard link to a file of a lower layer": [
        [folder("d"), file("d/a", b"one")],
        [hard_link("b", "d/a"), file("c", b"c")],
    ],
    "hard link to a file of a lower layer, then deleted": [
        [folder("d"), file("d/a", b"one"), file("e", b"e")],
        [hard_link("d/b", "d/a")],
        [whiteout("d/a")],
    ],
    "whiteout in a directory that is not there": [
        [file("a", b"a")],
        [whiteout("e/f"), opaque("g"), file("c", b"c")],
    ],
    "whiteout below what is a file": [
        [file("a", b"a")],
        [whiteout("a/c")],
    ],
    "symbolic link as a parent in a lower layer": [
        [folder("usr"), folder("usr/lib"), file("usr/lib/old", b"old"), symlink("lib", "usr/lib")],
        [file("lib/new", b"new"), whiteout("lib/old")],
    ],
    "absolute symbolic link as a parent in a lower layer": [
        [folder("usr"), folder("usr/lib"), symlink("lib", "/usr/lib"), symlink("usr/lib64", "lib")],
        [file("lib/new", b"new"), file("usr/lib64/x", b"x"), folder("usr/lib64/sub"), file("usr/lib64/sub/y", b"y")],
    ],
    "symbolic link as a parent points out of the root": [
        [folder("etc"), symlink("out", "../../../etc")],
        [file("out/x", b"x")],
    ],
    "symbolic link as a parent points nowhere": [
        [symlink("dir", "not/there")],
        [file("dir/x", b"x")],
    ],
}
"""Stacks whose upper layers speak of what lies below: engines that unpack every layer by itself cannot do these."""

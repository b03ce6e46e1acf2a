"""A base for OCI images: busybox, and of everything that is easy to lose a file or two."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests import parts
from tests.ground.layouts import Packing, write_layout
from tests.packs.layers import Part, device, file, folder, hard_link, symlink, tar, whiteout

APPLETS = (
    *("sh", "ln", "rm", "mkdir", "chmod", "chown", "mkfifo", "truncate", "touch", "printf", "echo", "cp", "mv", "cat"),
    *("ls", "true", "env", "test", "id", "rmdir", "sleep", "stat"),
)
CAPABILITY = b"\x01\x00\x00\x02\x00\x04" + bytes(14)


def busybox() -> list[Part]:
    program = Path(parts.program("busybox") or "/bin/busybox").read_bytes()
    return [
        *(folder(name) for name in ("bin", "dev", "etc", "opt", "proc", "root", "srv", "sys", "usr", "usr/bin", "var")),
        folder("tmp", mode=0o1777),
        file("bin/busybox", program, mode=0o755),
        *(symlink(f"bin/{name}", "busybox") for name in APPLETS),
        file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
        file("etc/group", b"root:x:0:\n"),
    ]


def write_busybox_layout(target: Path, *, tag: str = "latest", packing: Packing = "gzip") -> Path:
    """An OCI layout of three layers, the second of which has whiteouts; the third is empty."""
    first = [
        *busybox(),
        file("etc/motd", b"hello\n"),
        symlink("etc/link", "motd"),
        folder("usr/share"),
        folder("usr/share/doc"),
        file("usr/share/doc/one", b"1" * 5000),
        folder("usr/share/doc/sub"),
        file("usr/share/doc/sub/two", b"2"),
        folder("var/lib"),
        folder("var/lib/info", mode=0o700, owner=(3, 4)),
        file("var/lib/info/old", b"old"),
        folder("data"),
        file("data/first", b"linked"),
        hard_link("data/second", "data/first"),
        hard_link("data/third", "data/first"),
        file("usr/bin/capped", b"#!", mode=0o755, xattrs={"security.capability": CAPABILITY, "user.note": b"\0=\n"}),
        device("dev/null", tarfile.CHRTYPE, 1, 3, mode=0o666),
        file(b"etc/n\xe4me", b"x"),
    ]
    second = [folder("data"), whiteout("data/second"), folder("srv"), file("srv/file", b"s", owner=(7000, 8000))]
    config = {
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
        "Cmd": ["/bin/sh"],
        "WorkingDir": "/data",
        "Labels": {"maintainer": "somebody"},
    }
    return write_layout(target, [tar(first), tar(second), tar([])], tag=tag, packing=packing, config=config)

"""A small squashfs of the host's own programs with owners of many kinds, for sections to run in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.engines.trees import copy_program

PROGRAMS = (
    *(
        "sh",
        "cat",
        "chgrp",
        "chmod",
        "chown",
        "cp",
        "dd",
        "env",
        "id",
        "install",
        "ln",
        "ls",
        "mkdir",
        "mkfifo",
        "mknod",
    ),
    *(
        "mount",
        "mv",
        "printf",
        "readlink",
        "rm",
        "sed",
        "seq",
        "setsid",
        "sleep",
        "sort",
        "stat",
        "touch",
        "tr",
        "true",
    ),
    *("setcap", "getcap", "useradd", "groupadd", "chroot"),
)

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\nmail:x:8:\nshadow:x:42:\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\n",
    "etc/gshadow": "root:*::\nmail:*::\nshadow:*::\n",
    "etc/login.defs": "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\nUMASK 022\nMAIL_DIR /var/mail\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\n",
    "data/owned": "of 1000:100\n",
    "data/other": "of 7:8\n",
    "etc/skel/.profile": "# a profile\n",
}

OWNERS = {
    "etc/shadow": "640 0 42",
    "etc/gshadow": "640 0 42",
    "var/mail": "2775 0 8",
    "data": "755 1000 100",
    "data/owned": "644 1000 100",
    "data/other": "4755 7 8",
    "root": "700 0 0",
}


def make_base(folder: Path) -> Path:
    """The squashfs `base.squashfs` in `folder`; needs mksquashfs. It has no /proc, /sys, /dev and no /etc/hosts."""
    image = folder / "base.squashfs"
    if image.exists():
        return image
    root = folder / "tree"
    for name in ("usr/bin", "usr/lib", "root", "var/mail", "home", "opt", "tmp"):
        (root / name).mkdir(parents=True)
    for name, target in {"bin": "usr/bin", "sbin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib"}.items():
        (root / name).symlink_to(target)
    (root / "usr/sbin").symlink_to("bin")
    for program in PROGRAMS:
        copy_program(root, program)
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    owners = [argument for path, owner in OWNERS.items() for argument in ("-p", f"{path} m {owner}")]
    subprocess.run(
        [
            "mksquashfs",
            root,
            image,
            "-quiet",
            "-no-progress",
            *(["-all-root"] if os.geteuid() else []),  # it would override the owners above
            "-mkfs-time",
            "0",
            "-all-time",
            "0",
            *owners,
        ],
        check=True,
        capture_output=True,
    )
    return image

"""An empty Debian with `python3` and `pip` and nothing more, and an ordinary user at its shell.

It is a tree of the mirror's packages, its root the root of a mount namespace of its own (a changed root alone would
forbid user namespaces). Network and kernel are the machine's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.ground import users

PACKAGES = ("python3", "python3-pip", "ca-certificates")
NAME, NUMBER = "newcomer", 4242
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fuse")
_ENTER = """
set -e
mount --bind "$1" "$1"; cd "$1"
mount -t proc proc proc; mount -t sysfs -o ro sysfs sys; mount -t tmpfs -o mode=755 tmpfs dev
for name in %s; do [ ! -e /dev/$name ] || { touch dev/$name; mount --bind /dev/$name dev/$name; }; done
ln -s /proc/self/fd dev/fd; mkdir dev/shm; chmod 1777 dev/shm
mount --move . /
shift
exec chroot . "$@"
""" % " ".join(_DEVICES)  # noqa: UP031 -- braces are the shell's


@dataclass(frozen=True, slots=True, kw_only=True)
class BareDebian:
    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home" / NAME

    def __call__(self, line: str, *, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Type a line at the user's shell; nothing of the caller's environment is there but the way to the network."""
        words = {"HOME": f"/home/{NAME}", "USER": NAME, "LOGNAME": NAME, "LANG": "C.UTF-8", "TERM": "dumb"}
        words |= {"PATH": "/usr/local/bin:/usr/bin:/bin", **users.way_to_network(), **(env or {})}
        as_user = ["setpriv", f"--reuid={NUMBER}", f"--regid={NUMBER}", "--clear-groups"]
        argv = [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"),
            *("sh", "-c", _ENTER, "sh", str(self.root), *as_user),
            *("env", "-i", *(f"{name}={value}" for name, value in words.items())),
            *("bash", "-c", f"cd; {line}"),
        ]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def make_bare_debian(tar: Path, root: Path) -> BareDebian:
    """Unpack a tree with `PACKAGES` to `root`; the user comes to it, and this machine's names and certificates."""
    root.mkdir()
    subprocess.run(["tar", "-xf", str(tar), "-C", str(root)], check=True)
    for path in ("/etc/resolv.conf", "/etc/hosts", *users.way_to_network().values()):
        if os.path.isfile(path):
            (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, root / path[1:])
    entries = {"passwd": f"{NAME}:x:{NUMBER}:{NUMBER}::/home/{NAME}:/bin/bash\n", "group": f"{NAME}:x:{NUMBER}:\n"}
    for name, entry in entries.items():
        with (root / "etc" / name).open("a", encoding="utf-8") as file:
            file.write(entry)
    bare = BareDebian(root=root)
    bare.home.mkdir(mode=0o700)
    os.chown(bare.home, NUMBER, NUMBER)
    return bare

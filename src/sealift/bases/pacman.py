"""The bootstrap agent `arch`: how a tree of pacman's packages is made, as commands (pure).

Apptainer calls `pacstrap`, which wants mounts that a user's namespace may not do; its work with pacman is done here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sealift.bases.commands import PRIVATE, ROOT, Command

DEFAULT = ("base",)
CONFIGURATION = "pacman.conf"

_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}

# pacstrap's folders, with its modes (arch-install-scripts, `pacstrap`).
_FOLDERS = (
    'cd "$1" && mkdir -m 0755 -p var/cache/pacman/pkg var/lib/pacman var/log dev run etc/pacman.d && '
    'mkdir -m 1777 tmp && mkdir -m 0555 sys proc && mkdir -p "$2/pkg"'
)
_MOUNTED = (
    'root=$1 && shift && mount -t tmpfs -o mode=0755 tmpfs "$root/dev" && '
    'for each in null zero full random urandom; do : > "$root/dev/$each" && '
    'mount --bind "/dev/$each" "$root/dev/$each" || exit 1; done && ln -s /proc/self/fd "$root/dev/fd" && '
    'mount --rbind /proc "$root/proc" && mount --rbind /sys "$root/sys" && mount -t tmpfs tmpfs "$root/run" && '
    'mount -t tmpfs -o mode=1777 tmpfs "$root/tmp" && exec "$@"'
)
# Packages are checked with the host's keyring; the image gets one of its own, where it has the program for it.
_KEYRING = (
    'test ! -x "$1/usr/bin/pacman-key" || '
    "exec chroot \"$1\" /bin/sh -c 'pacman-key --init && pacman-key --populate archlinux'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository of pacman.conf and its servers in order, `$repo` and `$arch` replaced."""

    name: str
    servers: tuple[str, ...]

    @property
    def index(self) -> str:
        return f"{self.servers[0].rstrip('/')}/{self.name}.db"


def plan_pacman(include: tuple[str, ...], *, program: str, major: int) -> tuple[Command, ...]:
    """`program` is pacman, `major` its version: from 7 on it downloads as another user unless told not to."""
    install = (
        *(program, "-r", ROOT, "-Sy", "--noconfirm", "--noprogressbar"),
        *("--config", f"{PRIVATE}/{CONFIGURATION}"),
        *("--cachedir", f"{PRIVATE}/pkg"),
        *(("--disable-sandbox",) if major >= 7 else ()),
        *(include or DEFAULT),
    )
    return (
        Command(argv=("/bin/sh", "-c", _FOLDERS, "sh", ROOT, PRIVATE), inside=False, env=_ENVIRONMENT),
        _mounted("pacman", *install),
        _mounted("pacman-key", "/bin/sh", "-c", _KEYRING, "sh", ROOT),
    )


def _mounted(name: str, *argv: str) -> Command:
    wrapped = ("/bin/sh", "-c", _MOUNTED, "sh", ROOT, *argv)
    return Command(argv=wrapped, inside=False, env=_ENVIRONMENT, name=name)


def parse_major(said: bytes) -> int:
    """The first number of `pacman --version`; 6 where it says none."""
    match = re.search(rb"Pacman v(\d+)", said)
    return int(match[1]) if match else 6


def with_install_time(desc: str, epoch: int) -> str:
    """A package's record (`local/NAME/desc`) with the time of its installation replaced."""
    return re.sub(r"(?m)(^%INSTALLDATE%\n)\d+$", rf"\g<1>{epoch}", desc)


def build_time(desc: str) -> int | None:
    """When the package of this record was built, in seconds since 1970."""
    match = re.search(r"(?m)^%BUILDDATE%\n(\d{1,10})$", desc)
    return int(match[1]) if match else None

"""The bootstrap agent `debootstrap`: how a Debian or Ubuntu tree is made from a mirror, as commands (pure).

`mmdebstrap` is preferred: it is faster and leaves nothing that changes from run to run. Both run as root of a sandbox
whose root is an empty folder; they work in all of its modes:

    mmdebstrap   one command of the host. It could not mount /dev, /proc and /sys in every user namespace, nor make
                 devices; so it is told not to, and a hook binds what packages' scripts need.
    debootstrap  first the host's command unpacks the packages, then the second half runs inside the new root.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sealift.bases.commands import ROOT, Command
from sealift.errors import DefinitionError

EXCLUDED = ("e2fsprogs", "udev", "openssl", "debconf-i18n")
"""What Apptainer's agent leaves out (internal/pkg/build/sources, `debootstrap`)."""

HOOKS = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"
"""Makes /bin, /lib and /sbin links before the packages come: no package has to move their files later."""

_MOUNT = (
    'mount -t proc proc "$1/proc" && mount --rbind /sys "$1/sys" && mount -t tmpfs -o mode=0755 tmpfs "$1/dev" && '
    'for each in null zero full random urandom tty; do : > "$1/dev/$each" && '
    'mount --bind "/dev/$each" "$1/dev/$each" || exit 1; done && '
    'ln -s /proc/self/fd "$1/dev/fd" && mkdir "$1/dev/shm" "$1/dev/pts"'
)
# The host's resolv.conf and hostname were copied for the packages' scripts; they are nothing of the image.
_UNMOUNT = (
    'umount -l "$1/dev" && umount -l "$1/sys" && umount -l "$1/proc" && '
    'rm -rf "$1/dev" "$1/etc/resolv.conf" "$1/etc/hostname" && mkdir -m 0755 "$1/dev"'
)
# In a container debootstrap links /proc to itself; and its devices would be files in most user namespaces.
_BETWEEN = 'rm -rf "$1/dev" && mkdir -m 0755 "$1/dev" && if test -L "$1/proc"; then rm "$1/proc" && mkdir "$1/proc"; fi'
_TIDY = (
    'cd "$1" && rm -rf dev debootstrap etc/resolv.conf etc/hostname var/cache/apt/archives/*.deb var/cache/apt/*.bin '
    "var/lib/apt/lists/* var/log/bootstrap.log var/log/dpkg.log var/log/alternatives.log var/log/apt/* "
    "var/cache/ldconfig/aux-cache var/lib/dbus/machine-id run/* && "
    "mkdir -m 0755 dev && mkdir -p var/lib/apt/lists/partial && : > etc/machine-id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """What the definition file's header asks for; `mirrors` in order of preference, `keyring` an absolute path or none.

    `suite` is `OSVersion`, `architecture` Debian's name.
    """

    suite: str
    mirror: str
    architecture: str
    components: tuple[str, ...] = ("main",)
    include: tuple[str, ...] = ()
    keyring: str = ""
    epoch: int | None = None


def plan(
    bootstrap: Bootstrap, *, program: Literal["mmdebstrap", "debootstrap"], path: str, hooks: bool
) -> tuple[Command, ...]:
    """The commands, in order; `path` is where the program is, `hooks` whether the folder `HOOKS` exists."""
    env = {"SOURCE_DATE_EPOCH": str(bootstrap.epoch)} if bootstrap.epoch is not None else {}
    env |= {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    if program == "mmdebstrap":
        return (Command(argv=(path, *_mmdebstrap(bootstrap, hooks=hooks)), inside=False, env=env),)
    return (
        Command(argv=(path, *_debootstrap(bootstrap)), inside=False, env=env),
        Command(argv=("/bin/sh", "-c", _BETWEEN, "sh", ROOT), inside=False, env=env),
        Command(argv=("/debootstrap/debootstrap", "--second-stage"), inside=True, env=env),
        Command(argv=("/bin/sh", "-c", _TIDY, "sh", ROOT), inside=False, env=env),
    )


def _mmdebstrap(bootstrap: Bootstrap, *, hooks: bool) -> tuple[str, ...]:
    without = "".join(f" ?not(?exact-name({name}))" for name in EXCLUDED if name not in bootstrap.include)
    return (
        "--quiet",
        "--mode=root",
        # Apptainer's variant is minbase: essential packages, apt, and those of priority `required`, less some.
        "--variant=apt",
        f"--include=?priority(required){without}",
        *((f"--include={','.join(bootstrap.include)}",) if bootstrap.include else ()),
        f"--components={','.join(bootstrap.components)}",
        f"--architectures={bootstrap.architecture}",
        *((f"--keyring={bootstrap.keyring}",) if bootstrap.keyring else ()),
        "--skip=check/empty,check/qemu,chroot/mount",
        *((f"--hook-dir={HOOKS}",) if hooks else ()),
        f"--extract-hook={_MOUNT}",
        f"--customize-hook={_UNMOUNT}",
        bootstrap.suite,
        ROOT,
        bootstrap.mirror,
    )


def _debootstrap(bootstrap: Bootstrap) -> tuple[str, ...]:
    excluded = [name for name in EXCLUDED if name not in bootstrap.include]
    return (
        "--foreign",
        "--variant=minbase",
        f"--exclude={','.join(excluded)}",
        f"--include={','.join(('apt', *bootstrap.include))}",
        f"--components={','.join(bootstrap.components)}",
        f"--arch={bootstrap.architecture}",
        *((f"--keyring={bootstrap.keyring}",) if bootstrap.keyring else ()),
        bootstrap.suite,
        ROOT,
        bootstrap.mirror,
    )


# The host's own mirror, where the header names none.


@dataclass(frozen=True, slots=True, kw_only=True)
class AptSource:
    """One source of binary packages (sources.list(5)): in either form, one value for each URI and suite."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""


def parse_apt_sources(texts: Mapping[str, str]) -> tuple[AptSource, ...]:
    """Read sources.list files by path: one-line form, and deb822 form for names that end in `.sources`."""
    found: list[AptSource] = []
    for path, text in sorted(texts.items(), key=lambda item: (not item[0].endswith("sources.list"), item[0])):
        found += _deb822(text) if path.endswith(".sources") else _one_line(text)
    return tuple(found)


def _one_line(text: str) -> list[AptSource]:
    found: list[AptSource] = []
    for line in text.splitlines():
        match = re.fullmatch(
            r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<rest>[^#]*)(?:#.*)?", line
        )
        if match is None or match["uri"].startswith("cdrom:"):
            continue
        signed = re.search(r"(?:^|\s)signed-by=(\S+)", match["options"] or "", re.IGNORECASE)
        found.append(
            AptSource(
                uri=match["uri"],
                suite=match["suite"],
                components=tuple(match["rest"].split()),
                signed_by=signed[1] if signed else "",
            )
        )
    return found


def _deb822(text: str) -> list[AptSource]:
    found: list[AptSource] = []
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", lines):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t") and name:
                fields[name] += "\n" + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        signed = fields.get("signed-by", "")
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                found.append(
                    AptSource(
                        uri=uri,
                        suite=suite,
                        components=tuple(fields.get("components", "").split()),
                        # A key may stand in the stanza itself; only a file can be handed on.
                        signed_by=signed if signed.startswith("/") and "\n" not in signed else "",
                    )
                )
    return found


def choose_source(sources: Sequence[AptSource], suite: str) -> AptSource:
    """The host's source for `suite`, else its first one for anything (a mirror has all suites of its distribution).

    DefinitionError when the host has none.
    """
    for source in sources:
        if source.suite == suite and source.uri.startswith(("http:", "https:")):
            return source
    for source in sources:
        if "main" in source.components and "security" not in source.uri and source.uri.startswith(("http:", "https:")):
            return AptSource(uri=source.uri, suite=suite, components=("main",), signed_by=source.signed_by)
    raise DefinitionError(
        "the header has no `MirrorURL`, and this host has no apt sources to take a mirror from",
        hints=("add to the header a line: MirrorURL: http://YOUR-MIRROR/debian",),
    )

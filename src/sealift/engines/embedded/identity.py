"""The caller's lines in the container's /etc/passwd and /etc/group, as Apptainer adds them behind the image's."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

from sealift.engines.embedded.layout import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What is put behind the image's files; `root_home` is where root is at home from now on, empty for no change."""

    passwd: bytes
    group: bytes
    root_home: bytes = b""


def find_caller(*, env_home: str | None, env_name: str | None, cwd: str) -> Caller:
    """Who the caller is, from the user database, which may be a site's directory service.

    An id that it does not know (a container's, a batch system's) is served from the environment.
    """
    uid, gid = os.getuid(), os.getgid()
    try:
        entry = pwd.getpwuid(uid)
        name, home = entry.pw_name, entry.pw_dir
    except KeyError:
        name, home = env_name or str(uid), env_home or "/"
    return Caller(uid=uid, gid=gid, name=name, home=home, cwd=cwd)


def find_terminal() -> str:
    """The path of the terminal on one of the three standard descriptors; empty where there is none."""
    for descriptor in (0, 1, 2):
        try:
            return os.ttyname(descriptor)
        except OSError:
            continue
    return ""


def identity_lines(caller: Caller, home: str, *, fakeroot: bool = False) -> Lines:
    """What is added to the image's files; `home` is the home folder inside.

    With `fakeroot` the caller is root, whom the image has: only root's home folder becomes another.
    """
    try:
        entry = pwd.getpwuid(caller.uid)
        gid, gecos, shell = entry.pw_gid, entry.pw_gecos, entry.pw_shell
    except KeyError:
        gid, gecos, shell = caller.gid, "", "/bin/sh"
    passwd = "" if fakeroot else f"{caller.name}:x:{caller.uid}:{gid}:{gecos}:{home}:{shell}\n"
    groups = os.getgroups()
    if gid not in groups:
        groups.append(gid)
    group = ""
    for number in groups:
        try:
            group += f"{grp.getgrgid(number).gr_name}:x:{number}:{caller.name}\n"
        except KeyError:
            continue
    return Lines(passwd=os.fsencode(passwd), group=os.fsencode(group), root_home=os.fsencode(home) if fakeroot else b"")


def move_root(passwd: bytes, home: bytes) -> bytes:
    """The file with another home folder in root's line."""
    if not home:
        return passwd
    lines = passwd.split(b"\n")
    for number, line in enumerate(lines):
        fields = line.split(b":")
        if len(fields) == 7 and fields[2] == b"0":
            lines[number] = b":".join((*fields[:5], home, fields[6]))
    return b"\n".join(lines)


def append_line(image: bytes, line: bytes) -> bytes:
    """The image's file with `line` behind it, also where its last line has no end."""
    return image + (b"" if not image or image.endswith(b"\n") else b"\n") + line

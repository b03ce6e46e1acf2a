"""The bootstrap agent `busybox`: one static program that is every command, and three files (pure).

Files as Apptainer's agent writes them (its conveyor for busybox), so that both make the same tree.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence

FILES = (
    ("etc/group", 0o664, b" root:x:0:"),
    ("etc/hosts", 0o644, b"127.0.0.1   localhost localhost.localdomain localhost4 localhost4.localdomain4"),
    ("etc/passwd", 0o664, b"root:!:0:0:root:/root:/bin/sh"),
)
PROGRAM = "bin/busybox"


def layer_of_busybox(program: bytes, applets: Sequence[str] = (), *, mtime: int = 0) -> bytes:
    """The layer as a tar: the program, its names as hard links in /bin as `busybox --install` makes them, the files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in ("bin", "etc"):
            _add(tar, folder, tarfile.DIRTYPE, 0o755, mtime)
        _add(tar, PROGRAM, tarfile.REGTYPE, 0o755, mtime, content=program)
        for name in sorted(set(applets)):
            if f"bin/{name}" != PROGRAM:
                _add(tar, f"bin/{name}", tarfile.LNKTYPE, 0o755, mtime, link=PROGRAM)
        for path, mode, content in FILES:
            _add(tar, path, tarfile.REGTYPE, mode, mtime, content=content)
    return target.getvalue()


def _add(
    tar: tarfile.TarFile, path: str, kind: bytes, mode: int, mtime: int, *, content: bytes = b"", link: str = ""
) -> None:
    member = tarfile.TarInfo(path)
    member.type, member.mode, member.mtime, member.linkname, member.size = kind, mode, mtime, link, len(content)
    tar.addfile(member, io.BytesIO(content))


def parse_applets(said: bytes) -> tuple[str, ...]:
    """The names that `busybox --list` printed; ValueError for what cannot be the name of a command in /bin."""
    names = said.decode("utf-8").split()
    for name in names:
        if "/" in name or name in (".", "..") or not name.isprintable():
            raise ValueError(f"not the name of a command: {name!r}")
    return tuple(names)

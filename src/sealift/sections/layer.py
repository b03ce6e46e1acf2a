"""Added entries as a layer: a tar stream that is a function of the entries and the time alone."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable

from sealift.sections.draft import Added

_TYPES = {"directory": tarfile.DIRTYPE, "file": tarfile.REGTYPE, "symlink": tarfile.SYMTYPE}


def layer_tar(added: Iterable[Added], *, mtime: int) -> bytes:
    """An uncompressed tar (pax where a name needs it), all of it root's, every time `mtime`."""
    target = io.BytesIO()
    with tarfile.open(
        fileobj=target, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for entry in added:
            member = tarfile.TarInfo(entry.path.lstrip("/"))
            member.type = _TYPES[entry.kind]
            member.mode = entry.mode
            member.mtime = mtime
            member.linkname = entry.link
            member.size = len(entry.content)
            tar.addfile(member, io.BytesIO(entry.content))
    return target.getvalue()


def write_added(root: str, added: Iterable[Added]) -> None:
    """Write entries below the directory `root`, whose paths must be followed already (`Draft` gives such)."""
    for entry in added:
        place = root + entry.path
        if entry.kind == "directory":
            os.makedirs(place, exist_ok=True)
            os.chmod(place, entry.mode)
            # A mount point of the sandbox may be there, with a time of its own.
            os.utime(place)
        elif entry.kind == "symlink":
            if os.path.lexists(place):
                os.unlink(place)
            os.symlink(entry.link, place)
        else:
            # A new file, not a truncated one: the old one may be a hard link, or belong to a lower layer.
            if os.path.lexists(place):
                os.unlink(place)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, entry.mode)
            with open(descriptor, "wb") as file:
                os.fchmod(file.fileno(), entry.mode)
                file.write(entry.content)

"""`--overlay PATH[:ro]`: folders whose changes last, and read-only layers, as values; and making them ready.

A folder that is written to holds `upper` and `work`, as Apptainer lays them out, so that both engines can use it. A
folder that is only read is its `upper` where it has one, else itself; a squashfs is itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sealift.errors import UsageError

_EXT_MAGIC = b"\x53\xef"
"""At byte 1080 of an ext2, ext3 or ext4 file system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """`path` is a real path of the host; `text` what was typed."""

    text: str
    path: str
    kind: Literal["folder", "squashfs"]
    writable: bool


def find_overlays(texts: Sequence[str], *, cwd: str) -> tuple[tuple[Overlay, ...], tuple[str, ...]]:
    """Look at the overlays, in the order in which they were given, and what has to be said of them.

    UsageError where one is not there, is no overlay, or more than one is written to.
    """
    found: list[Overlay] = []
    warnings: list[str] = []
    for text in texts:
        overlay = _find(text, cwd)
        if not overlay.writable and overlay.kind == "squashfs" and not text.endswith(":ro"):
            warnings.append(f"the overlay `{overlay.path}` is a squashfs, which is only read")
        before = next((each for each in found if each.writable), None)
        if overlay.writable and before is not None:
            raise UsageError(
                f"only one overlay is written to: `{before.text}` or `{text}`", hints=(f"--overlay {overlay.path}:ro",)
            )
        found.append(overlay)
    return tuple(found), tuple(warnings)


def _find(text: str, cwd: str) -> Overlay:
    name, colon, option = text.rpartition(":")
    if not colon or option not in ("ro", "rw"):
        name, option = text, "rw"
    path = os.path.realpath(os.path.join(cwd, name))
    try:
        if os.path.isdir(path):
            return Overlay(text=text, path=path, kind="folder", writable=option == "rw")
        with open(path, "rb") as file:
            head = file.read(4)
            file.seek(1080)
            is_ext = file.read(2) == _EXT_MAGIC
    except FileNotFoundError as error:
        raise UsageError(f"there is no overlay `{name}`", hints=(f"make one: mkdir {name}",)) from error
    except OSError as error:
        raise UsageError(f"the overlay `{name}` cannot be read: {(error.strerror or str(error)).lower()}") from error
    if head == b"hsqs":
        return Overlay(text=text, path=path, kind="squashfs", writable=False)
    if is_ext:
        raise UsageError(
            f"the overlay `{name}` is an ext3 image, which this engine cannot mount",
            hints=(
                "use a folder: mkdir overlay, then --overlay overlay",
                "or where it is installed: --engine apptainer",
            ),
        )
    raise UsageError(f"`{name}` is no overlay: neither a folder nor a squashfs", hints=("make one: mkdir overlay",))


def make_ready(folder: str, overlay: Overlay) -> None:
    """Make `upper` and `work` in the overlay's folder, which is seen at `folder`; UsageError where it cannot be."""
    for name in ("upper", "work"):
        path = os.path.join(folder, name)
        try:
            os.makedirs(path, mode=0o755, exist_ok=True)
        except OSError as error:
            raise _not_writable(overlay, error) from error
    if not os.access(os.path.join(folder, "upper"), os.W_OK | os.X_OK):
        raise _not_writable(overlay, PermissionError(13, os.strerror(13)))


def lower_of(folder: str) -> str:
    """The folder that is the layer, of an overlay that is only read."""
    upper = os.path.join(folder, "upper")
    return upper if os.path.isdir(upper) else folder


def _not_writable(overlay: Overlay, error: OSError) -> UsageError:
    return UsageError(
        f"the overlay `{overlay.path}` cannot be written: {(error.strerror or str(error)).lower()}",
        hints=(f"only read it: --overlay {overlay.path}:ro", "or use a folder of your own: mkdir overlay"),
    )

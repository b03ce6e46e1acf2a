"""What an image's own dynamic loader finds, as far as a driver's libraries that are put beside it have to know."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sealift.elf.reading import read_elf
from sealift.engines.driver import CACHE, cached_libraries
from sealift.errors import ImageError
from sealift.sections.root import Root

_MULTIARCH = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu", "ppc64le": "powerpc64le-linux-gnu"}
_VERSION = re.compile(r"GLIBC_2\.(\d+)(?:\.\d+)?")
_RELR = "GLIBC_ABI_DT_RELR"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLibraries:
    """`names` are the libraries in the loader's cache and default folders. `glibc` is N of glibc 2.N, None where the
    image has none that can be read; `musl` says that its libc is musl.
    """

    names: frozenset[str]
    glibc: int | None
    musl: bool


def look_at_libraries(root: Root, machine: str) -> ImageLibraries:
    folders = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"]
    if machine in _MULTIARCH:
        folders = [f"/lib/{_MULTIARCH[machine]}", f"/usr/lib/{_MULTIARCH[machine]}", *folders]
    # An image of another processor's libraries, or without a cache, has its folders alone.
    names = {name for name, _ in cached_libraries(root.look(CACHE).content, machine)}
    for folder in folders:
        names.update(name for name in root.names(folder) if ".so" in name)
    glibc = next((found for folder in folders if (found := _glibc(root, f"{folder}/libc.so.6")) is not None), None)
    return ImageLibraries(
        names=frozenset(names),
        glibc=glibc,
        musl=glibc is None and any(name.startswith("ld-musl-") for name in root.names("/lib")),
    )


def _glibc(root: Root, path: str) -> int | None:
    try:
        content = root.look(path).content
        defined = read_elf(lambda offset, size: content[offset : offset + size]).versions_defined
    except (ImageError, OSError):
        return None
    return newest(defined)


def newest(versions: Iterable[str]) -> int | None:
    """N of the newest GLIBC_2.N among symbol versions; None where there is none of glibc's."""
    found = [int(match[1]) for each in versions if (match := _VERSION.fullmatch(each))]
    if _RELR in versions:
        found.append(36)  # relative relocations in the short form came with glibc 2.36
    return max(found, default=None)


def needed_glibc(path: str) -> int | None:
    """N of the glibc 2.N that a library of the host asks for; None where it asks for none, or cannot be read."""
    try:
        with open(path, "rb") as file:

            def read(offset: int, size: int) -> bytes:
                file.seek(offset)
                return file.read(size)

            needed = read_elf(read).versions_needed
    except (ImageError, OSError):
        return None
    return newest({version for versions in needed.values() for version in versions})

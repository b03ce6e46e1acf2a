"""The program that ranks run to tell who they are, in the form that an image can run; and what its failure means."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

from sealift.core.mpi import FILE, TEXT, ImageMpi, Probe, spoken

C_SOURCE = "ranks.c"
NONE_POSSIBLE = (
    "no probe can be made: the image has neither Python with ctypes nor a C compiler, and this host has no compiler "
    "whose programs run in it"
)
NO_LIBRARY = "no probe can be made: the image has no shared MPI library that it could load"


def make_probe(image: ImageMpi, *, compiled: bytes = b"", measure: bool = False) -> Probe | None:
    """The probe for `image`; None where none can be made.

    `compiled` is ranks.c as a program of the image's processor and C library, for images that can neither interpret nor
    compile. `measure` adds the ring and the table of messages.
    """
    library = image.library
    soname = image.asked or (library.soname if library else "")
    if not soname:
        return None
    table = _table()
    words = [f"library={soname}", f"path={library.path if library else soname}"]
    words += [f"{name}={value}" for name, value in table[image.family].items()]
    if measure:
        words.append("messages=" + ",".join(f"{size}:{rounds}" for size, rounds in table["messages"]["sizes"]))
    if image.python:
        return Probe(
            program=text("ranks.py"),
            words=(image.python, FILE, *words),
            # Isolated: else files of the working folder could stand in for Python's own modules.
            by_text=(image.python, "-I", "-c", TEXT, *words),
        )
    if image.compiler:
        return Probe(
            program=text(C_SOURCE),
            words=("sh", "-c", _COMPILED.format(source='cat "$0"', compiler=image.compiler), FILE, *words),
            by_text=("sh", "-c", _COMPILED.format(source='printf %s "$0"', compiler=image.compiler), TEXT, *words),
        )
    return Probe(program=compiled, words=(FILE, *words)) if compiled else None


_COMPILED = (
    'exe=$(mktemp) && {source} | {compiler} -O1 -o "$exe" -x c - -ldl && "$exe" "$@"; n=$?; rm -f "$exe"; exit $n'
)


def singletons(image: ImageMpi, *, pmi: str, tasks: int) -> str:
    """Why `tasks` tasks came up as as many worlds of size 1, in one sentence."""
    library = image.library
    if pmi == "none":
        launcher = "the launcher told ranks nothing (--mpi=none)"
    else:
        launcher = f"the launcher speaks {pmi}" if pmi else "what the launcher speaks is the site's default"
    said = f"{tasks} tasks came up as {tasks} worlds of size 1: {launcher}"
    if library is None:
        return said
    return f"{said}, the image's {library.title} speaks {spoken(library.pmi)}"


def text(name: str) -> bytes:
    """A file of data/mpi."""
    return resources.files("sealift").joinpath("data/mpi", name).read_bytes()


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads(text("abi.toml").decode())

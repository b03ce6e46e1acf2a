"""The program that ranks run to tell who they are, in the form that an image can run; and what its failure means."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

from sealift.core.mpi import FOLDER, ImageMpi, Probe, spoken

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
            files={"ranks.py": text("ranks.py")},
            words=(image.python, f"{FOLDER}/ranks.py", *words),
            way=f"the image's {image.python}",
        )
    if image.compiler:
        script = (
            f'exe=$(mktemp) && {image.compiler} -O1 -o "$exe" "$0" -ldl && "$exe" "$@"; n=$?; rm -f "$exe"; exit $n'
        )
        return Probe(
            files={C_SOURCE: text(C_SOURCE)},
            words=("sh", "-c", script, f"{FOLDER}/{C_SOURCE}", *words),
            way=f"the image's {image.compiler}",
        )
    if compiled:
        return Probe(files={"ranks": compiled}, words=(f"{FOLDER}/ranks", *words), way="this host's compiler")
    return None


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

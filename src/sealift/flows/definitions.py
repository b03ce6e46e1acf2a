"""The files that a definition comes from, read and told from everything else: the definition file, build arguments."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from sealift.deffile.arguments import BuildArguments, read_build_arguments
from sealift.deffile.sniff import ENOUGH, What, sniff
from sealift.errors import DefinitionError, UsageError

DEFINITION_LIMIT = 16 << 20
"""Bytes of a definition file; Apptainer refuses sections of more than 64 KiB."""


def read_spec(path: str) -> tuple[What, bytes]:
    """What kind of file it is, and its bytes: all of them where it may be a definition file, else how it begins.

    UsageError where it cannot be read, or is no file.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(ENOUGH)
            what = sniff(start)
            return what, bounded(start + file.read(DEFINITION_LIMIT), name=path) if what in _TEXTS else start
    except FileNotFoundError as error:
        raise UsageError(f"there is no definition file or image `{path}`", hints=(_missing_hint(path),)) from error
    except IsADirectoryError as error:
        raise UsageError(
            f"`{path}` is a folder, not a definition file", hints=(f"see what is in it: ls {path}",)
        ) from error
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error


_TEXTS = ("definition file", "empty", "dockerfile", "yaml")


def bounded(data: bytes, *, name: str) -> bytes:
    """`data` as it is. DefinitionError where it is more than any definition file holds."""
    if len(data) > DEFINITION_LIMIT:
        raise DefinitionError(
            f"`{name}` is larger than {DEFINITION_LIMIT >> 20} MiB, which no definition file is",
            hints=(f"see what it is: file {name}",),
        )
    return data


def read_given_arguments(pairs: Iterable[str], file: str | None) -> BuildArguments:
    """What `--build-arg` and `--build-arg-file` give. UsageError for a text that is not K=V, or no such file."""
    data = None
    if file is not None:
        try:
            with open(file, "rb") as opened:
                data = opened.read(DEFINITION_LIMIT)
        except OSError as error:
            raise UsageError(
                f"the file of build arguments `{file}` cannot be read: {(error.strerror or '').lower()}"
            ) from error
    return read_build_arguments(pairs, file=data)


def _missing_hint(path: str) -> str:
    import difflib

    folder, name = os.path.split(path)
    with contextlib.suppress(OSError):
        close = difflib.get_close_matches(name, os.listdir(folder or "."), n=1)
        if close:
            return f"did you mean `{os.path.join(folder, close[0])}`?"
    if path.endswith((".def", ".sif")) or "/" not in path:
        return f"see what is there: ls {folder or '.'}"
    return f"an image of a registry: docker://{path}"

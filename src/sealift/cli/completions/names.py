"""What the scripts of all shells are written from: the commands, and the names that they know without asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from sealift.cli.grammar import Command, Kind, Values

IMAGES = (".sif", ".sqfs", ".squashfs", ".sqsh")
RECIPES = (".def",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """`names` are those that come with this release, by kind; sites and kernels of the user's a shell finds itself."""

    version: str
    commands: tuple[Command, ...]
    verbs: Mapping[str, str]
    """The words behind `sealift`, each with its line in the overview."""
    names: Mapping[Kind, tuple[str, ...]]

    def resolved(self, values: Values) -> Values:
        """With the names of the kinds that are known now in the place of these kinds."""
        words = (name for kind in values.kinds for name in self.names.get(kind, ()) if kind not in ASKED)
        kinds = tuple(kind for kind in values.kinds if kind in ASKED or kind not in self.names)
        return Values(kinds=kinds, words=(*values.words, *words))


ASKED: frozenset[Kind] = frozenset(("site", "kernel"))
"""Kinds of which the user may have more tomorrow."""


def frame(shell: str, known: Known, parts: Mapping[str, str]) -> str:
    """The script of `shell` as it lies in the package, each `@NAME@` replaced."""
    text = resources.files("sealift").joinpath(f"data/completion/{shell}.sh").read_text("utf-8")
    for name, part in {"VERSION": known.version, **parts}.items():
        text = text.replace(f"@{name}@", part)
    return text

"""argparse with the error form of the rest of the program, and what several commands read alike."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from typing import NoReturn

from sealift.errors import UsageError


class Parser(argparse.ArgumentParser):
    def actions(self) -> tuple[argparse.Action, ...]:
        """Every flag and word that it reads, in the order of `--help`."""
        return tuple(self._actions)

    def error(self, message: str) -> NoReturn:
        hints = [f"{self.prog} --help"]
        if unknown := re.search(r"unrecognized arguments: (?:.* )?(--[\w-]+)", message):
            import difflib

            names = [name for action in self.actions() for name in action.option_strings if name.startswith("--")]
            hints = [f"did you mean `{name}`?" for name in difflib.get_close_matches(unknown[1], names, n=1)] + hints
        print("\n".join((f"error: {message}", *(f"hint: {hint}" for hint in hints))), file=sys.stderr)
        raise SystemExit(2)


def read_variables(texts: Iterable[str]) -> dict[str, str]:
    """The variables of `--env NAME=VALUE`; a later one of the same name wins."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"`--env {text}` is not NAME=VALUE", hints=(f"--env {name or 'NAME'}=VALUE",))
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(f"`--env {text}`: `{name}` is no name of a variable", hints=("--env OMP_NUM_THREADS=4",))
        found[name] = value
    return found

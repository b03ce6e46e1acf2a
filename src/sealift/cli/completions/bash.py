"""The script for bash: tables of words, and one function that walks what was typed."""

from __future__ import annotations

import shlex

from sealift.cli.completions.names import IMAGES, RECIPES, Known, frame
from sealift.cli.grammar import Command, Values


def script(known: Known) -> str:
    grammar = [f"    '') places={shlex.quote(','.join(known.verbs))} switches='-h --help --version' ;;"]
    grammar += [line for command in known.commands for line in _entry(command, known)]
    return frame(
        "bash",
        known,
        {
            "GRAMMAR": "\n".join(grammar),
            "IMAGES": " ".join(IMAGES),
            "RECIPES": " ".join(RECIPES),
            "SITES": " ".join(known.names["site"]),
        },
    )


def _entry(command: Command, known: Known) -> list[str]:
    """One command's tables; those that are empty are left out."""
    switches = [name for option in command.options if not option.metavar for name in option.names]
    if not any("--help" in option.names for option in command.options):
        switches += ["-h", "--help"]
    tables = {
        "switches": " ".join(switches),
        "takes": " ".join(
            f"{name}={_values(option.values, known)}"
            for option in command.options
            if option.metavar
            for name in option.names
        ),
        "places": " ".join(_values(place.values, known) or "-" for place in command.places),
        "repeated": "yes" if command.places and command.places[-1].repeated else "",
        "program": "yes" if command.starts_a_program else "",
        "below": " ".join(command.below),
    }
    said = [f"        {name}={shlex.quote(text)}" for name, text in tables.items() if text]
    return [f"    {shlex.quote(' '.join(command.words))})", *said, "        ;;"]


def _values(values: Values, known: Known) -> str:
    found = known.resolved(values)
    return ",".join((*(f"@{kind}" for kind in found.kinds), *found.words))

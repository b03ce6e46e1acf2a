"""The script for fish: one line a flag and a place, in the words of its `complete`."""

from __future__ import annotations

from sealift.cli.completions.names import IMAGES, RECIPES, Known, frame
from sealift.cli.grammar import Command, Kind, Option, Values

_ACTIONS: dict[Kind, str] = {
    "image": f"(__sealift_files {' '.join(IMAGES)})",
    "recipe": f"(__sealift_files {' '.join(RECIPES)})",
    "profile": "(__sealift_files .toml)",
    "folder": "(__fish_complete_directories)",
    "site": "(__sealift_sites)",
    "kernel": "(__sealift_kernels)",
}

_ANY_FILE: frozenset[Kind] = frozenset(("file", "bind"))


def script(known: Known) -> str:
    lines = [
        f"complete -c sealift -n '__sealift_at \"\"' -a {_quoted(verb)} -d {_quoted(summary)}"
        for verb, summary in known.verbs.items()
    ]
    lines += [line for command in known.commands for line in _lines(command, known)]
    takes = [
        f"        case {_quoted(' '.join(command.words))}\n            contains -- $argv[2] {' '.join(names)}"
        for command in known.commands
        if (names := [name for option in command.options if option.metavar for name in option.names])
    ]
    below = [_quoted(" ".join((*command.words, word))) for command in known.commands for word in command.below]
    programs = [_quoted(" ".join(command.words)) for command in known.commands if command.starts_a_program]
    return frame(
        "fish",
        known,
        {
            "GRAMMAR": "\n".join(lines),
            "TAKES": "\n".join((*takes, "        case '*'\n            return 1")),
            "BELOW": " ".join(below),
            "PROGRAMS": " ".join(programs),
            "SITES": " ".join(known.names["site"]),
        },
    )


def _lines(command: Command, known: Known) -> list[str]:
    words = " ".join(command.words)
    lines = [f"{_start(words)} {_option(option, known)}" for option in command.options]
    if not any("--help" in option.names for option in command.options):
        lines.append(f"{_start(words)} -s h -l help -d 'show help'")
    for number, place in enumerate(command.places, 1):
        where = f"{number}+" if place.repeated else str(number)
        lines += [f"{_start(words, where)} {action}" for action in _actions(place.values, known)]
    if command.starts_a_program:
        lines.append(f"{_start(words, f'{len(command.places) + 1}+')} -F")
    if command.below:
        lines.append(f"{_start(words, '1')} -a {_quoted(' '.join(command.below))}")
    return lines


def _start(words: str, place: str = "") -> str:
    at = f'__sealift_at "{words}" {place}'.rstrip()
    return f"complete -c sealift -n '{at}'"


def _option(option: Option, known: Known) -> str:
    parts = []
    for name in option.names:
        parts.append(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}")
    if option.metavar:
        parts.append("-r" if _ANY_FILE.intersection(option.values.kinds) else "-x")
        parts += _actions(option.values, known)
    if option.help:
        parts.append(f"-d {_quoted(option.help)}")
    return " ".join(parts)


def _actions(values: Values, known: Known) -> list[str]:
    found = known.resolved(values)
    actions = [_ACTIONS[kind] for kind in found.kinds if kind not in _ANY_FILE]
    given = [f"-a {_quoted(action)}" for action in (*actions, *([" ".join(found.words)] if found.words else []))]
    return ["-F", *given] if _ANY_FILE.intersection(found.kinds) else given


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

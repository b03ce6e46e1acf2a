"""The script for zsh: one function a command, in the words of its `_arguments`."""

from __future__ import annotations

import shlex
from dataclasses import replace

from sealift.cli.completions.names import IMAGES, RECIPES, Known, frame
from sealift.cli.grammar import Command, Kind, Option, Place, Values

_ACTIONS: dict[Kind, str] = {
    "image": "_sealift_images",
    "recipe": "_sealift_recipes",
    "profile": "_sealift_profiles",
    "file": "_files",
    "bind": "_sealift_binds",
    "folder": "_files -/",
    "site": "_sealift_sites",
    "kernel": "_sealift_kernels",
}


_BELOW = """\
    if [[ $CURRENT -gt 2 && $words[2] == ({words}) ]]; then
        shift words
        (( CURRENT-- ))
        {name}_$words[1]
        return
    fi"""


def script(known: Known) -> str:
    described = [f"        {shlex.quote(f'{verb}:{summary}')}" for verb, summary in known.verbs.items()]
    commands = ["_sealift_commands() {", "    local -a names=(", *described, "    )"]
    functions = ["\n".join((*commands, "    _describe -t commands command names", "}"))]
    functions += [_function(command, known) for command in known.commands]
    return frame(
        "zsh",
        known,
        {
            "GRAMMAR": "\n\n".join(functions),
            "IMAGES": _pattern(IMAGES),
            "RECIPES": _pattern(RECIPES),
            "SITES": " ".join(known.names["site"]),
        },
    )


def _pattern(endings: tuple[str, ...]) -> str:
    return f"*({'|'.join(endings)})" if len(endings) > 1 else f"*{endings[0]}"


def _function(command: Command, known: Known) -> str:
    """`_arguments` ends flags at `--` (-S), and at the first word where a program begins (-A)."""
    start = "    _arguments -s -S" + (" -A '-*'" if command.starts_a_program else "")
    lines = [start, *(f"        {_option(option, known)}" for option in command.options)]
    if not any("--help" in option.names for option in command.options):
        lines.append("        '(- : *)'{-h,--help}'[show help]'")
    lines += [f"        {word}" for word in _places(command, known)]
    body = [" \\\n".join(lines)]
    if command.below:
        body.insert(0, _BELOW.format(words="|".join(command.below), name=_name(command)))
    return "\n".join((f"{_name(command)}() {{", *body, "}"))


def _name(command: Command) -> str:
    return f"_sealift_of_{'_'.join(command.words)}"


def _places(command: Command, known: Known) -> list[str]:
    places = command.places
    if command.below:
        first, *others = places or (Place(metavar="COMMAND", help="", values=Values()),)
        words = (*first.values.words, *command.below)
        places = (replace(first, values=replace(first.values, words=words)), *others)
    specifications = [
        f"{'*' if place.repeated else number}:{_plain(place.metavar)}:{_action(place.values, known)}"
        for number, place in enumerate(places, 1)
        # A message that anything may stand there would keep zsh from completing a flag there.
        if place.values != Values()
    ]
    if command.starts_a_program:
        specifications.append("*:::program:_files")
    return [shlex.quote(each) for each in specifications]


def _option(option: Option, known: Known) -> str:
    said = f"[{_plain(option.help)}]" if option.help else ""
    value = ""
    if option.metavar:
        value = f"{'::' if option.may_lack_value else ':'}{_plain(option.metavar)}:{_action(option.values, known)}"
    words = []
    for name in option.names:
        joins = ("=" if name.startswith("--") else "+") if option.metavar else ""
        words.append(shlex.quote(f"*{name}{joins}{said}{value}"))
    return " ".join(words)


def _action(values: Values, known: Known) -> str:
    found = known.resolved(values)
    actions = [_ACTIONS[kind] for kind in found.kinds]
    if found.words:
        words = f"({' '.join(found.words)})"
        if not actions:
            return words
        actions.insert(0, f"compadd {' '.join(found.words)}")
    if len(actions) > 1:
        return "{ " + "; ".join(actions) + " }"
    return actions[0] if actions else " "


def _plain(text: str) -> str:
    """What means something in a specification, escaped."""
    return "".join(f"\\{one}" if one in "\\:[]" else one for one in text)

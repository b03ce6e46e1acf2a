"""docs/reference/commands.md, from the parsers that read the command line; and whether they understand a line."""

from __future__ import annotations

import argparse
import importlib
import itertools
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sealift.cli.app import COMMANDS
from sealift.cli.arguments import Parser
from sealift.cli.flags import parse
from sealift.cli.grammar import Command, Option, commands_of
from sealift.cli.run import help_text
from sealift.cli.runflags import ACTIONS, RUN_FLAGS

_HEAD = """\
# Commands

What `sealift COMMAND --help` says, of all commands. This page is written by `python -m tests.docs.write_pages` from the
program itself. How each command ends: [exit codes](exit-codes.md).

| command | |
|---|---|
"""


def commands_page() -> str:
    parts = [_HEAD]
    for verb, (_, summary) in COMMANDS.items():
        parts.append(f"| [`{verb}`](#{'-'.join(ACTIONS) if verb in ACTIONS else verb}) | {_cell(summary)} |\n")
    for verb in COMMANDS:
        if verb == ACTIONS[0]:
            parts.append(_actions())
        elif verb not in ACTIONS:
            parts += [_section(command, parser_of(command.words)) for command in commands_of(verb)]
    return "".join(parts)


def parser_of(words: tuple[str, ...]) -> Parser:
    """The parser of a command, or of one below it."""
    verb, *below = words
    module_name, summary = COMMANDS[verb]
    module = importlib.import_module(f"sealift.cli.{module_name}")
    if words == ("job", "status"):
        module.configure_status(parser := Parser(prog="sealift job status", description=module.STATUS))
        return parser
    module.configure(parser := Parser(prog=f"sealift {verb}", description=summary[0].upper() + summary[1:]), verb)
    for word in below:
        parser = next(action.choices[word] for action in parser.actions() if isinstance(action.choices, dict))
    return parser


def _actions() -> str:
    """The four that share their flags."""
    found: dict[tuple[str, ...], list[str]] = {}
    options = {}
    for verb in ACTIONS:
        for option in commands_of(verb)[0].options:
            found.setdefault(option.names, []).append(verb)
            options[option.names] = option
    rows = [
        _row(options[names], "" if verbs == [*ACTIONS] else f"; `{'`, `'.join(verbs)}` alone")
        for names, verbs in found.items()
        if "--help" not in names
    ]
    usages = [help_text(verb).partition("\n")[0].removeprefix("usage: ") for verb in ACTIONS]
    head = f"\n## {' '.join(ACTIONS)}\n\nFlags stand before IMAGE; what follows it is the program's.\n\n"
    return head + _fence(usages) + _table(rows)


def _section(command: Command, parser: Parser) -> str:
    said = parser.description or command.summary
    text = f"\n{'#' * (len(command.words) + 1)} {' '.join(command.words)}\n\n"
    text += said + ("" if said.endswith(("…", ".")) else ".") + "\n\n" + _fence(_usages(command, parser))
    asked = _choices(parser)
    rows = [_line([asked.get(place.metavar, place.metavar)], place.help) for place in command.places]
    for option in command.options:
        if "--help" not in option.names:
            rows.append(_row(replace(option, metavar=asked.get(option.names[-1], option.metavar))))
    text += _table(rows)
    return text + (f"\n{_fence([parser.epilog.strip()])}" if parser.epilog else "")


def _usages(command: Command, parser: Parser) -> list[str]:
    if parser.usage:
        return [line.strip() for line in (parser.usage % {"prog": parser.prog}).splitlines()]
    words = ["sealift", *command.words, *(["[FLAG …]"] if len(command.options) > 1 else ())]
    asked = _choices(parser)
    for action in parser.actions():
        if not action.option_strings:
            name = str(action.metavar or action.dest.upper())
            name = asked.get(name, name) + (" …" if isinstance(action.choices, dict) else "")
            words.append({"?": f"[{name}]", "*": f"[{name} …]", "+": f"{name} …"}.get(str(action.nargs), name))
    return [" ".join(words)]


def _choices(parser: Parser) -> dict[str, str]:
    """The very words that a flag, or a place by its name, takes, where no placeholder stands for them."""
    return {
        name: "|".join(map(str, action.choices))
        for action in parser.actions()
        if action.choices and not action.metavar
        for name in (*action.option_strings, action.dest.upper())
    }


def _row(option: Option, more: str = "") -> str:
    short = [name for name in option.names if not name.startswith("--")]
    *long, last = [name for name in option.names if name not in short] or [short.pop()]
    value = f"[={option.metavar}]" if option.may_lack_value else f" {option.metavar}" if option.metavar else ""
    return _line([*short, *long, last + value], option.help + more)


def _line(names: Iterable[str], said: str) -> str:
    return f"| {', '.join(f'`{_cell(name)}`' for name in names)} | {_cell(said)} |\n"


def _table(rows: list[str]) -> str:
    return "".join(["\n| | |\n|---|---|\n", *rows]) if rows else ""


def _fence(lines: Iterable[str]) -> str:
    return "```text\n" + "\n".join(lines) + "\n```\n"


def _cell(text: str) -> str:
    """Text for a cell of a table, which no bar may end."""
    return text.replace("|", "\\|")


def examples() -> Iterator[str]:
    """The command lines that `--help` shows."""
    for verb in COMMANDS:
        for command in () if verb in ACTIONS else commands_of(verb):
            for line in (parser_of(command.words).epilog or "").splitlines():
                if line.strip().startswith("sealift "):
                    yield re.split(r" {2,}", line.strip())[0]


def calls(line: str) -> Iterator[list[str]]:
    """The words of each `sealift VERB …` in a line of shell, up to where another command begins."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    for start, pair in enumerate(itertools.pairwise(words)):
        if pair[0] == "sealift" and pair[1] in COMMANDS:
            ends = (place for place, word in enumerate(words) if place > start and set(word) <= set("();<>|&"))
            yield words[start + 1 : next(ends, len(words))]


def understand(words: list[str]) -> None:
    """Have the verb's own parser read the words; SystemExit or UsageError where it does not understand them."""
    verb, *rest = words
    if verb in ACTIONS:
        parse(RUN_FLAGS, rest, verb=verb)
        return
    if verb == "job" and "--" in rest:
        rest = rest[: rest.index("--")]  # what stands behind is the program's
    if words[:2] == ["job", "status"]:
        parser_of(("job", "status")).parse_args(rest[1:])
        return
    parser: argparse.ArgumentParser = parser_of((verb,))
    mixed = getattr(importlib.import_module(f"sealift.cli.{COMMANDS[verb][0]}"), "INTERMIXED", False)
    (parser.parse_intermixed_args if mixed else parser.parse_args)(rest)

"""Things that parse and do something else than they seem to: each is a caution, with the way to write it safely."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.deffile.bodies import argument_pair, file_words
from sealift.deffile.characters import trim
from sealift.deffile.findings import Caution
from sealift.deffile.headertraps import header_traps
from sealift.deffile.shelltraps import SHEBANG_SECTIONS, SHELL_SECTIONS, heredoc_traps, interpreter_traps
from sealift.deffile.source import Source
from sealift.deffile.tokens import Token, lines_of
from sealift.deffile.values import FileGroup, Section, Stage

_EXPANDED = re.compile(r"\$[A-Za-z_{(]|^~")
_HIDDEN = re.compile(r"/?(var/)?tmp(/|\Z)")


def find_traps(source: Source, stage: Stage, tokens: tuple[Token, ...]) -> tuple[Caution, ...]:
    sections = [token for token in tokens if token.is_section]
    found: list[Caution] = []
    for token, section in zip(sections, stage.sections, strict=True):
        if section.name == "files":
            found += _file_line_traps(source, token)
        elif section.name == "labels":
            found += _label_traps(source, token)
        elif section.name == "arguments":
            found += _argument_traps(source, token)
        elif section.name in (*SHELL_SECTIONS, *SHEBANG_SECTIONS):
            found += interpreter_traps(source, token, section)
    if stage.script("post").text:
        found += _hidden_copies(stage)
    for group in stage.files:
        found += _group_traps(group)
    found += _heading_traps(stage)
    found += heredoc_traps(stage)
    found += header_traps(stage)
    return tuple(sorted(found, key=lambda caution: (caution.where.line, caution.where.column)))


def _file_line_traps(source: Source, token: Token) -> Iterator[Caution]:
    for at, line in lines_of(source.text, token.body, token.end):
        if not line or line.startswith("#"):
            continue
        words = file_words(line)
        where = source.span(at, at + len(line))
        if "'" in line:
            yield Caution(
                id="files-single-quote",
                message=f"single quotes do not quote here: `{line}` copies `{_unquoted(words, 0)}`",
                where=where,
                hints=(f"use double quotes: {line.replace(chr(39), chr(34))}",),
            )
        elif not words or not _unquoted(words, 0):
            yield Caution(
                id="files-without-source",
                message="the source has no name, so that nothing is copied",
                where=where,
                hints=("write: SOURCE DESTINATION",),
            )
        elif "\\ " in line:
            yield Caution(
                id="files-backslash",
                message="a backslash does not protect a blank here",
                where=where,
                hints=(f"use double quotes: {_quoted(line)}",),
            )
        elif len(words) > 1 and words[1].startswith("#"):
            yield Caution(
                id="files-comment",
                message=f"a comment must be a line of its own: `{words[1]}` is taken for the destination",
                where=where,
                hints=("move the comment to the line above",),
            )
        elif len(words) > 2 and not words[2].startswith("#"):
            yield Caution(
                id="files-third-word",
                message=f"only a source and a destination count: `{trim(words[2])}` is ignored",
                where=where,
                hints=("write one copy a line, or quote a name with blanks",),
            )
        if words and _EXPANDED.search(words[0].strip('"')):
            yield Caution(
                id="files-expansion",
                message=f"`{words[0]}` depends on who builds it; Apptainer 1.6 no longer expands `$` and `~` here",
                where=where,
                hints=("write the path, or take it from a build argument: {{ NAME }}",),
            )


def _quoted(line: str) -> str:
    """The line with its names in double quotes that a shell would read as one word each."""
    names = (name.replace("\\ ", " ") for name in re.findall(r"(?:\\ |[^ \t])+", line))
    return " ".join(f'"{name}"' if " " in name else name for name in names)


def _unquoted(words: tuple[str, ...], row: int) -> str:
    return words[row].strip('"') if row < len(words) else ""


def _hidden_copies(stage: Stage) -> Iterator[Caution]:
    for group in stage.files:
        for copy in group.copies if not group.is_ignored else ():
            target = copy.destination or (copy.source if copy.source.startswith("/") else "")
            if _HIDDEN.match(target):
                yield Caution(
                    id="files-in-tmp",
                    message=f"`%post` does not see `{target}`: while it runs, the host's own /tmp and /var/tmp "
                    "or empty ones lie above the image's",
                    where=copy.span,
                    hints=("copy it elsewhere, for instance to /opt, and remove it at the end of `%post`",),
                )


def _label_traps(source: Source, token: Token) -> Iterator[Caution]:
    for at, line in lines_of(source.text, token.body, token.end):
        if not line or line.startswith("#"):
            continue
        key, _, value = line.partition(" ")
        mark = next((mark for mark in ("\t", "=") if mark in key), None)
        where = source.span(at, at + len(key))
        if mark is not None:
            bare, _, rest = line.partition(mark)
            name = "a tab" if mark == "\t" else "`=`"
            yield Caution(
                id="label-separator",
                message=f"{name} does not separate a label from its value: the label's name is `{trim(key)}`".replace(
                    "\t", "\\t"
                ),
                where=where,
                hints=(f"write a space: {trim(bare)} {trim(rest)}",),
            )
        elif key.endswith(":"):
            yield Caution(
                id="label-colon",
                message=f"the colon is a part of the label's name: `{key}`",
                where=where,
                hints=(f"write: {key.rstrip(':')} {trim(value)}",),
            )
        elif not trim(value):
            yield Caution(
                id="label-without-value",
                message=f"the label `{key}` has no value",
                where=where,
                hints=(f"write: {key} VALUE",),
            )
        elif value[:1] in ("'", '"') and value[-1:] == value[:1]:
            yield Caution(
                id="label-quotes",
                message=f"the quotes are a part of the label's value: `{value}`",
                where=source.span(at + len(line) - len(value), at + len(line)),
                hints=(f"blanks need no quotes here: {key} {value[1:-1]}",),
            )


def _argument_traps(source: Source, token: Token) -> Iterator[Caution]:
    for at, line in lines_of(source.text, token.body, token.end):
        pair = argument_pair(line) if line and not line.startswith("#") else None
        comment = re.search(r"[ \t]#", pair[1]) if pair else None
        if pair is not None and comment is not None:
            yield Caution(
                id="argument-comment",
                message=f"the comment is a part of the value of `{pair[0]}`: `{pair[1]}`",
                where=source.span(at, at + len(line)),
                hints=(f"move the comment to the line above: {pair[0]}={trim(pair[1][: comment.start()])}",),
            )


def _group_traps(group: FileGroup) -> Iterator[Caution]:
    if group.is_ignored:
        yield Caution(
            id="files-ignored",
            message=f"`%files {group.arguments}` is ignored: its arguments are not `from STAGE`"
            if trim(group.arguments)
            else "`%files` is ignored: blanks follow it",
            where=group.span,
            hints=("write: %files, or: %files from STAGE",),
        )
    elif group.from_stage is not None and (group.words or ("",))[0] != "from":
        yield Caution(
            id="files-not-from",
            message=f"`{(group.words or ('',))[0]}` is read as `from`: the files come from stage `{group.from_stage}`",
            where=group.span,
            hints=(f"write: %files from {group.from_stage}",),
        )


def _heading_traps(stage: Stage) -> Iterator[Caution]:
    last: dict[str, Section] = {}
    for section in stage.sections:
        if section.app is not None:
            rest = (section.arguments or "").split(" ")[1:]
            if any(rest) and section.app and "{{" not in (section.arguments or ""):
                yield Caution(
                    id="app-arguments",
                    message=f"only the first word after `%{section.name}` counts: `{' '.join(rest)}` is ignored",
                    where=section.span,
                    hints=(f"write: %{section.name} {section.app}",),
                )
            continue
        before = last.get(section.name)
        if (
            before is not None
            and section.name in stage.scripts
            and before.arguments
            and section.arguments is not None
            and before.arguments != section.arguments
        ):
            yield Caution(
                id="repeated-arguments",
                message=f"`%{section.name}` is given twice with different arguments; all of it runs with the last ones",
                where=section.span,
                hints=("make one section of them",),
            )
        if section.arguments is not None:
            last[section.name] = section

"""Things that parse and do something else than they seem to: each is a caution, with the way to write it safely."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.deffile.bodies import file_words
from sealift.deffile.characters import trim
from sealift.deffile.findings import Caution
from sealift.deffile.heredocs import open_heredoc
from sealift.deffile.source import Source
from sealift.deffile.tokens import Token, lines_of
from sealift.deffile.values import FileGroup, Section, Stage

_SHELL_SECTIONS = ("pre", "setup", "post")
_SHEBANG_SECTIONS = ("runscript", "startscript", "test")
_EXPANDED = re.compile(r"\$[A-Za-z_{(]|^~")


def find_traps(source: Source, stage: Stage, tokens: tuple[Token, ...]) -> tuple[Caution, ...]:
    sections = [token for token in tokens if token.is_section]
    found: list[Caution] = []
    for token, section in zip(sections, stage.sections, strict=True):
        if section.name == "files":
            found += _file_line_traps(source, token)
        elif section.name == "labels":
            found += _label_traps(source, token)
        elif section.name in _SHELL_SECTIONS or section.name in _SHEBANG_SECTIONS:
            found += _interpreter_traps(source, token, section)
    for group in stage.files:
        found += _group_traps(group)
    found += _heading_traps(stage)
    found += _stage_traps(stage)
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
                hints=('use double quotes: "name with blanks"',),
            )
        elif "\\ " in line:
            yield Caution(
                id="files-backslash",
                message="a backslash does not protect a blank here",
                where=where,
                hints=('use double quotes: "' + line.split("\\ ")[0] + ' …"',),
            )
        elif len(words) > 1 and words[1].startswith("#"):
            yield Caution(
                id="files-comment",
                message=f"a comment must be a line of its own: `{words[1]}` is taken for the destination",
                where=where,
                hints=("move the comment to the line above",),
            )
        elif len(words) > 2:
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


def _unquoted(words: tuple[str, ...], row: int) -> str:
    return words[row].strip('"') if row < len(words) else ""


def _label_traps(source: Source, token: Token) -> Iterator[Caution]:
    for at, line in lines_of(source.text, token.body, token.end):
        if not line or line.startswith("#"):
            continue
        key, _, _ = line.partition(" ")
        for mark, name in (("\t", "a tab"), ("=", "`=`")):
            if mark in key:
                bare, _, rest = line.partition(mark)
                yield Caution(
                    id="label-separator",
                    message=f"{name} does not separate a label from its value: the label's name is "
                    f"`{trim(key)}`".replace("\t", "\\t"),
                    where=source.span(at, at + len(key)),
                    hints=(f"write a space: {trim(bare)} {trim(rest)}",),
                )
                break


def _interpreter_traps(source: Source, token: Token, section: Section) -> Iterator[Caution]:
    lines = list(lines_of(source.text, token.body, token.end))
    first = next((row for row, (_, line) in enumerate(lines) if line), None)
    if first is None or not lines[first][1].startswith("#!"):
        return
    at, line = lines[first]
    where = source.span(at, at + len(line))
    if section.name in _SHELL_SECTIONS:
        interpreter = trim(line[2:])
        if interpreter not in ("/bin/sh", "/bin/sh -e", "/bin/sh -ex") and not (section.arguments or "").strip():
            yield Caution(
                id="shebang-is-comment",
                message=f"`%{section.name}` runs under /bin/sh, whatever `{line}` says",
                where=where,
                hints=(f"write: %{section.name} -c {interpreter}",),
            )
    elif first > 0 and not token.is_first:
        yield Caution(
            id="shebang-not-first",
            message=f"a blank line stands before `{line}`, so `%{section.name}` has no interpreter line",
            where=where,
            hints=(f"put it directly below `%{section.name}`",),
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
            if any(rest):
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


def _stage_traps(stage: Stage) -> Iterator[Caution]:
    """A `Bootstrap:` in the middle of a here-document: the stage before it ends with the document still open."""
    if not stage.sections:
        return
    section = stage.sections[-1]
    opened = open_heredoc(section.body) if section.name not in ("help", "labels", "files", "arguments") else None
    if opened is not None:
        yield Caution(
            id="open-heredoc",
            message=f"the here-document `{opened[1]}` does not end in this section",
            where=section.span,
            hints=(
                f"close it with a line `{opened[1]}`",
                "or, where it holds `Bootstrap:` in column 1 or a line that begins with `%`, bring it with `%files`",
            ),
        )

"""Traps in sections that a shell runs: interpreter lines that do not count, here-documents that a heading cuts off."""

from __future__ import annotations

from collections.abc import Iterator

from sealift.deffile.characters import trim
from sealift.deffile.findings import Caution
from sealift.deffile.heredocs import closes, open_heredoc
from sealift.deffile.source import Source
from sealift.deffile.tokens import Token, lines_of
from sealift.deffile.values import Section, Stage
from sealift.deffile.vocabulary import APP_SECTIONS, SECTIONS

SHELL_SECTIONS = ("pre", "setup", "post")
SHEBANG_SECTIONS = ("runscript", "startscript", "test")
_NO_SHELL = ("help", "labels", "files", "arguments", "applabels", "appfiles", "apphelp")


def interpreter_traps(source: Source, token: Token, section: Section) -> Iterator[Caution]:
    lines = list(lines_of(source.text, token.body, token.end))
    first = next((row for row, (_, line) in enumerate(lines) if line), None)
    if first is None or not lines[first][1].startswith("#!"):
        return
    at, line = lines[first]
    where = source.span(at, at + len(line))
    if section.name in SHELL_SECTIONS:
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


def heredoc_traps(stage: Stage) -> Iterator[Caution]:
    """Here-documents that are open where their section ends: at a line that begins with `%`, or at `Bootstrap:`."""
    for row, section in enumerate(stage.sections):
        if section.name in _NO_SHELL:
            continue
        opened = open_heredoc(section.body)
        if opened is None:
            continue
        line, delimiter = section.span.line + 1 + opened[0], opened[1]
        later = stage.sections[row + 1 :]
        if not later:
            yield Caution(
                id="open-heredoc",
                message=f"the here-document `{delimiter}` of line {line} does not end in this section",
                where=section.span,
                hints=(
                    f"close it with a line `{delimiter}`",
                    "or, if it holds `Bootstrap:` in column 1 or a line that begins with `%`, bring it with `%files`",
                ),
            )
        elif later[0].name in (*SECTIONS, *APP_SECTIONS) and closes(later, delimiter):
            yield Caution(
                id="heading-in-heredoc",
                message=f"`%{later[0].name}` begins a section, in the middle of the here-document `{delimiter}` "
                f"of line {line}",
                where=later[0].span,
                hints=("bring the text as a file, with `%files`", f"or close it before, with a line `{delimiter}`"),
            )

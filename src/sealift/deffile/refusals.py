"""The words with which a wrong file is refused: what is wrong, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence

from sealift.deffile.characters import BLANKS, trim
from sealift.deffile.findings import Fault
from sealift.deffile.heredocs import heredoc_around
from sealift.deffile.source import Source
from sealift.deffile.tokens import TOKEN_LIMIT, Token
from sealift.deffile.values import Section
from sealift.deffile.vocabulary import APP_SECTIONS, SECTIONS, nearest_section
from sealift.errors import Span


def empty_file(source: Source) -> Fault:
    lines = [trim(line) for line in source.text.split("\n")]
    if not any(lines):
        message = "the definition file is empty"
    elif all(line.startswith("#") for line in lines if line):
        message = "the definition file holds only comments"
    else:
        message = "nothing in the definition file counts: its header line ends in `\\` and nothing continues it"
    return Fault(
        message=message,
        apptainer="no stages found in definition file",
        where=None if not source.text else source.span(0, source.text.find("\n") % (len(source.text) + 1)),
        hints=("the shortest one that builds: Bootstrap: docker, and on the next line From: ubuntu:24.04",),
    )


def too_long(source: Source, token: Token) -> Fault:
    stop = source.text.find("\n", token.start, token.end)
    what = "this section" if token.is_section else "the text above the first section"
    return Fault(
        message=f"{what} is longer than {TOKEN_LIMIT} bytes, with the next heading",
        apptainer="bufio.Scanner: token too long",
        where=source.span(token.start, stop if stop >= 0 else token.end),
        hints=("move the longest part to a file of its own, copy it with `%files` and call it",),
    )


def heading_alone(source: Source, token: Token, line: str) -> Fault:
    return Fault(
        message=f"`{line}` has no body",
        apptainer=f"section {line}: could not be split into section name and body",
        where=source.span(token.start, token.start + len(line)),
        hints=("write the section's lines below it, and `Bootstrap:` and `From:` above it",),
    )


def lone_quote(span: Span) -> Fault:
    return Fault(
        message='a lone `"` is no file name',
        apptainer="panic: runtime error: index out of range [0] with length 0",
        where=span,
        hints=('close the quote: "name with blanks" /destination',),
        crashes=True,
    )


def app_without_name(section: Section, written: str) -> Fault:
    return Fault(
        message=f"`%{section.name}` names no app",
        apptainer=f"app section {written}: could not be split into section name and app name",
        where=section.span,
        hints=(f"write: %{section.name} NAME",),
    )


def unknown_section(key: str, sections: Sequence[Section], row: int, *, look_around: bool) -> Fault:
    """`key` is the name under which Apptainer files the section: lower-cased, or an app section's as written.

    `look_around` searches for what was meant, which takes time.
    """
    section = sections[row]
    line = section.heading.rstrip("\r\n")
    word = line.lstrip(BLANKS).split(maxsplit=1)[0] if line.strip(BLANKS) else line
    apptainer = f"invalid section(s) specified: {key}"
    message = f"unknown section `{word}`"
    hints: tuple[str, ...]
    around = heredoc_around(sections, row) if look_around else None
    if not look_around:
        hints = _KNOWN
    elif around is not None:
        message = f"`{word}` begins a line inside a here-document, so it is read as a section"
        hints = (
            f"the here-document begins in line {around}; bring its text as a file, with `%files`",
            "or put `@` before each `%` and take it off again: sed 's/^@//' > FILE <<EOF",
        )
    elif line[:1] in BLANKS:
        known = nearest_section(trim(line).lstrip("%").lower().partition(" ")[0])
        message = f"`{word}` is indented, so it is not the section `%{known}`" if known else message
        hints = ("a section heading begins in column 1: remove the blanks before it",) if known else _KNOWN
    elif section.name in APP_SECTIONS:
        hints = (f"write it in lower case: %{section.name} {section.app}",)
    else:
        bare = section.name
        name, tab, _ = bare.partition("\t")
        meant = nearest_section(name)
        if tab and name in (*SECTIONS, *APP_SECTIONS):
            message = f"a tab follows `%{name}`, which makes it part of the name"
            hints = (f"write a space: %{name} {line.partition(chr(9))[2].lstrip()}".rstrip(),)
        elif not bare and trim(line.lstrip("%")):
            meant = nearest_section(trim(line.lstrip("%")).lower().split(" ")[0])
            message = "a `%` begins a line, so it is read as a section without a name"
            hints = (f"did you mean `%{meant}`?",) if meant else _NO_SECTION
        elif not bare:
            message, hints = "a `%` begins a line, so it is read as a section without a name", _NO_SECTION
        elif meant:
            hints = (f"did you mean `%{meant}`?",)
        else:
            hints = _KNOWN
    start = section.span
    where = Span(
        file=start.file,
        line=start.line,
        column=start.column + (len(line) - len(line.lstrip(BLANKS)) if start.column == 1 else 0),
        length=len(word) or 1,
        text=start.text,
    )
    return Fault(message=message, apptainer=apptainer, where=where, hints=hints)


_KNOWN = ("sections are " + ", ".join(f"`%{name}`" for name in SECTIONS) + " and `%app…`",)
_NO_SECTION = ("indent does not help; put a word before the `%`, or bring the text with `%files`",)

"""The words with which a wrong file is refused: what is wrong, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sealift.deffile.characters import BLANKS, lower, printable, short, trim, words
from sealift.deffile.findings import Fault
from sealift.deffile.heredocs import heredoc_around
from sealift.deffile.source import Source
from sealift.deffile.tokens import TOKEN_LIMIT, Token
from sealift.deffile.values import Section, Stage
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
        id="empty-file",
        message=message,
        apptainer="no stages found in definition file",
        where=None if not source.text else source.span(0, source.text.find("\n") % (len(source.text) + 1)),
        hints=("the shortest one that builds: Bootstrap: docker, and on the next line From: ubuntu:24.04",),
    )


def empty_stage(stage: Stage) -> Fault:
    """A stage of which nothing is left when its placeholders are filled."""
    return Fault(
        id="empty-stage",
        message="nothing is left of this stage when its placeholders are filled",
        apptainer="empty definition file",
        where=stage.span,
        hints=("a header value that ends in `\\` takes its line away: give the build argument another value",),
    )


def too_long(source: Source, token: Token) -> Fault:
    stop = source.text.find("\n", token.start, token.end)
    what = "this section" if token.is_section else "the text above the first section"
    return Fault(
        id="section-too-long",
        message=f"{what} is longer than {TOKEN_LIMIT} bytes, with the next heading",
        apptainer="bufio.Scanner: token too long",
        where=source.span(token.start, stop if stop >= 0 else token.end),
        hints=("move the longest part to a file of its own, copy it with `%files` and call it",),
    )


def heading_alone(source: Source, token: Token, line: str) -> Fault:
    return Fault(
        id="heading-alone",
        message=f"`{line}` has no body",
        apptainer=f"section {line}: could not be split into section name and body",
        where=source.span(token.start, token.start + len(line)),
        hints=("write the section's lines below it, and `Bootstrap:` and `From:` above it",),
    )


def lone_quote(span: Span) -> Fault:
    return Fault(
        id="files-lone-quote",
        message='a lone `"` is no file name',
        apptainer="panic: runtime error: index out of range [0] with length 0",
        where=span,
        hints=('close the quote: "name with blanks" /destination',),
        crashes=True,
    )


def app_without_name(section: Section, written: str) -> Fault:
    return Fault(
        id="app-without-name",
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
    word = (*words(line), "")[0]
    rule, message, hints = _meant(section, line, word, sections, row) if look_around else _unlike_any(word)
    start = section.span
    indent = len(line) - len(line.lstrip(BLANKS)) if start.column == 1 else 0
    where = replace(start, column=start.column + indent, length=len(word) or 1)
    if printable(line) not in start.text:
        where = start  # a placeholder stood here
    apptainer = f"invalid section(s) specified: {key}"
    return Fault(id=rule, message=message, apptainer=apptainer, where=where, hints=hints)


_Meaning = tuple[str, str, tuple[str, ...]]
"""A rule's id, the message, the hints."""


def _meant(section: Section, line: str, word: str, sections: Sequence[Section], row: int) -> _Meaning:
    around = heredoc_around(sections, row)
    if around is not None:
        return (
            "section-in-heredoc",
            f"`{word}` begins a line inside a here-document, so it is read as a section",
            (
                f"the here-document begins in line {around}; bring its text as a file, with `%files`",
                f"or write `@{short(trim(line))}` there, and take the `@` off: sed 's/^@//' > FILE <<EOF",
            ),
        )
    if line[:1] in BLANKS:
        known = nearest_section(lower(trim(line).lstrip("%")).partition(" ")[0])
        if known is None:
            return _unlike_any(word)
        return (
            "indented-section",
            f"`{word}` is indented, so it is not the section `%{known}`",
            ("a section heading begins in column 1: remove the blanks before it", _NO_SECTION),
        )
    if section.name in APP_SECTIONS:
        hint = f"write it in lower case: %{section.name} {section.app}"
        return "app-section-case", f"unknown section `{word}`", (hint,)
    name, tab, _ = section.name.partition("\t")
    if tab and name in (*SECTIONS, *APP_SECTIONS):
        hint = f"write a space: %{name} {trim(line.partition(tab)[2])}".rstrip()
        return "tab-after-section", f"a tab follows `%{name}`, which makes it part of the name", (hint,)
    if not section.name:
        meant = nearest_section(lower((*words(line.lstrip("%")), "")[0]))
        hint = f"did you mean `%{meant}`?" if meant else _NO_SECTION
        return "section-without-name", "a `%` begins a line, so it is read as a section without a name", (hint,)
    meant = nearest_section(name)
    if meant is None:
        return _unlike_any(word)
    return "unknown-section", f"unknown section `{word}`", (f"did you mean `%{meant}`?",)


def _unlike_any(word: str) -> _Meaning:
    known = ", ".join(f"`%{name}`" for name in SECTIONS)
    return "unknown-section", f"unknown section `{word}`", (f"sections are {known} and `%app…`", _NO_SECTION)


_NO_SECTION = (
    "if it is text: no line may begin with `%`, blanks before it or not; put a word before it, or use `%files`"
)

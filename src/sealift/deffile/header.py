r"""The header of a stage: lines `Key: value`, comments, and continuations with a backslash.

    line  = blank | "#" … | key ":" value [ "#" … ]
    value = … [ "\" ]         a backslash at the end appends the next line, trimmed, without a separator

Apptainer keeps the state of a continuation in two variables and forgets to clear one of them; what follows from that
is followed here, because a recipe that builds there must mean the same here.
"""

from __future__ import annotations

from dataclasses import dataclass

from sealift.deffile.characters import BLANKS, lower, quoted, short, trim, words
from sealift.deffile.findings import Caution, Fault
from sealift.deffile.source import Source
from sealift.deffile.tokens import lines_of
from sealift.deffile.values import Field
from sealift.deffile.vocabulary import (
    HEADER_KEYWORDS,
    dockerfile_word,
    is_header_keyword,
    named_section,
    nearest,
    show_keyword,
)
from sealift.errors import Span

_BOM = "\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderReading:
    fields: tuple[Field, ...]
    faults: tuple[Fault, ...]
    cautions: tuple[Caution, ...]


def read_header(source: Source, end: int) -> HeaderReading:
    """Read `source.text[:end]`, the head of a stage."""
    fields: list[Field] = []
    faults: list[Fault] = []
    cautions: list[Caution] = []
    pending, so_far = "", ""
    began = waiting = 0
    lost: dict[str, Span] = {}
    lines = list(lines_of(source.text, 0, end))
    while lines and not lines[-1][1]:
        lines.pop()
    while lines and not lines[0][1]:
        lines.pop(0)
    for at, line in lines:
        if not line or line.startswith("#"):
            if pending:
                faults.append(_crash(source, waiting, pending))
                lost.pop(pending, None)
                pending, so_far = "", ""
            continue
        cut = line.split("#")[0]
        here = source.span(at, at + len(cut.rstrip(BLANKS)))
        if so_far:
            key, value = pending, so_far + trim(cut)
            pending, so_far = "", ""
        else:
            written, colon, value = cut.partition(":")
            if not colon:
                faults.append(_no_value(source, at, written))
                continue
            key, value, began = lower(trim(written)), trim(value), at
        if value.endswith("\\"):
            pending, so_far, waiting = key, value.removesuffix("\\"), began
            if so_far.endswith("\\n"):
                so_far = so_far.removesuffix("\\n") + "\n"
            lost[key] = here
            continue
        lost.pop(key, None)
        if not is_header_keyword(key):
            faults.append(_unknown(source, began, key))
            continue
        span = source.span(began, at + len(cut.rstrip(BLANKS)))
        cautions += _cautions(source, at, line, cut, key, value, span, fields)
        fields.append(Field(key=key, value=value, span=span))
    for key, span in lost.items():
        cautions.append(
            Caution(
                id="lost-header-key",
                message=f"`{show_keyword(key)}` is lost: its value ends in `\\` and nothing continues it",
                where=span,
                hints=("remove the `\\` at the end of the line",),
            )
        )
    return HeaderReading(fields=tuple(fields), faults=tuple(faults), cautions=tuple(cautions))


def _no_value(source: Source, at: int, written: str) -> Fault:
    where = source.span(at, at + len(written.rstrip(BLANKS)))
    apptainer = f"failed to parse deffile header: header key {written} had no val"
    key, equals, value = written.partition("=")
    bare = lower(trim(key))
    if written.startswith(_BOM):
        return _byte_order_mark(apptainer, where)
    if equals and is_header_keyword(bare):
        return Fault(
            id="header-without-colon",
            message=f"header line `{trim(written)}` has no colon",
            apptainer=apptainer,
            where=where,
            hints=(f"write: {show_keyword(bare)}: {trim(value).strip(chr(34))}",),
        )
    first = (*words(written), "")[0]
    section = named_section(lower(first))
    instruction = dockerfile_word(first)
    if instruction:
        hint = f"this is a Dockerfile's `{first}`; in a definition file it is {instruction}"
    elif is_header_keyword(lower(first)):
        rest = trim(trim(written)[len(first) :])
        hint = f"write: {show_keyword(lower(first))}: {rest.strip(chr(34))}"
    elif section:
        hint = f"a section begins with a percent sign: `%{section}`; above the first one stand `Key: value` lines"
    else:
        hint = _ONLY_KEYS
    return Fault(
        id="header-without-colon",
        message=f"header line `{short(trim(written))}` has no colon",
        apptainer=apptainer,
        where=where,
        hints=(hint,),
    )


_ONLY_KEYS = "above the first section only `Key: value` lines and comments may stand; commands belong below `%post`"


def _byte_order_mark(apptainer: str, where: Span) -> Fault:
    return Fault(
        id="byte-order-mark",
        message="the file begins with a byte order mark",
        apptainer=apptainer,
        where=where,
        hints=(f"save it as UTF-8 without a byte order mark, or: sed -i '1s/^\\xef\\xbb\\xbf//' {quoted(where.file)}",),
    )


def _unknown(source: Source, at: int, key: str) -> Fault:
    where = source.span(at, at + len(key))
    written = (*words(source.text[at : at + len(key)]), "")[0]
    instruction = dockerfile_word(written)
    apptainer = f"failed to parse deffile header: invalid header keyword found: {key}"
    if key.startswith(_BOM):
        return _byte_order_mark(apptainer, where)
    first, *more = words(key) or ("",)
    meant = nearest(key, HEADER_KEYWORDS)
    section = named_section(key)
    if key == "otherurl":
        hints: tuple[str, ...] = ("number it: OtherURL1: …",)
    elif instruction:
        hints = (f"this is a Dockerfile's `{written}`; in a definition file it is {instruction}",)
    elif is_header_keyword(first):
        hints = (f"a colon is missing: {show_keyword(first)}: …",)
    elif meant:
        hints = (f"did you mean `{show_keyword(meant)}`?",)
    elif section:
        hints = (f"a section begins with a percent sign: `%{section}`",)
    elif more:
        hints = (_ONLY_KEYS,)
    else:
        hints = (
            "the header knows " + ", ".join(f"`{show_keyword(word)}`" for word in HEADER_KEYWORDS[:6]) + " and others",
        )
    return Fault(
        id="unknown-header-keyword",
        message=f"unknown header keyword `{short(key)}`",
        apptainer=apptainer,
        where=where,
        hints=hints,
    )


def _crash(source: Source, at: int, key: str) -> Fault:
    return Fault(
        id="header-continuation",
        message=f"`{show_keyword(key)}` ends in `\\`, but a blank or comment line follows",
        apptainer="panic: assignment to entry in nil map",
        where=source.span(at, at + len(key)),
        hints=("remove the `\\`, or the line between",),
        crashes=True,
    )


def _cautions(
    source: Source, at: int, line: str, cut: str, key: str, value: str, span: Span, earlier: list[Field]
) -> list[Caution]:
    found = []
    if len(cut) < len(line) and not cut.endswith(tuple(BLANKS)):
        found.append(
            Caution(
                id="header-comment",
                message=f"the value of `{show_keyword(key)}` ends at the `#`: it is `{value}`",
                where=source.span(at + len(cut), at + len(line)),
                hints=("a header value cannot hold a `#`; write `%23` in a URL",),
            )
        )
    if "\r" in value:
        found.append(
            Caution(
                id="carriage-return",
                message=f"a lone carriage return is part of the value of `{show_keyword(key)}`",
                where=span,
                hints=(f"convert it: tr '\\r' '\\n' < {quoted(span.file)} > NEW",),
            )
        )
    before = next((field for field in reversed(earlier) if field.key == key), None)
    if before is not None and before.value != value:
        found.append(
            Caution(
                id="repeated-header-key",
                message=f"`{show_keyword(key)}` is given twice; the last one counts: `{value}`",
                where=before.span,
                hints=("remove this line",),
            )
        )
    return found

"""Definition file to values: the story of reading one.

`read` takes any text and says everything that is wrong with it; `parse` refuses a wrong one. Both agree with
Apptainer's parser about what is right and what it means.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sealift.deffile.bodies import file_pair, read_labels
from sealift.deffile.characters import BLANKS, decode, lower, trim
from sealift.deffile.findings import Caution, Fault, as_error, in_order
from sealift.deffile.header import read_header
from sealift.deffile.refusals import (
    app_without_name,
    empty_file,
    heading_alone,
    lone_quote,
    too_long,
    unknown_section,
)
from sealift.deffile.source import Source, source_of
from sealift.deffile.tokens import Token, joined, lines_of, split_stages, split_tokens
from sealift.deffile.traps import find_traps
from sealift.deffile.values import App, Definition, Field, FileCopy, FileGroup, Script, Section, Stage
from sealift.deffile.vocabulary import APP_SECTIONS, SECTIONS
from sealift.errors import Span

_EXPLAINED = 100
"""So many unknown sections of a stage are explained at leisure; more are no file that a person wrote."""

_NOT_SCRIPTS = ("files", "labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """`definition` holds all of the text, whatever the faults.

    `readings` and `sources` are those of `definition.stages`, one for one.
    """

    definition: Definition
    readings: tuple[StageReading, ...]
    sources: tuple[Source, ...]
    faults: tuple[Fault, ...]
    """In the order in which Apptainer meets them: it stops at the first."""
    cautions: tuple[Caution, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReading:
    stage: Stage
    faults: tuple[Fault, ...]
    cautions: tuple[Caution, ...]


def parse(data: bytes | str, *, file: str = "definition file") -> Definition:
    """The values of a definition file. DefinitionError with every fault of it, each with its place."""
    reading = read(data, file=file)
    if reading.faults:
        raise as_error(reading.faults)
    return reading.definition


def read(data: bytes | str, *, file: str = "definition file") -> Reading:
    """Read without raising. A `str` must come from `characters.decode`."""
    whole = source_of(decode(data) if isinstance(data, bytes) else data, file)
    parts = tuple(split_stages(whole))
    readings = tuple(read_stage(part) for part in parts)
    faults = [fault for reading in readings for fault in reading.faults]
    kept = [row for row, reading in enumerate(readings) if not reading.stage.is_empty]
    if not kept and not faults:
        faults.append(empty_file(whole))
    return Reading(
        definition=Definition(file=file, blocks=tuple(reading.stage for reading in readings)),
        readings=tuple(readings[row] for row in kept),
        sources=tuple(parts[row] for row in kept),
        faults=tuple(faults),
        cautions=in_order(caution for reading in readings for caution in reading.cautions),
    )


def read_stage(source: Source) -> StageReading:
    """Read one stage; its text is not split into stages again."""
    tokens = split_tokens(source.text)
    collected = _Collected(source=source)
    for token in tokens:
        if token.too_long:
            collected.faults.append(too_long(source, token))
        if token.is_section:
            collected.take(token)
        else:
            header = read_header(source, token.end)
            collected.fields = header.fields
            collected.faults += header.faults
            collected.cautions += header.cautions
    return collected.finish(tokens)


class _Collected:
    """What the tokens of one stage have given so far."""

    def __init__(self, *, source: Source) -> None:
        self.source = source
        self.fields: tuple[Field, ...] = ()
        self.sections: list[Section] = []
        self.scripts: dict[str, _Parts] = {}
        self.files: dict[str, tuple[Span, list[FileCopy]]] = {}
        self.apps: dict[str, dict[str, _Parts]] = {}
        self.unknown: list[tuple[str, int]] = []
        self.faults: list[Fault] = []
        self.cautions: list[Caution] = []

    def take(self, token: Token) -> None:
        """One section: file it under its name."""
        source = self.source
        heading, raw_body = source.text[token.start : token.body], source.text[token.body : token.end]
        lead = len(heading) - len(heading.lstrip(BLANKS)) if token.is_first else 0
        line = joined(heading)[lead:-1]
        body = joined(raw_body)
        if token.is_first:
            # Trimmed as a whole: trailing newlines vanish, and with an empty body the heading is all that is left.
            line, newline, body = trim(line + "\n" + body).partition("\n")
            if not newline:
                self.faults.append(heading_alone(source, token, line))
        stripped = line.lstrip("%")
        name, blank, arguments = stripped.partition(" ")
        kind = lower(name)
        section = Section(
            name=kind,
            heading=heading,
            body=raw_body,
            span=source.span(token.start + lead, token.start + lead + len(line.rstrip(BLANKS))),
            arguments=arguments if blank else None,
            app=arguments.split(" ")[0] if blank and kind in APP_SECTIONS else None,
        )
        self.sections.append(section)
        if kind == "files":
            self._take_files(token, section, arguments)
        elif kind in APP_SECTIONS:
            self._take_app(section, name, body)
        elif kind in SECTIONS:
            self._take_script(token, section, body)
        else:
            self.unknown.append((kind, len(self.sections) - 1))

    def finish(self, tokens: tuple[Token, ...]) -> StageReading:
        source = self.source
        head = source.text[: tokens[0].end] if tokens and not tokens[0].is_section else ""
        for number, (key, row) in enumerate(self.unknown):
            self.faults.append(unknown_section(key, self.sections, row, look_around=number < _EXPLAINED))
        scripts = {name: parts.script(name) for name, parts in self.scripts.items()}
        first = source.text.find("\n", len(head) - len(head.lstrip(BLANKS)))
        stage = Stage(
            head=head,
            fields=self.fields,
            sections=tuple(self.sections),
            span=source.span(len(head) - len(head.lstrip(BLANKS)), first if first >= 0 else len(source.text)),
            header={one.key: one.value for one in self.fields} or None,
            scripts={name: script for name, script in scripts.items() if name not in _NOT_SCRIPTS},
            files=tuple(
                FileGroup(arguments=arguments, copies=tuple(copies), span=span)
                for arguments, (span, copies) in self.files.items()
            ),
            labels=read_labels(scripts["labels"].text) if "labels" in scripts else {},
            apps=tuple(
                App(
                    name=name,
                    sections={section: "".join(parts.texts) for section, parts in sections.items()},
                    spans={section: parts.spans[0] for section, parts in sections.items()},
                )
                for name, sections in self.apps.items()
            ),
        )
        cautions = (*self.cautions, *find_traps(source, stage, tokens))
        return StageReading(stage=stage, faults=tuple(self.faults), cautions=cautions)

    def _take_files(self, token: Token, section: Section, arguments: str) -> None:
        _, copies = self.files.setdefault(arguments, (section.span, []))
        for at, line in lines_of(self.source.text, token.body, token.end):
            if not line or line.startswith("#"):
                continue
            pair = file_pair(line)
            span = self.source.span(at, at + len(line))
            if pair is None:
                self.faults.append(lone_quote(span))
                continue
            copies.append(FileCopy(source=pair[0], destination=pair[1], span=span))

    def _take_app(self, section: Section, written: str, body: str) -> None:
        if section.app is None:
            self.faults.append(app_without_name(section, written))
            return
        if written != section.name:
            # Apptainer files it under the name as written, and then does not know it.
            self.unknown.append((f"{written} {section.app}", len(self.sections) - 1))
        parts = self.apps.setdefault(section.app, {}).setdefault(section.name, _Parts())
        parts.texts.append(body)
        parts.spans.append(section.span)

    def _take_script(self, token: Token, section: Section, body: str) -> None:
        parts = self.scripts.setdefault(section.name, _Parts())
        if section.arguments is not None:
            parts.arguments = section.arguments
        numbers = _line_numbers(self.source, token, body)
        if parts.texts and parts.texts[-1] and not parts.texts[-1].endswith("\n"):
            numbers = numbers[1:]  # the trimmed body of a first section goes on in this one's first line
        parts.texts.append(body)
        parts.spans.append(section.span)
        parts.lines += numbers


@dataclass(slots=True)
class _Parts:
    """The bodies of one name so far."""

    arguments: str = ""
    texts: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def script(self, name: str) -> Script:
        return Script(
            name=name,
            arguments=self.arguments,
            text="".join(self.texts),
            spans=tuple(self.spans),
            lines=tuple(self.lines),
        )


def _line_numbers(source: Source, token: Token, body: str) -> tuple[int, ...]:
    """The file's line number of each line of `body`; a replaced placeholder's lines all stand where it stood."""
    count = body.count("\n") + (0 if body.endswith("\n") or not body else 1)
    numbers, at = [], token.body
    for _ in range(count):
        numbers.append(source.line_number(at))
        newline = source.text.find("\n", at)
        at = newline + 1 if newline >= 0 else len(source.text)
    return tuple(numbers)

"""Definition file to values: the story of reading one.

`read` takes any text and says everything that is wrong with it; `parse` refuses a wrong one. Both agree with
Apptainer's parser about what is right and what it means.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sealift.deffile.bodies import file_pair, label_pair, meaningful_lines
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

_NOT_SCRIPTS = ("files", "labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """`definition` holds all of the text, whatever the faults. `sources` are the texts of `definition.stages`."""

    definition: Definition
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
        self.scripts: dict[str, Script] = {}
        self.files: dict[str, FileGroup] = {}
        self.apps: dict[str, App] = {}
        self.unknown: list[tuple[str, Section]] = []
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
            self.unknown.append((kind, section))

    def finish(self, tokens: tuple[Token, ...]) -> StageReading:
        source = self.source
        head = source.text[: tokens[0].end] if tokens and not tokens[0].is_section else ""
        for key, section in self.unknown:
            self.faults.append(unknown_section(key, section, self.sections))
        labels = self.scripts.get("labels")
        first = source.text.find("\n", len(head) - len(head.lstrip(BLANKS)))
        stage = Stage(
            head=head,
            fields=self.fields,
            sections=tuple(self.sections),
            span=source.span(len(head) - len(head.lstrip(BLANKS)), first if first >= 0 else len(source.text)),
            header={field.key: field.value for field in self.fields} or None,
            scripts={name: script for name, script in self.scripts.items() if name not in _NOT_SCRIPTS},
            files=tuple(self.files.values()),
            labels=dict(label_pair(line) for line in meaningful_lines(labels.text)) if labels else {},
            apps=tuple(self.apps.values()),
        )
        cautions = (*self.cautions, *find_traps(source, stage, tokens))
        return StageReading(stage=stage, faults=tuple(self.faults), cautions=cautions)

    def _take_files(self, token: Token, section: Section, arguments: str) -> None:
        copies = []
        for at, line in lines_of(self.source.text, token.body, token.end):
            if not line or line.startswith("#"):
                continue
            pair = file_pair(line)
            span = self.source.span(at, at + len(line))
            if pair is None:
                self.faults.append(lone_quote(span))
                continue
            copies.append(FileCopy(source=pair[0], destination=pair[1], span=span))
        group = self.files.get(arguments)
        if group is None:
            group = FileGroup(arguments=arguments, copies=(), span=section.span)
        self.files[arguments] = replace(group, copies=(*group.copies, *copies))

    def _take_app(self, section: Section, written: str, body: str) -> None:
        if section.app is None:
            self.faults.append(app_without_name(section, written))
            return
        app = self.apps.get(section.app) or App(name=section.app, sections={}, spans={})
        if written != section.name:
            # Apptainer files it under the name as written, and then does not know it.
            self.unknown.append((f"{written} {section.app}", section))
        sections = {**app.sections, section.name: app.body(section.name) + body}
        spans = {section.name: section.span, **app.spans}
        self.apps[section.app] = replace(app, sections=sections, spans=spans)

    def _take_script(self, token: Token, section: Section, body: str) -> None:
        before = self.scripts.get(section.name) or Script(name=section.name)
        numbers = _line_numbers(self.source, token, body)
        if before.text and not before.text.endswith("\n"):
            numbers = numbers[1:]  # the trimmed body of a first section goes on in this one's first line
        self.scripts[section.name] = Script(
            name=section.name,
            arguments=before.arguments if section.arguments is None else section.arguments,
            text=before.text + body,
            spans=(*before.spans, section.span),
            lines=(*before.lines, *numbers),
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

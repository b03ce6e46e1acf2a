"""A definition file as frozen values. What was written is kept beside what it means, so nothing is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.deffile.characters import words
from sealift.errors import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A header line with its continuations: lower-cased `key`, `value` without comment."""

    key: str
    value: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One heading and the lines below it, as written; `heading` and `body` keep their line ends.

    `arguments` is None when no blank follows the name. `app` is the app's name in `%app…` sections.
    """

    name: str
    heading: str
    body: str
    span: Span
    arguments: str | None = None
    app: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """All sections of one name together: bodies in order, the last arguments that were given.

    Every line ends in one newline. `lines` holds, for each line of `text`, its number in the file.
    """

    name: str
    arguments: str = ""
    text: str = ""
    spans: tuple[Span, ...] = ()
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCopy:
    """One line of `%files`; an empty `destination` means the same path."""

    source: str
    destination: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class FileGroup:
    """The lines of all `%files` sections with exactly these `arguments`."""

    arguments: str
    copies: tuple[FileCopy, ...]
    span: Span

    @property
    def words(self) -> tuple[str, ...] | None:
        """The words before a comment; None where nothing at all stands there, not even a blank."""
        cut = self.arguments.split("#")[0]
        return words(cut) if cut else None

    @property
    def from_host(self) -> bool:
        return self.words is None

    @property
    def from_stage(self) -> str | None:
        """The stage copied from: the second of exactly two words, whatever the first one is."""
        given = self.words
        return given[1] if given is not None and len(given) == 2 else None

    @property
    def is_ignored(self) -> bool:
        return not self.from_host and self.from_stage is None


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One SCIF app: the concatenated bodies of its sections by name (`appinstall`, `apprun` …)."""

    name: str
    sections: Mapping[str, str]
    spans: Mapping[str, Span]

    def body(self, name: str) -> str:
        return self.sections.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One image to be made. `head` is all text above the first section, `sections` the rest, as written."""

    head: str
    fields: tuple[Field, ...]
    sections: tuple[Section, ...]
    span: Span
    header: Mapping[str, str] | None = None
    """Lower-cased key to value, the last of equal keys; None when there is no key."""
    scripts: Mapping[str, Script] = field(default_factory=dict)
    """help, setup, environment, pre, post, runscript, test, startscript and arguments, where present."""
    files: tuple[FileGroup, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    apps: tuple[App, ...] = ()
    """In order of first appearance."""

    def script(self, name: str) -> Script:
        """The section of this name; an empty script where there is none."""
        return self.scripts.get(name) or Script(name=name)

    def key(self, name: str) -> str:
        """The header's value, "" where there is none."""
        return (self.header or {}).get(name, "")

    def field(self, name: str) -> Field | None:
        """The header line that gave the value."""
        return next((one for one in reversed(self.fields) if one.key == name), None)

    @property
    def bootstrap(self) -> str:
        return self.key("bootstrap")

    @property
    def source(self) -> str:
        """What `From:` says."""
        return self.key("from")

    @property
    def name(self) -> str:
        return self.key("stage")

    @property
    def is_empty(self) -> bool:
        """Does nothing in it count for Apptainer, so that the stage does not exist?"""
        scripts = any(script.text or script.arguments for script in self.scripts.values())
        return self.header is None and not (scripts or self.files or self.labels or self.apps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A whole file. `blocks` are its stages and, where the text above the first one counts for nothing, that text."""

    file: str
    blocks: tuple[Stage, ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        return tuple(block for block in self.blocks if not block.is_empty)

    def find_stage(self, name: str) -> int | None:
        """The number of the first stage with this name, among all stages; that is how Apptainer looks it up."""
        return next((number for number, stage in enumerate(self.stages) if stage.name == name), None)


def render(definition: Definition) -> str:
    """The text again: `render(read(text).definition) == text`, whatever the text."""
    return "".join(
        block.head + "".join(section.heading + section.body for section in block.sections)
        for block in definition.blocks
    )

"""A definition file as rules see it: stages with their bases, sections as shell scripts, every place in the file.

Placeholders are filled from `%arguments`; one without a value becomes `UNKNOWN`, of which nothing is claimed.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from sealift.deffile.arguments import defaults_of, find_placeholders, replace_placeholders
from sealift.deffile.findings import Caution, Fault
from sealift.deffile.parse import read_stage
from sealift.deffile.prepare import Checked
from sealift.deffile.source import Source
from sealift.deffile.values import FileCopy, Section, Stage
from sealift.errors import Span
from sealift.lint.bases import Base, base_of
from sealift.lint.calls import Call, calls_of
from sealift.lint.values import Edit, Hit, Level
from sealift.shell.follow import UNKNOWN, Run, follow
from sealift.shell.parse import parse
from sealift.shell.values import Reading, Simple, Word
from sealift.shell.walk import commands

BUILD_SCRIPTS = ("post", "appinstall")
HOST_SCRIPTS = ("pre", "setup")
RUN_SCRIPTS = ("runscript", "startscript", "apprun", "appstart")
TEST_SCRIPTS = ("test", "apptest")
ENVIRONMENT_SCRIPTS = ("environment", "appenv")
_SCRIPTS = (*HOST_SCRIPTS, *BUILD_SCRIPTS, *ENVIRONMENT_SCRIPTS, *RUN_SCRIPTS, *TEST_SCRIPTS)
_SHEBANG_SCRIPTS = ("runscript", "startscript", "test")
_SHELL = re.compile(r"(?:\S*/)?(?:env\s+)?(?:\S*/)?(sh|bash|dash|ash|ksh|zsh)\b")


class Recipe:
    """One file, with what is known of the site that it is for."""

    def __init__(
        self, checked: Checked, text: str, *, site: tuple[str, ...] = (), facts: Mapping[str, str] | None = None
    ) -> None:
        self.checked = checked
        self.text = text
        self.site = site
        self.facts = facts or {}
        reading = checked.reading
        self.stages = tuple(
            StageView(self, _filled(source, first.stage))
            for source, first in zip(reading.sources, reading.readings, strict=True)
        )

    @property
    def last(self) -> StageView | None:
        """The stage that becomes the image."""
        return self.stages[-1] if self.stages else None

    @cached_property
    def of_parser(self) -> Mapping[str, list[Fault | Caution]]:
        """What the parser found, by its rules. A caution is left out where a fault says already what is wrong."""
        said: list[Fault | Caution] = list(self.checked.faults)
        wrong = {one.where for one in said}
        said += [one for one in self.checked.prepared.cautions if one.where not in wrong]
        found: dict[str, list[Fault | Caution]] = {}
        for one in said:
            found.setdefault(one.id, []).append(one)
        return found

    def scripts(self, *names: str) -> Iterator[ScriptView]:
        for stage in self.stages:
            yield from stage.scripts(*names)

    def image_scripts(self, *names: str) -> Iterator[ScriptView]:
        """Those of the stage that becomes the image."""
        return self.last.scripts(*names) if self.last is not None else iter(())

    @cached_property
    def line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def line_of(self, offset: int) -> int:
        """The number of the line, from 0."""
        return bisect.bisect_right(self.line_starts, offset) - 1

    def hit_at(self, span: Span, message: str, *hints: str) -> Hit:
        """Something to say of a place that the parser knows."""
        start = self.line_starts[span.line - 1] + span.column - 1
        return Hit(start=start, end=start + span.length, message=message, hints=hints)


class StageView:
    def __init__(self, recipe: Recipe, source: Source) -> None:
        self.recipe = recipe
        self.source = source
        self.stage: Stage = read_stage(source).stage

    @cached_property
    def base(self) -> Base:
        return base_of(self.stage)

    @cached_property
    def offsets(self) -> tuple[tuple[Section, int], ...]:
        """Each section with the offset of its body in the stage's text."""
        found, at = [], len(self.stage.head)
        for section in self.stage.sections:
            at += len(section.heading)
            found.append((section, at))
            at += len(section.body)
        return tuple(found)

    @cached_property
    def all_scripts(self) -> tuple[ScriptView, ...]:
        groups: dict[tuple[str, str], list[tuple[Section, int]]] = {}
        for section, at in self.offsets:
            if section.name in _SCRIPTS:
                groups.setdefault((section.name, section.app or ""), []).append((section, at))
        return tuple(ScriptView(self, name, app, bodies) for (name, app), bodies in groups.items())

    def scripts(self, *names: str) -> Iterator[ScriptView]:
        """The scripts of these names that hold more than blanks and comments, in the order in which they run."""
        for name in names:
            yield from (one for one in self.all_scripts if one.name == name and one.is_shell)

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """What building the stage runs inside the image."""
        return tuple(call for script in self.scripts(*BUILD_SCRIPTS) for call in script.calls)

    @cached_property
    def build_text(self) -> str:
        return "\n".join(script.text for script in self.scripts(*BUILD_SCRIPTS))

    def uses(self, *programs: str) -> bool:
        return any(call.name in programs for call in self.calls)

    @cached_property
    def distribution(self) -> str:
        """`debian`, `redhat`, `alpine`, `suse`, `arch` or `""`: as the base says, else as its commands do."""
        if self.base.distribution:
            return self.base.distribution
        if self.uses("apt-get", "apt", "dpkg"):
            return "debian"
        if self.uses("yum", "dnf", "microdnf"):
            return "redhat"
        if self.uses("apk"):
            return "alpine"
        return "suse" if self.uses("zypper") else "arch" if self.uses("pacman") else ""

    @property
    def host_copies(self) -> Iterator[FileCopy]:
        """What `%files` copies from the host."""
        return (copy for group in self.stage.files if group.from_host for copy in group.copies)

    def hit_header(self, key: str, message: str, *hints: str) -> Hit:
        """Something to say of the line of a key, else of the stage's first line."""
        field = self.stage.field(key) or self.stage.field("bootstrap")
        return self.recipe.hit_at(field.span if field is not None else self.stage.span, message, *hints)

    def section_lines(self, name: str) -> Iterator[tuple[int, str]]:
        """(offset in the file, trimmed line) of each line that counts in sections that are lists."""
        for section, at in self.offsets:
            if section.name != name:
                continue
            offset = at
            for line in section.body.split("\n"):
                bare = line.strip()
                if bare and not bare.startswith("#"):
                    yield self.source.origin(offset + len(line) - len(line.lstrip())), bare
                offset += len(line) + 1


class ScriptView:
    """All bodies of one section's name (and app) as one script."""

    def __init__(self, stage: StageView, name: str, app: str, bodies: list[tuple[Section, int]]) -> None:
        self.stage = stage
        self.recipe = stage.recipe
        self.name = name
        self.app = app
        self.sections = tuple(section for section, _ in bodies)
        pieces: list[str] = []
        self._starts: list[int] = []
        self._sources: list[int] = []
        length = 0
        for section, at in bodies:
            # A carriage return before a newline does not count, so that each line may be a piece of its own.
            lines, offset = section.body.split("\r\n"), at
            for row, line in enumerate(lines):
                piece = line + ("\n" if row + 1 < len(lines) else "")
                self._starts.append(length)
                self._sources.append(offset)
                pieces.append(piece)
                length += len(piece)
                offset += len(line) + 2
        self.text = "".join(pieces)

    @property
    def shown(self) -> str:
        return f"%{self.name}" + (f" {self.app}" if self.app else "")

    @cached_property
    def interpreter(self) -> str:
        """The shell or other program that runs it: `sh` where nothing else is said."""
        if self.name == "appinstall":  # it is a part of `%post`
            post = next((one for one in self.stage.all_scripts if one.name == "post"), None)
            return post.interpreter if post is not None else "sh"
        arguments = next((one.arguments for one in reversed(self.sections) if one.arguments is not None), "")
        if self.name in ("pre", "setup", "post"):
            words = (arguments or "").split("#")[0].split()
            if "-c" not in words:
                return "sh"
            command = " ".join(words[words.index("-c") + 1 :])
        elif self.name in _SHEBANG_SCRIPTS and self.text.lstrip(" \t").startswith("#!"):
            command = self.text.lstrip(" \t")[2:].split("\n")[0].strip()
        else:
            return "sh"
        found = _SHELL.match(command)
        return found[1] if found else command.split(" ")[0].rpartition("/")[2] or "sh"

    @cached_property
    def is_shell(self) -> bool:
        """Is it a shell script that does anything?"""
        if self.interpreter not in ("sh", "bash", "dash", "ash", "ksh", "zsh"):
            return False
        return any(line.strip() and not line.strip().startswith("#") for line in self.text.split("\n"))

    @cached_property
    def reading(self) -> Reading:
        """As bash reads it, which knows all that others know: what a shell lacks is for a rule to say."""
        return parse(self.text, dialect="bash")

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        return follow(self.reading.script, dialect="bash", variables=self._variables())

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        return tuple(call for run in self.runs for call in calls_of(self, run))

    def assigned(self, name: str) -> Iterator[tuple[int, int, Word | None]]:
        """Each assignment of a variable, plain or behind `export`: its place, and the word that holds its value."""
        for command in commands(self.reading.script):
            if not isinstance(command, Simple):
                continue
            for one in command.assignments:
                if one.name == name and not command.words and one.operator == "=":
                    yield one.start, one.end, one.value
            if command.words and command.words[0].literal in ("export", "declare"):
                for word in command.words[1:]:
                    if self.text[word.start : word.end].startswith(name + "="):
                        yield word.start, word.end, word

    def _variables(self) -> dict[str, str]:
        """What is set before it runs."""
        return {"HOME": "/root"} if self.name in BUILD_SCRIPTS else {}

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Offsets in the file of `text[start:end]`."""
        return self._origin(start), max(self._origin(start) + 1, self._origin(max(start, end - 1)) + 1)

    def _origin(self, offset: int) -> int:
        row = max(0, bisect.bisect_right(self._starts, offset) - 1)
        return self.stage.source.origin(self._sources[row] + offset - self._starts[row])

    def edit(self, start: int, end: int, text: str) -> tuple[Edit, ...]:
        """The edit of `self.text[start:end]`, or none where the file has other words there (a filled placeholder)."""
        first, last = self._origin(start), self._origin(end)
        if self.recipe.text[first:last] != self.text[start:end]:
            return ()
        return (Edit(start=first, end=last, text=text),)

    def hit_heading(self, message: str, *hints: str) -> Hit:
        return self.recipe.hit_at(self.sections[0].span, message, *hints)

    def hit(
        self,
        start: int,
        end: int,
        message: str,
        *hints: str,
        edits: tuple[Edit, ...] = (),
        level: Level | None = None,
    ) -> Hit:
        first, last = self.place(start, end)
        return Hit(start=first, end=last, message=message, hints=hints, edits=edits, level=level)


def _filled(source: Source, stage: Stage) -> Source:
    """The stage's source with its placeholders filled, as far as its `%arguments` go."""
    defaults = defaults_of(stage)
    names = {one.name for one in find_placeholders(source.text, known=defaults)}
    missing = dict.fromkeys(names - defaults.keys(), UNKNOWN)
    return replace_placeholders(source, missing, defaults).source

"""What a rule is, and what it has to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sealift.errors import Span

if TYPE_CHECKING:
    from sealift.lint.recipe import Recipe

Level = Literal["note", "warning", "error"]
LEVELS: tuple[Level, ...] = ("note", "warning", "error")
"""From mild to grave. An error breaks the build or the image; a warning is a likely fault; a note is advice."""

Family = Literal[
    "language", "shell", "pinning", "size", "security", "portability", "python", "gpu", "mpi", "nersc", "tested", "lint"
]

SITE_FACTS = ("gpu.vendor", "gpu.cuda", "gpu.driver", "gpu.capability", "node.architecture", "mpi.families")
"""The facts of a site's profile that rules ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """`[start:end]` of the file's text becomes `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One place where a rule has something to say: offsets in the file's text. `edits` mend it."""

    start: int
    end: int
    message: str
    hints: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    level: Level | None = None
    """Another level than the rule's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`id` is what people type. `bad` gives exactly one finding of this rule, `good` none; each is a whole file.

    `title` says what is wrong, `reason` why it matters, `remedy` what to do; together they are the rule's page.
    """

    id: str
    family: Family
    level: Level
    title: str
    reason: str
    remedy: str
    bad: str
    good: str
    look: Callable[[Recipe], Iterable[Hit]]
    fixes: bool = False
    """Can `--fix` mend it?"""
    site: str = ""
    """Asked only for this site, or one that stands on it; `any` for every site, of which facts are known."""
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What its examples suppose of the site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    rule: Rule
    level: Level
    message: str
    where: Span
    hints: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A finding that somebody decided to live with."""

    finding: Finding
    reason: str
    origin: str
    """`file:line` of the comment, or what its `Waiver` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """Why a rule or a family is ignored, and where that is said: in the settings file or on the command line."""

    reason: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What applies to a file. `select` empty means all rules; both go by IDs and families."""

    select: frozenset[str] = frozenset()
    ignore: Mapping[str, Waiver] = field(default_factory=dict)
    levels: Mapping[str, Level] = field(default_factory=dict)
    site: tuple[str, ...] = ()
    """The site's name with those of the profiles that it stands on."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the site's profile says, by the keys of `SITE_FACTS`."""

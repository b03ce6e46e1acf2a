"""Comments that say: this finding is known, and stays.

# sealift: ignore=ID[,ID…] reason          the line it stands on; where it stands alone, the command below it
# sealift: ignore-file=ID[,ID…] reason     the whole file
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from sealift.deffile.characters import printable
from sealift.errors import Span
from sealift.lint.examples import PYTHON, post
from sealift.lint.recipe import Recipe
from sealift.lint.values import Hit, Rule

_COMMENT = re.compile(
    r"#[ \t]*sealift:[ \t]*(ignore(?:-file)?)(?:=([a-z0-9-]+(?:[ \t]*,[ \t]*[a-z0-9-]+)*))?[ \t]*([^\n]*)"
)


@dataclass(slots=True, kw_only=True)
class Ignore:
    """One comment. `covers` are the lines that it speaks of, None for the whole file."""

    ids: tuple[str, ...]
    reason: str
    line: int
    covers: range | None
    where: Span
    used: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Ignores:
    entries: tuple[Ignore, ...]

    def of(self, rule: str, line: int) -> Ignore | None:
        """The comment that lets a finding of the rule pass, which is then of use."""
        for one in self.entries:
            if rule in one.ids and (one.covers is None or line in one.covers) and one.reason:
                one.used.add(rule)
                return one
        return None

    def complaints(self, asked: Collection[str]) -> Iterator[tuple[Rule, str, Span, tuple[str, ...]]]:
        """What is wrong with the comments themselves."""
        from sealift.lint.catalogue import BY_ID

        for one in self.entries:
            if not one.ids or not one.reason:
                if _REASON.id in asked:
                    yield (
                        _REASON,
                        "this names no rule" if not one.ids else "a reason is missing, so that nothing is ignored",
                        one.where,
                        ("write: # sealift: ignore=RULE why it is right here",),
                    )
                continue
            for name in one.ids:
                if name in one.used or _UNUSED.id not in asked or (name in BY_ID and name not in asked):
                    continue
                what = "there is no rule" if name not in BY_ID else "nothing here is found by the rule"
                yield _UNUSED, f"{what} `{name}`", one.where, ("remove it from this comment",)


def ignores_in(text: str, file: str) -> Ignores:
    if "sealift:" not in text:
        return Ignores(entries=())
    lines = text.split("\n")
    entries = []
    for row, line in enumerate(lines):
        match = _COMMENT.search(line)
        if match is None:
            continue
        first = row
        if not line[: match.start()].strip():
            below = (below for below in range(row + 1, len(lines)) if lines[below].strip()[:1] not in ("", "#"))
            first = next(below, row)
        last = first
        while lines[last].endswith("\\") and last + 1 < len(lines):
            last += 1  # a command that is continued is one line for a person
        entries.append(
            Ignore(
                ids=tuple(re.split(r"[ \t]*,[ \t]*", match[2])) if match[2] else (),
                reason=match[3].strip(),
                line=row + 1,
                covers=range(first + 1, last + 2) if match[1] == "ignore" else None,
                where=Span(
                    file=file,
                    line=row + 1,
                    column=match.start() + 1,
                    length=len(match[0].rstrip()),
                    text=printable(line.removesuffix("\r")),
                ),
            )
        )
    return Ignores(entries=tuple(entries))


def _nothing(_recipe: Recipe) -> Iterator[Hit]:
    """These two are found when all others are known."""
    return iter(())


_REASON = Rule(
    id="ignore-without-reason",
    family="lint",
    level="warning",
    title="A comment ignores a rule without saying why",
    reason="Who reads the file next year cannot tell whether the reason still holds. Without one the comment has "
    "no effect.",
    remedy="Write the reason behind the rule's ID.",
    bad=post("# sealift: ignore=base-without-digest\necho ok", PYTHON),
    good=post("echo ok", PYTHON),
    look=_nothing,
)
_UNUSED = Rule(
    id="ignore-unused",
    family="lint",
    level="note",
    title="A comment ignores a rule that finds nothing there",
    reason="The fault was mended, or the comment stands at the wrong line: then it hides the next fault that comes.",
    remedy="Remove the rule from the comment. A comment on a line of its own speaks of the next line that is none.",
    bad=post("# sealift: ignore=pip-unpinned the newest is wanted\necho ok", PYTHON),
    good=post(
        "# sealift: ignore=pip-unpinned,user-site-on the newest is wanted\npip install --no-cache-dir numpy", PYTHON
    ),
    look=_nothing,
)
IGNORE_RULES: tuple[Rule, ...] = (_REASON, _UNUSED)

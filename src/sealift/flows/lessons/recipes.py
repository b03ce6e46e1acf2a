"""Checks of what the learner wrote: files, definition files, and what `sealift lint` says of them."""

from __future__ import annotations

import os
import re

from sealift.deffile.prepare import prepare
from sealift.deffile.values import Stage
from sealift.errors import SealiftError
from sealift.flows.lessons.desk import Desk, Seen, quoted
from sealift.flows.linting import LintRequest, lint_files
from sealift.flows.parsing import ParseRequest, parse_file
from sealift.learn.course import Check
from sealift.lint.check import Report

_SHOWN = 5
"""Faults or findings that are shown of one check."""


def look_at_file(check: Check, desk: Desk) -> Seen:
    name = check.text("file")
    text = desk.read(name)
    if text is None:
        return Seen(right=False, seen=f"there is no `{name}` yet")
    told = text.strip()
    if "equals" in check.fields and told != check.text("equals").strip():
        return Seen(right=False, seen=_said(told) or f"`{name}` is empty", texts=(text,))
    if "contains" in check.fields and not re.search(check.text("contains"), text):
        return Seen(right=False, seen=_said(told) or f"`{name}` is empty", texts=(text,))
    if "lacks" in check.fields and (found := re.search(check.text("lacks"), text)):
        return Seen(right=False, seen=f"`{name}` has: {_said(found[0])}", texts=(text,))
    return Seen(right=True)


def look_at_recipe(check: Check, desk: Desk) -> Seen:
    name = check.text("file")
    text = desk.read(name)
    if text is None:
        return Seen(right=False, seen=f"there is no `{name}`", remedy=("the exercise's own: sealift learn reset",))
    parsed = parse_file(ParseRequest(path=desk.path(name), read_stdin=bytes))
    if parsed.faults:
        shown = [f"{name}:{one.where.line}: {one.message}" if one.where else one.message for one in parsed.faults]
        return Seen(
            right=False,
            seen="\n".join(shown[:_SHOWN]),
            remedy=(f"the place, and more: {quoted('sealift', 'parse', name)}",),
            texts=(text,),
            unreadable=True,
        )
    stage = prepare(parsed.data, allow_unused=True).definition.stages[-1]
    missing = [one for one in check.texts("sections") if not _filled(stage, one)]
    if missing:
        listed = " and ".join(f"%{one}" for one in missing)
        return Seen(right=False, seen=f"`{name}` has no {listed}, or nothing in it", texts=(text,))
    if not ({"contains", "lacks"} & check.fields.keys()):
        return Seen(right=True)
    where, part = _part(check, stage)
    if "contains" in check.fields and not re.search(check.text("contains"), part):
        seen = f"{where} {_said(part)}" if part.strip() else f"`{name}` has no {where.rstrip(':')}, or nothing in it"
        return Seen(right=False, seen=seen, texts=(text,))
    if "lacks" in check.fields and (found := re.search(check.text("lacks"), part)):
        return Seen(right=False, seen=f"{where} {_said(found[0])}", texts=(text,))
    return Seen(right=True)


def _part(check: Check, stage: Stage) -> tuple[str, str]:
    """What the check means, with its name as it is shown."""
    if "key" in check.fields:
        key = check.text("key").lower()
        return f"{key.capitalize()}:", stage.key(key)
    section = check.text("section")
    return f"%{section}:", _text(stage, section)


def _filled(stage: Stage, section: str) -> bool:
    return bool(_text(stage, section).strip())


def _text(stage: Stage, section: str) -> str:
    """What counts of a section, line by line, without comments."""
    match section:
        case "files":
            return "\n".join(f"{one.source} {one.destination}" for group in stage.files for one in group.copies)
        case "labels":
            return "\n".join(f"{name} {value}" for name, value in stage.labels.items())
    lines = stage.script(section).text.splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def look_at_lint(check: Check, desk: Desk) -> Seen:
    name = check.text("file")
    text = desk.read(name)
    if text is None:
        return Seen(right=False, seen=f"there is no `{name}`", remedy=("the exercise's own: sealift learn reset",))
    try:
        linted = lint_files(
            LintRequest(
                paths=(desk.path(name),),
                read_stdin=bytes,
                environment=desk.environment,
                select=check.texts("without"),
                site=check.text("site"),
            )
        )
    except SealiftError as error:
        return Seen(right=False, seen=error.message, remedy=error.hints, texts=(text,))
    if linted.others:
        return Seen(right=False, seen=linted.others[0].message, remedy=linted.others[0].hints, texts=(text,))
    found = [line for report in linted.reports for line in _lines(report, name)]
    rules = dict.fromkeys(rule for _, rule in found)
    return Seen(
        right=not found,
        seen="\n".join(line for line, _ in found[:_SHOWN]),
        remedy=tuple(f"what it means: sealift lint --explain {rule}" for rule in list(rules)[:2]),
        texts=(text,),
    )


def _lines(report: Report, name: str) -> list[tuple[str, str]]:
    """Each finding with its rule; one that a comment hides is there all the same."""
    open_ones = [(f"{name}:{one.where.line}: {one.message}", one.rule.id) for one in report.findings]
    hidden = [
        (f"{name}:{one.finding.where.line}: hidden by a comment: {one.finding.message}", one.finding.rule.id)
        for one in report.ignored
    ]
    return open_ones + hidden


def _said(text: str) -> str:
    """Some of a text, on few lines."""
    lines = text.strip().splitlines()
    shown = [line[:160] for line in lines[:_SHOWN]]
    return "\n".join([*shown, *(["…"] if len(lines) > _SHOWN else [])])


def build_line(image: str, recipe: str, desk: Desk) -> str:
    """What to type to build it, over an old one where there is one."""
    over = ["-F"] if os.path.exists(desk.path(image)) else []
    return quoted("sealift", "build", *over, image, recipe)

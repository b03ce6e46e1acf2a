"""A definition file to findings: every rule is asked, what somebody decided to live with is set apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sealift.deffile.characters import decode, printable
from sealift.deffile.prepare import check
from sealift.errors import Span
from sealift.lint.catalogue import RULES
from sealift.lint.ignores import Ignores, ignores_in
from sealift.lint.recipe import Recipe
from sealift.lint.values import Finding, Hit, Ignored, Rule, Settings
from sealift.shell.follow import UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What there is to say of one file, in the order of its lines."""

    file: str
    findings: tuple[Finding, ...]
    ignored: tuple[Ignored, ...]


def lint(data: bytes, *, file: str = "definition file", settings: Settings | None = None) -> Report:
    """Every rule's findings. Never raises: a file that Apptainer refuses has its reasons among them.

    Of such a file nothing is mended, for nobody knows how it was meant.
    """
    settings = settings or Settings()
    text = decode(data)
    checked = check(data, file=file)
    recipe = Recipe(checked, text, site=settings.site, facts=settings.facts)
    ignores = ignores_in(text, file)
    rules = tuple(asked(settings))
    findings = [one for rule in rules for one in _findings(rule, recipe, file, settings)]
    kept, ignored = _divide(_once(findings), ignores, settings)
    kept += [
        Finding(rule=rule, level=rule.level, message=message, where=where, hints=hints)
        for rule, message, where, hints in ignores.complaints({rule.id for rule in rules})
        if rule.id not in settings.ignore
    ]
    return Report(
        file=file,
        findings=tuple(sorted(kept, key=_order)),
        ignored=tuple(sorted(ignored, key=lambda one: _order(one.finding))),
    )


def asked(settings: Settings) -> Iterator[Rule]:
    """The rules that apply."""
    for rule in RULES:
        if settings.select and rule.id not in settings.select and rule.family not in settings.select:
            continue
        if rule.site and rule.site not in (*settings.site, "any" if settings.site else ""):
            continue
        yield rule


def _findings(rule: Rule, recipe: Recipe, file: str, settings: Settings) -> Iterator[Finding]:
    for hit in rule.look(recipe):
        yield Finding(
            rule=rule,
            level=settings.levels.get(rule.id) or hit.level or rule.level,
            message=_shown(hit.message),
            where=_span(recipe, file, hit),
            hints=tuple(map(_shown, hit.hints)),
            # A loop comes by the same words many times.
            edits=() if recipe.checked.reading.faults else tuple(dict.fromkeys(hit.edits)),
        )


def _shown(text: str) -> str:
    return printable(text).replace(UNKNOWN, "…")


def _span(recipe: Recipe, file: str, hit: Hit) -> Span:
    """The place of a hit, cut to its first line."""
    row = recipe.line_of(hit.start)
    begin = recipe.line_starts[row]
    stop = recipe.text.find("\n", begin)
    line = recipe.text[begin : stop if stop >= 0 else len(recipe.text)].removesuffix("\r")
    column = min(hit.start - begin, len(line))
    return Span(
        file=file,
        line=row + 1,
        column=column + 1,
        length=max(1, min(hit.end - hit.start, len(line) - column)),
        text=printable(line),
    )


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """One finding of a rule at a place: a loop's body comes by many times."""
    seen: dict[tuple[str, int, int], Finding] = {}
    for one in findings:
        seen.setdefault((one.rule.id, one.where.line, one.where.column), one)
    return list(seen.values())


def _divide(findings: Iterable[Finding], ignores: Ignores, settings: Settings) -> tuple[list[Finding], list[Ignored]]:
    kept, ignored = list[Finding](), list[Ignored]()
    for one in findings:
        found = ignores.of(one.rule.id, one.where.line)
        waiver = settings.ignore.get(one.rule.id, settings.ignore.get(one.rule.family))
        if found is not None:
            origin = f"{one.where.file}:{found.line}"
            ignored.append(Ignored(finding=one, reason=found.reason, origin=origin))
        elif waiver is not None:
            ignored.append(Ignored(finding=one, reason=waiver.reason, origin=waiver.origin))
        else:
            kept.append(one)
    return kept, ignored


def _order(finding: Finding) -> tuple[int, int, str]:
    return finding.where.line, finding.where.column, finding.rule.id

"""The story of `lint`: files and settings are read, every rule is asked, and what can be mended is, where wanted."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sealift.deffile.findings import Fault
from sealift.deffile.sniff import other_file
from sealift.errors import UsageError
from sealift.flows.definitions import bounded, read_spec
from sealift.lint.catalogue import BY_ID
from sealift.lint.check import Report, lint
from sealift.lint.fix import fix
from sealift.lint.settings import FILE_NAME, ProjectSettings, known, read_settings
from sealift.lint.values import LEVELS, SITE_FACTS, Finding, Level, Settings, Waiver
from sealift.sites.profile import Profile

STDIN = "-"
STDIN_NAME = "<stdin>"
_SETTINGS_LIMIT = 1 << 20
_ON_THE_COMMAND_LINE = Waiver(reason="ignored on the command line", origin="the command line")


@dataclass(frozen=True, slots=True, kw_only=True)
class LintRequest:
    """`paths` are files, or `-`, for which `read_stdin` is asked. What is given here wins over `sealift.toml`."""

    paths: tuple[str, ...]
    read_stdin: Callable[[], bytes]
    environment: Mapping[str, str]
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    site: str = ""
    fail_on: Level | None = None
    fix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """`others` are files that are no definition files, with the reason; `mended` what `--fix` took away, by file."""

    reports: tuple[Report, ...]
    others: tuple[Fault, ...]
    mended: Mapping[str, tuple[Finding, ...]]
    failed: bool
    """Is there a finding at or above the level that fails?"""


def lint_files(request: LintRequest) -> Linted:
    """Everything that there is to say. UsageError for what cannot be read, and for settings that mean nothing."""
    reports, others, mended, failed = list[Report](), list[Fault](), dict[str, tuple[Finding, ...]](), False
    # Many files stand on one site, whose profile takes longer to read than a file to be looked at.
    profile_of = functools.cache(functools.partial(_profile, request.environment))
    for path in request.paths:
        name, data = _read(path, request)
        other = other_file(data, name=name)
        if other is not None:
            others.append(other)
            continue
        project = find_settings(path)
        site = request.site or project.site
        settings = _merged(request, project, profile_of(site) if site else None)
        if request.fix:
            fixed = fix(data, file=name, settings=settings)
            if fixed.data != data:
                _write(path, fixed.data)
                data = fixed.data
            mended[name] = fixed.mended
        report = lint(data, file=name, settings=settings)
        failed |= any(at_least(one.level, request.fail_on or project.fail_on or "warning") for one in report.findings)
        reports.append(report)
    return Linted(reports=tuple(reports), others=tuple(others), mended=mended, failed=failed)


def at_least(level: Level, other: Level) -> bool:
    return LEVELS.index(level) >= LEVELS.index(other)


def find_settings(path: str) -> ProjectSettings:
    """The nearest `sealift.toml` in the file's folder or above it; for stdin, the working folder's."""
    folder = os.path.abspath(os.path.dirname(path) if path != STDIN else ".")
    while True:
        candidate = os.path.join(folder, FILE_NAME)
        try:
            with open(candidate, "rb") as file:
                return read_settings(file.read(_SETTINGS_LIMIT), file=os.path.relpath(candidate))
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise UsageError(f"`{candidate}` cannot be read: {(error.strerror or '').lower()}") from error
        above = os.path.dirname(folder)
        if above == folder:
            return ProjectSettings()
        folder = above


def _merged(request: LintRequest, project: ProjectSettings, profile: Profile | None) -> Settings:
    select = known(_listed(request.select), where="`--select`") or project.select
    ignored = dict.fromkeys(known(_listed(request.ignore), where="`--ignore`"), _ON_THE_COMMAND_LINE)
    return Settings(
        select=select,
        ignore={**project.ignore, **ignored},
        levels=project.levels,
        site=_names(profile) if profile is not None else (),
        facts={key: profile.text(key) for key in SITE_FACTS} if profile is not None else {},
    )


def _listed(words: tuple[str, ...]) -> list[str]:
    return [name.strip() for word in words for name in word.split(",") if name.strip()]


def _profile(environment: Mapping[str, str], name: str) -> Profile:
    from datetime import UTC, datetime

    from sealift.flows.sites import find_site

    return find_site(name, environment, today=datetime.now(tz=UTC).date().isoformat())


def _names(profile: Profile) -> tuple[str, ...]:
    """The names of the site and of those whose facts it shares."""
    stems = (os.path.basename(file).removesuffix(".toml") for file in profile.files)
    return tuple(dict.fromkeys((profile.name, *profile.aliases, *stems)))


def _read(path: str, request: LintRequest) -> tuple[str, bytes]:
    if path == STDIN:
        if request.fix:
            raise UsageError("stdin cannot be fixed in place", hints=("give a file: sealift lint --fix FILE",))
        return STDIN_NAME, bounded(request.read_stdin(), name=STDIN_NAME)
    return path, read_spec(path)[1]


def _write(path: str, data: bytes) -> None:
    """Replace the file by one with the same rights, in one step; a link stays one."""
    from sealift.system.files import atomic_file

    target = os.path.realpath(path)
    with atomic_file(target, mode=stat.S_IMODE(os.stat(target).st_mode)) as file:
        file.write(data)


def explanation(name: str) -> str:
    """A rule's page, or the list of all for an empty name. UsageError where there is no such rule."""
    from sealift.lint.pages import explain, index

    if not name:
        return index()
    known((name,), where="`--explain`", families=False)
    return explain(BY_ID[name])


def rule_ids() -> tuple[str, ...]:
    return tuple(sorted(BY_ID))


def rendered(linted: Linted, form: str) -> str:
    """The findings for another program: `json`, `sarif` or `github`."""
    import json

    from sealift import __version__
    from sealift.lint.forms import as_github, as_json, as_sarif

    if form == "github":
        return "\n".join(as_github(linted.reports))
    if form == "sarif":
        rules = tuple(BY_ID.values())
        return json.dumps(as_sarif(linted.reports, rules, version=__version__), indent=2, ensure_ascii=False)
    return json.dumps(as_json(linted.reports), indent=2, ensure_ascii=False)

"""`sealift.toml`: which rules apply to a project, and why some do not.

[lint]
select = ["pinning", "apt-lists-left"]      rules and families; all where it is missing
fail-on = "warning"
site = "perlmutter"

[lint.ignore]
no-help = "the README says it"              a reason is needed

[lint.level]
download-unchecked = "error"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from sealift.deffile.vocabulary import nearest
from sealift.errors import UsageError
from sealift.lint.catalogue import BY_ID
from sealift.lint.values import LEVELS, Family, Level, Waiver

FILE_NAME = "sealift.toml"
FAMILIES: tuple[str, ...] = get_args(Family)
_KEYS = ("select", "fail-on", "site", "ignore", "level")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSettings:
    select: frozenset[str] = frozenset()
    ignore: Mapping[str, Waiver] = field(default_factory=dict)
    levels: Mapping[str, Level] = field(default_factory=dict)
    fail_on: Level | None = None
    site: str = ""


def read_settings(data: bytes, *, file: str) -> ProjectSettings:
    """The settings in a file. UsageError for what is not TOML, an unknown key or an unknown rule."""
    try:
        whole = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"`{file}` is not TOML: {error}") from error
    table = whole.get("lint", {})
    if not isinstance(table, dict):
        raise UsageError(f"`lint` in `{file}` is not a table", hints=("write: [lint]",))
    for key in table:
        if key not in _KEYS:
            close = nearest(key, _KEYS)
            raise UsageError(
                f"`{file}` has an unknown key `lint.{key}`",
                hints=(f"did you mean `{close}`?" if close else "keys are " + ", ".join(f"`{one}`" for one in _KEYS),),
            )
    select = table.get("select", [])
    if not (isinstance(select, list) and all(isinstance(one, str) for one in select)):
        raise UsageError(f"`lint.select` in `{file}` is not a list of rules", hints=('write: select = ["pinning"]',))
    ignore = _texts(table, "ignore", file)
    for name, reason in ignore.items():
        if not reason.strip():
            raise UsageError(f"`lint.ignore.{name}` in `{file}` gives no reason", hints=(f'write: {name} = "WHY"',))
    levels = _texts(table, "level", file)
    for name, level in levels.items():
        if level not in LEVELS:
            raise UsageError(f"`lint.level.{name}` in `{file}` is no level", hints=(_levels(),))
    fail_on = table.get("fail-on")
    if fail_on is not None and fail_on not in LEVELS:
        raise UsageError(f"`lint.fail-on` in `{file}` is no level", hints=(_levels(),))
    site = table.get("site", "")
    if not isinstance(site, str):
        raise UsageError(f"`lint.site` in `{file}` is not a name", hints=("see the sites: sealift sites",))
    return ProjectSettings(
        select=known(select, where=f"`lint.select` in `{file}`"),
        ignore={
            name: Waiver(reason=ignore[name], origin=file) for name in known(ignore, where=f"`lint.ignore` in `{file}`")
        },
        levels={
            name: cast("Level", levels[name])
            for name in known(levels, where=f"`lint.level` in `{file}`", families=False)
        },
        fail_on=fail_on,
        site=site,
    )


def known(names: Iterable[str], *, where: str, families: bool = True) -> frozenset[str]:
    """The names, each of a rule or of a family. UsageError for one that is neither."""
    names = tuple(names)
    for name in names:
        if name in BY_ID or (families and name in FAMILIES):
            continue
        close = nearest(name, (*FAMILIES, *BY_ID) if families else tuple(BY_ID))
        raise UsageError(
            f"{where} names `{name}`, which is no rule" + (" and no family" if families else ""),
            hints=((f"did you mean `{close}`?",) if close else ()) + ("see all rules: sealift lint --explain",),
        )
    return frozenset(names)


def _texts(table: Mapping[str, Any], key: str, file: str) -> dict[str, str]:
    found = table.get(key, {})
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        example = 'no-help = "the README says it"' if key == "ignore" else 'no-help = "error"'
        raise UsageError(f"`lint.{key}` in `{file}` is not a table of texts", hints=(f"write: [lint.{key}]", example))
    return dict(found)


def _levels() -> str:
    return "levels are " + ", ".join(f"`{level}`" for level in LEVELS)

"""Site profiles as people write them: TOML text → facts, with every fault of a file named at once.

    schema = 1
    name = "mycluster"
    extends = "slurm"                      # optional: facts that are not here are that profile's
    aliases = ["my"]
    collected = "2026-11-22"

    [sources]
    W = { url = "https://…", date = "2026-11-22", kind = "official" }

    [gpu]
    driver = { value = "580.105.08", source = ["W"], note = "…", verified = "2026-11-20" }
    count = 4                              # a bare value is the word of whoever wrote this file

Which keys there are, and of which type, is in data/sites/schema.toml.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from typing import Any

from sealift.errors import UsageError
from sealift.sites.profile import Fact, Source, Value

SCHEMA = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
WORDS = ("add", "remove")
"""What `sealift sites` takes for something to do."""
_NOTED = re.compile(r"\[([A-Z][A-Za-z0-9]*(?:, [A-Z][A-Za-z0-9]*)*)\]")
_TOP = {"schema", "name", "extends", "aliases", "collected", "abstract", "sources"}
_FACT = ("value", "source", "note", "verified")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileText:
    """One file's share of a profile."""

    name: str
    file: str
    collected: str
    extends: str
    aliases: tuple[str, ...]
    abstract: bool
    sources: Mapping[str, Source]
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    pattern: str
    type: str
    says: str


@functools.cache
def load_keys() -> tuple[Key, ...]:
    """The keys that profiles may have, in the order in which they are documented."""
    text = resources.files("sealift").joinpath("data/sites/schema.toml").read_text("utf-8")
    return tuple(
        Key(pattern=name, type=key["type"], says=key["says"]) for name, key in tomllib.loads(text)["keys"].items()
    )


def find_key(name: str) -> Key | None:
    for key in load_keys():
        theirs, ours = name.split("."), key.pattern.split(".")
        if len(theirs) == len(ours) and all(b in ("*", a) for a, b in zip(theirs, ours, strict=True)):
            return key
    return None


@functools.cache
def load_sources() -> Mapping[str, Source]:
    """The sources that all profiles may name."""
    text = resources.files("sealift").joinpath("data/sites/sources.toml").read_text("utf-8")
    return _sources(tomllib.loads(text)["sources"], [])


def read_profile(data: bytes, *, file: str) -> ProfileText:
    """One profile's text as facts; UsageError with everything that is wrong."""
    try:
        table = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"`{file}` is not TOML: {error}", hints=("see a profile that is right: sealift sites",)
        ) from error
    faults: list[str] = []
    if table.get("schema") != SCHEMA:
        faults.append(f"`schema = {SCHEMA}` is missing: this Sealift reads no other")
    name = table.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        faults.append("`name` has to be lower-case letters, digits, `.`, `_` and `-`")
    elif name in WORDS:
        faults.append(f"`name` cannot be `{name}`: `sealift sites {name}` does something else")
    faults += _faults_at_the_top(table)
    sources = {**load_sources(), **_sources(table.get("sources", {}), faults)}
    facts = {fact.key: fact for fact in _facts(table, sources, file, faults)}
    if faults:
        raise UsageError(
            f"`{file}` is not a site profile:" + "".join(f"\n  - {fault}" for fault in faults),
            hints=("the keys and their types: sealift sites --keys",),
        )
    return ProfileText(
        name=str(name),
        file=file,
        collected=str(table.get("collected", "")),
        extends=str(table.get("extends", "")),
        aliases=tuple(str(alias) for alias in table.get("aliases", ())),
        abstract=bool(table.get("abstract", False)),
        sources=sources,
        facts=facts,
    )


def _faults_at_the_top(table: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(table.get("extends", ""), str):
        yield "`extends` has to be the name of one profile"
    aliases = table.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(each, str) and NAME.fullmatch(each) for each in aliases):
        yield "`aliases` has to be a list of names"
    if not isinstance(table.get("abstract", False), bool):
        yield "`abstract` has to be true or false"
    if not _is_day(table.get("collected", "")):
        yield "`collected` has to be a day: 2026-11-22"


def _is_day(value: Any) -> bool:
    return value == "" or re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)) is not None


def _sources(table: Any, faults: list[str]) -> dict[str, Source]:
    if not isinstance(table, dict):
        faults.append("`[sources]` has to be a table")
        return {}
    found = {}
    for key, value in table.items():
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            faults.append(f"the source `{key}` has to say its `kind`, and where there is one its `url` and `date`")
            continue
        found[key] = Source(key=key, kind=value["kind"], url=str(value.get("url", "")), date=str(value.get("date", "")))
    return found


def _facts(table: Mapping[str, Any], sources: Mapping[str, Source], file: str, faults: list[str]) -> Iterator[Fact]:
    yours = Source(key=file, kind="yours")
    for name, leaf in _leaves({key: value for key, value in table.items() if key not in _TOP}, ()):
        key = find_key(name)
        if key is None:
            close = get_close_matches(name, [each.pattern for each in load_keys()], n=1)
            faults.append(f"there is no key `{name}`" + (f": did you mean `{close[0]}`?" if close else ""))
            continue
        given = leaf if isinstance(leaf, dict) else {"value": leaf}
        if wrong := _fault_of_fact(name, given):
            faults.append(wrong)
            continue
        value = _value(given["value"], key.type)
        if value is None:
            faults.append(f"`{name}` has to be {_spoken(key.type)}")
            continue
        names = given.get("source", [])
        missing = [each for each in names if each not in sources]
        if missing:
            faults.append(f"`{name}` names the source `{missing[0]}`, which is not under `[sources]`")
            continue
        yield Fact(
            key=name,
            value=value,
            file=file,
            sources=tuple(sources[each] for each in names) or (yours,),
            note=str(given.get("note", "")),
            verified=str(given.get("verified", "")),
            noted=_noted(f"{value} {given.get('note', '')}", sources, names),
        )


def _fault_of_fact(name: str, given: Mapping[str, Any]) -> str:
    strange = sorted(set(given) - set(_FACT))
    if strange:
        return f"`{name}` has `{strange[0]}`, which facts have not: they have {', '.join(_FACT)}"
    named = given.get("source", [])
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        return f'`source` of `{name}` has to be a list: source = ["W"]'
    if not isinstance(given.get("note", ""), str):
        return f"`note` of `{name}` has to be a text in quotes"
    if not _is_day(given.get("verified", "")):
        return f"`verified` of `{name}` has to be the day on which it was seen: 2026-11-20"
    return ""


def _noted(text: str, sources: Mapping[str, Source], named: Sequence[str]) -> tuple[Source, ...]:
    keys = dict.fromkeys(key for found in _NOTED.findall(text) for key in found.split(", "))
    return tuple(sources[key] for key in keys if key in sources and key not in named)


def _leaves(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, dict) and not _is_fact(value, ".".join(here)):
            yield from _leaves(value, here)
        else:
            yield ".".join(here), value


def _is_fact(table: Mapping[str, Any], name: str) -> bool:
    """Is this a fact with its sources, and no group of facts? One whose key there is not is named as a whole."""
    if "value" not in table:
        return False
    return find_key(name) is not None or (set(table) <= set(_FACT) and find_key(f"{name}.value") is None)


def _value(value: Any, kind: str) -> Value | None:
    match kind, value:
        case "text", str():
            return value
        case "flag", bool():
            return value
        case "number", int() | float() if not isinstance(value, bool):
            return float(value)
        case "texts", list() if all(isinstance(each, str) for each in value):
            return tuple(value)
    return None


def _spoken(kind: str) -> str:
    return {"text": "a text in quotes", "number": "a number", "flag": "true or false"}.get(
        kind, "a list of texts in quotes"
    )

"""docs/reference/site-profiles.md, and a page for each profile that comes with Sealift."""

from __future__ import annotations

import re

from sealift.sites.catalogue import load_catalogue
from sealift.sites.profile import Fact, Profile, Source

_LIST = """\
# What is known of each machine

The profiles that come with Sealift, as they are dated; these pages are written from them by
`python -m tests.docs.write_pages`. What a profile is, and how to write one of your own: [sites](sites.md).

| site | machine | processor | GPU | engines | scheduler |
|---|---|---|---|---|---|
"""
_FOOT = """\

Written from the profile, `src/sealift/data/sites/{file}`, by `python -m tests.docs.write_pages`. On the terminal:
`sealift sites {name}`. What the marks mean, and how to say what you know better: [sites](../sites.md).
"""


def site_pages() -> dict[str, str]:
    """What lies in docs/reference, by name."""
    catalogue = load_catalogue({"HOME": "/nonexistent"})
    profiles = [catalogue.find(name) for name in catalogue.names()]
    listing = _LIST + "".join(map(_listed, profiles))
    return {"site-profiles.md": listing} | {f"site-profiles/{each.name}.md": _page(each) for each in profiles}


def _listed(profile: Profile) -> str:
    facts = (
        f"[`{profile.name}`](site-profiles/{profile.name}.md)",
        profile.text("site.title"),
        profile.text("node.architecture", "?"),
        profile.text("gpu.model") or profile.text("gpu.vendor", "?"),
        profile.text("engines.order", "?"),
        profile.text("site.scheduler", "?"),
    )
    return f"| {' | '.join(facts)} |\n"


def _page(profile: Profile) -> str:
    also = f", also called {', '.join(f'`{each}`' for each in profile.aliases)}" if profile.aliases else ""
    seen = sum(bool(fact.verified) for fact in profile.facts.values())
    doubtful = sum(fact.doubtful and not fact.verified for fact in profile.facts.values())
    head = (
        f"# {profile.text('site.title') or profile.name}\n\n"
        f"`{profile.name}`{also}. Collected on {profile.collected}: {len(profile.facts)} facts.\n\n"
        "| | |\n|---|---|\n"
        f"| ✓ | {seen} were seen on the machine itself |\n"
        f"| · | {len(profile.facts) - seen - doubtful} were read in the sources below |\n"
        f"| ? | {doubtful} were not looked up, or are conclusions |\n"
    )
    parts = [head]
    for word, facts in profile.groups():
        parts.append(f"\n## {word}\n\n| | fact | value | from |\n|---|---|---|---|\n")
        parts += [_row(fact, word) for fact in facts]
    used = {s.key: s for fact in profile.facts.values() for s in (*fact.sources, *fact.noted)}
    parts.append("\n## Sources\n\n| | what | of |\n|---|---|---|\n")
    parts += [_source(used[key]) for key in sorted(used, key=lambda key: (key[0], len(key), key))]
    parts.append(_FOOT.format(file=profile.files[-1].rpartition("/")[2], name=profile.name))
    return "".join(parts)


def _row(fact: Fact, word: str) -> str:
    mark = "✓" if fact.verified else "?" if fact.doubtful else "·"
    value = "<br>".join(map(_value, fact.value)) if isinstance(fact.value, tuple) else _value(fact.shown)
    note = f"<br>*{_cell(fact.note)}*" if fact.note else ""
    sources = ", ".join(source.key for source in fact.sources)
    return f"| {mark} | `{fact.key.removeprefix(word + '.')}` | {value or 'nothing'}{note} | {sources} |\n"


def _value(text: str) -> str:
    return f"`{text}`" if re.fullmatch(r"[^\s`|]*[^\w\s.`|][^\s`|]*|\w*_\w*", text) else _cell(text)


def _source(source: Source) -> str:
    what = {"knowledge": "known, and not looked up", "conclusion": "concluded from the sources beside it"}
    where = f"<{source.url}> ({source.kind})" if source.url else what.get(source.kind, source.kind)
    return f"| {source.key} | {where} | {source.date} |\n"


def _cell(text: str) -> str:
    """Text for a cell: what Markdown would take for its own is escaped."""
    for character in "\\`*_<>[]|$":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")

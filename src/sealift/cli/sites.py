"""`sealift sites`: the machines that are known, what is known of one, and profiles of one's own."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Mapping

from sealift.errors import UsageError
from sealift.sites.profile import Fact, Profile

INTERMIXED = True
"""Flags may stand between the words."""

EPILOG = """\
examples:
  sealift sites                      the sites, and which one this is
  sealift sites perlmutter           every fact of a site, with where it comes from
  sealift sites local                what can be measured on this host
  sealift sites add mycluster.toml   a site of your own, or your own facts of a known one
  sealift sites remove mycluster
  sealift sites --keys               what a profile may say
"""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("words", nargs="*", metavar="NAME | add FILE | remove NAME", help="a site, or what to do")
    parser.add_argument("--keys", action="store_true", help="show the keys that a profile may have")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument("-F", "--force", action="store_true", help="with add: replace a profile of yours")


def execute(options: argparse.Namespace) -> int:
    from sealift.flows import sites
    from sealift.system.process import environment

    env = environment()
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    if options.keys:
        _show_keys(as_json=options.json)
        return 0
    match options.words:
        case []:
            _show_all(sites.all_sites(env, today=today), sites.detect_site(env), as_json=options.json)
        case ["add", path]:
            name, target = sites.add_site(path, env, force=options.force)
            print(f"added the site {name}: {target}", file=sys.stderr)
        case ["remove", name]:
            print(f"removed {sites.remove_site(name, env)}", file=sys.stderr)
        case ["add"]:
            raise UsageError("`sites add` takes a file", hints=("sealift sites add mycluster.toml",))
        case ["remove"]:
            raise UsageError("`sites remove` takes a name", hints=("sealift sites remove mycluster",))
        case [name]:
            _show(sites.find_site(name, env, today=today), as_json=options.json)
        case _:
            raise UsageError(f"`{' '.join(options.words)}` is not understood", hints=("sealift sites --help",))
    return 0


def _show_all(profiles: tuple[Profile, ...], here: str, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"name": p.name, "title": p.text("site.title"), "aliases": list(p.aliases), "here": p.name == here}
            for p in profiles
        ]
        print(json.dumps(rows, indent=2))
        return
    table = [("", "SITE", "WHAT", "CPU", "GPU", "ENGINES", "SEEN ON THE MACHINE")]
    for profile in profiles:
        verified = sum(bool(fact.verified) for fact in profile.facts.values())
        gpu = profile.text("gpu.model") or profile.text("gpu.vendor", "?")
        table.append(
            (
                "*" if profile.name == here else "",
                profile.name,
                profile.text("site.title"),
                profile.text("node.architecture", "?"),
                gpu,
                " ".join(profile.texts("engines.order")) or "?",
                f"{verified} of {len(profile.facts)} facts",
            )
        )
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    if here:
        print(f"* this is {here}", file=sys.stderr)


def _show(profile: Profile, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_as_json(profile), indent=2))
        return
    print(f"{profile.name}: {profile.text('site.title')}")
    if profile.aliases:
        print(f"also called {', '.join(profile.aliases)}")
    if profile.collected:
        print(f"collected {profile.collected}" + (f" in {', '.join(profile.files)}" if profile.files else ""))
    seen = sum(bool(fact.verified) for fact in profile.facts.values())
    print(f"{seen} of {len(profile.facts)} facts were seen on the machine itself; they are marked ✓")
    used: dict[str, None] = {}
    for word, facts in profile.groups():
        print(f"\n[{word}]")
        for fact in facts:
            print(_line(fact, word))
            used.update(dict.fromkeys(source.key for source in fact.sources if source.url))
    sources: Mapping[str, str] = {
        s.key: f"{s.url}  ({s.kind}, {s.date})" for f in profile.facts.values() for s in f.sources
    }
    if used:
        print("\nsources")
        for key in used:
            print(f"  {key:<4} {sources[key]}")


def _line(fact: Fact, word: str) -> str:
    origin = " ".join(source.key if source.url or source.kind == "measured" else source.kind for source in fact.sources)
    text = f"{'✓' if fact.verified else ' '} {fact.key.removeprefix(word + '.')} = {fact.shown}  [{origin}]"
    return text + (f"\n      {fact.note}" if fact.note else "")


def _as_json(profile: Profile) -> dict[str, object]:
    return {
        "name": profile.name,
        "aliases": list(profile.aliases),
        "collected": profile.collected,
        "files": list(profile.files),
        "facts": {
            key: {
                "value": list(fact.value) if isinstance(fact.value, tuple) else fact.value,
                "file": fact.file,
                "sources": [{"key": s.key, "kind": s.kind, "url": s.url, "date": s.date} for s in fact.sources],
                "note": fact.note,
                "verified": fact.verified,
            }
            for key, fact in profile.facts.items()
        },
    }


def _show_keys(*, as_json: bool) -> None:
    from sealift.sites.reading import load_keys

    if as_json:
        print(json.dumps({key.pattern: {"type": key.type, "says": key.says} for key in load_keys()}, indent=2))
        return
    width = max(len(key.pattern) for key in load_keys())
    for key in load_keys():
        print(f"{key.pattern:<{width}}  {key.type:<6}  {key.says}")

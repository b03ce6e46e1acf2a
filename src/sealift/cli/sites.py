"""`sealift sites`: the machines that are known, what is known of one, and profiles of one's own."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys

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
    table = [("", "SITE", "WHAT", "CPU", "GPU", "ENGINES", "SEEN")]
    for profile in profiles:
        first, *further = profile.texts("engines.order") or ("?",)
        table.append(
            (
                "*" if profile.name == here else "",
                profile.name,
                profile.text("site.title"),
                profile.text("node.architecture", "?"),
                _short(profile.text("gpu.model") or profile.text("gpu.vendor", "?")),
                f"{first} +{len(further)}" if further else first,
                f"{len(_seen(profile))} of {len(profile.facts)}",
            )
        )
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    print("SEEN: facts that somebody saw on the machine itself", file=sys.stderr)
    if here:
        print(f"* this is {here}", file=sys.stderr)


def _short(model: str) -> str:
    for maker in ("NVIDIA ", "AMD Instinct ", "Intel "):
        model = model.removeprefix(maker)
    return model


def _seen(profile: Profile) -> list[Fact]:
    return [fact for fact in profile.facts.values() if fact.verified]


def _show(profile: Profile, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_as_json(profile), indent=2))
        return
    from shutil import get_terminal_size

    width = max(66, min(get_terminal_size((100, 24)).columns, 120))
    print(f"{profile.name}: {profile.text('site.title')}")
    if profile.aliases:
        print(f"also called {', '.join(profile.aliases)}")
    if profile.collected:
        print(f"collected {profile.collected}")
    if profile.files:
        print(f"in {', '.join(profile.files)}")
    print(_counted(profile))
    for word, facts in profile.groups():
        print(f"\n[{word}]")
        for fact in facts:
            print("\n".join(_lines(fact, word, width, several=len(profile.files) > 1)))
    used = {s.key: s for fact in profile.facts.values() for s in (*fact.sources, *fact.noted)}
    named = [source for source in used.values() if source.kind not in ("measured", "yours")]
    if named:
        print("\nsources")
    for source in named:
        # Those without an address say what they are.
        print(f"  {source.key:<4} {source.url or '-'}  ({source.kind}, {source.date})")


def _counted(profile: Profile) -> str:
    """How far one can rely on this profile, with what the marks of the lines mean."""
    seen, facts = _seen(profile), profile.facts.values()
    if len(seen) == len(facts):
        return f"✓ all {len(facts)} facts were seen on the machine itself"
    doubtful = sum(fact.doubtful and not fact.verified for fact in facts)
    return (
        f"{len(facts)} facts:\n"
        f"  ✓ {len(seen):>3} seen on the machine itself\n"
        f"  · {len(facts) - len(seen) - doubtful:>3} read in the sources below, verified by nobody there\n"
        f"  ? {doubtful:>3} not looked up (K) or concluded (I), verified by nobody"
    )


def _lines(fact: Fact, word: str, width: int, *, several: bool) -> list[str]:
    """A fact as it is shown: what it is, where it is from, and below it every value of a long list and the note."""
    from textwrap import wrap

    mark = "✓" if fact.verified else "?" if fact.doubtful else "·"
    origin = ", ".join(source.kind if source.kind == "yours" else source.key for source in fact.sources)
    if several:
        # A profile of the user's may have the name of one that comes with Sealift.
        origin += "; your " if "/" in fact.file else "; "
        origin += fact.file.rpartition("/")[2]
    origin += f"; seen {fact.verified}" if fact.verified and fact.sources[0].kind != "measured" else ""
    head, below = f"{mark} {fact.key.removeprefix(word + '.')} =", []
    values = fact.value if isinstance(fact.value, tuple) else ()
    if values == () and isinstance(fact.value, tuple):
        head += " nothing"
    elif len(values) > 1 and (len(fact.shown) > width - len(head) - 1 or any(" " in each for each in values)):
        for each in values:
            first, *more = wrap(each, width - 8, break_long_words=False, break_on_hyphens=False) or [""]
            below += [f"      - {first}", *(f"        {line}" for line in more)]
    else:
        head += f" {fact.shown}"
    first, *more = wrap(
        f"{head}  [{origin}]", width, break_long_words=False, break_on_hyphens=False, subsequent_indent="      "
    )
    note = wrap(fact.note, width - 6, break_long_words=False, break_on_hyphens=False)
    return [first, *more, *below, *(f"      {line}" for line in note)]


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
                "noted": [{"key": s.key, "kind": s.kind, "url": s.url, "date": s.date} for s in fact.noted],
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

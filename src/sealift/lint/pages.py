"""The page of a rule: on the terminal for `--explain`, and all of them below docs/reference/lint-rules."""

from __future__ import annotations

import textwrap

from sealift.lint.catalogue import RULES
from sealift.lint.values import Rule

FAMILIES = {
    "language": "Language: what the parser refuses or takes otherwise",
    "shell": "Shell: what a script does otherwise than it reads",
    "pinning": "Pinning: what is another thing tomorrow",
    "size": "Size: what nobody needs in the image",
    "security": "Security: what lets others in, or secrets out",
    "portability": "Portability: what works here and nowhere else",
    "python": "Python: packages that are not where they seem",
    "gpu": "GPU: what does not fit driver and device",
    "mpi": "MPI: what keeps ranks apart, or slow",
    "nersc": "NERSC: Perlmutter's file systems and engines",
    "tested": "Tested and told",
    "lint": "The comments of the linter itself",
}
_LONGEST_EXAMPLE = 400

_INTRODUCTION = """\
# The rules of `sealift lint`

Each rule has an ID, a level and a family. An *error* breaks the build or the image, a *warning* is a likely fault, a
*note* is advice. Rules marked *fix* can be mended by `sealift lint --fix`. How to run the linter, ignore a finding and
configure a project: [lint.md](../lint.md). How often each rule is wrong: [lint-precision.md](../lint-precision.md).

On the terminal, `sealift lint --explain ID` shows the page of a rule. These pages are written by
`python -m tests.lint.write_pages` from the rules themselves.
"""


def explain(rule: Rule) -> str:
    """The page as plain text."""
    facts = f"{rule.level} · {rule.family}" + (" · can be fixed" if rule.fixes else "")
    if rule.site:
        facts += f" · with --site {'NAME' if rule.site == 'any' else rule.site}"
    return "\n".join(
        (
            f"{rule.id}: {rule.title}",
            facts,
            "",
            *textwrap.wrap(f"Why: {rule.reason}", 100),
            "",
            *textwrap.wrap(f"What to do: {rule.remedy}", 100),
            "",
            "Found in:",
            *_shown(rule.bad, "  | "),
            "",
            "Not in:",
            *_shown(rule.good, "  | "),
            "",
            *textwrap.wrap(f"To live with it: # sealift: ignore={rule.id} REASON, on the line or the one above.", 100),
        )
    )


def _shown(text: str, before: str) -> list[str]:
    if len(text) > _LONGEST_EXAMPLE * 4:
        text = text[:_LONGEST_EXAMPLE] + "…"
    return [(before + line).rstrip() for line in _visible(text).rstrip("\n").split("\n")]


def _visible(text: str) -> str:
    """Characters that one cannot see, as their names."""
    return (
        text.replace("\ufeff", "<byte order mark>").replace("\0", "<NUL>").replace("\r", "<CR>").replace("\t", "<tab>")
    )


def index() -> str:
    """All rules, a line each."""
    width = max(len(rule.id) for rule in RULES)
    lines = []
    for family, title in FAMILIES.items():
        lines += ["", title]
        lines += [
            f"  {rule.id:<{width}}  {rule.level:<7}  {'fix' if rule.fixes else '   '}  {rule.title}"
            for rule in RULES
            if rule.family == family
        ]
    return "\n".join(lines[1:])


def pages() -> dict[str, str]:
    """What lies in docs/reference, by name: the list of all rules, and a page for each family."""
    listing = [_INTRODUCTION]
    written = {}
    for family, title in FAMILIES.items():
        rules = [rule for rule in RULES if rule.family == family]
        file = page_of(family)
        listing.append(f"\n## {title}\n\n| rule | level | | says |\n|---|---|---|---|\n")
        for rule in rules:
            fix = "fix" if rule.fixes else ""
            listing.append(f"| [`{rule.id}`]({file}#{rule.id}) | {rule.level} | {fix} | {_cell(rule.title)} |\n")
        head = f"# {title}\n\nRules of `sealift lint`; [all of them](../lint-rules.md).\n\n"
        written[file] = head + "\n".join(_entry(rule) for rule in rules)
    return {"lint-rules.md": "".join(listing), **written}


def page_of(family: str) -> str:
    """The page of a family's rules, seen from docs/reference."""
    return f"lint-rules/{family}.md"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _entry(rule: Rule) -> str:
    facts = ", ".join((rule.level, *(("can be fixed by `--fix`",) if rule.fixes else ())))
    site = f" Asked with `--site {'NAME' if rule.site == 'any' else rule.site}` alone." if rule.site else ""
    return (
        f"## {rule.id}\n\n"
        + "\n".join(_wrapped(f"**{rule.title}** ({facts}). {rule.reason}{site}"))
        + "\n\n"
        + "\n".join(_wrapped(f"*What to do:* {rule.remedy}"))
        + "\n\nFound in:\n\n```\n"
        + "\n".join(_shown(rule.bad, ""))
        + "\n```\n\nNot in:\n\n```\n"
        + "\n".join(_shown(rule.good, ""))
        + "\n```\n"
        + ("" if _is_refused(rule) else f"\n*To live with it:* {_ignoring(rule)}\n")
    )


def _ignoring(rule: Rule) -> str:
    return f"`# sealift: ignore={rule.id} REASON`, on its line or the one above."


def _is_refused(rule: Rule) -> bool:
    """Builds refuse the file, so that nobody can live with it."""
    return rule.family == "language" and rule.level == "error"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 118, break_on_hyphens=False)

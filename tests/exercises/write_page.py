"""Writes the part of docs/learning.md that is the checker's vocabulary: `python -m tests.exercises.write_page`."""

from __future__ import annotations

from sealift.learn.vocabulary import CONDITIONS, KINDS
from tests.docs.blocks import ROOT

PAGE = ROOT / "docs" / "learning.md"
HEADING = "## Kinds of checks\n"


def vocabulary() -> str:
    """The last part of the page."""
    lines = [HEADING]
    for name, kind in KINDS.items():
        lines += [f"### `{name}`\n", f"{kind.says[0].upper()}{kind.says[1:]}.\n", "| field | type | |", "|---|---|---|"]
        for field, each in kind.fields.items():
            lines.append(f"| `{field}` | {each.type}{'' if each.required else ', optional'} | {each.says} |")
        lines.append("")
    lines += ["### Where a check is left out\n", "| `when` | left out, and said so, where |", "|---|---|"]
    lines += [f"| `{name}` | {why} |" for name, why in CONDITIONS.items()]
    return "\n".join(lines) + "\n"


def rewritten(text: str) -> str:
    """The page with the vocabulary as it is now."""
    return text[: text.index(HEADING)] + vocabulary()


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text("utf-8")), encoding="utf-8")

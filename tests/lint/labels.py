"""The labels of tests/lint/labels.toml, counted: how often each rule is right."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from sealift.lint.catalogue import BY_ID, RULES
from sealift.lint.pages import page_of
from sealift.lint.values import Settings

FILE = Path(__file__).parent / "labels.toml"
ENOUGH = 50
"""So many findings of a rule are read; of one that has fewer, all."""

READ_FILES = 436
"""So many definition files were linted."""

SETTINGS = Settings(
    site=("perlmutter-gpu", "perlmutter"),
    facts={
        "gpu.vendor": "nvidia",
        "gpu.cuda": "13.0",
        "gpu.driver": "580.105.08",
        "gpu.capability": "8.0",
        "node.architecture": "amd64",
        "mpi.families": "mpich",
    },
)
"""All rules were asked, those of a site as for this one."""

_HEAD = f"""\
# How often the linter is wrong

A linter that cries wolf is switched off. So every rule was run over {READ_FILES} real definition files of public
repositories, and its findings were read: all of them, or {ENOUGH} chosen by the digests of their places. A finding is
*right* where the fault is there and means what the rule says. What was wrong at first reading led to a narrower rule;
the table has the rules as they are. No rule may be wrong more than once in {ENOUGH}.

The places, with what makes a finding right, are in `tests/lint/labels.toml`, from which this page is counted. The files
are other people's, and not a part of this repository; where `SEALIFT_TEST_CORPUS` names their folder, the tests hold
the rules to the labels: each labelled place is found again, and each rule has as many places as the table says.

<!-- not run: it writes this page -->
```sh
python -m tests.lint.write_pages
```

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Of one rule. `found` is how many places it had in all."""

    rule: str
    found: int
    why: str
    right: tuple[str, ...]
    wrong: tuple[tuple[str, str], ...]

    @property
    def read(self) -> int:
        return len(self.right) + len(self.wrong)


def load() -> dict[str, Labels]:
    whole = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {
        name: Labels(
            rule=name,
            found=table["found"],
            why=table["why"],
            right=tuple(table["right"].split()),
            wrong=tuple((one["at"], one["why"]) for one in table.get("wrong", ())),
        )
        for name, table in whole.items()
    }


def precision_page() -> str:
    """docs/lint-precision.md."""
    labels = load()
    rows = [labels[rule.id] for rule in RULES if rule.id in labels]
    read, wrong = sum(row.read for row in rows), sum(len(row.wrong) for row in rows)
    parts = [_HEAD]
    parts.append(f"{read} findings of {len(rows)} rules were read; {wrong} were wrong.\n\n")
    parts.append("| rule | level | places | read | right | wrong |\n|---|---|--:|--:|--:|--:|\n")
    parts += [
        f"| [`{row.rule}`](reference/{page_of(BY_ID[row.rule].family)}#{row.rule}) | {BY_ID[row.rule].level} "
        f"| {row.found} | {row.read} | {len(row.right)} | {len(row.wrong)} |\n"
        for row in rows
    ]
    silent = ", ".join(f"`{rule.id}`" for rule in RULES if rule.id not in labels)
    parts.append(
        "\n## Rules that met nothing\n\nThese found nothing in those files, so that nothing is known of how often they "
        f"are wrong but that they were silent {READ_FILES} times. Planted faults and their own examples show that they "
        f"find what they are for: {silent}.\n"
    )
    return "".join(parts)

"""Two builds of one definition file, laid side by side: every difference as a value."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.parity.cases import Case
from sealift.core.tree import Entry, show_path

ENVIRONMENTS = re.compile(rb"said/env(-[^/]*)?")
"""Files of the image to which a section wrote `env -0`: compared variable by variable."""

SAYS = "say: "
"""What a section says for the comparison begins so; its other output is its programs'."""


VARIABLE = "variable "


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question: the exit code and standard output. `complaint`, standard error, is not compared."""

    code: int
    said: str
    complaint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one builder made of a definition file. `answers` are by the program that was asked and the question."""

    code: int
    said: tuple[str, ...]
    tree: Mapping[bytes, Entry] = field(default_factory=dict)
    contents: Mapping[bytes, bytes] = field(default_factory=dict)
    """Of the files that are compared by what they say: labels, and environments that sections wrote."""
    answers: Mapping[tuple[str, ...], Answer] = field(default_factory=dict)
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`about` is what differs (`mode`, `content`, `label`, …), `name` of what (a path, a key, a question)."""

    about: str
    name: str
    theirs: str
    ours: str

    def __str__(self) -> str:
        return f"{self.about} of {self.name}: {self.theirs} | {self.ours}"


def compare(case: Case, theirs: Outcome, ours: Outcome) -> tuple[int, list[Difference]]:
    """How many things were compared, and what is not the same. A refusal's exit code is the case's."""
    if case.fails is not None:
        found = [] if ours.code == case.fails else [_difference("exit code", "build", case.fails, ours.code)]
        if theirs.code == 0:
            found.append(_difference("exit code", "build", theirs.code, ours.code))
        return 1 + len(theirs.said), [*found, *_said(theirs, ours)]
    if theirs.code or ours.code:
        as_told = case.refused and theirs.code and not ours.code
        return 1, [] if as_told else [_difference("exit code", "build", theirs.code, ours.code)]
    found = [*_said(theirs, ours), *differing_trees(theirs, ours)]
    for (program, *question), answer in ours.answers.items():
        found += _answers(program, " ".join(question), theirs.answers["apptainer", *question], answer)
    return len(theirs.tree.keys() | ours.tree.keys()) + len(ours.answers) + len(theirs.said), found


def by_value(path: bytes) -> bool:
    """Is a file compared by what it says, and not by its bytes?"""
    return path.endswith(b"/labels.json") or ENVIRONMENTS.fullmatch(path) is not None


def _difference(about: str, name: str, theirs: object, ours: object) -> Difference:
    return Difference(about=about, name=name, theirs=str(theirs), ours=str(ours))


def _said(theirs: Outcome, ours: Outcome) -> Iterator[Difference]:
    """What the sections said, in order; `variable NAME=VALUE` is compared by name."""
    left, right = ([line for line in one.said if not line.startswith(VARIABLE)] for one in (theirs, ours))
    if left != right:
        yield _difference("sections say", "build", left, right)
    dumps = (
        "\0".join(line.removeprefix(VARIABLE) for line in one.said if line.startswith(VARIABLE))
        for one in (theirs, ours)
    )
    yield from differing_pairs("section variable", *(as_variables(dump.encode()) for dump in dumps))


def differing_trees(theirs: Outcome, ours: Outcome) -> Iterator[Difference]:
    twins, others_twins = _first_names(theirs.tree), _first_names(ours.tree)
    for path in sorted(theirs.tree.keys() | ours.tree.keys()):
        name = show_path(path)
        left, right = theirs.tree.get(path), ours.tree.get(path)
        if left is None or right is None:
            yield _difference("presence", name, _kind(left), _kind(right))
            continue
        facts, others = _facts(left, twins), _facts(right, others_twins)
        if facts["type"] != others["type"]:
            yield _difference("type", name, facts["type"], others["type"])
            continue
        for about, value in facts.items():
            if value == others[about]:
                continue
            if about in ("content", "size") and path in theirs.contents and path in ours.contents:
                if about == "content":
                    yield from _values(path, theirs.contents[path], ours.contents[path])
            else:
                yield _difference(about, name, value, others[about])


def _kind(entry: Entry | None) -> str:
    return "absent" if entry is None else stat.filemode(entry.mode)


def _first_names(tree: Mapping[bytes, Entry]) -> dict[int, str]:
    """Of each group of hard links."""
    found: dict[int, str] = {0: "none"}
    for path, entry in tree.items():
        found.setdefault(entry.group, show_path(path))
    return found


def _facts(entry: Entry, twins: Mapping[int, str]) -> dict[str, Any]:
    return {
        "type": stat.filemode(entry.mode)[0],
        "mode": oct(stat.S_IMODE(entry.mode)),
        "owner": f"{entry.uid}:{entry.gid}",
        "time": entry.mtime,
        "device": entry.rdev,
        "size": entry.size,
        "content": entry.digest.hex()[:16],
        "link": entry.link,
        "hard link": twins[entry.group],
        "attributes": entry.xattrs,
    }


def _values(path: bytes, theirs: bytes, ours: bytes) -> Iterator[Difference]:
    if ENVIRONMENTS.fullmatch(path):
        yield from differing_pairs("section variable", as_variables(theirs), as_variables(ours))
    else:
        yield from differing_pairs("label", json.loads(theirs), json.loads(ours))


def as_variables(dump: bytes) -> dict[str, str]:
    pairs = (item.partition("=") for item in dump.decode("utf-8", "surrogateescape").split("\0") if item)
    return {name: value for name, _, value in pairs}


def differing_pairs(about: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[Difference]:
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            yield _difference(about, key, theirs.get(key, "absent"), ours.get(key, "absent"))


def _answers(program: str, question: str, theirs: Answer, ours: Answer) -> Iterator[Difference]:
    if theirs.code != ours.code:
        yield _difference(
            "exit code",
            f"{program} {question}",
            theirs.code,
            f"{ours.code} {ours.complaint.strip().rpartition(chr(10))[2]}",
        )
    elif theirs.said == ours.said:
        return
    elif question.endswith("env -0"):
        yield from differing_pairs("variable", as_variables(theirs.said.encode()), as_variables(ours.said.encode()))
    elif question.startswith("inspect") and theirs.said.startswith("{") and ours.said.startswith("{"):
        yield from differing_pairs("inspect", dict(_flat(json.loads(theirs.said))), dict(_flat(json.loads(ours.said))))
    else:
        yield _difference("answer", f"{program} {question}", theirs.said, ours.said)


def _flat(value: Any, above: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _flat(below, f"{above}/{key}" if above else key)
    else:
        yield above, json.dumps(value)

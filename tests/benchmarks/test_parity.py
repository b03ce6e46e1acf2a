"""The comparison with Apptainer: the whole of it, and that it would see what is not the same."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.parity import building, cases, page, rules
from benchmarks.parity.cases import Case, read_case, read_cases
from benchmarks.parity.comparing import Answer, Difference, Outcome, compare
from benchmarks.parity.comparison import compare_all
from benchmarks.parity.engines import ground
from benchmarks.parity.engines.comparison import RULES, compare_engines
from sealift.core.tree import Entry
from tests.ground import install, services, session, users

OF_OTHERS = ("capabilities", "from-stage", "owners", "setup-writes")
"""What may depend on who builds; `make parity` has each build all."""

WHOLE = (
    *("apps", "capabilities", "environment-fails", "environment-odd", "environment-order", "from-stage-whole"),
    *("localimage-stripped", "oci-cmd", "oci-entrypoint", "oci-quotes", "oci-shell", "oci-variables"),
    *("on-apptainers-sif", "on-scratch", "runscript-interpreter", "runscript-plain", "special-files", "test-passes"),
)
"""Whose images every engine is asked everything; of the others the tree is compared, and what one start shows. With
`--engines` all are asked.
"""


@pytest.fixture(scope="module")
def place(session_folder: Path) -> Iterator[building.Place]:
    folder = session_folder / "parity"
    folder.mkdir()
    folder.chmod(0o755)
    as_user = users.AsUser(bin=install.installed(), base=folder)
    as_user.environment()
    yield building.Place(folder=folder, as_user=as_user)
    session.remove(folder)


@pytest.fixture(scope="module")
def rows(place: building.Place) -> list[page.Row]:
    """What came of building everything by both; the images stay in the place."""
    return compare_all(place, read_cases(), building.builders(), of_others=OF_OTHERS)


@pytest.mark.slow
@pytest.mark.needs("root", "apptainer", "squashfuse", "plain-user")
def test_what_both_build_differs_by_the_rules_alone(rows: list[page.Row]) -> None:
    assert [f"{row.case.name} ({builder}): {rest}" for row in rows for builder, rest in row.rest] == []
    used = {rule for row in rows for rule in row.explained}
    assert {rule.id for rule in rules.load_rules()} - used == set()
    text = page.render(rows, rules.load_rules(), {"apptainer": "", "sealift": ""})
    assert page.without_counts(page.FILE.read_text()) == page.without_counts(text)


@pytest.mark.slow
@pytest.mark.needs("root", "apptainer", "squashfuse", "plain-user", "docker", "podman")
def test_an_image_is_the_same_in_every_engine_but_for_the_rules(
    place: building.Place, rows: list[page.Row], docker: services.Docker
) -> None:
    assert rows
    cases = [case for case in read_cases() if (place.folder / "sealift" / f"{case.name}.sif").exists()]
    with ground.engines(place, docker) as engines:
        found = compare_engines(engines, cases, whole=WHOLE)
    assert [f"{row.case.name} ({engine}): {rest}" for row in found for engine, rest in row.rest] == []
    used = {rule for row in found for rule in row.explained}
    assert {rule.id for rule in rules.load_rules(RULES)} - used == set()


def test_each_definition_file_says_what_it_covers() -> None:
    found = read_cases()
    assert len(found) >= 30
    assert len({case.covers for case in found}) == len(found)


def test_a_comment_on_top_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.def"
    path.write_text(
        '# Covers: one thing,\n#   and another\n# Options: --build-arg "A=1 2"\n# Ask: run IMAGE "a b"\n'
        "# Ask: test IMAGE\n# Fails: 3\n# Refused by Apptainer: it cannot\nBootstrap: scratch\n# Ask: no more\n"
    )
    assert read_case(path) == Case(
        path=path,
        covers="one thing, and another",
        options=("--build-arg", "A=1 2"),
        asks=(("run", "IMAGE", "a b"), ("test", "IMAGE")),
        fails=3,
        refused="it cannot",
    )
    path.write_text("Bootstrap: scratch\n")
    with pytest.raises(ValueError, match="does not say what it covers"):
        read_case(path)
    with pytest.raises(ValueError, match="no definition file for nosuch"):
        read_cases(["nosuch"])


FILE = Entry(path=b"a", mode=stat.S_IFREG | 0o644, size=3, mtime=5, digest=b"1" * 32)
LABELS = b"x/labels.json"


def outcome(*entries: Entry, code: int = 0, said: tuple[str, ...] = (), answer: Answer | None = None) -> Outcome:
    return Outcome(
        code=code,
        said=said,
        tree={entry.path: entry for entry in entries},
        answers={} if answer is None else {("apptainer", "run", "IMAGE"): answer},
    )


def changed(**values: Any) -> Entry:
    return replace(FILE, **values)


PLAIN = Case(path=Path("x.def"), covers="x")


@pytest.mark.parametrize(
    ("theirs", "ours", "about"),
    [
        (outcome(FILE), outcome(FILE), []),
        (outcome(FILE), outcome(), ["presence"]),
        (outcome(), outcome(FILE), ["presence"]),
        (outcome(FILE), outcome(changed(mode=stat.S_IFREG | 0o600)), ["mode"]),
        (outcome(FILE), outcome(changed(mode=stat.S_IFLNK | 0o644)), ["type"]),
        (outcome(FILE), outcome(changed(uid=1)), ["owner"]),
        (outcome(FILE), outcome(changed(mtime=6)), ["time"]),
        (outcome(FILE), outcome(changed(size=4, digest=b"2" * 32)), ["size", "content"]),
        (outcome(FILE), outcome(changed(xattrs=((b"user.a", b"1"),))), ["attributes"]),
        (outcome(FILE), outcome(changed(link=b"x")), ["link"]),
        (outcome(FILE), outcome(changed(rdev=1)), ["device"]),
        (outcome(changed(group=7)), outcome(changed(group=8)), []),
        (outcome(FILE), outcome(changed(group=1)), ["hard link"]),
        (outcome(said=("a", "variable A=1")), outcome(said=("a", "variable A=1")), []),
        (outcome(said=("a", "b")), outcome(said=("b", "a")), ["sections say"]),
        (outcome(said=("variable A=1",)), outcome(said=("variable A=2",)), ["section variable"]),
        (outcome(code=255), outcome(), ["exit code"]),
        (outcome(), outcome(code=3), ["exit code"]),
        (outcome(answer=Answer(code=0, said="a")), outcome(answer=Answer(code=0, said="a")), []),
        (outcome(answer=Answer(code=0, said="a")), outcome(answer=Answer(code=0, said="b")), ["answer"]),
        (outcome(answer=Answer(code=0, said="a")), outcome(answer=Answer(code=1, said="a")), ["exit code"]),
    ],
)
def test_differences_are_seen(theirs: Outcome, ours: Outcome, about: list[str]) -> None:
    assert [found.about for found in compare(PLAIN, theirs, ours)[1]] == about


@pytest.mark.parametrize(
    ("fails", "refused", "theirs", "ours", "count"),
    [
        (3, "", 255, 3, 0),
        (3, "", 255, 1, 1),
        (3, "", 0, 3, 1),
        (3, "", 255, 0, 1),
        (None, "why", 255, 0, 0),
        (None, "why", 255, 3, 1),
        (None, "why", 0, 3, 1),
    ],
)
def test_refusals_are_compared(fails: int | None, refused: str, theirs: int, ours: int, count: int) -> None:
    case = Case(path=Path("x.def"), covers="x", fails=fails, refused=refused)
    assert len(compare(case, outcome(code=theirs), outcome(code=ours))[1]) == count


def test_labels_and_variables_are_compared_by_name() -> None:
    theirs, ours = (
        Outcome(
            code=0,
            said=(),
            tree={path: changed(path=path, digest=digest) for path in (LABELS, b"said/env-post")},
            contents={LABELS: labels, b"said/env-post": variables},
        )
        for digest, labels, variables in (
            (b"1" * 32, b'{"a": "1", "b": "2"}', b"A=1\0B=2\0"),
            (b"2" * 32, b'{"a": "1", "b": "3"}', b"A=1\0C=2\0"),
        )
    )
    assert compare(PLAIN, theirs, ours)[1] == [
        Difference(about="section variable", name="B", theirs="2", ours="absent"),
        Difference(about="section variable", name="C", theirs="absent", ours="2"),
        Difference(about="label", name="b", theirs="2", ours="3"),
    ]


RULE = rules.Rule(
    id="x", about=("mode",), match=("/etc/*",), reason="because", theirs="0o6.*", ours="0o644", by=("root",)
)
HIT = Difference(about="mode", name="/etc/x", theirs="0o600", ours="0o644")


@pytest.mark.parametrize(
    ("difference", "builder", "explained"),
    [
        (HIT, "root", True),
        (HIT, "sealift", False),
        (Difference(about="time", name="/etc/x", theirs="0o600", ours="0o644"), "root", False),
        (Difference(about="mode", name="/x", theirs="0o600", ours="0o644"), "root", False),
        (Difference(about="mode", name="/etc/x", theirs="0o700", ours="0o644"), "root", False),
        (Difference(about="mode", name="/etc/x", theirs="0o600", ours="0o6440"), "root", False),
    ],
)
def test_a_rule_explains_what_it_names(difference: Difference, builder: str, explained: bool) -> None:
    assert RULE.explains(difference, builder) is explained
    counts, rest = rules.explain([difference], [RULE], builder)
    assert (dict(counts), rest) == (({"x": 1}, []) if explained else ({}, [difference]))


def test_the_page_is_that_of_the_code() -> None:
    """Without building anything: its rows are the definition files, its rules those of the list."""
    text = page.FILE.read_text()
    empty = [page.Row(case=case, compared=0, explained=()) for case in read_cases()]
    written = page.without_counts(text)
    assert [line for line in written if line.startswith("| [")] == page.without_counts("\n".join(page.table(empty)))[2:]
    assert set(page.rule_table(rules.load_rules())) <= set(written)
    assert "unexplained" not in text
    assert cases.FOLDER.is_dir()

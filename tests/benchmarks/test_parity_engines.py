"""The comparison of engines: what it would see, and how trees are read out of `docker save`."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.parity import page, rules
from benchmarks.parity.cases import Case, read_cases
from benchmarks.parity.comparing import Answer, Difference, Outcome, differing_trees
from benchmarks.parity.engines import overview
from benchmarks.parity.engines.asking import Question, answer_of, differing_answers, questions
from benchmarks.parity.engines.comparison import RULES
from benchmarks.parity.engines.trees import Tree, apply, exported_tree, grouped, read_tar, saved_trees
from sealift.core.tree import sort_key
from tests.packs import layers
from tests.packs.layers import file, folder, hard_link, opaque, symlink, tar, whiteout


def laid(*stack: list[layers.Part]) -> Tree:
    tree: Tree = {}
    links: dict[bytes, bytes] = {}
    for layer in stack:
        apply(tree, links, *read_tar(io.BytesIO(tar(layer))))
    return grouped(tree, links)


BELOW = [
    folder("a"),
    file("a/one", b"1", xattrs={"user.x": b"\xff\0"}),
    hard_link("a/two", "a/one"),
    folder("b"),
    folder("b/c"),
    file("b/c/d", b"d"),
    symlink("s", "b"),
]


@pytest.mark.parametrize(
    ("above", "names"),
    [
        ([], {"a": 0, "a/one": 1, "a/two": 1, "b": 0, "b/c": 0, "b/c/d": 0, "s": 0}),
        ([whiteout("b/c")], {"a": 0, "a/one": 1, "a/two": 1, "b": 0, "s": 0}),
        ([opaque("b"), file("b/new")], {"a": 0, "a/one": 1, "a/two": 1, "b": 0, "b/new": 0, "s": 0}),
        ([file("b")], {"a": 0, "a/one": 1, "a/two": 1, "b": 0, "s": 0}),
        ([whiteout("a/one")], {"a": 0, "a/two": 0, "b": 0, "b/c": 0, "b/c/d": 0, "s": 0}),
        ([file("a/two")], {"a": 0, "a/one": 0, "a/two": 0, "b": 0, "b/c": 0, "b/c/d": 0, "s": 0}),
        (
            [file("z"), hard_link("y", "z")],
            {
                "a": 0,
                "a/one": 1,
                "a/two": 1,
                "b": 0,
                "b/c": 0,
                "b/c/d": 0,
                "s": 0,
                "y": 2,
                "z": 2,
            },
        ),
    ],
)
def test_layers_are_laid_over_each_other(above: list[layers.Part], names: dict[str, int]) -> None:
    found = laid(BELOW, above)
    assert {path.decode(): entry.group for path, entry in found.items()} == names
    assert list(found) == sorted(found, key=sort_key)


def test_all_that_an_entry_says_is_read() -> None:
    found = laid(BELOW)[b"a/one"]
    assert (found.size, found.xattrs, found.mode) == (1, ((b"user.x", b"\xff\0"),), 0o100644)
    assert laid(BELOW)[b"s"].link == b"b"


def test_archives_of_images_and_of_containers_are_read(tmp_path: Path) -> None:
    first, second = tar(BELOW), tar([whiteout("b"), file("new", b"n")])
    manifest = [
        {"RepoTags": ["one:1"], "Layers": ["x/layer.tar"]},
        {"RepoTags": ["two:2"], "Layers": ["x/layer.tar", "y/layer.tar"]},
    ]
    archive = tmp_path / "saved.tar"
    with tarfile.open(archive, "w") as saved:
        for name, data in (("manifest.json", json.dumps(manifest).encode()), ("x/layer.tar", first)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            saved.addfile(member, io.BytesIO(data))
        member = tarfile.TarInfo("y/layer.tar")
        member.type, member.linkname = tarfile.SYMTYPE, "../z/layer.tar"
        saved.addfile(member)
        member = tarfile.TarInfo("z/layer.tar")
        member.size = len(second)
        saved.addfile(member, io.BytesIO(second))
    with archive.open("rb") as stream:
        found = dict(saved_trees(stream))
    assert found["one:1"] == laid(BELOW)
    assert sorted(found["two:2"]) == [b"a", b"a/one", b"a/two", b"new", b"s"]
    archive.write_bytes(first)
    assert exported_tree(archive) == laid(BELOW)


def test_a_tree_that_is_not_the_same_is_seen() -> None:
    ours = laid(BELOW)
    theirs = ours | {b"a": replace(ours[b"a"], mtime=7), b"b/c/d": replace(ours[b"b/c/d"], uid=5)}
    found = differing_trees(Outcome(code=0, said=(), tree=theirs), Outcome(code=0, said=(), tree=ours))
    assert [(each.about, each.name) for each in found] == [("time", "/a"), ("owner", "/b/c/d")]


PARTS = "=== ids\nuid=1\n\n=== variables\nA=1\0B=2\0"
ASKED = Question(verb="exec", parts=True)


@pytest.mark.parametrize(
    ("question", "theirs", "ours", "about"),
    [
        (Question(verb="run"), Answer(code=0, said="a"), Answer(code=0, said="a"), []),
        (Question(verb="run"), Answer(code=0, said="a"), Answer(code=0, said="b"), ["standard output"]),
        (Question(verb="run"), Answer(code=0, said="a"), Answer(code=1, said="a"), ["exit code"]),
        (Question(verb="run"), Answer(code=0, said=""), Answer(code=0, said="", complaint="x"), ["standard error"]),
        (ASKED, Answer(code=0, said=PARTS), Answer(code=0, said=PARTS), []),
        (ASKED, Answer(code=0, said=PARTS), Answer(code=0, said=""), ["ids", "variables"]),
        (ASKED, Answer(code=0, said=PARTS), Answer(code=0, said=PARTS.replace("uid=1", "uid=2")), ["ids", "ids"]),
        (ASKED, Answer(code=0, said=PARTS), Answer(code=0, said=PARTS.replace("B=2", "B=3")), ["variable"]),
        (
            Question(verb="exec", words=("env", "-0")),
            Answer(code=0, said="A=1\0"),
            Answer(code=0, said="A=1\0C=2\0"),
            ["variable"],
        ),
    ],
)
def test_differing_answers_are_seen(question: Question, theirs: Answer, ours: Answer, about: list[str]) -> None:
    assert [each.about for each in differing_answers(question, theirs, ours)] == about


def test_only_the_engines_own_lines_are_left_out() -> None:
    err = (
        b"INFO:    fuse2fs not found\ngiving x.sif to docker as localhost/sealift:1, once\nINFO is mine\n"
        b"another sealift is making a layer, waiting\nFATAL:   no\n"
    )
    done = subprocess.CompletedProcess([], 3, b"at /place", err)
    assert answer_of(done, {"/place": "FOLDER"}) == Answer(
        code=3, said="at FOLDER", complaint="INFO is mine\nFATAL:   no"
    )


def test_a_whole_image_is_asked_what_its_file_asks() -> None:
    asks = (("run", "--app", "x", "IMAGE", "a b"), ("run-help", "IMAGE"), ("exec", "--cleanenv", "IMAGE", "env", "-0"))
    case = Case(path=Path("x.def"), covers="x", asks=asks)
    assert [str(question) for question in questions(case, whole=False)] == ["everything"]
    everything, run, test, asked = questions(case, whole=True)
    assert [str(each) for each in (everything, test, asked)] == ["everything", "test IMAGE", "run --app x IMAGE 'a b'"]
    assert run.words[:3] == ("", "two words", "it's")


@pytest.mark.parametrize(
    ("engine", "case", "explained"), [("docker", "x", True), ("podman", "x", False), ("docker", "y", False)]
)
def test_a_rule_is_of_the_cases_that_it_names(engine: str, case: str, explained: bool) -> None:
    rule = rules.Rule(id="x", about=("root",), match=("run",), reason="because", by=("docker",), of=("x",))
    difference = Difference(about="root", name="run", theirs="absent", ours="there")
    counts, rest = rules.explain([difference], [rule], engine, case)
    assert (dict(counts), rest) == (({"x": 1}, []) if explained else ({}, [difference]))


def test_the_page_is_that_of_the_code() -> None:
    """Without running anything: its rows are the files that build, its rules those of the list."""
    written = page.without_counts(overview.FILE.read_text())
    built = [page.Row(case=case, compared=0, explained=()) for case in read_cases() if case.fails is None]
    assert [line for line in written if line.startswith("| [")] == page.without_counts("\n".join(page.table(built)))[2:]
    assert set(page.rule_table(rules.load_rules(RULES))) <= set(written)
    assert "unexplained" not in overview.FILE.read_text()

from __future__ import annotations

import pytest

from sealift.lint.check import lint
from sealift.lint.values import Settings, Waiver

HEAD = "Bootstrap: docker\nFrom: ubuntu:24.04\n\n"


def places(text: str, *rules: str) -> list[tuple[str, int]]:
    report = lint(text.encode(), settings=Settings(select=frozenset(rules)))
    return [(one.rule.id, one.where.line) for one in report.findings]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("pip install numpy  # sealift: ignore=pip-unpinned the newest is wanted", []),
        ("# sealift: ignore=pip-unpinned the newest is wanted\n    pip install numpy", []),
        ("# sealift: ignore=pip-unpinned,pip-cache-left the newest is wanted\n    pip install numpy", []),
        ("# sealift: ignore=pip-unpinned the newest is wanted\n\n    # why not\n    pip install numpy", []),
        ("# sealift: ignore=pip-unpinned the newest is wanted\n    pip install \\\n        numpy", []),
        ("# sealift: ignore-file=pip-unpinned the newest is wanted\n    true\n    pip install numpy", []),
        ("#sealift:ignore=pip-unpinned the newest is wanted\n    pip install numpy", []),
        ("# sealift: ignore=pip-unpinned\n    pip install numpy", [("pip-unpinned", 6)]),
        ("# sealift: ignore=pip-unpinned the newest is wanted\n    true\n    pip install numpy", [("pip-unpinned", 7)]),
        ("# sealift: ignore=pip-cache-left no matter\n    pip install numpy", [("pip-unpinned", 6)]),
    ],
    ids=range(10),
)
def test_a_comment_lets_a_finding_pass(line: str, wanted: list[tuple[str, int]]) -> None:
    assert places(f"{HEAD}%post\n    {line}\n", "pip-unpinned") == wanted


def test_what_is_ignored_is_told_apart() -> None:
    text = f"{HEAD}%post\n    # sealift: ignore=pip-unpinned the newest is wanted\n    pip install numpy\n"
    settings = Settings(ignore={"size": Waiver(reason="a scratch image", origin="sealift.toml")})
    report = lint(text.encode(), file="a.def", settings=settings)
    assert {(one.finding.rule.id, one.reason, one.origin) for one in report.ignored} == {
        ("pip-unpinned", "the newest is wanted", "a.def:5"),
        ("pip-cache-left", "a scratch image", "sealift.toml"),
    }


@pytest.mark.parametrize(
    ("comment", "wanted"),
    [
        ("ignore=pip-unpinned", [("ignore-without-reason", "a reason is missing, so that nothing is ignored")]),
        ("ignore", [("ignore-without-reason", "this names no rule")]),
        ("ignore=pip-unpinned why", [("ignore-unused", "nothing here is found by the rule `pip-unpinned`")]),
        ("ignore=pip-unpined why", [("ignore-unused", "there is no rule `pip-unpined`")]),
    ],
)
def test_comments_that_do_nothing_are_findings(comment: str, wanted: list[tuple[str, str]]) -> None:
    report = lint(f"{HEAD}%post\n    # sealift: {comment}\n    true\n".encode())
    assert [(one.rule.id, one.message) for one in report.findings if one.rule.family == "lint"] == wanted


def test_a_family_can_be_selected_and_a_level_changed() -> None:
    text = f"{HEAD}%post\n    pip install numpy\n"
    settings = Settings(select=frozenset({"size"}), levels={"pip-cache-left": "error"})
    assert [(one.rule.id, one.level) for one in lint(text.encode(), settings=settings).findings] == [
        ("pip-cache-left", "error")
    ]


def test_places_are_those_of_the_file() -> None:
    text = f"# é\n{HEAD}%post\n\tpip install \\\n\t  numpy\n\tapt-key add k\n".replace("\n", "\r\n")
    report = lint(text.encode(), settings=Settings(select=frozenset({"pip-unpinned", "apt-key"})))
    assert [(one.rule.id, one.where.line, one.where.column, one.where.text) for one in report.findings] == [
        ("pip-unpinned", 6, 2, "\tpip install \\"),
        ("apt-key", 8, 2, "\tapt-key add k"),
    ]


def test_placeholders_are_filled_and_unknown_ones_claimed_nothing_of() -> None:
    head = "Bootstrap: docker\nFrom: ubuntu:{{ RELEASE }}\n\n%arguments\n    RELEASE=18.04\n\n"
    text = head + "%post\n    pip install numpy=={{ NUMPY }} {{ MORE }}\n    pip install {{ RELEASE }}\n"
    assert places(text, "base-end-of-life", "pip-unpinned") == [("base-end-of-life", 2), ("pip-unpinned", 9)]
    assert places("Bootstrap: docker\nFrom: {{ BASE }}\n", "pinning") == []


def test_what_is_not_known_is_shown_as_such() -> None:
    text = "Bootstrap: docker\nFrom: ubuntu:24.04\n\n%files\n    {{ DATA }}/id_rsa /opt/key\n"
    report = lint(text.encode(), settings=Settings(select=frozenset({"secret-copied"})))
    assert [one.message for one in report.findings] == ["`…/id_rsa` is a secret: everybody who has the image has it"]


def test_what_the_parser_says_is_said_once() -> None:
    text = f"{HEAD}%files\n    ~/table.csv /opt/table.csv\n    /home/me/table.csv /opt/table.csv\n"
    assert places(text, "language", "portability") == [("files-expansion", 5), ("files-from-your-machine", 6)]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\x00%post\n", b"%post\n(" * 50, b"Bootstrap: docker\n" * 40, b"%files\n'"]
)
def test_any_file_gives_an_answer(data: bytes) -> None:
    assert lint(data).findings

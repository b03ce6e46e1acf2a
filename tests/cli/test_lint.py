"""`sealift lint` as one types it: what goes where, and with which exit code."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from sealift import __version__
from sealift.cli.app import main
from sealift.lint.catalogue import BY_ID, RULES

TEXT = """\
Bootstrap: docker
From: ubuntu:24.04

%post
    pip install --no-cache-dir --break-system-packages numpy  # a comment
%test
    python3 -sc 'import numpy'
%help
    Numbers.
%labels
    Version 1
"""
SHOWN = """\
warning[pip-unpinned]: pip installs `numpy` in whatever version is the newest that day
 --> a.def:5:5
5 |     pip install --no-cache-dir --break-system-packages numpy  # a comment
  |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: give each a version: numpy==VERSION
hint: or keep them in a file with hashes: pip install --require-hashes -r requirements.txt

a.def:2:1: note[base-without-digest]: the tag `24.04` of `ubuntu` can be moved; a digest cannot
"""
NOTE_IN_FULL = """\
note[base-without-digest]: the tag `24.04` of `ubuntu` can be moved; a digest cannot
 --> a.def:2:1
2 | From: ubuntu:24.04
  | ^^^^^^^^^^^^^^^^^^
hint: put the digest behind the tag: From: ubuntu:24.04@sha256:…
hint: a registry tells it: skopeo inspect --format '{{.Digest}}' docker://ubuntu:24.04
"""
SUM = """
1 warning, 1 note
hint: what a rule means, and what to type: sealift lint --explain pip-unpinned
hint: to live with a finding, on its line or above it: # sealift: ignore=RULE and why it is right
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.def").write_text(TEXT)
    return tmp_path


def test_people_read_findings_and_their_sum(here, capsys):
    assert main(["lint", "a.def"]) == 1
    assert capsys.readouterr() == (SHOWN, SUM)


def test_a_note_is_shown_in_full_where_it_fails(here, capsys):
    assert main(["lint", "--fail-on", "note", "--ignore", "pip-unpinned", "a.def"]) == 1
    assert capsys.readouterr().out == NOTE_IN_FULL


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--fail-on", "error"], 0),
        (["--fail-on", "warning"], 1),
        (["--fail-on", "note"], 1),
        (["--ignore", "pip-unpinned"], 0),
        (["--ignore", "size,pinning"], 0),
        (["--select", "size"], 0),
        (["--select", "size", "--select", "pip-unpinned"], 1),
    ],
)
def test_the_exit_code_is_the_answer(here, words, code):
    assert main(["lint", *words, "a.def"]) == code


def test_nothing_found_is_said(here, capsys):
    assert main(["lint", "--select", "size", "a.def"]) == 0
    assert capsys.readouterr() == ("", "nothing found\n")


def test_stdin_is_read(here, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert main(["lint", "-"]) == 1
    assert capsys.readouterr().out == SHOWN.replace("a.def", "<stdin>")


def test_other_files_are_told_and_the_rest_is_read(here, capsys):
    (here / "Dockerfile").write_text("FROM ubuntu\nRUN true\n")
    assert main(["lint", "Dockerfile", "a.def"]) == 3
    out, err = capsys.readouterr()
    assert out == SHOWN
    assert "error: `Dockerfile` is a Dockerfile, not a definition file\n" in err


def test_where_nothing_was_looked_at_nothing_is_said_to_be_good(here, capsys):
    (here / "Dockerfile").write_text("FROM ubuntu\nRUN true\n")
    assert main(["lint", "Dockerfile"]) == 3
    assert capsys.readouterr() == (
        "",
        (
            "error: `Dockerfile` is a Dockerfile, not a definition file\n"
            "hint: build it with podman or docker and save it: podman save -o image.tar NAME\n"
            "hint: then: Bootstrap: docker-archive, From: image.tar\n"
        ),
    )


def test_a_project_has_its_settings(here, capsys):
    (here / "sealift.toml").write_text(
        '[lint]\nfail-on = "error"\nselect = ["pinning"]\n'
        '[lint.ignore]\nbase-without-digest = "the lock has it"\n[lint.level]\npip-unpinned = "error"\n'
    )
    (here / "deep").mkdir()
    (here / "a.def").rename(here / "deep" / "a.def")
    assert main(["lint", "deep/a.def"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "error[pip-unpinned]: pip installs `numpy` in whatever version is the newest that day"
    assert err.splitlines()[1] == "1 error; 1 ignored"


def test_what_is_ignored_says_who_ignores_it(here, capsys):
    (here / "sealift.toml").write_text('[lint.ignore]\nbase-without-digest = "the lock has it"\n')
    main(["lint", "--format", "json", "--ignore", "pip-unpinned", "a.def"])
    ignored = json.loads(capsys.readouterr().out)["files"][0]["ignored"]
    assert [(one["rule"], one["reason"], one["origin"]) for one in ignored] == [
        ("base-without-digest", "the lock has it", "sealift.toml"),
        ("pip-unpinned", "ignored on the command line", "the command line"),
    ]


SETTINGS = {
    "[lint]\nselct = []\n": ("`sealift.toml` has an unknown key `lint.selct`", "did you mean `select`?"),
    '[lint]\nselect = ["sise"]\n': (
        "`lint.select` in `sealift.toml` names `sise`, which is no rule and no family",
        "did you mean `size`?",
    ),
    '[lint.ignore]\nno-help = ""\n': (
        "`lint.ignore.no-help` in `sealift.toml` gives no reason",
        'write: no-help = "WHY"',
    ),
    '[lint.level]\nno-help = "grave"\n': (
        "`lint.level.no-help` in `sealift.toml` is no level",
        "levels are `note`, `warning`, `error`",
    ),
    '[lint.level]\nsize = "error"\n': (
        "`lint.level` in `sealift.toml` names `size`, which is no rule",
        "see all rules: sealift lint --explain",
    ),
    '[lint]\nfail-on = "never"\n': (
        "`lint.fail-on` in `sealift.toml` is no level",
        "levels are `note`, `warning`, `error`",
    ),
    "lint = 1\n": ("`lint` in `sealift.toml` is not a table", "write: [lint]"),
}


@pytest.mark.parametrize(("text", "wanted"), SETTINGS.items(), ids=range(len(SETTINGS)))
def test_settings_that_mean_nothing_are_refused(here, capsys, text, wanted):
    (here / "sealift.toml").write_text(text)
    assert main(["lint", "a.def"]) == 2
    message, hint = wanted
    assert capsys.readouterr().err.splitlines()[:2] == [f"error: {message}", f"hint: {hint}"]


def test_fix_writes_the_file_and_says_what(here, capsys):
    path = here / "a.def"
    path.write_text(TEXT.replace("--no-cache-dir ", ""))
    path.chmod(0o640)
    link = here / "link.def"
    link.symlink_to("a.def")
    assert main(["lint", "--fix", "--fail-on", "error", "link.def"]) == 0
    assert path.read_text() == TEXT
    assert path.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert "mended in link.def: pip-cache-left\n" in capsys.readouterr().err
    assert sorted(one.name for one in here.iterdir()) == ["a.def", "link.def"]


def test_stdin_is_not_fixed(here, capsys):
    assert main(["lint", "--fix", "-"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == "error: stdin cannot be fixed in place"


def test_a_site_brings_its_rules(here, capsys):
    (here / "a.def").write_text(TEXT.replace("ubuntu:24.04", "alpine:3.22.1"))
    assert main(["lint", "--select", "musl-base", "a.def"]) == 0
    assert main(["lint", "--select", "musl-base", "--site", "perlmutter-gpu", "a.def"]) == 1
    assert main(["lint", "--site", "nowhere", "a.def"]) == 2


def test_json_has_all_of_it(here, capsys):
    main(["lint", "--format", "json", "--ignore", "base-without-digest", "a.def"])
    whole = json.loads(capsys.readouterr().out)
    (finding,) = whole["files"][0]["findings"]
    (ignored,) = whole["files"][0]["ignored"]
    assert whole["version"] == 1
    assert finding == {
        "rule": "pip-unpinned",
        "family": "pinning",
        "level": "warning",
        "message": "pip installs `numpy` in whatever version is the newest that day",
        "at": {"line": 5, "column": 5, "length": 56},
        "hints": [
            "give each a version: numpy==VERSION",
            "or keep them in a file with hashes: pip install --require-hashes -r requirements.txt",
        ],
        "fixable": False,
    }
    assert (ignored["rule"], ignored["reason"], ignored["origin"]) == (
        "base-without-digest",
        "ignored on the command line",
        "the command line",
    )


def test_github_shows_annotations(here, capsys):
    main(["lint", "--format", "github", "--select", "pip-unpinned", "a.def"])
    assert capsys.readouterr().out == (
        "::warning file=a.def,line=5,col=5,endColumn=61,title=pip-unpinned::"
        "pip installs `numpy` in whatever version is the newest that day"
        "%0Ahint: give each a version: numpy==VERSION"
        "%0Ahint: or keep them in a file with hashes: pip install --require-hashes -r requirements.txt\n"
    )


def test_sarif_names_its_rules(here, capsys):
    main(["lint", "--format", "sarif", "--ignore", "base-without-digest", "a.def"])
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    driver = run["tool"]["driver"]
    assert driver["semanticVersion"] == __version__
    assert [rule["id"] for rule in driver["rules"]] == [rule.id for rule in RULES]
    assert all(driver["rules"][one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])
    assert [(one["ruleId"], one.get("suppressions")) for one in run["results"]] == [
        ("pip-unpinned", None),
        ("base-without-digest", [{"kind": "external", "justification": "ignored on the command line"}]),
    ]


def test_a_rule_is_explained(capsys):
    assert main(["lint", "--explain", "pip-unpinned"]) == 0
    out = capsys.readouterr().out
    rule = BY_ID["pip-unpinned"]
    assert out.splitlines()[0] == "pip-unpinned: pip installs packages without versions"
    assert " ".join(out.split()).count(rule.reason) == 1
    assert main(["lint", "--explain"]) == 0
    assert all(f"  {rule.id} " in capsys.readouterr().out for rule in RULES[:1])
    for meant in ("pip-unpinned", RULES[-1].id):
        assert main(["lint", "--explain", meant[:-1]]) == 2
        assert capsys.readouterr().err.splitlines()[1] == f"hint: did you mean `{meant}`?"


def test_what_is_known_of_a_site_is_used(here, capsys):
    (here / "a.def").write_text(
        "Bootstrap: docker\nFrom: nvidia/cuda:13.0.1-runtime-ubuntu24.04\n\n%post\n"
        "    export TORCH_CUDA_ARCH_LIST=7.0\n"
        "    curl -fsSL -o /tmp/x.sh https://example.org/x-linux-x86_64.sh\n"
    )
    said = {}
    for site in ("perlmutter-gpu", "vista", "frontier"):
        main(["lint", "--select", "gpu,portability", "--site", site, "--format", "json", "a.def"])
        findings = json.loads(capsys.readouterr().out)["files"][0]["findings"]
        said[site] = [one["rule"] for one in findings]
    assert said == {
        "perlmutter-gpu": ["gpu-generation-missing"],
        "vista": ["gpu-generation-missing", "architecture-of-another-site"],
        "frontier": ["gpu-of-another-vendor"],
    }

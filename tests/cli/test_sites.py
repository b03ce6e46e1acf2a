"""`sealift sites` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.cli.app import main

OURS = 'schema = 1\nname = "ours"\nextends = "slurm"\n[site]\ntitle = "our cluster"\n[gpu]\ncount = 2\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NERSC_HOST", raising=False)
    return tmp_path


def sealift(*words: str) -> int:
    return main(["sites", *words])


def test_the_list_marks_where_one_is(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NERSC_HOST", "perlmutter")
    assert sealift() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["SITE", "WHAT"]
    marked = [line for line in lines if line.startswith("*")]
    assert [line.split()[1] for line in marked] == ["perlmutter-gpu"]
    assert lines[-1].split()[0] == "local"


def test_a_site_shows_every_value_and_its_source(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sealift("perlmutter", "--json") == 0
    facts = json.loads(capsys.readouterr().out)["facts"]
    assert sealift("perlmutter") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("perlmutter-gpu: NERSC Perlmutter, GPU nodes\nalso called perlmutter, nersc\n")
    assert "\n  capability = 8.0  [N1]\n" in shown
    assert f"0 of {len(facts)} facts were seen on the machine itself" in shown
    for fact in facts.values():
        for source in fact["sources"]:
            assert source["url"] in shown


def test_a_profile_is_added_shown_replaced_and_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "ours.toml").write_text(OURS)
    assert sealift("add", str(home / "ours.toml")) == 0
    target = home / "config/sealift/sites/ours.toml"
    assert capsys.readouterr().err == f"added the site ours: {target}\n"
    assert target.read_text() == OURS
    assert sealift("ours") == 0
    assert "  count = 2  [yours]\n" in capsys.readouterr().out
    assert sealift("add", str(home / "ours.toml")) == 2
    assert capsys.readouterr().err == f"error: there is a site `ours` of yours: `{target}`\nhint: replace it: add -F\n"
    assert sealift("add", "-F", str(home / "ours.toml")) == 0
    assert sealift("remove", "ours") == 0
    assert not target.exists()
    assert sealift("remove", "ours") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add",), "error: `sites add` takes a file\nhint: sealift sites add mycluster.toml\n"),
        (("remove",), "error: `sites remove` takes a name\nhint: sealift sites remove mycluster\n"),
        (("a", "b"), "error: `a b` is not understood\nhint: sealift sites --help\n"),
        (("perlmuter",), "error: there is no site `perlmuter`\nhint: did you mean `perlmutter-gpu`?\n"),
        (
            ("remove", "slurm"),
            (
                "error: the site `slurm` comes with Sealift and stays\n"
                'hint: override its facts: sealift sites add FILE, with name = "slurm"\n'
            ),
        ),
        (("add", "/nowhere.toml"), "error: `/nowhere.toml` cannot be read: no such file or directory\n"),
    ],
)
def test_what_is_refused(home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    assert sealift(*words) == 2
    assert capsys.readouterr().err.replace("\n\n", "\n") == said


def test_a_profile_that_others_extend_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "ours.toml").write_text(OURS)
    (home / "child.toml").write_text('schema = 1\nname = "child"\nextends = "ours"\n')
    assert sealift("add", str(home / "child.toml")) == 2
    assert "extends `ours`, which there is not" in capsys.readouterr().err
    assert sealift("add", str(home / "ours.toml")) == 0
    assert sealift("add", str(home / "child.toml")) == 0
    assert sealift("remove", "ours") == 2
    assert "the site `child` extends `ours`" in capsys.readouterr().err


def test_the_keys_are_documented(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sealift("--keys") == 0
    assert "gpu.driver" in capsys.readouterr().out

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
    assert "\n· capability = 8.0  [N1; perlmutter-gpu.toml]\n" in shown
    assert "\n? host = 2.38  [K; perlmutter.toml]\n      SLES 15 SP6/SP7" in shown
    assert "\n· podman-hpc.mounts = nothing  [N20; perlmutter.toml]\n      nothing is mounted by default\n" in shown
    doubtful = [f for f in facts.values() if {"knowledge", "conclusion"} & {s["kind"] for s in f["sources"]}]
    assert shown.splitlines()[4:8] == [
        f"{len(facts)} facts:",
        "  ✓   0 seen on the machine itself",
        f"  · {len(facts) - len(doubtful)} read in the sources below, verified by nobody there",
        f"  ?  {len(doubtful)} not looked up (K) or concluded (I), verified by nobody",
    ]
    marks = [line[0] for line in shown.splitlines() if line[:2] in ("✓ ", "· ", "? ")]
    assert (marks.count("✓"), marks.count("·"), marks.count("?")) == (0, len(facts) - len(doubtful), len(doubtful))
    for fact in facts.values():
        for source in (*fact["sources"], *fact["noted"]):
            shown_source = f"  {source['key']:<4} {source['url'] or '-'}  ({source['kind']}, {source['date']})"
            assert shown_source in shown.splitlines()


@pytest.mark.parametrize("columns", [66, 80, 120])
def test_a_site_fits_the_terminal(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in ("perlmutter", "cscs-alps"):
        assert sealift(name) == 0
        facts, _, _sources = capsys.readouterr().out.partition("\nsources\n")
        for line in facts.splitlines():
            # A path or an option is never broken, so that one can copy it.
            assert len(line) <= columns or len(max(line.split(), key=len)) > columns - 30, line


def test_a_fact_that_was_seen_says_when(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = '[sources]\nW = { url = "https://site.example", date = 2026-11-01, kind = "official" }\n[gpu]\n'
    text += 'driver = { value = "590.1", source = ["W"], verified = 2026-11-20 }\n'
    (home / "ours.toml").write_text(f'schema = 1\nname = "ours"\n{text}')
    assert sealift("add", str(home / "ours.toml")) == 0
    assert sealift("ours") == 0
    shown = capsys.readouterr().out
    assert "✓ driver = 590.1  [W; seen 2026-11-20]\n" in shown
    assert shown.endswith("sources\n  W    https://site.example  (official, 2026-11-01)\n")


def test_a_profile_is_added_shown_replaced_and_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "ours.toml").write_text(OURS)
    assert sealift("add", str(home / "ours.toml")) == 0
    target = home / "config/sealift/sites/ours.toml"
    assert capsys.readouterr().err == f"added the site ours: {target}\n"
    assert target.read_text() == OURS
    assert sealift("ours") == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[1] == f"in slurm.toml, {target}"
    assert "· count = 2  [yours; your ours.toml]\n" in shown
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
        (
            ("perlmuter",),
            (
                "error: there is no site `perlmuter`\n"
                "hint: did you mean `perlmutter` or `perlmutter-gpu` or `perlmutter-cpu`?\n"
                "hint: see the sites: sealift sites\n"
            ),
        ),
        (
            ("remove", "slurm"),
            (
                "error: the site `slurm` comes with Sealift and stays\n"
                'hint: override its facts: sealift sites add FILE, with name = "slurm"\n'
            ),
        ),
        (("add", "/nowhere.toml"), "error: `/nowhere.toml` cannot be read: no such file or directory\n"),
        (("add", "/"), "error: `/` cannot be read: is a directory\n"),
        (("add", "/dev/zero"), "error: `/dev/zero` is no site profile: it has more than 1 MiB\n"),
    ],
)
def test_what_is_refused(home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    assert sealift(*words) == 2
    assert capsys.readouterr().err.replace("\n\n", "\n") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'schema = 1\nname = "perlmutter"\n[gpu]\ndriver = "1"\n',
            (
                "error: `perlmutter` is another name of the site `perlmutter-gpu` already\n"
                'hint: to override its facts: name = "perlmutter-gpu", without aliases\n'
            ),
        ),
        (
            'schema = 1\nname = "ours"\naliases = ["frontier"]\n',
            ('error: `frontier` is a site already\nhint: to override its facts: name = "frontier", without aliases\n'),
        ),
    ],
)
def test_names_that_mean_another_site_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (home / "ours.toml").write_text(text)
    assert sealift("add", str(home / "ours.toml")) == 2
    assert capsys.readouterr().err.replace("\n\n", "\n") == said
    assert not (home / "config").exists()


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

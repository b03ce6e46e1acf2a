"""`sealift check` as one types it: what is printed, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.cli.app import main

SAID = """\
app runs on frontier with apptainer

! NUMBA_CACHE_DIR is `/opt/cache` of the image, which cannot be written to under apptainer  [permissions.cache]
    seen: NUMBA_CACHE_DIR=/opt/cache
    do:   in %environment: export NUMBA_CACHE_DIR=/tmp/$USER

  /lustre/orion/<project>/scratch/<user>: what nobody reads for 90 days is removed, so keep a copy or the reference
"""
ENGINES = "apptainer, singularity, embedded, docker, podman, podman-hpc, shifter, charliecloud, enroot, pyxis, edf"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one image, whose cache lies inside; no site is here."""
    (tmp_path / "app/.singularity.d/env").mkdir(parents=True)
    (tmp_path / "app/opt/cache").mkdir(parents=True)
    (tmp_path / "app/.singularity.d/env/90-environment.sh").write_text("export NUMBA_CACHE_DIR=/opt/cache\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NERSC_HOST", raising=False)
    return tmp_path


@pytest.mark.parametrize(("fail_on", "code"), [("error", 0), ("warning", 1), ("note", 1)])
def test_a_warning_counts_where_it_is_asked_for(
    here: Path, capsys: pytest.CaptureFixture[str], fail_on: str, code: int
) -> None:
    assert main(["check", "app", "--site", "frontier", "--fail-on", fail_on]) == code
    assert capsys.readouterr() == (SAID, "")


def test_an_image_gives_the_terminal_no_orders(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "app/opt/\033[2J").mkdir()
    (here / "app/.singularity.d/env/90-environment.sh").write_text("export NUMBA_CACHE_DIR='/opt/\033[2J'\n")
    assert main(["check", "app", "--site", "frontier"]) == 0
    assert capsys.readouterr() == (SAID.replace("/opt/cache", r"/opt/\x1b[2J"), "")


def test_the_verdict_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "app", "--site", "polaris", "--engine", "apptainer"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "image": "app",
        "site": "polaris",
        "engine": "apptainer",
        "runs": True,
        "sentence": "app runs on polaris with apptainer",
        "fits": [],
        "before": [],
        "how": [],
        "unknown": [],
        "findings": [
            {
                "id": "permissions.cache",
                "severity": "warning",
                "what": "NUMBA_CACHE_DIR is `/opt/cache` of the image, which cannot be written to under apptainer",
                "evidence": "NUMBA_CACHE_DIR=/opt/cache",
                "remedy": "in %environment: export NUMBA_CACHE_DIR=/tmp/$USER",
            }
        ],
    }


def test_the_site_is_the_one_where_this_runs(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NERSC_HOST", "perlmutter")
    assert main(["check", "app"]) == 0
    sentence = "app runs on perlmutter-gpu with podman-hpc, after: sealift push app podman-hpc:app"
    assert capsys.readouterr().out.splitlines()[0] == sentence


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ["app", "--site", "frontire"],
            2,
            (
                "error: there is no site `frontire`\nhint: did you mean `frontier` or `frontera`?\n"
                "hint: see the sites: sealift sites\n"
            ),
        ),
        (
            ["app", "--site", "slurm", "--engine", "rkt"],
            2,
            f"error: there is no engine `rkt`\nhint: engines: {ENGINES}\n",
        ),
        (
            ["none.sif", "--site", "slurm"],
            5,
            "error: there is no image `none.sif`\nhint: build it: sealift build none.sif FILE.def\n",
        ),
    ],
)
def test_wrong_words(here: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str) -> None:
    assert main(["check", *words]) == code
    assert capsys.readouterr() == ("", said)

"""`sealift kernel` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.cli.app import main


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.delenv("NERSC_HOST", raising=False)
    root = tmp_path / "Analysis 1"
    for name in ("usr/bin/python3", "usr/lib/python3/dist-packages/ipykernel_launcher.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def sealift(*words: str | Path) -> int:
    return main(["kernel", *map(str, words)])


def test_a_kernel_from_the_image_to_its_end(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "jupyter/kernels/analysis-1"
    assert sealift("list") == 0
    assert capsys.readouterr() == ("", "Sealift has made no kernels here: sealift kernel install IMAGE\n")
    words = ("--engine", "embedded", "--nv", "-B", "data:/data:ro,/opt", "--env", "A=1", "--env", "B=x=y")
    assert sealift("install", "Analysis 1", *words) == 0
    assert capsys.readouterr().err == (
        f"installed the kernel analysis-1: {folder}\nJupyter shows it as: Python in Analysis 1\n"
    )
    call = (folder / "launch.sh").read_text().split("\nexec ")[1].replace(" \\\n    ", " ")
    assert call.split(' "$@" ')[1] == (
        f"--engine embedded --safe-env --nv --bind {tmp_path}/data:/data:ro --bind /opt:/opt "
        f"--env JPY_PARENT_PID=1 --env A=1 --env B=x=y '{image}' "
        'python3 -m ipykernel_launcher -f "$connection"\n'
    )
    assert sealift("list") == 0
    assert capsys.readouterr().out == (f"KERNEL      ENGINE    SITE  IMAGE\nanalysis-1  embedded  -     {image}\n")
    assert sealift("list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "name": "analysis-1",
            "display_name": "Python in Analysis 1",
            "folder": str(folder),
            "image": str(image),
            "engine": "embedded",
            "site": "",
            "fault": "",
        }
    ]
    assert sealift("remove", "analysis-1") == 0
    assert capsys.readouterr().err == f"removed {folder}\n"
    assert not folder.exists()


def test_the_files_can_be_seen_first(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sealift("install", image, "--engine", "embedded", "--name", "mine", "--print", "--prefix", "/env") == 0
    out = capsys.readouterr().out
    assert out.startswith("# /env/share/jupyter/kernels/mine/launch.sh\n#!/bin/sh\n")
    assert '# /env/share/jupyter/kernels/mine/kernel.json\n{\n "argv": [\n  "/bin/sh",\n' in out
    assert not (tmp_path / "jupyter").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("install", "x.sif", "--env", "A"),
            "error: `--env A` is not NAME=VALUE\nhint: --env A=VALUE\n",
        ),
        (
            ("install", "x.sif", "--env", "A B=1"),
            "error: `--env A B=1`: `A B` is no name of a variable\nhint: --env OMP_NUM_THREADS=4\n",
        ),
        (
            ("remove", "gone"),
            "error: there is no kernel `gone`: `{data}/kernels/gone`\nhint: see them: sealift kernel list\n",
        ),
        (
            ("remove", "../x"),
            "error: `../x` is no name for a kernel: letters, digits, `.`, `_` and `-`\nhint: --name analysis\n",
        ),
    ],
)
def test_what_is_refused(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert sealift(*words) == 2
    assert capsys.readouterr().err.replace("\n\n", "\n") == said.format(data=tmp_path / "jupyter")

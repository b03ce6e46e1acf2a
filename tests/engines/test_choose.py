from __future__ import annotations

from pathlib import Path

import pytest

from sealift.engines.choose import Choice, choose
from sealift.errors import HostError, UsageError

USER = "Uid:\t1000\t1000\t1000\t1000\nCapPrm:\t0000000000000000\n"
ROOT = "Uid:\t0\t0\t0\t0\nCapPrm:\t000001ffffffffff\n"
ROOT_OF_A_CONTAINER = "Uid:\t0\t0\t0\t0\nCapPrm:\t000001fffeffffff\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    for name in ("apptainer", "singularity"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    (tmp_path / "not-executable").mkdir()
    (tmp_path / "not-executable" / "apptainer").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "folders", "status", "expected"),
    [
        ("auto", ("empty",), USER, ("embedded", "", "neither Apptainer nor Singularity is installed")),
        ("auto", ("not-executable",), USER, ("embedded", "", "neither Apptainer nor Singularity is installed")),
        ("auto", ("empty", "apptainer"), USER, ("apptainer", "apptainer/apptainer", "installed on this host")),
        ("auto", ("singularity", "apptainer"), USER, ("apptainer", "apptainer/apptainer", "installed on this host")),
        ("auto", ("singularity",), USER, ("singularity", "singularity/singularity", "installed on this host")),
        ("auto", ("apptainer",), ROOT, ("apptainer", "apptainer/apptainer", "installed on this host")),
        (
            *("auto", ("apptainer",), ROOT_OF_A_CONTAINER),
            ("embedded", "", "`apptainer` does not work here: root lacks capabilities that it asks for"),
        ),
        ("apptainer", ("apptainer",), ROOT_OF_A_CONTAINER, ("apptainer", "apptainer/apptainer", "asked for")),
        ("embedded", ("apptainer",), USER, ("embedded", "", "asked for")),
        ("singularity", ("apptainer", "singularity"), USER, ("singularity", "singularity/singularity", "asked for")),
    ],
)
def test_choice(path: Path, wanted: str, folders: tuple[str, ...], status: str, expected: tuple[str, str, str]) -> None:
    env = {"PATH": ":".join(["", *(str(path / folder) for folder in folders)])}
    engine, program, why = expected
    found = choose(wanted, env=env, status=status)
    assert found == Choice(engine=engine, program=str(path / program) if program else "", why=why)  # type: ignore[arg-type]


def test_a_wanted_engine_that_is_missing(path: Path) -> None:
    with pytest.raises(HostError, match="`singularity` is not installed"):
        choose("singularity", env={"PATH": str(path / "apptainer")}, status=USER)


def test_an_unknown_engine() -> None:
    with pytest.raises(UsageError) as caught:
        choose("docker", env={})
    assert caught.value.message == "there is no engine `docker`"
    assert caught.value.hints[0].startswith("engines: auto, apptainer, singularity, embedded, docker, podman, ")

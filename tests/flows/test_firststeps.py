"""What one types first, by what lies in the folder and what the host is."""

from __future__ import annotations

import os

import pytest

from sealift.flows.firststeps import Surroundings, first_steps, look_around


@pytest.mark.parametrize(
    ("files", "environment", "expected"),
    [
        ({}, {}, Surroundings()),
        ({"a.def": 1, "b.def": 2, "x.txt": 3}, {}, Surroundings(recipes=("b.def", "a.def"))),
        ({"a.def": 1, "a.sif": 2}, {}, Surroundings(recipes=("a.def",), images=("a.sif",))),
        ({"a.def": 2, "a.sif": 2}, {}, Surroundings(recipes=("a.def",), images=("a.sif",))),
        (
            {"a.def": 3, "a.sif": 2, "b.def": 4},
            {},
            Surroundings(recipes=("b.def", "a.def"), images=("a.sif",), stale=("a.def",)),
        ),
        ({".hidden.def": 1, "folder.def.txt": 1}, {}, Surroundings()),
        (
            {"a.sif": 1},
            {"NERSC_HOST": "perlmutter"},
            Surroundings(images=("a.sif",), site="perlmutter-gpu", title="NERSC Perlmutter, GPU nodes", ships=True),
        ),
    ],
)
def test_what_is_here(files, environment, expected, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, time in files.items():
        (folder / name).touch()
        os.utime(folder / name, (time, time))
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path), **environment}
    assert look_around(str(folder), env) == expected


def test_a_folder_that_cannot_be_read_holds_nothing(tmp_path):
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    assert look_around(str(tmp_path / "gone"), env) == Surroundings()


def test_apptainer_is_found_and_a_profile_that_is_wrong_is_no_fault(tmp_path):
    own = tmp_path / "sealift" / "sites"
    own.mkdir(parents=True)
    (own / "mine.toml").write_text('[detect]\nvariable = { value = "MINE", source = ["I"] }\n')
    program = tmp_path / "apptainer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    env = {"PATH": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "MINE": "yes"}
    assert look_around(str(own), env) == Surroundings(apptainer=str(program))


LINES = {
    "nothing": (
        Surroundings(),
        [
            "sealift new hello",
            "sealift build hello.sif hello.def",
            "sealift run hello.sif you",
            "sealift new",
            "sealift pull docker://ubuntu:24.04",
        ],
    ),
    "a recipe": (
        Surroundings(recipes=("my app.def",)),
        ["sealift lint 'my app.def'", "sealift build 'my app.sif' 'my app.def'", "sealift run 'my app.sif'"],
    ),
    "a recipe that changed": (
        Surroundings(recipes=("a.def",), images=("a.sif",), stale=("a.def",)),
        ["sealift lint a.def", "sealift build -F a.sif a.def", "sealift run a.sif"],
    ),
    "an image": (
        Surroundings(recipes=("a.def",), images=("a.sif",)),
        [
            "sealift run a.sif",
            "sealift inspect a.sif",
            "sealift check a.sif --site perlmutter",
            "sealift job a.sif --site slurm -- PROGRAM",
        ],
    ),
    "an image on a machine that runs it": (
        Surroundings(images=("a.sif",), site="frontier"),
        [
            "sealift run a.sif",
            "sealift inspect a.sif",
            "sealift check a.sif --site frontier",
            "sealift job a.sif -- PROGRAM",
        ],
    ),
    "an image where it must be pushed": (
        Surroundings(images=("a.sif",), site="perlmutter-gpu", ships=True),
        [
            "sealift check a.sif --site perlmutter-gpu",
            "sealift push a.sif docker://REGISTRY/a:1",
            "sealift job docker://REGISTRY/a:1 -- PROGRAM",
        ],
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_the_first_steps(case):
    around, lines = LINES[case]
    assert [step.line for step in first_steps(around).steps] == lines

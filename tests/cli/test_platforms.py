"""What works without Linux's own functions: on macOS what reads and writes files, on Windows what reads recipes.

No such machine was at hand: tests/ground/platforms.py says what takes its place.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sealift.cli.app import COMMANDS
from sealift.system.platforms import what_works, why_not, works_on
from tests.ground import layouts, services
from tests.ground.platforms import Ran, sealift_on
from tests.packs.layers import file, tar

RECIPE = "Bootstrap: docker\nFrom: ubuntu:24.04@sha256:" + "a" * 64 + "\n%post\n    true\n"
WORKS = {
    "parse": ["parse app.def"],
    "lint": ["lint --fail-on error app.def"],
    "sites": ["sites", "sites perlmutter"],
    "new": ["new hello", "new hello -"],
    "learn": ["learn", "learn start ex01"],
    "completion": ["completion zsh"],
    "inspect": ["inspect {image}", "inspect --all {image}"],
    "run-help": ["run-help {image}"],
    "size": ["size {image}", "size --html page.html {image}"],
    "sif": ["sif list {image}"],
    "check": ["check {image} --site slurm"],
    "job": ["job {image} --site slurm -- true"],
    "cache": ["cache show", "cache prune --max-size 1G"],
}
FROM_REGISTRIES = {
    "pull": ["pull --no-https pulled.sif {reference}"],
    "push": ["push --no-https pulled.sif {reference}-again"],
    "inspect": ["inspect --no-https {reference}"],
    "size": ["size --no-https {reference}"],
    "check": ["check --no-https {reference} --site perlmutter"],
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SIF, built on Linux."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "x.def").write_text("Bootstrap: scratch\n%labels\n    a b\n%help\n    it is one\n")
    argv = [sys.executable, "-m", "sealift", "build", "-q", "x.sif", "x.def"]
    subprocess.run(argv, cwd=folder, env=environment(folder), check=True)
    return folder / "x.sif"


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "SEALIFT_CACHE_DIR": str(folder / "cache")}


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_what_is_said_to_work_does(platform, image, tmp_path):
    lines = [
        line.format(image=image).split()
        for command, known in WORKS.items()
        if works_on(platform, command)
        for line in known
    ]
    there = _in(tmp_path / "there", platform, lines)
    assert [(words, ran.err) for words, ran in zip(lines, there, strict=True) if ran.code] == []
    # The same answers as on Linux, but where the question is what this machine is.
    here = _in(tmp_path / "here", "linux", lines)
    own = ("sites", "new", "learn", "cache")
    different = [words for words, *ran in zip(lines, there, here, strict=True) if ran[0].out != ran[1].out]
    assert [words for words in different if words[0] not in own] == []
    tried = {words[0] for words in lines} | FROM_REGISTRIES.keys()
    assert tried >= {command for command in COMMANDS if works_on(platform, command)}


def _in(folder: Path, platform: str, lines: list[list[str]]) -> list[Ran]:
    folder.mkdir()
    (folder / "app.def").write_text(RECIPE)
    return sealift_on(platform, lines, cwd=folder, env=environment(folder))


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_what_needs_linux_says_so_and_helps_all_the_same(platform, tmp_path):
    commands = [command for command in COMMANDS if not works_on(platform, command)]
    why, line = why_not(platform)
    said = sealift_on(platform, [[command, "x", "y"] for command in commands], cwd=tmp_path, env=environment(tmp_path))
    assert said == [(6, "", f"error: `sealift {command}`: {why}\nhint: {line}\n") for command in commands]
    asked = [["--help"], ["--version"], ["build", "--help"], ["exec", "--help"], ["help", "doctor"]]
    helped = sealift_on(platform, asked, cwd=tmp_path, env=environment(tmp_path))
    assert [(ran.code, ran.err) for ran in helped] == [(0, "")] * len(asked)
    (alone,) = sealift_on(platform, [[]], cwd=tmp_path, env=environment(tmp_path))
    assert (alone.code, alone.out) == (2, "")
    assert what_works(platform, tuple(COMMANDS)) in alone.err.splitlines()


@pytest.mark.slow
@pytest.mark.needs("registry", "skopeo")
def test_macos_pulls_pushes_and_judges_what_is_in_a_registry(registry: services.Registry, tmp_path):
    layout = layouts.write_layout(tmp_path / "layout", [tar([file("etc/os-release", b"ID=debian\n")])])
    reference = registry.push(layout, "latest", "elsewhere:1")
    lines = [line.format(reference=reference).split() for known in FROM_REGISTRIES.values() for line in known]
    ran = sealift_on("darwin", lines, cwd=tmp_path, env=environment(tmp_path))
    assert [(words, each.err) for words, each in zip(lines, ran, strict=True) if each.code] == []
    here = ["pull", "-q", "--no-https", "here.sif", reference]
    assert sealift_on("linux", [here], cwd=tmp_path, env=environment(tmp_path / "other"))[0].code == 0
    assert (tmp_path / "here.sif").read_bytes() == (tmp_path / "pulled.sif").read_bytes()

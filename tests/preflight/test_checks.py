"""Verdicts over images with one fault each, whole: what is said of each lies in a file of its own.

There the home of root in an image is `~root`, for that of this machine's root has no place in the repository.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.cli.check import lines_of
from sealift.flows.check import CheckRequest, check
from sealift.preflight.checks import Verdict
from tests.preflight import images

FAULTS = Path(__file__).parent / "faults"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("config")
    (folder / "sealift/sites").mkdir(parents=True)
    for name, text in images.SITES.items():
        (folder / f"sealift/sites/{name}.toml").write_text(f'schema = 1\nname = "{name}"\n{text}')
    return {"XDG_CONFIG_HOME": str(folder), "PATH": os.environ["PATH"]}


def judged(image: images.Image, folder: Path, config: dict[str, str]) -> Verdict:
    root = image.write(folder / "app")
    found = check(CheckRequest(image=str(root), environment=config, site=image.site, engine=image.engine))
    return replace(found, image="app")


@pytest.mark.slow
@pytest.mark.needs("gcc")
@pytest.mark.parametrize("name", sorted(images.good()))
def test_nothing_is_said_of_a_good_image(name: str, tmp_path: Path, config: dict[str, str]) -> None:
    found = judged(images.good()[name], tmp_path, config)
    assert [each for each in found.findings if each.id != "engine.form"] == []
    assert found.runs


@pytest.mark.slow
@pytest.mark.needs("gcc")
@pytest.mark.parametrize("name", sorted(images.faulty()))
def test_what_is_said_of_a_fault(name: str, tmp_path: Path, config: dict[str, str]) -> None:
    found = judged(images.faulty()[name], tmp_path, config)
    expected = FAULTS / f"{name}.txt"
    said = "\n".join(lines_of(found)).replace(str(tmp_path / "app"), "app").replace(f"{images.HOME}/", "~root/") + "\n"
    if os.environ.get("SEALIFT_TEST_WRITE"):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(said)
    assert said == expected.read_text()


@pytest.mark.slow
@pytest.mark.needs("gcc")
def test_what_is_pushed_gets_a_name_that_registries_take(tmp_path: Path, config: dict[str, str]) -> None:
    root = images.good()[min(images.good())].write(tmp_path / "My App")
    found = check(CheckRequest(image=str(root), environment=config, site="perlmutter", engine="podman-hpc"))
    assert [line.partition("   ")[0] for line in found.before] == [
        f"sealift push '{root}' podman-hpc:my-app",
        f"sealift push '{root}' docker://registry.nersc.gov/PROJECT/my-app:TAG",
    ]


def test_every_file_of_what_is_said_has_its_fault() -> None:
    assert {path.stem for path in FAULTS.iterdir()} == set(images.faulty())

"""The profiles of the package, the user's own, and how they lie over each other."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.sites.catalogue import load_catalogue
from sealift.sites.marks import own_folder
from sealift.sites.profile import Profile
from sealift.sites.reading import load_sources

SHIPPED = load_catalogue({"XDG_CONFIG_HOME": "/nowhere"})
WITHOUT_ADDRESS = ("knowledge", "conclusion", "public scripts")
SITES = [SHIPPED.find(name) for name in SHIPPED.names()]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config/sealift/sites"
    folder.mkdir(parents=True)
    return folder


def own(config: Path, name: str, text: str) -> dict[str, str]:
    (config / f"{name}.toml").write_text(f'schema = 1\nname = "{name}"\n{text}')
    return {"XDG_CONFIG_HOME": str(config.parent.parent)}


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_a_shipped_profile_says_where_each_fact_comes_from_and_when(site: Profile) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", site.collected)
    for fact in site.facts.values():
        assert fact.sources, fact.key
        for source in fact.sources:
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", source.date), source
            assert bool(source.url.startswith("https://")) != (source.kind in WITHOUT_ADDRESS), source


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_a_shipped_profile_has_what_every_question_needs(site: Profile) -> None:
    for key in ("site.title", "site.kind", "site.scheduler", "node.architecture", "engines.order"):
        assert site.fact(key) is not None, key
    assert set(site.names_below("engines")) - {"order"} <= set(site.texts("engines.order"))


def test_every_source_is_named_by_a_fact() -> None:
    facts = [fact for text in SHIPPED.shipped.values() for fact in text.facts.values()]
    assert set(load_sources()) == {source.key for fact in facts for source in (*fact.sources, *fact.noted)}


def test_every_source_that_a_note_names_is_known() -> None:
    facts = [fact for text in SHIPPED.shipped.values() for fact in text.facts.values()]
    named = {
        key
        for fact in facts
        for found in re.findall(r"\[([A-Z]+\d*[a-z]?(?:, [A-Z]+\d*[a-z]?)*)\]", f"{fact.value} {fact.note}")
        for key in found.split(", ")
    }
    assert len(named) > 10
    assert named <= set(load_sources())


def test_the_larger_part_of_perlmutter_answers_to_its_plain_name() -> None:
    site = SHIPPED.find("perlmutter")
    assert site.name == "perlmutter-gpu"
    assert site.files == ("perlmutter.toml", "perlmutter-gpu.toml")
    assert site.text("gpu.capability") == "8.0"
    assert site.texts("engines.order") == ("podman-hpc", "shifter")
    assert site.number("filesystems.scratch.purge_days") == 56
    assert site.flag("engines.shifter.file_binds", default=True) is False
    assert site.names_below("filesystems") == ("scratch", "home", "cfs", "software")


def test_profiles_of_the_package_are_named_once() -> None:
    folder = resources.files("sealift").joinpath("data/sites")
    tables = [tomllib.loads(entry.read_text()) for entry in folder.iterdir() if entry.name.endswith(".toml")]
    names = [name for table in tables if "name" in table for name in (table["name"], *table.get("aliases", ()))]
    assert len(names) == len(set(names))


def test_the_environment_tells_the_site() -> None:
    found = SHIPPED.detect({"NERSC_HOST": "perlmutter"})
    assert found is not None
    assert found.name == "perlmutter-gpu"
    assert SHIPPED.detect({"NERSC_HOST": "cori"}) is None
    assert SHIPPED.detect({}) is None


def test_an_own_profile_extends_a_shipped_one(config: Path) -> None:
    site = load_catalogue(own(config, "ours", 'extends = "perlmutter-gpu"\n[gpu]\ndriver = "590.1"\n')).find("ours")
    assert site.text("gpu.driver") == "590.1"
    assert site.text("gpu.model") == "NVIDIA A100"
    driver = site.fact("gpu.driver")
    assert driver is not None
    assert driver.file == str(config / "ours.toml")


@pytest.mark.parametrize("extends", ["", 'extends = "perlmutter-gpu"\n'], ids=["bare", "extends itself"])
def test_an_own_profile_of_a_shipped_name_lies_over_it(config: Path, extends: str) -> None:
    env = own(config, "perlmutter-gpu", extends + '[gpu]\ndriver = "590.1"\n')
    site = load_catalogue(env).find("perlmutter")
    assert site.text("gpu.driver") == "590.1"
    assert site.text("gpu.model") == "NVIDIA A100"
    assert site.files[-1] == str(config / "perlmutter-gpu.toml")


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (
            "perlmuter",
            "there is no site `perlmuter`",
            "did you mean `perlmutter` or `perlmutter-gpu` or `perlmutter-cpu`?",
        ),
        ("Nersc", "there is no site `Nersc`", "did you mean `nersc` or `perlmutter-cpu`"),
        ("cineca", "there is no site `cineca`", "did you mean `leonardo`?"),
        ("zzz", "there is no site `zzz`", "see the sites: sealift sites"),
        ("perlmutter-common", "there is no site `perlmutter-common`", "did you mean"),
    ],
)
def test_a_site_that_there_is_not(name: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        SHIPPED.find(name)
    assert caught.value.message == message
    assert caught.value.hints[0].startswith(hint)


def test_profiles_that_extend_each_other_or_nothing_are_refused(config: Path) -> None:
    own(config, "a", 'extends = "b"\n')
    env = own(config, "b", 'extends = "a"\n')
    with pytest.raises(UsageError, match="extend each other"):
        load_catalogue(env).find("a")
    env = own(config, "c", 'extends = "nobody"\n')
    with pytest.raises(UsageError, match="the site `c` extends `nobody`, which there is not"):
        load_catalogue(env).find("c")


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, "/c/sealift/sites"),
        ({"XDG_CONFIG_HOME": "relative", "HOME": "/h"}, "/h/.config/sealift/sites"),
        ({"HOME": "/h"}, "/h/.config/sealift/sites"),
    ],
)
def test_where_own_profiles_lie(env: dict[str, str], folder: str) -> None:
    assert own_folder(env) == folder

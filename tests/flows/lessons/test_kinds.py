"""Each kind of check, on what a learner could have made: what is right, and what is said of the rest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from sealift.core.finding import Finding
from sealift.errors import UsageError
from sealift.flows.build import build
from sealift.flows.lessons.desk import Desk
from sealift.flows.lessons.looking import LOOKS, look_at
from sealift.flows.requests import BuildRequest
from sealift.learn.course import Check, Example, Mistake, Step
from tests.flows.conftest import tar_of
from tests.ground import layouts

RECIPE = """\
Bootstrap: oci
From: base

%files
    data.csv /opt/data.csv

%environment
    # export NOT=counted
    export DIGITS=1

%labels
    Author nobody

%runscript
    echo {{ word }}

%arguments
    word=hello
"""
STATUS = b"Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 1.8-1\n\n"
LISTS = "var/lib/apt/lists/mirror_dists_Packages"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and the image of it."""
    top = tmp_path_factory.mktemp("lessons")
    content: dict[str, bytes | None] = {
        "usr": None,
        "usr/bin": None,
        "usr/bin/tool": b"#!\n",
        "bin": None,
        "bin/sh": b"#!\n",
        "var/lib/dpkg/status": STATUS,
        "var/lib/dpkg/info/tool.list": b"/usr/bin/tool\n",
        LISTS: b"x" * 5000,
    }
    layouts.write_layout(top / "base", [tar_of(content)])
    (top / "app.def").write_text(RECIPE)
    (top / "data.csv").write_text("1,2\n")
    before = os.getcwd()
    os.chdir(top)
    try:
        environment = {"SEALIFT_CACHE_DIR": str(top / "cache"), "PATH": "/usr/bin:/bin", "HOME": str(top)}
        build(BuildRequest(target="app.sif", spec="app.def", environment=environment))
    finally:
        os.chdir(before)
    return top


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Desk:
    """A copy of it, to be spoilt."""
    for name in ("app.def", "app.sif", "data.csv"):
        shutil.copy(made / name, tmp_path)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SEALIFT_CACHE_DIR": str(tmp_path / "cache")}
    return Desk(folder=str(tmp_path), environment=environment, beside=lambda name: (tmp_path / name).read_bytes())


def looked(desk: Desk, kind: str, **fields: Any) -> tuple[bool, str]:
    check = Check(kind=kind, wants="so", fields=fields)
    try:
        seen = LOOKS[kind](check, desk)
    finally:
        desk.close()
    return seen.right, seen.seen


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"file": "data.csv"}, (True, "")),
        ({"file": "data.csv", "equals": "1,2"}, (True, "")),
        ({"file": "data.csv", "equals": "1"}, (False, "1,2")),
        ({"file": "data.csv", "contains": r"\d,"}, (True, "")),
        ({"file": "data.csv", "contains": "3"}, (False, "1,2")),
        ({"file": "data.csv", "lacks": "2"}, (False, "`data.csv` has: 2")),
        ({"file": "none"}, (False, "there is no `none` yet")),
    ],
)
def test_a_file(desk, fields, wanted):
    assert looked(desk, "file", **fields) == wanted


def test_an_empty_file_is_called_so(desk):
    Path(desk.path("data.csv")).write_text("\n")
    assert looked(desk, "file", file="data.csv", contains="1") == (False, "`data.csv` is empty")


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, (True, "")),
        ({"sections": ("environment", "files", "labels", "runscript")}, (True, "")),
        (
            {"sections": ("files", "test", "help")},
            (False, "`app.def` has no %test and %help, or nothing in it"),
        ),
        ({"section": "environment", "contains": "DIGITS=1"}, (True, "")),
        ({"section": "environment", "contains": "NOT"}, (False, "%environment: export DIGITS=1")),
        ({"section": "environment", "lacks": "DIGITS=."}, (False, "%environment: DIGITS=1")),
        ({"section": "post", "contains": "x"}, (False, "`app.def` has no %post, or nothing in it")),
        ({"section": "post", "lacks": "x"}, (True, "")),
        ({"section": "files", "lacks": "data"}, (False, "%files: data")),
        ({"section": "labels", "contains": "^Author nobody$"}, (True, "")),
        ({"section": "runscript", "contains": "^ *echo hello$"}, (True, "")),
        ({"key": "from", "contains": "^base$"}, (True, "")),
        ({"key": "From", "contains": "@"}, (False, "From: base")),
    ],
)
def test_a_recipe(desk, fields, wanted):
    assert looked(desk, "recipe", file="app.def", **fields) == wanted


def test_a_recipe_with_faults(desk):
    Path(desk.path("app.def")).write_text(RECIPE.replace("%labels", "%lables").replace("From: base\n", ""))
    assert looked(desk, "recipe", file="app.def", sections=("labels",)) == (
        False,
        "app.def:1: `Bootstrap: oci` needs `From:`\napp.def:10: unknown section `%lables`",
    )
    assert looked(desk, "recipe", file="none.def") == (False, "there is no `none.def`")


def test_lint(desk):
    assert looked(desk, "lint", file="app.def", without=("apt-lists-left",)) == (True, "")
    path = Path(desk.path("app.def"))
    path.write_text(RECIPE + "\n%post\n    apt-get update\n    apt-get install -y tool\n")
    message = "app.def:22: the package lists that `apt-get update` fetched stay in the image, some tens of MB"
    assert looked(desk, "lint", file="app.def", without=("apt-lists-left",)) == (False, message)
    path.write_text(
        RECIPE
        + "\n%post\n    apt-get update\n    # sealift: ignore=apt-lists-left so what\n    apt-get install -y tool\n"
    )
    assert looked(desk, "lint", file="app.def", without=("apt-lists-left",)) == (
        False,
        (
            "app.def:23: hidden by a comment: the package lists that `apt-get update` fetched stay in the image, "
            "some tens of MB"
        ),
    )


def test_an_image_is_built_from_the_recipe_as_it_is_now(desk):
    def built() -> Finding:
        step = step_of(Check(kind="built", wants="so", fields={"image": "app.sif", "recipe": "app.def"}))
        try:
            (finding,) = look_at(step, desk, here=lambda _: True)
        finally:
            desk.close()
        return finding

    assert built() == Finding(id="built", severity="ok", what="so")
    path = Path(desk.path("app.def"))
    os.utime(path)  # a later time alone says nothing
    assert built().severity == "ok"
    path.write_text(RECIPE.replace("DIGITS=1", "DIGITS=2"))
    assert built() == Finding(
        id="built",
        severity="error",
        what="so",
        evidence="`app.sif` was built from another recipe than `app.def` is now",
        remedy="build it again: sealift build -F app.sif app.def",
    )
    Path(desk.path("app.sif")).unlink()
    assert built().remedy == "build it: sealift build app.sif app.def"


@pytest.mark.parametrize("damage", [b"", b"no image", b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0" + b"\0" * 300])
def test_an_image_that_is_none(desk, damage):
    Path(desk.path("app.sif")).write_bytes(damage)
    step = step_of(Check(kind="built", wants="so", fields={"image": "app.sif", "recipe": "app.def"}))
    (finding,) = look_at(step, desk, here=lambda _: True)
    assert (finding.severity, finding.remedy) == ("error", "build it again: sealift build -F app.sif app.def")
    assert finding.evidence.startswith("`app.sif` cannot be read: ")


@pytest.mark.parametrize(
    ("kind", "fields", "wanted"),
    [
        ("size", {"below": 10_000_000}, (True, "")),
        ("holds", {"path": "/opt/data.csv"}, (True, "")),
        ("holds", {"path": "/opt/"}, (True, "")),
        ("holds", {"path": "/opt", "absent": True}, (False, "`/opt` is in `app.sif`")),
        ("holds", {"path": "/data"}, (False, "there is no `/data` in `app.sif`")),
        ("holds", {"path": "/data", "absent": True}, (True, "")),
        ("package", {"name": "tool"}, (True, "")),
        ("package", {"name": "to*", "manager": "dpkg", "version": "^1\\.8"}, (True, "")),
        ("package", {"name": "tool", "version": "^2"}, (False, "in `app.sif`: tool 1.8-1")),
        ("package", {"name": "tool", "manager": "python"}, (False, "no package `tool` is in `app.sif`")),
        ("package", {"name": "t*", "absent": True}, (False, "in `app.sif`: tool 1.8-1")),
        ("package", {"name": "vim", "absent": True}, (True, "")),
        ("label", {"name": "Author"}, (True, "")),
        ("label", {"name": "Author", "contains": "^no"}, (True, "")),
        ("label", {"name": "Author", "contains": "me"}, (False, "Author: nobody")),
        ("label", {"name": "Version"}, (False, "`app.sif` has no label `Version`")),
        ("leftovers", {}, (False, "apt's lists of packages  [apt-lists]")),
        ("leftovers", {"without": ("pip-cache",)}, (True, "")),
    ],
)
def test_what_is_in_an_image(desk, kind, fields, wanted):
    assert looked(desk, kind, image="app.sif", **fields) == wanted


def test_an_image_that_is_too_large(desk):
    right, seen = looked(desk, "size", image="app.sif", below=1000)
    size = os.path.getsize(desk.path("app.sif")) / 1e6
    assert (right, seen) == (False, f"`app.sif` has {size:.1f} MB, and 0.0 MB are enough")


def test_a_verdict_on_a_site(desk):
    assert looked(desk, "site", image="app.sif", site="perlmutter", runs=True) == (True, "")
    right, seen = looked(desk, "site", image="app.sif", site="perlmutter", runs=False)
    assert (right, bool(seen)) == (False, True)


def test_a_verdict_on_a_site_that_the_course_brings(desk):
    Path(desk.path("tiny.toml")).write_text(
        'schema = 1\nname = "tiny"\ncollected = "2026-01-01"\n[node]\narchitecture = "riscv64"\n'
    )
    assert looked(desk, "site", image="app.sif", site="./tiny.toml", runs=False)[0]
    right, seen = looked(desk, "site", image="app.sif", site="./tiny.toml", without=("platform.architecture",))
    assert (right, "riscv64" in seen) == (False, True)
    assert looked(desk, "site", image="app.sif", site="./tiny.toml", finds=("platform.architecture",)) == (True, "")
    with pytest.raises(UsageError, match="there is no site `tiny`"):
        looked(desk, "site", image="app.sif", site="tiny")


def step_of(*checks: Check) -> Step:
    return Step(id="one", number=1, title="One", goal="It.", hints=("h",), checks=checks)


def test_what_has_to_wait_waits(desk):
    """An image is not asked while the recipe is wrong; what needs another host is left out, and says so."""
    step = step_of(
        Check(kind="recipe", wants="a test is there", fields={"file": "app.def", "sections": ("test",)}),
        Check(kind="file", wants="data is there", fields={"file": "data.csv"}),
        Check(kind="holds", wants="a file is in it", fields={"image": "app.sif", "path": "/opt"}),
        Check(kind="file", wants="a GPU was seen", fields={"file": "gpu.txt"}, when="gpu"),
    )
    found = look_at(step, desk, here=lambda condition: condition != "gpu")
    assert [(one.severity, one.what) for one in found] == [
        ("error", "a test is there"),
        ("ok", "data is there"),
        ("note", "looked at later: a file is in it"),
        ("note", "left out, for this host has no GPU: a GPU was seen"),
    ]


def test_the_first_mistake_that_fits_gives_the_hint(desk):
    def mistake(pattern: str, hint: str) -> Mistake:
        return Mistake(pattern=pattern, hint=hint, example=Example(file="data.csv", replace="", by=""))

    check = Check(
        kind="recipe",
        wants="so",
        fields={"file": "app.def", "sections": ("test",)},
        mistakes=(mistake("^nothing like it", "no"), mistake("(?m)^%labels", "yes"), mistake("(?m)^%files", "no")),
    )
    (finding,) = look_at(step_of(check), desk, here=lambda _: True)
    assert finding.remedy == "yes"

"""`inspect` and `run-help` beside Apptainer's: whole outputs, over images of every kind."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from sealift.evidence.inspection import Inspection, as_json
from tests.engines import trees
from tests.evidence.conftest import write_root
from tests.flows.conftest import tar_of
from tests.ground import layouts

DEFINITION = """\
Bootstrap: localimage
From: {tree}

%help
  Help <text> & more: é
    indented


%labels
  Zed last
  Alpha  first one
  org.x "q"
%environment
  export A="<b>"
%runscript
  echo run
%startscript
  echo start
%test
  true
%appinstall foo2
  true
%apphelp foo2
  Foo help
%apprun foo2
  echo foo
%apptest foo2
  true
%applabels foo2
  VER 1
%appenv foo2
  export X=1
"""

FLAGS = (
    *("", "-l", "-d", "-r", "-s", "-t", "-e", "-H", "--list-apps", "--app foo2", "--app foo", "-j", "-j -r", "--all"),
    *("--app foo2 -r -t -e -H -d -s", "--app foo2 -l -r --list-apps", "-j --list-apps", "-j --app foo2 -r -H"),
    *("-l -r -d -t -H -s -e --list-apps", "--app nope -r", "-j --app nope -r", "-j -e -l -s"),
)


@pytest.fixture(scope="module")
def images(session_folder: Path) -> Path:
    """A folder for images that are made once; open to all users."""
    folder = session_folder / "inspected"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def tree(images: Path) -> Path:
    return trees.make_tree(images / "tree")


@pytest.fixture
def made(images: Path, tree: Path, as_user, apptainer, sealift) -> dict[str, Path]:
    """Images by what is special about them."""
    found = {name: images / name for name in ("apps.sif", "apps", "apps.sqfs", "tree.sif", "tree", "layers.sif")}
    found["bare"] = images / "bare"
    if found["bare"].exists():
        return found
    squashfs = trees.make_squashfs(tree, images / "tree.sqfs")
    trees.make_sif(squashfs, found["tree.sif"])
    work = as_user.folder()
    (work / "x.def").write_text(DEFINITION.format(tree=found["tree.sif"]))
    for target in (["apps.sif"], ["--sandbox", "apps"]):
        done = apptainer("build", "--fakeroot", *target, "x.def", cwd=work)
        assert done.returncode == 0, done.stderr.decode()
        (work / target[-1]).rename(found[target[-1]])
    subprocess.run(["chmod", "-R", "a+rX", str(found["apps"])], check=True)
    trees.make_squashfs(found["apps"], found["apps.sqfs"])
    layer = tar_of({"bin": None, "bin/sh": b"", "srv": None})
    layout = layouts.write_layout(images / "layout", [layer], config={"Env": ["A=1"], "Cmd": ["/bin/sh"]})
    built = sealift("build", found["layers.sif"], f"oci:{layout}:latest")
    assert built.code == 0, built.err
    (found["bare"] / "etc").mkdir(parents=True)
    return found


CASES = {
    "apps.sif": FLAGS,
    "apps": FLAGS,
    # Apptainer runs the image for each answer
    "apps.sqfs": ("", "-d -r", "--all", "-j --list-apps", "--app foo2 -d -r -s"),
    "tree.sif": ("", "--all", "-d", "--list-apps", "-r -t", "-j --app foo -r"),
    "tree": ("", "--all", "-d", "--list-apps", "-e"),
    "layers.sif": ("", "-j -d -e -r -t -s", "-d", "-e"),
    "bare": ("", "--all", "-r"),
}


@pytest.mark.slow
@pytest.mark.needs("apptainer", "subuid-user", "squashfuse", "mksquashfs", "root")
@pytest.mark.parametrize("image", CASES)
def test_inspect_shows_what_apptainer_shows(image: str, made, apptainer, sealift) -> None:
    for flags in CASES[image]:
        theirs = apptainer("inspect", *flags.split(), made[image])
        ours = sealift("inspect", *flags.split(), made[image])
        assert theirs.returncode == 0, theirs.stderr
        assert (ours.code, ours.out) == (0, theirs.stdout.decode()), (flags, ours.err)


@pytest.mark.slow
@pytest.mark.needs("apptainer", "subuid-user", "squashfuse", "mksquashfs", "root")
def test_run_help_shows_what_apptainer_shows(made, apptainer, sealift) -> None:
    for image, *flags in (("apps.sif",), ("apps",), ("apps.sif", "--app", "foo2"), ("tree.sif",), ("apps.sqfs",)):
        theirs = apptainer("run-help", *flags, made[image])
        ours = sealift("run-help", *flags, made[image])
        assert (ours.code, ours.out) == (theirs.returncode, theirs.stdout.decode()), (image, flags)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"wanted": ["labels"]}, {"labels": {"a": "1"}}),
        ({"wanted": ["test"]}, {}),
        ({"wanted": ["labels", "deffile"], "app": "x"}, {"apps": {"x": {}}, "deffile": "D"}),
        ({"wanted": ["runscript"], "app": "x"}, {"apps": {"x": {"runscript": "X"}}}),
        ({"wanted": ["runscript"], "app": "y"}, {}),
        ({"wanted": [], "list_apps": True}, {"apps": {"x": {"runscript": "X"}}}),
    ],
)
def test_what_is_chosen(chosen, expected) -> None:
    attributes = {"apps": {"x": {"runscript": "X"}}, "labels": {"a": "1"}, "deffile": "D", "runscript": "R"}
    assert Inspection(form="sif", attributes=attributes, described=True).chosen(**chosen) == expected


def test_json_is_written_as_go_writes_it() -> None:
    text = as_json({"labels": {"a": "<b> & \u2028é"}}, notes={})
    assert text == (
        '{\n\t"data": {\n\t\t"attributes": {\n\t\t\t"labels": {\n\t\t\t\t"a": "\\u003cb\\u003e \\u0026 \\u2028é"\n'
        '\t\t\t}\n\t\t}\n\t},\n\t"type": "container"\n}'
    )
    assert as_json({}, notes={}) == '{\n\t"data": {\n\t\t"attributes": {}\n\t},\n\t"type": "container"\n}'


def test_inspect_and_help_of_a_layout(sealift, small_layout) -> None:
    shown = sealift("inspect", "-j", "--layers", f"oci:{small_layout}:latest")
    assert shown.code == 0, shown.err
    value = json.loads(shown.out)
    assert [each["name"] for each in value["layers"]] == ["layer 1", "layer 2", "metadata"]
    assert re.fullmatch("sha256:[0-9a-f]{64}", value["tree_digest"])
    helped = sealift("run-help", f"oci:{small_layout}:latest")
    assert (helped.code, helped.out) == (0, "No help sections were defined for this image\n")


def test_layers_that_are_none_are_not_shown(sealift, small_layout) -> None:
    """Whatever a SIF notes of itself: nothing is believed."""
    assert sealift("build", "x.sif", f"oci:{small_layout}:latest").code == 0
    whole = Path("x.sif").read_bytes()
    assert whole.count(b'"entries":') == 3
    Path("x.sif").write_bytes(whole.replace(b'"entries":', b'"entrees":'))
    shown = sealift("inspect", "--layers", "x.sif")
    assert (shown.code, shown.out) == (0, "this image does not say which layers it was made of\n"), shown.err
    assert "by layer" not in sealift("size", "x.sif").out


def test_the_packages_in_an_image(sealift, tmp_path) -> None:
    write_root(
        tmp_path / "root",
        {
            "var/lib/dpkg/status": b"Package: p\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n",
            "var/lib/dpkg/info/p.list": b"/p\n",
            "p": b"123",
            "x/site-packages/q-2.egg-info": b"Name: q\nVersion: 2\n",
            "var/lib/rpm/Packages": b"",
        },
    )
    shown = sealift("inspect", "--packages", tmp_path / "root")
    assert (shown.code, shown.out) == (0, "dpkg\tp\t1\tall\npython\tq\t2\t\t/x/site-packages\n")
    assert shown.err == (
        "warning: not read: RPM's database `/var/lib/rpm/Packages` is in the form Berkeley DB, which is not read\n"
    )
    value = json.loads(sealift("inspect", "--packages", "--json", tmp_path / "root").out)
    assert value["packages"] == [
        {"manager": "dpkg", "name": "p", "version": "1", "architecture": "all", "place": "", "files": 1, "size": 3},
        {
            "manager": "python",
            "name": "q",
            "version": "2",
            "architecture": "",
            "place": "/x/site-packages",
            "files": 1,
            "size": 19,
        },
    ]


def test_of_nothing(sealift) -> None:
    for verb in ("inspect", "run-help"):
        outcome = sealift(verb, "missing.sif")
        assert (outcome.code, outcome.out) == (5, "")
        assert "there is no image `missing.sif`" in outcome.err

"""The forms of targets, as people name them, and what is refused before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.errors import HostError, UsageError
from sealift.flows.targets import Target, check_target, lies_in, parse_target

NAMES = [
    ("x.sif", False, Target(text="x.sif", kind="sif", path="x.sif")),
    ("x.simg", False, Target(text="x.simg", kind="sif", path="x.simg")),
    ("x", False, Target(text="x", kind="sif", path="x")),
    ("a:b.sif", False, Target(text="a:b.sif", kind="sif", path="a:b.sif")),
    ("./docker:x", False, Target(text="./docker:x", kind="sif", path="./docker:x")),
    ("x.sqfs", False, Target(text="x.sqfs", kind="squashfs", path="x.sqfs")),
    ("a/x.squashfs", False, Target(text="a/x.squashfs", kind="squashfs", path="a/x.squashfs")),
    ("x.sqsh", False, Target(text="x.sqsh", kind="squashfs", path="x.sqsh")),
    ("x.sqfs", True, Target(text="x.sqfs", kind="directory", path="x.sqfs")),
    ("x/", True, Target(text="x/", kind="directory", path="x/")),
    ("oci:d", False, Target(text="oci:d", kind="oci", path="d")),
    ("oci:d:1.0", False, Target(text="oci:d:1.0", kind="oci", path="d", tag="1.0")),
    ("oci://a/d:1.0", False, Target(text="oci://a/d:1.0", kind="oci", path="a/d", tag="1.0")),
    ("docker-archive:x.tar", False, Target(text="docker-archive:x.tar", kind="docker-archive", path="x.tar")),
    (
        "docker-archive:x.tar:me/app",
        False,
        Target(text="docker-archive:x.tar:me/app", kind="docker-archive", path="x.tar", tag="me/app:latest"),
    ),
    ("oci-archive:x.tar:1", False, Target(text="oci-archive:x.tar:1", kind="oci-archive", path="x.tar", tag="1")),
]


@pytest.mark.parametrize(("text", "sandbox", "target"), NAMES)
def test_names(text: str, sandbox: bool, target: Target) -> None:
    assert parse_target(text, sandbox=sandbox) == target


@pytest.mark.parametrize(
    ("text", "sandbox", "message", "hint"),
    [
        ("", False, "the image has no name", "sealift build IMAGE.sif SPEC"),
        ("oci:", False, "`oci:` names no path", "write for instance oci:image:latest"),
        (
            "oci:d:t",
            True,
            "`--sandbox` writes a directory, and `oci:d:t` is none",
            "leave out one of the two: sealift build --sandbox d SPEC",
        ),
        (
            "docker://x",
            False,
            "`docker://x` is nothing that an image can be written to",
            "the image comes first: sealift build IMAGE.sif docker://x",
        ),
        (
            "docker-daemon:x:1",
            False,
            "`docker-daemon:x:1` is nothing that an image can be written to",
            "the image comes first: sealift build IMAGE.sif docker-daemon:x:1",
        ),
    ],
)
def test_names_that_are_refused(text: str, sandbox: bool, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text, sandbox=sandbox)
    assert (caught.value.message, caught.value.hints[0]) == (message, hint)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "old.sif").write_bytes(b"old")
    (here / "folder").mkdir()
    (here / "folder/file").write_bytes(b"mine")
    (here / "empty").mkdir()
    (here / "image/.singularity.d").mkdir(parents=True)
    (here / "image/my.def").write_bytes(b"Bootstrap: scratch\n")
    (here / "closed").mkdir()
    os.mkfifo(here / "pipe")
    os.symlink("old.sif", here / "link.sif")
    os.symlink("nowhere.sif", here / "dangling.sif")
    os.symlink("image", here / "link")
    os.symlink("image", here / "home")
    return here


CHECKS = [
    # target, --sandbox, -F, spec, what is said and the first hint (None: all is well)
    ("new.sif", False, False, "x.def", None),
    ("old.sif", False, False, "x.def", ("`old.sif` exists", "replace it: add -F")),
    ("old.sif", False, True, "x.def", None),
    ("link.sif", False, False, "x.def", ("`link.sif` exists", "replace it: add -F")),
    ("link.sif", False, True, "x.def", None),
    ("dangling.sif", False, False, "x.def", ("`dangling.sif` exists", "replace it: add -F")),
    ("dangling.sif", False, True, "x.def", None),
    ("folder", False, True, "x.def", ("`folder` is a folder", "name the file: folder/image.sif")),
    ("image/", False, True, "x.def", ("`image/` is a folder", None)),
    ("new/", False, False, "x.def", ("`new/` ends in a slash, as the name of a folder does", "a file: new.sif")),
    ("pipe", False, True, "x.def", ("`pipe` is not a regular file", "give the image another name")),
    ("/dev/null", False, True, "x.def", ("`/dev/null` is not a regular file", "give the image another name")),
    ("no/such/x.sif", False, False, "x.def", ("there is no folder", "mkdir -p")),
    ("old.sif/x.sif", False, False, "x.def", ("there is no folder", "mkdir -p")),
    ("a:b.sif", False, False, "x.def", None),
    ("new", True, False, "x.def", None),
    ("new/", True, False, "x.def", None),
    ("empty", True, False, "x.def", None),
    ("image", True, False, "x.def", ("`image` exists", "replace it: add -F")),
    ("image/", True, True, "x.def", None),
    ("link", True, True, "x.def", None),
    ("image", True, True, "image", None),
    ("image", True, True, "link/", None),
    (
        "image",
        True,
        True,
        "image/my.def",
        ("`image/my.def` lies in `image`, whose place the new directory takes", "move it out first: mv image/my.def ."),
    ),
    (
        "folder",
        True,
        True,
        "x.def",
        ("`folder` is a folder that holds no image, and is not replaced", "name a folder that is not there yet"),
    ),
    ("/", True, True, "x.def", ("`/` is a folder that holds no image, and is not replaced", None)),
    ("..", True, True, "x.def", ("`..` is a folder that holds no image, and is not replaced", None)),
    (
        "old.sif",
        True,
        True,
        "x.def",
        ("`old.sif` is a file, and `--sandbox` writes a directory", "give the directory another name"),
    ),
    ("no/such/dir", True, False, "x.def", ("there is no folder", "mkdir -p")),
]


@pytest.mark.parametrize(("text", "sandbox", "force", "spec", "said"), CHECKS)
@pytest.mark.usefixtures("here")
def test_checks(text: str, sandbox: bool, force: bool, spec: str, said: tuple[str, str | None] | None) -> None:
    target = parse_target(text, sandbox=sandbox)
    if said is None:
        check_target(target, force=force, spec=spec)
        return
    with pytest.raises((UsageError, HostError)) as caught:
        check_target(target, force=force, spec=spec)
    message, hint = said
    assert caught.value.message.startswith(message)
    assert hint is None or caught.value.hints[0].startswith(hint)


def test_a_home_that_looks_like_an_image_is_not_replaced(here: Path) -> None:
    for home in ("image", "image/deep", "home"):
        with pytest.raises(UsageError, match="is not replaced"):
            check_target(parse_target("image", sandbox=True), force=True, home=str(here / home))
    check_target(parse_target("image", sandbox=True), force=True, home=str(here / "folder"))


@pytest.mark.slow
@pytest.mark.needs("subuid-user")
def test_a_folder_that_cannot_be_written(here: Path, as_user) -> None:
    if os.geteuid() != 0:
        (here / "closed").chmod(0o500)
    program = (
        "from sealift.errors import HostError\n"
        "from sealift.flows.targets import check_target, parse_target\n"
        "try: check_target(parse_target('/usr/x.sif'), force=False)\n"
        "except HostError as error: print(error.message, error.hints)\n"
    )
    done = as_user(["python", "-c", program])
    assert done.stdout.decode() == "`/usr` cannot be written ('choose another place for the image',)\n", done.stderr


@pytest.mark.parametrize(
    ("path", "folder", "answer"),
    [
        ("a/b", "a", True),
        ("a", "a", True),
        ("ab", "a", False),
        ("a/../b", "a", False),
        ("", ".", False),
        ("x", "/", True),
    ],
)
def test_lies_in(path: str, folder: str, answer: bool) -> None:
    assert lies_in(path, folder) is answer

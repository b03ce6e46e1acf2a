"""The same input gives the same bytes: cold and warm, by root and by users, in any folder, time zone and umask."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "mmdebstrap", "mirror", "squashfuse")]

DEFINITION = """\
Bootstrap: oci
From: base:latest

%files
    seed.txt /opt/seed.txt

%post
    useradd --create-home --uid 1234 alice
    install -d -o alice -g 0 -m 2775 /opt/shared
    ln -s ../opt/seed.txt /srv/link
    chown -h alice /srv/link
    chown alice:alice /opt/seed.txt
    chown root:4321 /opt/shared
    install -m 4755 /bin/true /usr/local/bin/tool
    rm -rf /usr/share/doc
    printf '#!/bin/sh\\necho run\\n' > /usr/local/bin/script
    chmod 750 /usr/local/bin/script
    ln /usr/local/bin/script /usr/local/bin/twin
    mkfifo /opt/pipe

%environment
    export WORD=one

%labels
    Author somebody
"""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def recipe(open_folder: Path, debian_oci: Path) -> Path:
    """A folder that all users can read, with the definition file, its seed and its base."""
    folder = open_folder / "recipe"
    folder.mkdir()
    (folder / "image.def").write_text(DEFINITION)
    (folder / "seed.txt").write_text("seed\n")
    (folder / "seed.txt").chmod(0o644)
    shutil.copytree(debian_oci, folder / "base")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def _copied(recipe: Path, to: Path, owner: Path) -> Path:
    shutil.copytree(recipe, to)
    status = owner.stat()
    for path in (to, *to.rglob("*")):
        os.chown(path, status.st_uid, status.st_gid)
    return to


def test_pulls_are_byte_identical(sealift, as_user, debian_oci, open_folder, monkeypatch):
    layout = open_folder / "layout"
    shutil.copytree(debian_oci, layout)
    images = []
    for number in range(3):  # cold, warm, and cold again with one worker in another time zone with another umask
        if number == 2:
            monkeypatch.setenv("SEALIFT_CACHE_DIR", str(open_folder / "other-cache"))
            monkeypatch.setenv("TZ", "Asia/Kathmandu")
            before, affinity = os.umask(0o077), os.sched_getaffinity(0)
            os.sched_setaffinity(0, {min(affinity)})
        try:
            outcome = sealift("build", f"{number}.sif", f"oci:{layout}")
        finally:
            if number == 2:
                os.umask(before)
                os.sched_setaffinity(0, affinity)
        assert outcome.code == 0, outcome.err
        images.append(_digest(Path(f"{number}.sif")))
    for user in ("subuid", "plain"):
        done = as_user(["sealift", "build", "x.sif", f"oci:{layout}"], user=user)
        assert done.returncode == 0, done.stderr.decode()
        images.append(_digest(as_user.folder(user) / "x.sif"))
    assert len(set(images)) == 1


def test_each_mode_builds_the_same_bytes(sealift, as_user, recipe):
    monotone = []
    os.chdir(recipe)
    outcome = sealift("build", "--json", str(recipe / "root.sif"), "image.def")
    assert outcome.code == 0, outcome.err
    monotone.append((json.loads(outcome.out)["tree_digest"], _digest(recipe / "root.sif")))
    for user in ("subuid", "plain"):
        mine = _copied(recipe, as_user.folder(user) / "recipe", as_user.folder(user))
        done = as_user(["sealift", "build", "--json", "x.sif", "image.def"], user=user, cwd=mine)
        assert done.returncode == 0, done.stderr.decode()
        monotone.append((json.loads(done.stdout)["tree_digest"], _digest(mine / "x.sif")))
    assert len(set(monotone)) == 1, monotone


STAGES = """\
Bootstrap: oci
From: base:latest
Stage: first

%post
    mkdir /o
    echo one > /o/file
    chown 33:34 /o/file
    ln -s file /o/link
    chown -h 35:36 /o/link
    install -d -o 37 -g 38 /o/deep

Bootstrap: scratch

%files from first
    /o /o
    /o/file /single
"""

APT = """\
Bootstrap: oci
From: base:latest

%post
    apt-get update -qq
    rm -f /var/lib/apt/lists/*_*
"""


@pytest.mark.parametrize("text", [STAGES, APT], ids=["stages", "apt"])
def test_each_mode_gives_the_same_tree(sealift, as_user, recipe, text):
    (recipe / "image.def").write_text(text)
    os.chdir(recipe)
    outcome = sealift("build", "--json", str(recipe / "root.sif"), "image.def")
    assert outcome.code == 0, outcome.err
    trees = {"root": json.loads(outcome.out)["tree_digest"]}
    for user in ("subuid", "plain"):
        mine = _copied(recipe, as_user.folder(user) / "recipe", as_user.folder(user))
        done = as_user(["sealift", "build", "--json", "x.sif", "image.def"], user=user, cwd=mine)
        assert done.returncode == 0, done.stderr.decode()
        trees[user] = json.loads(done.stdout)["tree_digest"]
    assert len(set(trees.values())) == 1, trees


def test_a_build_from_nothing_gives_the_same_bytes_again(sealift, recipe, monkeypatch, tmp_path):
    os.chdir(recipe)
    digests = []
    for number in range(2):
        monkeypatch.setenv("SEALIFT_CACHE_DIR", str(tmp_path / f"cache-{number}"))
        outcome = sealift("build", "-F", "x.sif", "image.def")
        assert outcome.code == 0, outcome.err
        digests.append(_digest(recipe / "x.sif"))
    assert digests[0] == digests[1]


def test_compiled_python_stays_valid_when_times_are_clamped(sealift, recipe):
    """A `.pyc` whose source's time changed is compiled anew at every start, since an image cannot be written to."""
    from sealift.evidence.opening import open_image

    os.chdir(recipe)
    (recipe / "py.def").write_text(
        "Bootstrap: oci\nFrom: base:latest\n\n%files\n    made /opt/made\n%post\n    touch /opt/made/module.py\n"
    )
    made = recipe / "made" / "__pycache__"
    made.mkdir(parents=True)
    source = recipe / "made" / "module.py"
    source.write_text("x = 1\n")
    outcome = sealift("build", "--json", "py.sif", "py.def")
    assert outcome.code == 0, outcome.err
    with open_image("py.sif") as image:
        assert image.squashfs is not None
        entry = image.squashfs.lookup(b"opt/made/module.py")
        assert entry is not None
        assert entry.mtime == 0  # the base says that it was created at the epoch


def test_nothing_runs_when_nothing_changed(sealift, recipe):
    os.chdir(recipe)
    first = json.loads(sealift("build", "--json", "-F", "x.sif", "image.def").out)
    before = os.stat("x.sif")
    second = sealift("build", "--json", "-F", "x.sif", "image.def")
    assert "%files and %post: cached" in second.err
    result = json.loads(second.out)
    assert result["unchanged"] is True
    assert {k: v for k, v in result.items() if k not in ("seconds", "unchanged")} == {
        k: v for k, v in first.items() if k not in ("seconds", "unchanged")
    }
    assert os.stat("x.sif") == before


@pytest.mark.parametrize(
    "change",
    ["seed", "mode", "post", "base argument"],
)
def test_what_changed_runs_again(sealift, recipe, change):
    os.chdir(recipe)
    first = json.loads(sealift("build", "--json", "-F", "x.sif", "image.def").out)
    if change == "seed":
        (recipe / "seed.txt").write_text("another\n")
    elif change == "mode":
        (recipe / "seed.txt").chmod(0o755)
    elif change == "post":
        (recipe / "image.def").write_text(DEFINITION.replace("mkfifo /opt/pipe", "mkfifo /opt/tube"))
    else:
        (recipe / "image.def").write_text(DEFINITION.replace("%post\n", "%post -e\n"))
    second = sealift("build", "--json", "-F", "x.sif", "image.def")
    assert second.code == 0
    assert "cached" not in second.err
    if change != "base argument":
        assert json.loads(second.out)["tree_digest"] != first["tree_digest"]


def test_metadata_alone_runs_no_section(sealift, recipe):
    os.chdir(recipe)
    assert sealift("build", "-F", "x.sif", "image.def").code == 0
    (recipe / "image.def").write_text(DEFINITION.replace("WORD=one", "WORD=two"))
    outcome = sealift("build", "-F", "x.sif", "image.def")
    assert "%files and %post: cached" in outcome.err
    assert "WORD=two" in sealift("inspect", "--environment", "x.sif").out

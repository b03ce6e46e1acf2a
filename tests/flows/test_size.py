"""`size` beside what `du`, `find` and the package managers' own programs say of the same real images."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift.core.tree import show_path
from sealift.errors import HostError
from sealift.evidence.files import ImageFiles, files_of
from sealift.evidence.folders import sums
from sealift.evidence.opening import open_image
from sealift.evidence.packages import Package, find_packages
from sealift.evidence.size import measure
from tests.evidence.conftest import write_root
from tests.flows.conftest import Outcome
from tests.ground import images, repositories

pytestmark = [pytest.mark.slow, pytest.mark.needs("root")]

DEBIAN = """\
Bootstrap: oci
From: {layout}:latest

%post
    apt-get update
    apt-get install -y --no-install-recommends python3-pip make
    pip3 install --break-system-packages --no-cache-dir click==8.1.7 six==1.16.0
    dpkg-divert --rename --add /usr/bin/make
    cp /usr/bin/perl /opt/perl
    ln /opt/perl /opt/linked
    mkdir -p /opt/work/.git && echo main > /opt/work/.git/HEAD
"""

LOOK = r"""
import glob, importlib.metadata, json, os, re, subprocess

def real(path):
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))

def files(paths):
    return sorted({real(path) for path in paths if os.path.isfile(path) and not os.path.islink(path)})

def told(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout.decode()

def listed(package):
    # A line that says where a file was moved stands behind its old path.
    paths = []
    for line in told("dpkg-query", "--listfiles", package).splitlines():
        moved = re.match(r"(?:locally diverted|diverted by \S+) to: (.*)", line)
        if moved:
            paths[-1] = moved[1]
        else:
            paths.append(line)
    return paths

query = told("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version} ${Architecture} ${binary:Package}\n")
lines = [line.split() for line in query.splitlines()]
dpkg = {
    f"{name} {version} {arch}": files(listed(own))
    for state, name, version, arch, own in lines
}
pip = json.loads(told("python3", "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"))
python = {
    f"{one.metadata['Name']} {one.version}": files(str(each.locate()) for each in one.files)
    for one in importlib.metadata.distributions(path=glob.glob("/usr/local/lib/python3*/dist-packages"))
}
print(json.dumps({
    "states": sorted({line[0] for line in lines}),
    "dpkg": dpkg,
    "pip": sorted(f"{each['name']} {each['version']}" for each in pip),
    "python": python,
}))
"""


def files_by_package(files: ImageFiles, packages: list[Package], *, compiled: bool) -> dict[str, list[str]]:
    """The packages by name, version and architecture; with or without what interpreters compiled."""
    found = {}
    for one in packages:
        paths = [show_path(files.tree.paths[row]) for row in one.rows]
        name = " ".join(filter(None, (one.name, one.version, one.architecture)))
        found[name] = sorted(path for path in paths if compiled or not path.endswith(".pyc"))
    return found


@pytest.fixture(scope="module")
def debian_image(debian_oci: Path, session_folder: Path) -> Callable[[Callable[..., Outcome]], Path]:
    image = session_folder / "size-debian.sif"

    def built(sealift: Callable[..., Outcome]) -> Path:
        if not image.exists():
            Path("x.def").write_text(DEBIAN.format(layout=debian_oci))
            outcome = sealift("build", image, "x.def")
            assert outcome.code == 0, outcome.err
        return image

    return built


@pytest.mark.needs("mmdebstrap", "mirror", "squashfuse", "apptainer", "subuid-user")
def test_a_debian_image(debian_image, sealift, apptainer, tmp_path) -> None:
    image = debian_image(sealift)
    done = apptainer("exec", "--containall", image, "python3", "-c", LOOK)
    assert done.returncode == 0, done.stderr.decode()
    theirs: dict[str, Any] = json.loads(done.stdout)
    with open_image(str(image)) as opened:
        sizes = measure(opened)
    packages, files = sizes.inventory.packages, sizes.files
    assert theirs["states"] == ["ii"]
    ours = [one for one in packages if one.manager == "dpkg"]
    assert files_by_package(files, ours, compiled=False) == theirs["dpkg"]
    ours = [one for one in packages if one.manager == "python"]
    assert sorted(f"{one.name} {one.version}" for one in ours) == theirs["pip"]
    ours = [one for one in ours if one.place.startswith("/usr/local/")]
    assert files_by_package(files, ours, compiled=True) == theirs["python"]
    assert sorted(theirs["python"]) == ["click 8.1.7", "six 1.16.0"]
    assert sizes.inventory.unread == ()
    with images.mounted(image, below=tmp_path) as root:
        found = [os.lstat(os.path.join(folder, name)) for folder, _, names in os.walk(root) for name in names]
        regular = {one.st_ino: one.st_size for one in found if stat.S_ISREG(one.st_mode)}
        assert (sizes.whole.files, sizes.whole.size) == (len(regular), sum(regular.values()))
        assert du_of_files(root) == {
            show_path(path): size for path, (_, size) in sums(files, sizes.rows).items() if path.count(b"/") == 0
        }


def du_of_files(root: Path) -> dict[str, int]:
    """What `du` counts for the root and each folder in it, less what it counts for all that are no regular files."""
    counted = subprocess.run(["du", "--apparent-size", "-b", "-d1", root], check=True, stdout=subprocess.PIPE).stdout
    found = {}
    for line in counted.decode().splitlines():
        size, path = line.split("\t")
        others = ["find", path, "-not", "-type", "f", "-printf", "%s\n"]
        listed = subprocess.run(others, check=True, stdout=subprocess.PIPE).stdout
        if total := int(size) - sum(map(int, listed.split())):
            found[path.removeprefix(str(root)) or "/"] = total
    return found


@pytest.mark.needs("mmdebstrap", "mirror", "squashfuse")
def test_everything_adds_up_and_every_form_says_the_same(debian_image, sealift) -> None:
    image = debian_image(sealift)
    said = {name: json.loads(sealift("size", "--json", target).out) for name, target in forms(image, sealift).items()}
    sif = said["sif"]
    for field in ("files", "size", "stored"):
        assert sum(one[field] for one in sif["packages"]) == sif[field], field
        assert sum(one[field] for one in sif["managers"]) == sif[field], field
    assert sum(one["own"] for one in sif["folders"]) == sif["size"]
    assert sum(one["size"] for one in sif["layers"]) == sif["size"]
    assert sum(one["entries"] for one in sif["layers"]) == sif["entries"]
    assert 0 < sif["file_size"] - sif["stored"] < 1_000_000
    assert {one["id"] for one in sif["leftovers"]} >= {
        "apt-lists",
        "apt-archives",
        "git-folders",
        "dpkg-build",
        "bytecode",
    }
    assert ["/opt/linked", "/usr/bin/perl"] in [one["paths"] for one in sif["duplicates"]]
    same = [common(each) for each in said.values()]
    assert same[0] == same[1] == same[2]


DIFFERS = ("image", "form", "file_size", "layers", "stored", "spare_stored")
"""What only some forms have, or have each in its own way."""


def forms(image: Path, sealift: Callable[..., Outcome]) -> dict[str, Path]:
    found = {"sif": image, "squashfs": Path("x.sqfs"), "directory": Path("folder")}
    for target in (["x.sqfs"], ["--sandbox", "folder"]):
        outcome = sealift("build", *target, image)
        assert outcome.code == 0, outcome.err
    return found


def common(value: Any) -> Any:
    match value:
        case dict():
            return {key: common(each) for key, each in value.items() if key not in DIFFERS}
        case list():
            return [common(each) for each in value]
        case _:
            return value


@pytest.mark.needs("mmdebstrap", "mirror", "squashfuse")
def test_the_lines_remove_what_they_are_said_to_remove(debian_image, sealift) -> None:
    """Built on: every line of the report in one `%post`; then nothing of it is found any more."""
    image = debian_image(sealift)
    before = json.loads(sealift("size", "--json", image).out)
    lines = "\n".join(f"    {one['remove']}" for one in before["leftovers"])
    Path("y.def").write_text(f"Bootstrap: localimage\nFrom: {image}\n\n%post\n{lines}\n")
    outcome = sealift("build", "y.sif", "y.def")
    assert outcome.code == 0, outcome.err
    after = json.loads(sealift("size", "--json", "y.sif").out)
    assert after["leftovers"] == []
    assert before["size"] - after["size"] >= sum(one["size"] for one in before["leftovers"])


DNF = """\
Bootstrap: dnf
MirrorURL: {url}/%{{OSVERSION}}
OSVersion: .
Include: tiny-mail
SetOpt: install_weak_deps=False
"""


@pytest.mark.needs("dnf")
def test_an_image_of_rpms(sealift, session_folder, tmp_path) -> None:
    folder = session_folder / "size-rpms"
    with repositories.served(repositories.make_rpm_repository(folder)) as served:
        Path("x.def").write_text(DNF.format(url=served.url))
        assert sealift("build", "x.sif", "x.def").code == 0
    shutil.rmtree(folder)
    with images.mounted("x.sif", below=tmp_path) as root:
        # On a mount that cannot be written rpm cannot open its own database.
        shutil.copytree(root / "var/lib/rpm", tmp_path / "rpm")
        query = "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH}\t[%{FILENAMES}\t]\n"
        argv = ["rpm", "--dbpath", tmp_path / "rpm", "-qa", "--qf", query]
        told = subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout.decode()
        theirs = {}
        for line in told.splitlines():
            name, *paths = line.rstrip("\t").split("\t")
            theirs[name] = sorted(
                path for path in paths if (root / path[1:]).is_file() and not (root / path[1:]).is_symlink()
            )
    with open_image("x.sif") as opened:
        files = files_of(opened)
        found = find_packages(files)
    assert files_by_package(files, [*found.packages], compiled=True) == theirs
    assert len(theirs) == 3
    assert found.unread == ()


@pytest.mark.needs("pacman")
def test_an_image_of_pacman(sealift, session_folder, tmp_path) -> None:
    folder = session_folder / "size-pacman"
    repositories.make_pacman_repository(folder)
    with repositories.served(folder) as served:
        options = "[options]\nArchitecture = x86_64\nSigLevel = Never\n"
        (folder / "pacman.conf").write_text(f"{options}[tiny]\nServer = {served.url}\n")
        Path("x.def").write_text(f"Bootstrap: arch\nConfURL: {served.url}/pacman.conf\nInclude: base mail\n")
        assert sealift("build", "x.sif", "x.def").code == 0
    shutil.rmtree(folder)
    with images.mounted("x.sif", below=tmp_path) as root:
        pacman = ["pacman", "--dbpath", str(root / "var/lib/pacman"), "--root", str(root)]
        theirs: dict[str, list[str]] = {}
        for line in subprocess.run([*pacman, "-Q"], check=True, stdout=subprocess.PIPE).stdout.decode().splitlines():
            name = line.split()[0]
            told = subprocess.run([*pacman, "-Qlq", name], check=True, stdout=subprocess.PIPE).stdout.decode()
            places = [Path(path) for path in told.splitlines()]
            regular = [place for place in places if place.is_file() and not place.is_symlink()]
            theirs[f"{line} x86_64"] = sorted(f"/{place.relative_to(root)}" for place in regular)
    with open_image("x.sif") as opened:
        files = files_of(opened)
        found = find_packages(files)
    assert files_by_package(files, [*found.packages], compiled=True) == theirs
    assert len(theirs) == 2


@pytest.mark.needs("plain-user")
def test_what_may_not_be_read(as_user) -> None:
    folder = as_user.folder("plain")
    (write_root(folder / "root", {"x/y": b""}) / "x").chmod(0)
    done = as_user(["sealift", "size", "root"], user="plain", cwd=folder)
    assert (done.returncode, done.stdout) == (HostError.exit_code, b"")
    assert done.stderr.decode() == (
        "error: `root/x` cannot be read: permission denied\n"
        "hint: make a SIF of the folder, which a sandbox may read, and ask that: sealift build new.sif root\n"
    )

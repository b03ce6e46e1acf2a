"""Bases made by the host's real dnf, zypper, pacman and by busybox: the same bytes for every user, Apptainer's tree."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.core.tree import Entry
from tests.ground import images, listing, repositories, users

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "subuid-user", "plain-user")]


@pytest.fixture(scope="module")
def rpms(session_folder: Path) -> Iterator[repositories.Served]:
    folder = session_folder / "rpms"
    with repositories.served(repositories.make_rpm_repository(folder)) as served:
        yield served
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def pacman(session_folder: Path) -> Iterator[repositories.Served]:
    folder = session_folder / "pacman"
    repositories.make_pacman_repository(folder)
    with repositories.served(folder) as served:
        options = "[options]\nArchitecture = x86_64\nSigLevel = Never\n"
        (folder / "pacman.conf").write_text(f"{options}[tiny]\nServer = {served.url}\n")
        yield served
    shutil.rmtree(folder)


@pytest.fixture
def busybox(tmp_path: Path) -> Iterator[repositories.Served]:
    (tmp_path / "www").mkdir()
    shutil.copy(shutil.which("busybox") or "", tmp_path / "www" / "busybox")
    with repositories.served(tmp_path / "www") as served:
        yield served


def build(as_user: users.AsUser, text: str, *, user: users.Kind, image: str = "x.sif") -> dict[str, object]:
    folder = as_user.folder(user)
    (folder / "x.def").write_text(text)
    done = as_user(["sealift", "build", "-F", "--json", image, "x.def"], user=user)
    assert done.returncode == 0, done.stderr.decode()
    result: dict[str, object] = json.loads(done.stdout)
    return result


def built_by_root(sealift, text: str) -> Path:
    Path("x.def").write_text(text)
    outcome = sealift("build", "-F", "x.sif", "x.def")
    assert outcome.code == 0, outcome.err
    return Path("x.sif")


def tree(image: Path, scratch: Path) -> dict[str, Entry]:
    with images.mounted(image, below=scratch) as root:
        return {path.decode(): entry for path, entry in listing.full_listing(root).items()}


def by_every_user(as_user: users.AsUser, sealift, text: str) -> Path:
    """The image by root; users with and without subuids must make the same bytes."""
    image = built_by_root(sealift, text)
    digest = f"sha256:{hashlib.sha256(image.read_bytes()).hexdigest()}"
    results = {user: build(as_user, text, user=user)["digest"] for user in ("subuid", "plain")}
    assert results == {"subuid": digest, "plain": digest}
    return image


def owners(entries: dict[str, Entry], *paths: str) -> dict[str, tuple[str, int, int]]:
    return {path: (stat.filemode(entries[path].mode), entries[path].uid, entries[path].gid) for path in paths}


DNF = """Bootstrap: dnf
MirrorURL: {url}/%{{OSVERSION}}
OSVersion: .
Include: tiny-mail
SetOpt: install_weak_deps=False
"""
MAIL = {"var/mail": ("drwxrws---", 0, 8), "var/mail/hello": ("-rw-r-----", 8, 8)}


@pytest.mark.needs("dnf")
class TestDnf:
    @pytest.mark.needs("apptainer")
    def test_the_same_bytes_for_every_user_and_apptainers_tree(self, as_user, apptainer, sealift, rpms, tmp_path):
        """What differs from Apptainer's: dnf's own notes, and /dev, where a script's output became a file there."""
        text = DNF.format(url=rpms.url)
        image = by_every_user(as_user, sealift, text)
        entries = tree(image, tmp_path)
        assert owners(entries, *MAIL) == MAIL
        assert [path for path in entries if path.startswith(("dev/", "var/lib/rpm/"))] == [
            "var/lib/rpm/.rpm.lock",
            "var/lib/rpm/rpmdb.sqlite",
        ]
        self.look_into(image, tmp_path)
        # Debian's rpm has its database in the user's home, which Apptainer refuses without this file.
        macros = Path(users.get("subuid").home) / ".rpmmacros"
        macros.write_text("%_var /var\n%_dbpath %{_var}/lib/rpm\n")
        done = apptainer("build", "--fakeroot", "theirs.sif", "x.def")
        macros.unlink()
        assert done.returncode == 0, done.stderr.decode()
        left_out = ("var/log/", "var/lib/rpm/", "var/lib/dnf/")
        assert compared(entries, left_out) == compared(tree(as_user.folder() / "theirs.sif", tmp_path), left_out)
        # A second build asks for the index alone.
        rpms.asked.clear()
        assert sealift("build", "-F", "y.sif", "x.def").code == 0
        assert rpms.asked == ["/repodata/repomd.xml"]
        assert Path("y.sif").read_bytes() == image.read_bytes()

    def look_into(self, image: Path, scratch: Path) -> None:
        with images.mounted(image, below=scratch) as root:
            assert (root / "var/lib/tiny-mail").read_text() == "installed 1\n"
            query = ["rpm", "--root", str(root), "--dbpath", "/var/lib/rpm", "-qa", "--qf", "%{name} %{installtime}\n"]
            seen = subprocess.run(query, capture_output=True, text=True, check=True)
            database = sqlite3.connect(f"file:{root}/var/lib/dnf/history.sqlite?immutable=1", uri=True)
            rows = database.execute("SELECT dt_begin, dt_end, cmdline FROM trans").fetchall()
            database.close()
        # rpm counts on from the epoch, a second for each package.
        names = ("tiny-base", "tiny-mail", "tiny-release")
        assert sorted(seen.stdout.splitlines()) == [f"{name} {repositories.BUILT + n}" for n, name in enumerate(names)]
        assert rows == [(repositories.BUILT, repositories.BUILT, "")]

    def test_the_database_where_the_images_rpm_looks(self, sealift, rpms, tmp_path):
        entries = tree(built_by_root(sealift, DNF.format(url=rpms.url).replace("tiny-mail", "tiny-rpm")), tmp_path)
        assert entries["var/lib/rpm"].link == b"../../usr/lib/sysimage/rpm"
        assert "usr/lib/sysimage/rpm/rpmdb.sqlite" in entries

    def test_sections_on_top(self, as_user, rpms):
        text = DNF.format(url=rpms.url) + "\n%post\n    cat /etc/redhat-release > /seen\n%test\n    cat /seen\n"
        build(as_user, text, user="plain")
        done = as_user(["sealift", "exec", "--engine", "embedded", "x.sif", "/bin/cat", "/seen"], user="plain")
        assert done.stdout == b"Tiny Linux 1\n", done.stderr.decode()

    def test_what_is_not_in_the_repository(self, sealift, rpms):
        Path("x.def").write_text(DNF.format(url=rpms.url).replace("tiny-mail", "none-such"))
        outcome = sealift("build", "x.sif", "x.def")
        assert outcome.code == 3
        assert "`dnf` ended with 1" in outcome.err
        assert "No match for argument: none-such" in outcome.err
        assert "hint: are these packages in that repository? see `Include:` and `MirrorURL:`" in outcome.err

    def test_no_repository(self, sealift, rpms):
        Path("x.def").write_text(f"Bootstrap: yum\nMirrorURL: {rpms.url}/none\n")
        outcome = sealift("build", "x.sif", "x.def")
        assert (outcome.code, outcome.err.splitlines()[:4]) == (
            3,
            [
                f"error: `{rpms.url}/none` is no repository of RPM packages: it has no `repodata/repomd.xml`",
                " --> x.def:2:1",
                f"2 | MirrorURL: {rpms.url}/none",
                "  | " + "^" * len(f"MirrorURL: {rpms.url}/none"),
            ],
        )


@pytest.mark.needs("zypper")
class TestZypper:
    def test_the_same_bytes_for_every_user(self, as_user, sealift, rpms, tmp_path):
        text = f"Bootstrap: zypper\nMirrorURL: {rpms.url}\nOtherURL0: {rpms.url}/./\nInclude: tiny-mail\n"
        entries = tree(by_every_user(as_user, sealift, text), tmp_path)
        assert owners(entries, *MAIL) == MAIL
        assert [path for path in entries if path.startswith("etc/zypp/")] == [
            "etc/zypp/repos.d",
            "etc/zypp/repos.d/repo-0.repo",
            "etc/zypp/repos.d/repo.repo",
            "etc/zypp/zypp.conf",
        ]
        assert "var/lib/tiny-mail" in entries


@pytest.mark.needs("pacman")
class TestPacman:
    def test_the_same_bytes_for_every_user(self, as_user, sealift, pacman, tmp_path):
        text = f"Bootstrap: arch\nConfURL: {pacman.url}/pacman.conf\nInclude: base mail\n"
        entries = tree(by_every_user(as_user, sealift, text), tmp_path)
        assert owners(entries, "var/mail", "var/mail/hello", "tmp", "proc") == {
            "var/mail": ("drwxr-x---", 8, 8),
            "var/mail/hello": ("-rw-r-----", 8, 8),
            "tmp": ("drwxrwxrwt", 0, 0),
            "proc": ("dr-xr-xr-x", 0, 0),
        }
        assert {path for path in entries if path.startswith("var/lib/pacman/local/mail")} == {
            f"var/lib/pacman/local/mail-1-1{name}" for name in ("", "/desc", "/files", "/install")
        }
        assert "var/lib/mail" in entries

    def test_a_repository_without_a_server(self, sealift, pacman):
        (Path("p.conf")).write_text("[options]\nArchitecture = x86_64\n[core]\n")
        Path("x.def").write_text(f"Bootstrap: arch\nConfURL: file://{Path.cwd()}/p.conf\n")
        outcome = sealift("build", "x.sif", "x.def")
        assert (outcome.code, outcome.err.splitlines()[0]) == (
            6,
            "error: the repository `core` of the configuration of pacman has no server",
        )


@pytest.mark.needs("busybox")
class TestBusybox:
    @pytest.mark.needs("apptainer")
    def test_the_same_bytes_for_every_user_and_apptainers_tree(self, as_user, apptainer, sealift, busybox, tmp_path):
        entries = tree(
            by_every_user(as_user, sealift, f"Bootstrap: busybox\nMirrorURL: {busybox.url}/busybox\n"), tmp_path
        )
        done = apptainer("build", "--fakeroot", "theirs.sif", "x.def")
        assert done.returncode == 0, done.stderr.decode()
        assert compared(entries) == compared(tree(as_user.folder() / "theirs.sif", tmp_path))
        assert len([path for path in entries if path.startswith("bin/")]) > 200

    def test_what_is_no_program(self, sealift, busybox, tmp_path):
        (tmp_path / "www" / "page").write_text("<html>")
        Path("x.def").write_text(f"Bootstrap: busybox\nMirrorURL: {busybox.url}/page\n")
        outcome = sealift("build", "x.sif", "x.def")
        assert (outcome.code, outcome.err.splitlines()[0]) == (
            3,
            f"error: what `{busybox.url}/page` names is no program",
        )

    def test_a_program_that_is_no_busybox(self, sealift, busybox, tmp_path):
        from sealift.core.architecture import ARCHITECTURES
        from sealift.system.emulation import tiny_program

        (tmp_path / "www" / "tiny").write_bytes(tiny_program(ARCHITECTURES[0]))
        Path("x.def").write_text(f"Bootstrap: busybox\nMirrorURL: {busybox.url}/tiny\n")
        outcome = sealift("build", "x.sif", "x.def")
        assert (outcome.code, outcome.err.splitlines()[0]) == (
            4,
            f"error: the program from `{busybox.url}/tiny` does not run as busybox: it ended with 42",
        )


def compared(entries: dict[str, Entry], left_out: tuple[str, ...] = ()) -> dict[str, object]:
    """Everything but times, /dev, and the metadata that every image has of its own kind of builder."""
    return {
        path: replace(entry, mtime=0)
        for path, entry in entries.items()
        if not path.startswith((".singularity.d/", "dev/", *left_out))
    }

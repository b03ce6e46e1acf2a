"""The commands of a bootstrap, whole, and the mirror of a host."""

from __future__ import annotations

import subprocess

import pytest

from sealift.bases import debootstrap
from sealift.bases.commands import ROOT, Command
from sealift.bases.debootstrap import AptSource, Bootstrap, choose_source, parse_apt_sources, plan
from sealift.errors import DefinitionError

PLAIN = Bootstrap(suite="bookworm", mirror="http://mirror/debian", architecture="amd64")
FULL = Bootstrap(
    suite="noble",
    mirror="http://mirror/ubuntu",
    architecture="arm64",
    components=("main", "universe"),
    include=("python3", "openssl"),
    keyring="/usr/share/keyrings/ubuntu.gpg",
    epoch=1_700_000_000,
)
ENV = {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
REQUIRED = "--include=?priority(required)"


def test_mmdebstrap() -> None:
    assert plan(PLAIN, program="mmdebstrap", path="/usr/bin/mmdebstrap", hooks=False) == (
        Command(
            argv=(
                "/usr/bin/mmdebstrap",
                "--quiet",
                "--mode=root",
                "--variant=apt",
                REQUIRED + "".join(f" ?not(?exact-name({name}))" for name in debootstrap.EXCLUDED),
                "--components=main",
                "--architectures=amd64",
                "--skip=check/empty,check/qemu,chroot/mount",
                f"--extract-hook={debootstrap._MOUNT}",
                f"--customize-hook={debootstrap._UNMOUNT}",
                "bookworm",
                ROOT,
                "http://mirror/debian",
            ),
            inside=False,
            env=ENV,
        ),
    )


def test_mmdebstrap_with_all_that_a_header_can_say() -> None:
    (command,) = plan(FULL, program="mmdebstrap", path="/usr/bin/mmdebstrap", hooks=True)
    assert command.env == ENV | {"SOURCE_DATE_EPOCH": "1700000000"}
    assert command.argv[4:12] == (
        f"{REQUIRED} ?not(?exact-name(e2fsprogs)) ?not(?exact-name(udev)) ?not(?exact-name(debconf-i18n))",
        "--include=python3,openssl",
        "--components=main,universe",
        "--architectures=arm64",
        "--keyring=/usr/share/keyrings/ubuntu.gpg",
        "--skip=check/empty,check/qemu,chroot/mount",
        "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr",
        f"--extract-hook={debootstrap._MOUNT}",
    )


def test_debootstrap_in_two_halves() -> None:
    commands = plan(FULL, program="debootstrap", path="/usr/sbin/debootstrap", hooks=True)
    env = ENV | {"SOURCE_DATE_EPOCH": "1700000000"}
    assert commands == (
        Command(
            argv=(
                "/usr/sbin/debootstrap",
                "--foreign",
                "--variant=minbase",
                "--exclude=e2fsprogs,udev,debconf-i18n",
                "--include=apt,python3,openssl",
                "--components=main,universe",
                "--arch=arm64",
                "--keyring=/usr/share/keyrings/ubuntu.gpg",
                "noble",
                ROOT,
                "http://mirror/ubuntu",
            ),
            inside=False,
            env=env,
        ),
        Command(argv=("/bin/sh", "-c", debootstrap._BETWEEN, "sh", ROOT), inside=False, env=env),
        Command(argv=("/debootstrap/debootstrap", "--second-stage"), inside=True, env=env),
        Command(argv=("/bin/sh", "-c", debootstrap._TIDY, "sh", ROOT), inside=False, env=env),
    )


@pytest.mark.parametrize("name", ["_MOUNT", "_UNMOUNT", "_BETWEEN", "_TIDY"])
def test_scripts_are_shell(name: str) -> None:
    subprocess.run(["/bin/sh", "-nc", getattr(debootstrap, name)], check=True)


ONE_LINE = """
# deb http://commented/debian sid main
deb http://mirror/debian bookworm main contrib # and why
deb-src http://mirror/debian bookworm main
  deb [arch=amd64 signed-by=/k.gpg] https://other/debian bookworm-updates main
deb cdrom:[Debian 12]/ bookworm main
"""
DEB822 = """
# a comment
Types: deb deb-src
URIs: http://a/debian
  http://b/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://c/debian
Suites: trixie
Components: main

Enabled: no
Types: deb
URIs: http://d/debian
Suites: trixie
Components: main

types: deb
uris: http://e/debian
suites: sid
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----
"""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_one_line_sources() -> None:
    assert parse_apt_sources({"/etc/apt/sources.list": ONE_LINE}) == (
        AptSource(uri="http://mirror/debian", suite="bookworm", components=("main", "contrib")),
        AptSource(uri="https://other/debian", suite="bookworm-updates", components=("main",), signed_by="/k.gpg"),
    )


def test_deb822_sources() -> None:
    found = parse_apt_sources({"/etc/apt/sources.list.d/debian.sources": DEB822})
    assert found == (
        AptSource(uri="http://a/debian", suite="trixie", components=("main",), signed_by=KEYRING),
        AptSource(uri="http://a/debian", suite="trixie-updates", components=("main",), signed_by=KEYRING),
        AptSource(uri="http://b/debian", suite="trixie", components=("main",), signed_by=KEYRING),
        AptSource(uri="http://b/debian", suite="trixie-updates", components=("main",), signed_by=KEYRING),
        AptSource(uri="http://e/debian", suite="sid", components=("main",)),
    )


def test_the_main_file_comes_first() -> None:
    found = parse_apt_sources(
        {"/etc/apt/sources.list.d/a.list": "deb http://a x main", "/etc/apt/sources.list": "deb http://b x main"}
    )
    assert [each.uri for each in found] == ["http://b", "http://a"]


def test_the_hosts_source_for_a_suite() -> None:
    sources = parse_apt_sources({"/etc/apt/sources.list": ONE_LINE, "/etc/apt/sources.list.d/d.sources": DEB822})
    assert choose_source(sources, "trixie").uri == "http://a/debian"
    assert choose_source(sources, "bookworm") == sources[0]


def test_another_suite_comes_from_the_first_mirror() -> None:
    security = AptSource(uri="http://mirror/debian-security", suite="x-security", components=("main",))
    local = AptSource(uri="file:/srv/debian", suite="bookworm", components=("main",))
    mirror = AptSource(uri="http://mirror/debian", suite="bookworm", components=("main", "contrib"), signed_by="/k")
    assert choose_source((security, local, mirror), "sid") == AptSource(
        uri="http://mirror/debian", suite="sid", components=("main",), signed_by="/k"
    )


def test_a_host_without_sources_is_asked_for_a_mirror() -> None:
    with pytest.raises(DefinitionError, match="no `MirrorURL`") as caught:
        choose_source((), "bookworm")
    assert caught.value.hints == ("add to the header a line: MirrorURL: http://YOUR-MIRROR/debian",)

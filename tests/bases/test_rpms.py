"""The commands of dnf and zypper, whole, and what a repository says of its state."""

from __future__ import annotations

import subprocess

import pytest

from sealift.bases import rpms
from sealift.bases.commands import PRIVATE, ROOT, Command
from sealift.bases.rpms import RpmBootstrap, plan_dnf, plan_zypper, revision, with_version

PLAIN = RpmBootstrap(mirror="http://mirror/9/os")
FULL = RpmBootstrap(
    mirror="http://mirror/9/os",
    update="http://mirror/9/updates",
    others=("http://other/0", "http://other/1"),
    version="9",
    include=("bash", "dnf"),
    setopt="install_weak_deps=False",
    key="https://mirror/key",
    foreign="aarch64",
    epoch=1_700_000_000,
    database="/var/lib/rpm",
)
ENV = {"HOME": PRIVATE, "LC_ALL": "C.UTF-8"}
TIMED = ENV | {"SOURCE_DATE_EPOCH": "1700000000"}


def placing(path: str, name: str, env: dict[str, str]) -> Command:
    argv = ("/bin/sh", "-c", rpms._PLACE, "sh", ROOT, path, f"{PRIVATE}/{name}")
    return Command(argv=argv, inside=False, env=env)


def installing(env: dict[str, str], name: str, *argv: str, accept: tuple[int, ...] = (0,)) -> tuple[Command, Command]:
    wrapped = ("/bin/sh", "-c", rpms.WITH_DEVICES, "sh", ROOT, *argv)
    return (
        Command(argv=wrapped, inside=False, env=env, accept=accept, name=name),
        Command(argv=("/bin/sh", "-c", rpms._BARE_DEV, "sh", ROOT), inside=False, env=env),
    )


def test_dnf() -> None:
    plan = plan_dnf(PLAIN, program="/usr/bin/dnf", rpm="/usr/bin/rpm")
    conf = f"{ROOT}/etc/bootstrap-yum.conf"
    assert plan.commands == (
        placing("/etc/bootstrap-yum.conf", "bootstrap-yum.conf", ENV),
        *installing(
            ENV,
            "dnf",
            *("/usr/bin/dnf", "--noplugins", "-c", conf, "--installroot", ROOT, "--releasever=", "-y"),
            *("install", "/etc/redhat-release", "coreutils"),
        ),
        Command(argv=("/bin/rm", "-rf", f"{ROOT}/var/cache/yum-bootstrap"), inside=False, env=ENV),
    )
    (text,) = plan.files.values()
    assert text.decode().splitlines() == [
        *("[main]", "cachedir=/var/cache/yum-bootstrap", "keepcache=0", "debuglevel=2", "logfile=/var/log/yum.log"),
        *("syslog_device=/dev/null", "exactarch=1", "obsoletes=1", "gpgcheck=0", "plugins=1", "reposdir=0"),
        *("deltarpm=0", "", "[base]", "name=Linux $releasever - $basearch", "baseurl=http://mirror/9/os"),
        *("enabled=1", "gpgcheck=0"),
    ]


def test_dnf_with_all_that_a_header_can_say() -> None:
    plan = plan_dnf(FULL, program="/usr/bin/yum", rpm="/usr/bin/rpm")
    assert plan.commands[1:4] == (
        Command(argv=("/usr/bin/rpm", "--root", ROOT, "--initdb"), inside=False, env=TIMED),
        Command(argv=("/usr/bin/rpm", "--root", ROOT, "--import", "https://mirror/key"), inside=False, env=TIMED),
        installing(
            TIMED,
            "yum",
            *("/usr/bin/yum", "--noplugins", "-c", f"{ROOT}/etc/bootstrap-yum.conf", "--installroot", ROOT),
            *("--releasever=9", "--forcearch=aarch64", "-y", "--setopt", "install_weak_deps=False"),
            *("install", "/etc/redhat-release", "coreutils", "bash", "dnf"),
        )[0],
    )
    assert plan.files[".rpmmacros"] == b"%_dbpath /var/lib/rpm\n"
    text = plan.files["bootstrap-yum.conf"].decode()
    assert text.count("gpgcheck=1") == 3
    assert text.endswith(
        "[updates]\nname=Linux $releasever - $basearch updates\nbaseurl=http://mirror/9/updates\n"
        "enabled=1\ngpgcheck=1\n\n"
    )


def test_zypper() -> None:
    plan = plan_zypper(PLAIN, program="/usr/bin/zypper")
    zypper = ("/usr/bin/zypper", "--root", ROOT)
    assert plan.commands == (
        placing("/etc/zypp/zypp.conf", "zypp.conf", ENV),
        Command(argv=(*zypper, "ar", "http://mirror/9/os", "repo"), inside=False, env=ENV),
        Command(
            argv=(*zypper, "--non-interactive", "--gpg-auto-import-keys", "refresh", "-r", "repo"),
            inside=False,
            env=ENV,
        ),
        *installing(
            ENV,
            "zypper",
            *("/usr/bin/zypper", "--non-interactive", "-c", f"{ROOT}/etc/zypp/zypp.conf", "--root", ROOT),
            *("--releasever=", "-n", "install", "--auto-agree-with-licenses", "--download-in-advance", "aaa_base"),
            accept=(0, 107),
        ),
    )
    assert plan.files == {"zypp.conf": b"[main]\ncachedir=/val/cache/zypp-bootstrap\n\n"}


def test_zypper_with_all_that_a_header_can_say() -> None:
    plan = plan_zypper(FULL, program="/usr/bin/zypper")
    added = [command.argv[3:] for command in plan.commands if "ar" in command.argv]
    assert added == [
        ("ar", "http://mirror/9/os", "repo"),
        ("ar", "-f", "http://mirror/9/updates", "update"),
        ("ar", "-f", "http://other/0", "repo-0"),
        ("ar", "-f", "http://other/1", "repo-1"),
    ]
    assert plan.commands[-2].argv[-3:] == ("aaa_base", "bash", "dnf")
    assert plan.files["zypp.conf"].decode().splitlines()[2] == "arch = aarch64"


@pytest.mark.parametrize("script", [rpms.WITH_DEVICES, rpms._PLACE, rpms._BARE_DEV])
def test_scripts_are_shell(script: str) -> None:
    subprocess.run(["/bin/sh", "-nc", script], check=True)


@pytest.mark.parametrize(
    ("url", "version", "found"),
    [
        ("http://m/%{OSVERSION}/os", "9.4", "http://m/9.4/os"),
        ("http://m/%{osversion}/%{OSVersion}", "9", "http://m/9/9"),
        ("http://m/os", "9", "http://m/os"),
        ("http://m/%{OSVERSION}", r"\1", r"http://m/\1"),
    ],
)
def test_the_version_in_addresses(url: str, version: str, found: str) -> None:
    assert with_version(url, version) == found


@pytest.mark.parametrize(
    ("index", "time"),
    [
        (b"<repomd><revision>1700000000</revision><timestamp>1800000000</timestamp></repomd>", 1_700_000_000),
        (
            b"<revision>9.4</revision><timestamp>1700000000</timestamp><timestamp>1700000001.5</timestamp>",
            1_700_000_001,
        ),
        (b"<repomd></repomd>", None),
        (b"\xff", None),
    ],
)
def test_when_a_repository_was_made(index: bytes, time: int | None) -> None:
    assert revision(index) == time

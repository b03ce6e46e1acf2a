"""Real packages: a Debian tree as the base, apt in every mode, and bootstraps in every mode."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from sealift.bases.commands import ROOT
from sealift.bases.debootstrap import HOOKS, Bootstrap, plan
from tests import parts
from tests.ground import debian
from tests.sandbox.conftest import EVERYONE, Drive, Who, listing, sh

pytestmark = [pytest.mark.slow, pytest.mark.needs("mmdebstrap", "mirror", "mksquashfs")]

INSTALL = """
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends man-db dbus libcap2-bin iputils-ping
useradd -r -m -d /var/lib/worker worker
install -d -o worker -g mail -m 2770 /srv/queue
cp /bin/true /usr/local/bin/listen; setcap cap_net_bind_service=+ep /usr/local/bin/listen
"""


@pytest.fixture(scope="session")
def debian_base(debian_tree: Path, session_folder: Path) -> Path:
    image = session_folder / "debian.squashfs"
    if not image.exists():
        with debian_tree.open("rb") as tar:
            subprocess.run(["sqfstar", "-quiet", "-no-progress", image], stdin=tar, check=True, capture_output=True)
    return image


def owners(rows: list[Any]) -> list[list[Any]]:
    """Less what apt's own user owns where there is one, and what is named by chance."""
    kept = []
    for path, mode, uid, gid, rdev, _, xattrs in rows:
        if not path.startswith(("/var/lib/apt/lists", "/var/cache/apt", "/var/cache/man", "/var/lib/dpkg/updates")):
            kept.append([path, mode, uid, gid, rdev, xattrs])
    return kept


@pytest.mark.needs("root", "subuid-user", "plain-user", "squashfuse")
def test_packages_install_in_every_mode_and_own_what_they_should(drive: Drive, debian_base: Path) -> None:
    trees = {}
    for who in ("root", "subuid", "plain"):
        found = drive(
            who, lowers=[debian_base], steps=[sh(INSTALL), {"do": "call", "contents": False, **listing(debian_base)}]
        )
        assert found["steps"][0]["code"] == 0, found["steps"][0]["out"][-3000:]
        trees[who] = owners(found["steps"][1]["value"])
    rows = {row[0]: row[1:] for row in trees["root"]}
    # What this test is about is really there: a setuid helper of group messagebus, a cache of man's, capabilities.
    assert rows["/usr/lib/dbus-1.0/dbus-daemon-launch-helper"][0] == "0o104754"
    assert rows["/usr/lib/dbus-1.0/dbus-daemon-launch-helper"][2] != 0
    assert rows["/usr/bin/ping"][4] == rows["/usr/local/bin/listen"][4] or rows["/usr/bin/ping"][4]
    assert rows["/srv/queue"][0] == "0o42770"
    assert rows["/etc/shadow"][1:3] == [0, 42]
    assert trees["subuid"] == trees["root"]
    assert trees["plain"] == trees["root"]


def bootstrapped(drive: Drive, who: Who, program: Any) -> list[list[Any]]:
    mirror = debian.mirror()
    assert mirror is not None
    path = parts.program(program)
    assert path is not None
    machine = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    wanted = Bootstrap(
        suite=mirror.suite, mirror=mirror.uri, architecture=machine, include=("dbus",), epoch=1_700_000_000
    )
    steps = [
        {
            "do": "sh",
            # The driver knows the sandbox's root, and where to put it.
            "argv": [word.replace(ROOT, "ROOT") for word in command.argv],
            "inside": command.inside,
            "env": dict(command.env),
            "cwd": "/",
            "umask": 0o022,
        }
        for command in plan(wanted, program=program, path=path, hooks=Path(HOOKS).is_dir())
    ]
    found = drive(who, bare=True, steps=[*steps, {"do": "call", **listing(None), "base": {}}])
    for step in found["steps"][:-1]:
        assert step["code"] == 0, step["out"][-3000:]
    value: list[list[Any]] = found["steps"][-1]["value"]
    return value


@pytest.mark.needs("root", "subuid-user", "plain-user")
def test_mmdebstrap_makes_one_tree_in_every_mode(drive: Drive) -> None:
    trees = {who: bootstrapped(drive, who, "mmdebstrap") for who in ("root", "subuid", "plain")}
    paths = {row[0] for row in trees["root"]}
    assert {"/bin", "/usr/bin/apt-get", "/usr/bin/dpkg", "/etc/apt/sources.list"} <= paths
    assert not [path for path in paths if path.startswith(("/dev/", "/proc/", "/sys/"))]
    assert not paths & {"/etc/resolv.conf", "/etc/hostname", "/usr/sbin/mke2fs"}
    assert trees["subuid"] == trees["root"]
    assert trees["plain"] == trees["root"]


@pytest.mark.needs("debootstrap")
@pytest.mark.parametrize("who", EVERYONE[2:])
def test_debootstrap_will_do_where_mmdebstrap_is_not(drive: Drive, who: Who) -> None:
    rows = {row[0]: row[1:4] for row in bootstrapped(drive, who, "debootstrap")}
    assert rows["/usr/bin/apt-get"] == ["0o100755", 0, 0]
    assert rows["/etc/shadow"] == ["0o100640", 0, 42]
    assert rows["/dev"] == ["0o40755", 0, 0]
    assert not [path for path in rows if path.startswith(("/dev/", "/debootstrap", "/proc/"))]
    assert not [path for path in rows if path.endswith(".deb")]

"""Hosts that lack something, made for real where that can be: each is either built on or refused with what to type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ground import users
from tests.sandbox.conftest import Drive, Who, base_owners, listing, sh

Command = Callable[..., tuple[list[str], dict[str, str]]]
CHANGE = "echo more >> /data/owned; touch /opt/a; chown 5:6 /opt/a; echo changed"
CHANGED = [["/data", 1000, 100], ["/data/owned", 1000, 100], ["/opt", 0, 0], ["/opt/a", 5, 6]]


def steps(base: Path) -> list[dict[str, Any]]:
    return [sh(CHANGE), {"do": "call", **listing(base)}]


def check(found: dict[str, Any]) -> None:
    assert found["steps"][0]["out"] == "changed\n", found
    assert [[row[0], row[2], row[3]] for row in found["steps"][1]["value"]] == CHANGED


@pytest.mark.needs("root", "mksquashfs", "squashfuse")
def test_root_without_cap_sys_admin_builds_in_a_namespace_with_all_ids(command: Command, base: Path) -> None:
    """As in a container that was started without `--privileged`."""
    argv, environment = command("root", {"lowers": [{"path": str(base)}], "steps": steps(base)})
    dropped = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--", *argv]
    done = subprocess.run(dropped, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["footing"] == ["subuid", "kernel", "fuse", True]
    check(found)


NESTED = """
echo 0 > /proc/sys/user/max_user_namespaces
exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin -- "$@"
"""


@pytest.mark.needs("root", "mksquashfs")
def test_user_namespaces_switched_off_by_sysctl(command: Command, base: Path) -> None:
    """Within a namespace the limit is its own, so that it can be zero here and nowhere else."""
    argv, environment = command("root", {"lowers": [{"path": str(base)}], "steps": []})
    nested = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", NESTED, "sh", *argv]
    done = subprocess.run(nested, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["error"] == [
        "HostError",
        "sections cannot run here: user namespaces are switched off",
        [
            "ask an administrator for: sysctl -w user.max_user_namespaces=15000",
            "see what this host can do: sealift doctor",
        ],
    ]


@pytest.mark.needs("root", "mksquashfs", "squashfuse")
def test_root_of_a_namespace_with_one_id_records_owners(command: Command, base: Path) -> None:
    """Its root cannot chown either: no better than the user outside."""
    argv, environment = command("root", {"lowers": [{"path": str(base)}], "steps": steps(base)})
    nested = ["unshare", "--user", "--map-root-user", "--mount", *argv]
    done = subprocess.run(nested, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["footing"][0] == "single"
    check(found)


@pytest.mark.needs("root", "subuid-user", "mksquashfs", "squashfuse")
def test_a_closed_dev_fuse_means_unpacking(as_user: users.AsUser, command: Command, base: Path) -> None:
    """/dev/fuse that only root may open, in a mount namespace of the test."""
    argv, _ = command("subuid", {"lowers": [{"path": str(base)}], "steps": steps(base)})
    who = users.get("subuid")
    closed = (
        "mount -t tmpfs tmpfs /mnt && mknod /mnt/fuse c 10 229 && chmod 600 /mnt/fuse"
        " && mount --bind /mnt/fuse /dev/fuse"
        f' && exec setpriv --reuid {who.uid} --regid {who.gid} --clear-groups -- "$@"'
    )
    environment = as_user.environment("subuid")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", closed, "sh", *argv],
        env=environment,
        cwd=as_user.folder("subuid"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["footing"][:3] == ["subuid", "kernel", "unpack"]
    check(found)


@pytest.mark.needs("subuid-user", "mksquashfs", "squashfuse")
def test_newuidmap_missing_means_one_id(as_user: users.AsUser, command: Command, base: Path) -> None:
    """Found by PATH: one that has squashfuse and not newuidmap."""
    folder = as_user.folder("subuid") / "programs"
    folder.mkdir()
    for name in ("squashfuse", "sh"):
        found_at = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (folder / name).symlink_to(found_at)
    argv, _ = command("subuid", {"lowers": [{"path": str(base)}], "steps": steps(base)})
    done = as_user(argv, env={"PATH": str(folder)})
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["footing"] == ["single", "kernel", "fuse", True]
    check(found)


@pytest.mark.needs("plain-user", "mksquashfs", "squashfuse")
def test_a_work_folder_on_a_network_file_system_means_copying(drive: Drive, base: Path, as_user: users.AsUser) -> None:
    temporary = str(as_user.folder("plain") / "tmp")
    found = drive(
        "plain",
        lowers=[base],
        steps=steps(base),
        file_systems=dict.fromkeys((temporary, "/tmp", "/var/tmp"), "lustre"),
    )
    assert found["footing"][1] == "copy"
    check(found)


@pytest.mark.parametrize(
    "who", [pytest.param("plain", marks=pytest.mark.needs("plain-user", "mksquashfs", "squashfuse"))]
)
def test_without_a_proc_of_its_own_sections_still_run_and_end(drive: Drive, base: Path, who: Who) -> None:
    """As in a container whose /proc has covered parts. What they leave running is found without a list of processes."""
    script = (
        "test -d /proc/self; (trap '' TERM; setsid sleep 1000) & setsid sleep 1001 & sleep 0.1; chown 5:6 /opt; id -u"
    )
    found = drive(who, lowers=[base], environment={"SEALIFT_WITHOUT": "proc"}, steps=[sh(script), sh("echo alive")])
    assert [step["out"] for step in found["steps"]] == ["0\n", "alive\n"]


@pytest.mark.needs("root", "mksquashfs")
def test_a_full_disk_is_said(command: Command, base: Path, tmp_path: Path) -> None:
    """Unpacking on a tmpfs of one MiB."""
    order: dict[str, Any] = {
        "lowers": [{"path": str(base)}],
        "steps": [],
        "environment": {"SEALIFT_WITHOUT": "root,fuse", "SEALIFT_TMPDIR": str(tmp_path)},
        "file_systems": dict.fromkeys(("/tmp", "/var/tmp", os.environ["TMPDIR"]), "nfs"),
    }
    _, environment = command("root", order)
    order["file_systems"][environment["TMPDIR"]] = "nfs"
    argv, _ = command("root", order)
    small = ["unshare", "--mount", "sh", "-ec", f'mount -t tmpfs -o size=1m tmpfs {tmp_path}; exec "$@"', "sh", *argv]
    done = subprocess.run(small, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error[0] == "HostError"
    assert error[1] == f"the disk is full while unpacking `{base}`"


def test_the_base_of_these_tests_has_the_owners_that_they_expect(base: Path) -> None:
    assert base_owners(base)["data/owned"][1:] == ([1000, 100] if os.geteuid() == 0 else [0, 0])
    assert sys.platform == "linux"

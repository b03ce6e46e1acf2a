"""How a sandbox will stand, for hosts of every kind; and the probe on this one."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import HostError
from sealift.sandbox.abilities import HostAbilities, Trial, choose_footing, probe
from sealift.sandbox.findings import findings
from sealift.sandbox.workfolder import WorkPlace
from sealift.system.mounts import UpperVerdict
from sealift.system.namespaces import IdRange, subordinate_maps

GOOD = Trial(enter="", overlay="", fuse="", proc="", notify="")
NO = "operation not permitted"
PROGRAMS = {name: f"/usr/bin/{name}" for name in ("squashfuse", "squashfuse_ll", "fuse-overlayfs", "newuidmap")}
RANGES = (IdRange(start=100000, count=65536),)
USER = HostAbilities(
    uid=1000,
    gid=1000,
    name="ann",
    capabilities=0,
    many=GOOD,
    single=GOOD,
    maps=subordinate_maps(1000, 1000, RANGES, RANGES),
    programs=PROGRAMS,
)
PLAIN = replace(USER, many=Trial(), maps=None, no_many="/etc/subuid has no line for `ann`")
CLOSED = replace(PLAIN, single=Trial(enter="this host lets this user make no user namespace: " + NO))
LOCAL = WorkPlace(
    folder="/tmp",
    upper=True,
    verdict=UpperVerdict(folder="/tmp", file_system="ext4", free=9 << 30, xattrs=True, whiteouts=True),
)
NETWORK = WorkPlace(
    folder="/scratch",
    upper=False,
    verdict=UpperVerdict(
        folder="/scratch", file_system="lustre", free=9 << 30, xattrs=True, whiteouts=False, why="it lies on lustre"
    ),
)


def without(*programs: str) -> dict[str, str]:
    return {name: path for name, path in PROGRAMS.items() if name not in programs}


@pytest.mark.parametrize(
    ("host", "place", "expected"),
    [
        (USER, LOCAL, ("subuid", "kernel", "fuse", True)),
        (PLAIN, LOCAL, ("single", "kernel", "fuse", True)),
        (replace(USER, many=replace(GOOD, overlay=NO)), LOCAL, ("subuid", "fuse", "fuse", True)),
        (
            replace(USER, many=replace(GOOD, overlay=NO), programs=without("fuse-overlayfs")),
            LOCAL,
            ("subuid", "copy", "fuse", True),
        ),
        (replace(USER, many=replace(GOOD, fuse=NO)), LOCAL, ("subuid", "kernel", "unpack", True)),
        (replace(USER, many=replace(GOOD, fuse=NO, overlay=NO)), LOCAL, ("subuid", "copy", "unpack", True)),
        (replace(USER, programs=without("squashfuse")), LOCAL, ("subuid", "kernel", "fuse", True)),
        (replace(USER, programs=without("squashfuse", "squashfuse_ll")), LOCAL, ("subuid", "kernel", "unpack", True)),
        (USER, NETWORK, ("subuid", "copy", "fuse", True)),
        (replace(USER, many=Trial(enter=NO)), LOCAL, ("single", "kernel", "fuse", True)),
        (replace(PLAIN, single=replace(GOOD, notify=NO)), LOCAL, ("single", "kernel", "fuse", False)),
    ],
)
def test_the_footing_of_a_host(host: HostAbilities, place: WorkPlace, expected: tuple[Any, ...]) -> None:
    footing = choose_footing(host, place)
    assert (footing.mode, footing.overlay, footing.squashfs, footing.notify) == expected


@pytest.mark.parametrize(
    ("host", "finding", "remedy"),
    [
        (
            replace(CLOSED, sysctls={"user.max_user_namespaces": "0"}),
            "sandbox.userns.off",
            "ask an administrator for: sysctl -w user.max_user_namespaces=15000",
        ),
        (
            replace(CLOSED, sysctls={"kernel.unprivileged_userns_clone": "0"}),
            "sandbox.userns.off",
            "ask an administrator for: sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            replace(CLOSED, sysctls={"kernel.apparmor_restrict_unprivileged_userns": "1"}),
            "sandbox.userns.apparmor",
            "ask an administrator for: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            replace(CLOSED, uid=0),
            "sandbox.root.capability",
            "start the container with: --security-opt seccomp=unconfined --cap-add SYS_ADMIN",
        ),
        (
            CLOSED,
            "sandbox.userns.refused",
            "in a container, start it with: --security-opt seccomp=unconfined; else ask an administrator why",
        ),
    ],
)
def test_no_footing_is_an_error_with_the_finding_of_doctor(host: HostAbilities, finding: str, remedy: str) -> None:
    with pytest.raises(HostError, match="sections cannot run here") as caught:
        choose_footing(host, LOCAL)
    assert caught.value.hints == (remedy, "see what this host can do: sealift doctor")
    found = findings(host, LOCAL)
    assert [(each.id, each.severity, each.remedy) for each in found if each.severity != "ok"] == [
        (finding, "error", remedy)
    ]


def complaints(host: HostAbilities, place: WorkPlace | None = LOCAL) -> list[tuple[str, str]]:
    return [(each.id, each.severity) for each in findings(host, place) if each.severity != "ok"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (USER, []),
        (PLAIN, [("sandbox.mode", "note"), ("sandbox.subuid.none", "note")]),
        (
            replace(PLAIN, no_many="`newuidmap` is not installed"),
            [("sandbox.mode", "note"), ("sandbox.subuid.programs", "warning")],
        ),
        (
            replace(USER, many=Trial(enter="newuidmap: write to uid_map failed")),
            [("sandbox.mode", "note"), ("sandbox.subuid.refused", "warning")],
        ),
        (replace(USER, many=replace(GOOD, overlay=NO)), [("sandbox.overlay", "note")]),
        (
            replace(USER, many=replace(GOOD, overlay=NO), programs=without("fuse-overlayfs")),
            [("sandbox.overlay", "warning")],
        ),
        (replace(USER, many=replace(GOOD, fuse=NO)), [("sandbox.fuse", "warning")]),
        (replace(USER, programs=without("squashfuse", "squashfuse_ll")), [("sandbox.squashfuse", "warning")]),
        (replace(USER, many=replace(GOOD, proc=NO)), [("sandbox.proc", "warning")]),
        (
            replace(PLAIN, single=replace(GOOD, notify="function not implemented")),
            [("sandbox.mode", "note"), ("sandbox.subuid.none", "note"), ("sandbox.owners", "warning")],
        ),
    ],
)
def test_the_findings_of_a_host(host: HostAbilities, expected: list[tuple[str, str]]) -> None:
    assert complaints(host) == expected


def test_every_complaint_says_what_to_type_or_why_not() -> None:
    for host in (PLAIN, CLOSED, replace(USER, many=replace(GOOD, overlay=NO, fuse=NO, proc=NO))):
        for each in findings(host, NETWORK):
            if each.severity in ("warning", "error"):
                assert each.remedy, each
            assert each.what[:1].islower() or each.what.startswith(("AppArmor", "FUSE")), each
            assert not each.what.endswith("."), each


def test_work_folders_are_findings_too() -> None:
    assert complaints(USER, None) == [("sandbox.work.none", "error")]
    assert complaints(USER, NETWORK) == [("sandbox.work.upper", "warning")]
    passed = replace(LOCAL, passed=(NETWORK.verdict,))
    assert [(each.id, each.evidence) for each in findings(USER, passed) if each.id.startswith("sandbox.work")] == [
        ("sandbox.work.passed", "it lies on lustre"),
        ("sandbox.work", "ext4, 9216 MiB free"),
    ]


def test_the_probe_is_quick_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": tmp_path.as_posix()}
    mounts = Path("/proc/self/mountinfo").read_text()
    taken = []
    for _ in range(5):
        begin = time.monotonic()
        probe(environment)
        taken.append(time.monotonic() - begin)
    # A bound for a busy machine; on an idle one it is a third of it.
    assert min(taken) < 1.0, taken
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert os.listdir(tmp_path) == []


@pytest.mark.needs("root")
def test_another_hosts_files_may_be_shown_to_the_probe(tmp_path: Path) -> None:
    for name, value in {"user/max_user_namespaces": "0", "kernel/apparmor_restrict_unprivileged_userns": "1"}.items():
        path = tmp_path / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    environment = {**os.environ, "SEALIFT_WITHOUT": "root,userns"}
    host = probe(environment, sysctl_folder=f"{tmp_path}/sys")
    assert host.sysctls == {"user.max_user_namespaces": "0", "kernel.apparmor_restrict_unprivileged_userns": "1"}
    assert [each.id for each in findings(host, LOCAL) if each.severity == "error"] == ["sandbox.userns.off"]


@pytest.mark.parametrize("ability", ["overlay", "fuse", "proc", "notify", "squashfuse", "fuse-overlayfs"])
def test_abilities_can_be_done_without(ability: str) -> None:
    host = probe({**os.environ, "SEALIFT_WITHOUT": ability})
    match ability:
        case "squashfuse":
            assert not {"squashfuse", "squashfuse_ll"} & host.programs.keys()
        case "fuse-overlayfs":
            assert ability not in host.programs
        case _:
            assert getattr(host.single, ability) == "SEALIFT_WITHOUT says so"


@pytest.mark.parametrize(
    ("why", "line"),
    [("No such file or directory", "modprobe fuse"), ("Permission denied", "chmod 666 /dev/fuse")],
)
def test_a_device_that_is_not_there_wants_its_driver(why, line):
    (found,) = (one for one in findings(replace(USER, many=replace(GOOD, fuse=why)), LOCAL) if one.id == "sandbox.fuse")
    assert found.remedy == f"ask an administrator for: {line}   (in a container: --device /dev/fuse)"

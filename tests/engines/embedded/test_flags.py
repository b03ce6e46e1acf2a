"""More of Apptainer's flags beside real Apptainer: everything that a program can see, and what it leaves."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engines import trees
from tests.engines.conftest import RunPlan, bind, plan
from tests.engines.embedded.test_parity import HOST, REPORT, check, differences
from tests.ground import users

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("apptainer", "subuid-user", "plain-user", "squashfuse", "mksquashfs", "fuse-overlayfs"),
]

MORE = r"""
echo "== names"; [ -e /proc/sys/kernel/hostname ] && cat /proc/sys/kernel/hostname; cat /etc/hostname /etc/resolv.conf
echo "== processes"; [ $$ = 1 ]; echo $?; [ $(echo /proc/[0-9]* | wc -w) -lt 5 ]; echo $?
echo "== network"; [ -e /proc/net/dev ] && while read -r name _; do echo "$name"; done </proc/net/dev
echo "== maps"; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups
echo "== written"; for each in / /opt /tmp ~ /etc /scratch /scratch/deep; do
  touch $each/probe-$PROBE 2>/dev/null; echo $each $?; rm -f $each/probe-$PROBE; done
echo "== own"; ls -lnd /scratch /scratch/deep /data /tmp ~ 2>/dev/null | while read -r mode _ uid gid _ _ _ _ name _; do
  echo $mode $uid $gid $name; done
"""

PLANS: dict[str, Mapping[str, Any]] = {
    "fakeroot": {"fakeroot": True},
    "fakeroot-contain": {"fakeroot": True, "contain": True},
    "fakeroot-home": {"fakeroot": True, "home": "/opt:/inside/home"},
    "userns": {"userns": True},
    "pid": {"pid": True},
    "no-init": {"pid": True, "no_init": True},
    "ipc": {"ipc": True},
    "contain-ipc": {"contain": True, "ipc": True},
    "uts": {"uts": True},
    "hostname": {"hostname": "node.example"},
    "scratch": {"scratch": ("/scratch", "/data,/scratch/deep")},
    "workdir": {"contain": True, "scratch": ("/scratch/deep",), "workdir": "WORK"},
    "workdir-alone": {"scratch": ("/scratch",), "workdir": "WORK"},
    "no-mount-proc": {"no_mount": ("sys", "devpts")},
    "no-mount-dev": {"no_mount": ("dev",)},
    "no-mount-home": {"no_mount": ("home,tmp",)},
    "no-mount-all": {"contain": True, "no_mount": ("tmp", "home", "devpts", "bind-paths", "cwd")},
    "no-mount-path": {"no_mount": ("/etc/hosts", "hostfs", "nonsense")},
    "mount": {
        "mounts": ("type=bind,source=/usr/share,destination=/data,ro", "src=/etc,target=/more/etc"),
        "binds": (bind("/usr/lib", "/lib-too"),),
    },
    "no-umask": {"no_umask": True},
    "no-eval": {"no_eval": True, "env": {"GIVEN": "$HOME `id`", "QUOTED": 'it\'s "x"', "LD_LIBRARY_PATH": "$HOME"}},
    "compat": {"compat": True},
    "dns": {"dns": "9.9.9.9,2620:fe::fe"},
    "network": {"network": "none"},
    "drop-caps": {"drop_caps": "CAP_NET_RAW", "no_privs": True},
    "overlay-ro": {"overlays": ("FOLDER:ro",)},
    "overlay-image": {"overlays": ("SQUASHFS:ro", "FOLDER:ro")},
    "overlay": {"overlays": ("EMPTY",)},
    "overlays": {"overlays": ("FOLDER:ro", "EMPTY")},
    "fakeroot-overlay": {"fakeroot": True, "overlays": ("EMPTY",)},
    "fakeroot-tmpfs": {"fakeroot": True, "writable_tmpfs": True},
}


@pytest.fixture
def place(as_user: users.AsUser, session_folder: Path) -> Mapping[str, str]:
    """What the words in capitals stand for in a plan."""
    folder = as_user.folder()
    layer = folder / "layer"
    for path, text in {"upper/etc/os-release": "ID=layer\n", "upper/opt/from-layer": "", "upper/home/x": ""}.items():
        (layer / path).parent.mkdir(parents=True, exist_ok=True)
        (layer / path).write_text(text)
    image = session_folder / "engines" / "overlay.sqfs"
    source = folder / "image"
    (source / "srv/from-image").mkdir(parents=True)
    (source / "opt").mkdir()
    (source / "opt/from-layer").write_text("hidden\n")
    trees.make_squashfs(source, image)
    for name in ("work", "empty"):
        (folder / name).mkdir()
    for made in folder.iterdir():
        as_user.give(made)
    return {
        "FOLDER": str(layer), "SQUASHFS": str(image), "EMPTY": str(folder / "empty"), "WORK": str(folder / "work")
    }  # fmt: skip


def filled(options: Mapping[str, Any], place: Mapping[str, str]) -> dict[str, Any]:
    def fill(value: Any) -> Any:
        if isinstance(value, str):
            for word, path in place.items():
                value = value.replace(word, path)
        return tuple(fill(each) for each in value) if isinstance(value, tuple) else value

    return {name: fill(value) for name, value in options.items()}


def listing(folder: Path) -> list[tuple[str, str]]:
    """Types, modes and names below a folder, without what the two stackings keep for themselves."""
    return sorted(
        (str(path.relative_to(folder)), oct(path.lstat().st_mode))
        for path in folder.rglob("*")
        if not path.name.startswith(".wh.")
        and path.relative_to(folder).parts[0] != "work"
        # With --fakeroot, Apptainer leaves this folder there, empty.
        and not str(path.relative_to(folder)).startswith("upper/usr")
    )


@pytest.mark.parametrize("case", PLANS)
def test_what_a_program_sees(
    case: str, run_plan: RunPlan, sif: Path, place: Mapping[str, str], as_user: users.AsUser
) -> None:
    seen, left = {}, {}
    for engine in ("apptainer", "embedded"):
        # /tmp is the host's, where other tests look, too.
        script = MORE.replace("$PROBE", as_user.folder().parent.name) + REPORT
        wanted = plan(sif, "/bin/bash", "-c", script, **filled(PLANS[case], place))
        seen[engine] = check(
            run_plan(wanted, engine=engine, env=HOST, cwd="/opt" if "no_mount" in PLANS[case] else as_user.folder())
        )
        left[engine] = {name: listing(Path(place[name])) for name in ("WORK", "EMPTY")}
        for name in ("WORK", "EMPTY"):
            subprocess.run(["find", place[name], "-mindepth", "1", "-delete"], check=True)
    assert differences(seen["embedded"], seen["apptainer"]) == {}
    assert left["embedded"] == left["apptainer"]

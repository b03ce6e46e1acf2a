"""The embedded engine beside real Apptainer: the same plan, the same user, everything that a program can see.

What differs on purpose is not asked for here: docs/engines.md lists it with the reasons.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealift.core.launch import LaunchPlan
from tests.engines.conftest import RunPlan, bind, plan
from tests.ground import users

REPORT = r"""
echo "== pwd"; pwd
echo "== id"; id
echo "== umask"; umask
echo "== limits"; ulimit -a
echo "== passwd"; cat /etc/passwd
echo "== group"; cat /etc/group
echo "== mounts"; while read -r _ target _; do echo "$target"; done </proc/self/mounts
echo "== rights"; grep -E '^(Cap|NoNewPrivs|Seccomp|SigBlk)' /proc/self/status
echo "== root"; ls -A /
echo "== modes"; stat -c '%A %n' / /root /tmp /var/tmp /etc /home /home/* /dev /proc /etc/passwd
echo "== dev"; ls /dev
echo "== descriptors"
ls -l /proc/self/fd | grep -v '/proc/' | while read -r _ _ _ _ _ _ _ _ number _; do echo "$number"; done
echo "== environment"; exec env -0
"""

HOST = {
    "FROM_HOST": "host",
    "FROM_IMAGE": "host",
    "FROM_OCI": "host",
    "EMPTIED": "host",
    "UNSET_BY_IMAGE": "host",
    "NOT_EXPORTED": "host",
    "EMPTY": "",
    "LINES": "one\ntwo",
    "GLOB": "*",
    "LD_LIBRARY_PATH": "/host/lib",
    "PROMPT_COMMAND": "echo host",
    "http_proxy": "http://proxy:1",
    "HTTPS_PROXY": "http://proxy:2",
    "TERM": "xterm",
    "SINGULARITY_FOO": "1",
    "APPTAINER_FOO": "2",
    "APPTAINERENV_ORDERED": 'x $HOME "q" \\$lit `echo run` $(echo sub) \\\\ end',
    "SINGULARITYENV_OTHER_FAMILY": "yes",
    "APPTAINERENV_LD_LIBRARY_PATH": "/ordered/lib",
    "APPTAINERENV_PREPEND_PATH": "/first",
    "APPTAINERENV_APPEND_PATH": "/last",
    "dotted.name": "kept",
    "OMP_NUM_THREADS": "4",
}

PLANS: dict[str, Mapping[str, Any]] = {
    "plain": {},
    "cleanenv": {"clean_env": True},
    "contain": {"contain": True},
    "containall": {"contain_all": True},
    "no-home": {"no_home": True},
    "writable": {"writable_tmpfs": True},
    "pwd": {"pwd": "/opt/tool"},
    "home": {"home": "/opt:/inside/home"},
    "env": {"env": {"ONE": "1", "TWO": "a,b", "FROM_IMAGE": "ordered", "QUOTED": 'say "x"'}},
    "app": {"app": "foo"},
    "binds": {
        "binds": (
            bind("/etc/hostname", "/deep/er/file", read_only=True),
            bind("/usr/share", "/share"),
            bind("/usr", "/linked/bound", read_only=True),
        )
    },
}


def sections(out: bytes) -> dict[str, object]:
    text = out.decode("utf-8", "surrogateescape")
    found: dict[str, object] = {}
    for part in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        found[name] = rest.split("\n")
        if name == "environment":
            found[name] = dict(pair.split("=", 1) for pair in rest.split("\0") if pair)
    # The order in which things are mounted is not the program's business, and neither is that of a folder's names.
    # Below the host's own folders are mounts of the host, which come and go as other tests have them.
    mounts = [str(each) for each in found["mounts"]]  # type: ignore[attr-defined]
    found["mounts"] = sorted(each for each in mounts if not re.match("(/var)?/tmp/", each))
    return found


def check(done: subprocess.CompletedProcess[bytes]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return sections(done.stdout)


@pytest.mark.slow
@pytest.mark.needs("apptainer", "subuid-user", "plain-user", "squashfuse", "mksquashfs")
@pytest.mark.parametrize("user", ["subuid", "plain"])
@pytest.mark.parametrize("case", PLANS)
def test_what_a_program_sees(case: str, user: str, run_plan: RunPlan, sif: Path) -> None:
    wanted = plan(sif, "/bin/bash", "-c", REPORT, **PLANS[case])
    theirs = check(run_plan(wanted, engine="apptainer", user=user, env=HOST))
    ours = check(run_plan(wanted, engine="embedded", user=user, env=HOST))
    assert differences(ours, theirs) == {}


def differences(ours: dict[str, object], theirs: dict[str, object]) -> dict[str, object]:
    """What the two do not have in common, by section: ours, then Apptainer's."""
    found: dict[str, object] = {}
    for name in ours.keys() | theirs.keys():
        one, other = ours.get(name), theirs.get(name)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            found[name] = (dict(one.items() - other.items()), dict(other.items() - one.items()))
        elif isinstance(one, list) and isinstance(other, list):
            found[name] = ([each for each in one if each not in other], [each for each in other if each not in one])
        if found.get(name) in (None, ([], [])):
            found[name] = (one, other)
    return found


@pytest.mark.slow
@pytest.mark.needs("apptainer", "subuid-user", "squashfuse", "mksquashfs")
@pytest.mark.parametrize("case", ["plain", "cleanenv", "contain", "env", "pwd"])
def test_what_a_program_sees_where_no_shell_was_asked(case: str, run_plan: RunPlan, plain_sif: Path) -> None:
    wanted = plan(plain_sif, "/bin/bash", "-c", REPORT, **PLANS[case])
    host = {name: value for name, value in HOST.items() if "`" not in value}
    host["APPTAINERENV_ORDERED"] = 'x $HOME "q" \\$lit ${FROM_OCI} \\\\ end'
    theirs = check(run_plan(wanted, engine="apptainer", env=host))
    ours = check(run_plan(wanted, engine="embedded", env=host))
    assert differences(ours, theirs) == {}


ACTIONS: dict[str, LaunchPlan] = {
    "run": plan("IMAGE", "a", "b c", action="run"),
    "run-app": plan("IMAGE", "a", action="run", app="foo"),
    "run-no-app": plan("IMAGE", action="run", app="none"),
    "test": plan("IMAGE", "x", action="test"),
    "not-found": plan("IMAGE", "no-such-program"),
    "not-there": plan("IMAGE", "/no/such/program"),
    "not-executable": plan("IMAGE", "/etc/passwd"),
    "a-folder": plan("IMAGE", "/etc"),
    "without-shebang": plan("IMAGE", "without-shebang", "1"),
    "relative": plan("IMAGE", "./more.sh", pwd="/opt/tool"),
    "by-path": plan("IMAGE", "bash", "-c", 'echo "$0 $(readlink /proc/self/exe)"', env={"PATH": "/usr/bin"}),
    "no-such-pwd": plan("IMAGE", "true", pwd="/no/such"),
    "stdin": plan("IMAGE", "cat"),
    "killed": plan("IMAGE", "bash", "-c", "kill -TERM $$"),
    "killed-in-namespace": plan("IMAGE", "bash", "-c", "kill -TERM $$", contain_all=True),
    "code-in-namespace": plan("IMAGE", "bash", "-c", "exit 200", contain_all=True),
    "read-only": plan("IMAGE", "bash", "-c", "touch /x /etc/x /opt/x 2>&1; echo $?"),
    "writable": plan("IMAGE", "bash", "-c", "touch /x && ls /x; rm /x; touch /opt/x; echo $?", writable_tmpfs=True),
    "bind-read-only": plan(
        "IMAGE", "bash", "-c", "touch /data/x; echo $?", binds=(bind("/tmp", "/data", read_only=True),)
    ),
    "bind-link": plan("IMAGE", "cat", "/n", binds=(bind("/etc/os-release", "/n"),)),
    "bind-over-file": plan("IMAGE", "cat", "/etc/os-release", binds=(bind("/etc/hostname", "/etc/os-release"),)),
    "bind-in-image": plan(
        "IMAGE", "bash", "-c", "ls /opt/tool /opt/tool/new", binds=(bind("/usr/share/doc", "/opt/tool/new"),)
    ),
    "bind-through-link": plan("IMAGE", "ls", "/opt/tool", binds=(bind("/etc/hostname", "/linked/name"),)),
}


@pytest.mark.slow
@pytest.mark.needs("apptainer", "subuid-user", "squashfuse", "mksquashfs")
@pytest.mark.parametrize("case", ACTIONS)
def test_what_a_caller_sees(case: str, run_plan: RunPlan, sif: Path) -> None:
    """Exit code (negative for a signal) and standard output."""
    wanted = replace(ACTIONS[case], image=str(sif))
    theirs = run_plan(wanted, engine="apptainer", input=b"some\0input")
    ours = run_plan(wanted, engine="embedded", input=b"some\0input")
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout), ours.stderr + theirs.stderr


PLACES = ("/", "/opt", "/etc", "/tmp", "/usr/share", "/home", "/var", "/proc", "/srv")


@pytest.mark.slow
@pytest.mark.needs("apptainer", "subuid-user", "squashfuse", "mksquashfs")
@pytest.mark.parametrize("options", [{}, {"no_home": True}, {"contain": True}], ids=["plain", "no-home", "contain"])
@pytest.mark.parametrize("place", [*PLACES, "home", "below-tmp", "gone"])
def test_working_directory(
    place: str, options: dict[str, Any], run_plan: RunPlan, sif: Path, as_user: users.AsUser, open_folder: Path
) -> None:
    script = "pwd; echo $PWD; ls -A | grep -v '^[0-9]' | sort"
    cwd = {"home": as_user.environment()["HOME"], "below-tmp": str(open_folder)}.get(place, place)
    if place == "gone":
        cwd = str(as_user.folder())
        script = script.partition(";")[0]
    wanted = plan(sif, "/bin/bash", "-c", script, **options)
    theirs = run_plan(wanted, engine="apptainer", cwd=cwd, env={"PWD": cwd})
    ours = run_plan(wanted, engine="embedded", cwd=cwd, env={"PWD": cwd})
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout), ours.stderr + theirs.stderr


@pytest.mark.slow
@pytest.mark.needs("apptainer", "subuid-user", "squashfuse", "mksquashfs")
def test_every_exit_code(run_plan: RunPlan, sif: Path) -> None:
    """All codes in one container would be the shell's own; a few ends are enough for Apptainer, ours gives them all."""
    for code in (0, 1, 126, 127, 128, 137, 255):
        wanted = plan(sif, "/bin/bash", "-c", f"exit {code}")
        assert run_plan(wanted, engine="apptainer").returncode == code
        assert run_plan(wanted).returncode == code

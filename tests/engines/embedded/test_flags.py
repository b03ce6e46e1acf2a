"""More of Apptainer's flags beside real Apptainer: everything that a program can see, and what it leaves."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engines import trees
from tests.engines.conftest import DRIVER, RunPlan, bind, order, plan
from tests.engines.embedded.test_parity import HOST, REPORT, check, differences
from tests.ground import users

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("apptainer", "subuid-user", "plain-user", "squashfuse", "mksquashfs", "fuse-overlayfs"),
]

MORE = r"""
echo "== names"; [ -e /proc/sys/kernel/hostname ] && cat /proc/sys/kernel/hostname; cat /etc/hostname /etc/resolv.conf
echo "== processes"; [ $$ = 1 ]; echo $?; [ $$ -lt 100 ]; echo $?
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


REPLACE = "rm -r /opt; mkdir /opt;"
WRITE = f"echo word >/word; {REPLACE} echo new >/opt/new; mkdir -p /deep/er; ls -A /opt"
READ = "cat /word; ls -A /opt /deep; rm -r /deep; echo more >>/word; touch /opt/more"
AGAIN = "cat /word; ls -A / /opt"


@pytest.mark.parametrize("form", ["sif", "folder"])
@pytest.mark.parametrize("engines", [("embedded", "apptainer", "embedded"), ("apptainer", "embedded", "apptainer")])
def test_an_overlay_means_the_same_to_both(
    engines: tuple[str, ...], form: str, run_plan: RunPlan, sif: Path, tree: Path, as_user: users.AsUser
) -> None:
    """One folder, in turns: what one engine wrote, removed and replaced is so for the other."""
    overlay = as_user.folder() / f"overlay-{form}"
    overlay.mkdir()
    as_user.give(overlay)
    # On a folder Apptainer has the kernel stack the overlay, and cannot replace a folder of the image.
    image, scripts = sif, (WRITE, READ, AGAIN)
    if form == "folder":
        scripts = (WRITE.replace(REPLACE, ""), READ, AGAIN)
        image = as_user.folder() / "image"
        subprocess.run(["cp", "-a", str(tree), str(image)], check=True)
        as_user.give(image)
    seen = []
    for number, engine in enumerate(engines):
        # Apptainer has the kernel stack what is only read, which knows nothing of the marks that it wrote before.
        typed = f"{overlay}:ro" if number == 2 and engine == "embedded" else str(overlay)
        wanted = plan(image, "/bin/bash", "-c", scripts[number], fakeroot=form == "sif", overlays=(typed,))
        done = run_plan(wanted, engine=engine)
        assert done.returncode == 0, done.stderr
        seen.append(done.stdout.decode().split())
    old = ["tool"] if form == "folder" else []
    assert seen[0] == ["new", *old]
    assert seen[1] == ["word", "/deep:", "er", "/opt:", "new", *old]
    assert seen[2][:2] == ["word", "more"]
    assert "deep" not in seen[2]
    assert seen[2][seen[2].index("/opt:") + 1 :] == ["more", "new", *old]


FORMS = {
    "sandbox": plan("IMAGE", "bash", "-c", "touch /made /home/x; ls /home; ls -d ~; pwd", writable=True),
    "sandbox-fakeroot": plan(
        "IMAGE", "bash", "-c", "touch /made; chown 5:6 /made; ls -ln /made | wc -l; id", writable=True, fakeroot=True
    ),
    "others-files": plan("IMAGE", "bash", "-c", "ls -ln /foreign | while read -r a b c d _; do echo $a $c $d; done"),
    "others-files-fakeroot": plan("IMAGE", "stat", "-c", "%u %g %A", "/foreign/file", fakeroot=True),
    "run-without-metadata": plan("BARE", action="run"),
    "exec-without-metadata": plan("BARE", "env", env={"GIVEN": "1"}),
}


@pytest.mark.parametrize("case", FORMS)
def test_folders_of_all_kinds(case: str, run_plan: RunPlan, tree: Path, as_user: users.AsUser) -> None:
    wanted = FORMS[case]
    images = {}
    for engine in ("apptainer", "embedded"):
        image = as_user.folder() / engine / "image"
        image.parent.mkdir()
        subprocess.run(["cp", "-a", str(tree), str(image)], check=True)
        (image / "home").mkdir()
        for name in ("etc/hosts", "etc/localtime", "etc/resolv.conf"):
            (image / name).touch()
        (image / "foreign").mkdir()
        as_user.give(image)
        (image / "foreign/file").write_text("")
        if subprocess.run(["id", "-u"], capture_output=True, check=True).stdout == b"0\n":
            subprocess.run(["chown", "12345:6789", str(image / "foreign/file")], check=True)
        if wanted.image == "BARE":
            subprocess.run(["rm", "-r", str(image / ".singularity.d")], check=True)
        images[engine] = image
    seen = {}
    for engine, image in images.items():
        done = run_plan(replace(wanted, image=str(image)), engine=engine, input=b"echo $0 $APPTAINER_NAME")
        assert done.returncode == 0, done.stderr
        seen[engine] = sorted(done.stdout.decode().replace(f"/{engine}/", "/").splitlines()), sorted(os.listdir(image))
    assert seen["embedded"] == seen["apptainer"]


def test_an_image_that_goes_away(run_plan: RunPlan, sif: Path, as_user: users.AsUser) -> None:
    """It is open, and so it lasts as long as the program."""
    image = as_user.folder() / "gone.sif"
    image.write_bytes(sif.read_bytes())
    as_user.give(image)
    script = f"rm {image}; ls /opt; cat /etc/os-release; ls {image} 2>/dev/null; true"
    done = run_plan(plan(image, "bash", "-c", script, binds=(bind(image.parent, str(image.parent)),)))
    assert (done.returncode, done.stdout) == (0, b"tool\nID=tree\n"), done.stderr


@pytest.fixture
def merged(as_user: users.AsUser) -> Path:
    """A folder that has the host's programs when /usr is bound to it: Python among them."""
    root = as_user.folder() / "merged"
    for name in ("usr", "etc", "proc", "sys", "dev", "tmp", "var/tmp", "home", "root", "opt"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    return root


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("embedded", {}),
        ("embedded", {"fakeroot": True}),
        ("embedded", {"pid": True}),
        ("apptainer", {}),
        ("apptainer", {"fakeroot": True}),
    ],
)
def test_a_container_in_a_container(
    engine: str, options: dict[str, bool], as_user: users.AsUser, run_plan: RunPlan, sif: Path, merged: Path
) -> None:
    inner = plan(sif, "bash", "-c", "cat /etc/os-release; id -u; exit 7")
    python = os.path.realpath(as_user.bin / "python")
    path = next(as_user.bin.parent.glob("lib/python*/site-packages"))
    # Both engines tell what they bound in these variables, and read them as orders.
    without = ("/usr/bin/env", "-u", "APPTAINER_BIND", "-u", "SINGULARITY_BIND")
    home = str(Path(python).parents[1])
    outer = plan(
        merged, *without, python, "-c", DRIVER, order(inner, "embedded"), env={"PYTHONPATH": str(path)},
        binds=(bind("/usr", "/usr"), *((bind(home, home),) if home != "/usr" else ())),
    )  # fmt: skip
    done = run_plan(replace(outer, **options), engine=engine)  # type: ignore[arg-type]  # flags
    uid = 0 if "fakeroot" in options else users.get("subuid").uid
    assert (done.returncode, done.stdout.decode()) == (7, f"ID=tree\n{uid}\n"), done.stderr


def talk(argv: list[str], env: dict[str, str], lines: list[bytes]) -> tuple[int, bytes]:
    """Type lines at a terminal, each when the prompt is there; the exit code, and what the terminal showed."""
    user = users.get("subuid")
    child, terminal = pty.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(user.gid)
                os.setuid(user.uid)
            os.execve(argv[0], argv, env)
        finally:
            os._exit(99)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
        while part := os.read(terminal, 1000):
            shown += part
            if lines and shown.endswith(b"Apptainer> "):
                os.write(terminal, lines.pop(0))
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown


@pytest.mark.parametrize("options", [{}, {"shell": "/bin/sh"}, {"fakeroot": True, "contain": True}])
def test_a_shell_at_a_terminal(options: dict[str, Any], as_user: users.AsUser, sif: Path) -> None:
    """Apptainer's prompt, the wanted shell, the terminal's name inside, and the exit code."""
    seen = {}
    for engine in ("apptainer", "embedded"):
        argv = [str(as_user.bin / "python"), "-c", DRIVER, order(plan(sif, action="shell", **options), engine)]
        env = as_user.environment() | {"TERM": "xterm"}
        code, shown = talk(argv, env, [b"echo $0 $SHELL $PS1\n", b"tty; id -u\n", b"exit 4\n"])
        text = re.sub(rb"/dev/pts/[0-9]+", b"/dev/pts/N", shown.replace(b"\r", b""))
        seen[engine] = code, text[text.index(b"Apptainer> ") :]
    assert seen["embedded"] == seen["apptainer"]
    assert seen["embedded"][0] == 4

"""`--nv` on a host with a made-up driver, in real containers of the embedded engine and of Apptainer.

The loader's cache of the host is another one in a mount namespace, in which both engines run as an ordinary user.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.core.launch import LaunchPlan
from tests.engines import trees
from tests.engines.conftest import DRIVER, order, plan
from tests.ground import users
from tests.ground.driver import FOLDER, LIBRARIES, make_driver, make_library

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("root", "apptainer", "squashfuse", "mksquashfs", "ldconfig", "binutils"),
]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
ENTER = 'mount --bind "$1" /etc/ld.so.cache; shift; exec setpriv --reuid "$1" --regid "$2" --init-groups -- "${@:3}"'
LISTED = 'for file in /.singularity.d/libs/*; do echo "$(sha256sum <"$file") ${file##*/}"; done'
LOADED = "LD_PRELOAD={name} bash -c 'grep -o \"/[^ ]*{name}$\" /proc/self/maps | sort -u'"
COMPAT = "/usr/local/cuda/compat"


@pytest.fixture(scope="module")
def image(session_folder: Path) -> Path:
    """The image of the other tests, with one of the libraries, and a compat libcuda."""
    tree = session_folder / "engines" / "gpu"
    if not tree.exists():
        trees.make_tree(tree)
        trees.copy_program(tree, "sha256sum")
        trees.copy_program(tree, "sort")
        trees.copy_program(tree, "grep")
        make_library(tree / "usr/lib/libGLX_installertest.so.0", "libGLX_installertest.so.0")
        make_library(tree / f".{COMPAT}/libcuda.so.1", "libcuda.so.1")
        trees.write_plain_environment(tree / ".singularity.d/env")
    return trees.make_sif(trees.make_squashfs(tree, tree.with_suffix(".sqfs")), tree.with_suffix(".sif"))


@pytest.fixture(scope="module")
def host(session_folder: Path) -> Path:
    """A folder with the driver, and the loader's cache that knows it beside all that this machine has."""
    folder = session_folder / "engines" / "gpu-host"
    if not folder.exists():
        folder.mkdir(parents=True)
        make_driver(folder)
        know(folder)
    return folder


def know(folder: Path) -> None:
    (folder / "all.conf").write_text(f"include /etc/ld.so.conf\n{folder}/{FOLDER}\n")
    words = ["ldconfig", "-X", "-C", str(folder / "all.cache"), "-f", str(folder / "all.conf")]
    subprocess.run(words, check=True)


@pytest.fixture
def run(as_user: users.AsUser, host: Path) -> Run:
    """`run(plan, engine)` on a host that has the driver."""
    user = users.get("subuid")

    def call(wanted: LaunchPlan, engine: str, where: Path = host) -> subprocess.CompletedProcess[str]:
        env = as_user.environment()
        env["PATH"] = f"{where}/bin:{env['PATH']}"
        inner = [str(as_user.bin / "python"), "-c", DRIVER, order(wanted, engine)]
        enter = ["unshare", "--mount", "--propagation", "private", "bash", "-euc", ENTER, "enter"]
        argv = [*enter, str(where / "all.cache"), str(user.uid), str(user.uid), *inner]
        done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, check=False)
        # Apptainer tells what it did not find for images of other forms.
        if engine == "apptainer":
            done.stderr = "".join(line for line in done.stderr.splitlines(keepends=True) if line[:5] != "INFO:")
        return done

    return call


def test_the_same_libraries_as_apptainer_binds(run: Run, image: Path) -> None:
    """But for new parts of the driver, which its list does not have yet, and for what the image has itself."""
    found = {}
    for engine in ("apptainer", "embedded"):
        script = f'{LISTED}; echo "$LD_LIBRARY_PATH"; nvidia-smi'
        done = run(plan(image, "bash", "-c", script, nv=True, pwd="/"), engine)
        assert (done.returncode, done.stderr) == (0, ""), engine
        found[engine] = done.stdout.splitlines()
    theirs, ours = found["apptainer"], found["embedded"]
    listed = {line.split()[-1]: line for line in theirs[:-2]}
    missing = {name for name in LIBRARIES if name not in listed}
    assert missing == {"libunrelated.so.1", "libcudart.so.12", "libnvidia-new.so.3"}
    mine = {line.split()[-1]: line for line in ours[:-2]}
    assert set(mine) == {*listed, "libnvidia-new.so.3"} - {"libGLX_installertest.so.0"}
    assert {name: line for name, line in mine.items() if name in listed} == {
        name: line for name, line in listed.items() if name in mine
    }
    assert ours[-2:] == theirs[-2:]
    assert ours[-1] == "smi"


@pytest.mark.parametrize(
    ("name", "engine", "path"),
    [
        # By the image's own library path Apptainer 1.4 comes to the compat library, which most drivers refuse.
        ("libcuda.so.1", "apptainer", f"{COMPAT}/libcuda.so.1"),
        ("libcuda.so.1", "embedded", "/.singularity.d/driver/libcuda.so.1"),
        ("libnvidia-ml.so.1", "embedded", "/.singularity.d/driver/libnvidia-ml.so.1"),
        ("libGLX_installertest.so.0", "apptainer", "/.singularity.d/libs/libGLX_installertest.so.0"),
        ("libGLX_installertest.so.0", "embedded", "/usr/lib/libGLX_installertest.so.0"),
        ("libOpenCL.so.1", "embedded", "/.singularity.d/libs/libOpenCL.so.1"),
    ],
)
def test_which_library_the_loader_takes(run: Run, image: Path, name: str, engine: str, path: str) -> None:
    script = LOADED.format(name=name)
    wanted = plan(image, "bash", "-c", script, nv=True, pwd="/", env={"LD_LIBRARY_PATH": COMPAT})
    done = run(wanted, engine)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}\n", "")


def test_without_the_flag_nothing_is_bound_or_changed(run: Run, image: Path) -> None:
    script = "ls /.singularity.d/libs; ls -d /.singularity.d/driver; echo $LD_LIBRARY_PATH"
    done = run(plan(image, "bash", "-c", script, pwd="/"), "embedded")
    assert done.stdout == "/.singularity.d/libs\n"


def test_a_clash_is_named_before_anything_starts(run: Run, session_folder: Path, open_folder: Path) -> None:
    tree = session_folder / "engines" / "old"
    trees.make_tree(tree)
    libc = tree / "usr/lib/libc.so.6"
    # What is in the image is not run: its libc is one that says to be of glibc 2.31.
    libc.unlink(missing_ok=True)
    make_library(libc, "libc.so.6", gives={"a": "GLIBC_2.2.5", "b": "GLIBC_2.31"})
    for folder in (tree / "usr/lib").glob("*-linux-gnu"):
        shutil.rmtree(folder)
    make_driver(open_folder, libraries=("libcuda.so.1",), needs={"libcuda.so.1": 34})
    know(open_folder)
    squashfs = trees.make_squashfs(tree, open_folder / "old.sqfs")
    done = run(plan(squashfs, "bash", "-c", "echo started", nv=True), "embedded", open_folder)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        f"ImageError: `{squashfs}` has glibc 2.31, and this host's `libcuda.so.1` needs 2.34\n"
        "hint: take an image with a newer system: Ubuntu 24.04 has glibc 2.39\n"
        "hint: or go without: leave out --nv\n"
    )

"""Jupyter kernels: the files for each engine, and what is refused; tests/flows/test_jupyter.py runs them.

    SEALIFT_WRITE_GOLDEN=1 pytest tests/flows/test_kernel.py

writes the golden files anew; they are then to be read, word by word.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sealift.core.event import Event, Said
from sealift.core.launch import Bind
from sealift.engines.clean.image import StoredImage
from sealift.errors import HostError, SealiftError, UsageError
from sealift.flows import kernel
from sealift.flows.kernel import InstalledKernel, KernelOrder
from sealift.jobs.kernel import CONNECTION, Kernel
from sealift.system.files import atomic_file

GOLDEN = Path(__file__).parent / "kernels"
ENV = {"HOME": "/home/me", "PATH": "/nowhere", "SCRATCH": "/scratch/me", "CFS": "/cfs", "HF_HOME": "/scratch/me/hf"}
FOLDER = "/home/me/.local/share/jupyter/kernels/analysis-1"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder that is an image with Python and ipykernel."""
    root = tmp_path / "analysis"
    for name in ("usr/bin/python3", "usr/lib/python3/dist-packages/ipykernel_launcher.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture
def me(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of a known number, and a registry that tells nothing."""
    assert tmp_path.is_dir()  # pytest asks for the user's number before it makes one
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    monkeypatch.setattr(os, "getgroups", lambda: [100])
    monkeypatch.setattr(os.path, "isdir", lambda path, real=os.path.isdir: path == "/dev/mqueue" or real(path))
    monkeypatch.setattr(
        "sealift.flows.engineimages.engines_image",
        lambda wish: StoredImage(reference=wish.plan.image.removeprefix("docker://"), prepared=False),
    )


@pytest.mark.usefixtures("me")
@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("podman-hpc", {"site": "perlmutter", "nv": True, "binds": (Bind(source="/data", destination="/data"),)}),
        ("podman-hpc-cpu", {"site": "perlmutter-cpu", "env": {"OMP_NUM_THREADS": "8", "NOTE": "a, 'b'"}}),
        ("shifter", {"site": "perlmutter", "engine": "shifter", "nv": True}),
        ("docker", {"engine": "docker", "nv": True}),
        ("podman", {"engine": "podman"}),
    ],
)
def test_whole_kernels_of_engines_with_images_of_their_own(name: str, order: dict[str, Any]) -> None:
    wanted = KernelOrder(image="docker://registry.example.org/me/analysis:1", **order)
    made = kernel.plan_kernel(wanted, ENV, load=False)
    script, spec = kernel.kernel_files(made, FOLDER)
    assert (script[0], spec[0]) == (f"{FOLDER}/launch.sh", f"{FOLDER}/kernel.json")
    assert_golden(f"{name}.sh", script[1])
    assert_golden(f"{name}.json", spec[1])


def assert_golden(name: str, text: str) -> None:
    if os.environ.get("SEALIFT_WRITE_GOLDEN"):
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def unbroken(text: str) -> str:
    return re.sub(r" \\\n +", " ", text)


@pytest.mark.usefixtures("me")
@pytest.mark.parametrize("engine", ["apptainer", "embedded"])
def test_whole_kernels_of_engines_that_run_files(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setattr("sealift.engines.choose._find", lambda name, _path: f"/usr/bin/{name}")
    monkeypatch.setattr("sealift.flows.kernel._sealift", lambda: ("/opt/sealift/bin/sealift",))
    order = KernelOrder(image=str(image), engine=engine, nv=True, env={"NOTE": "a, 'b'"})
    made = kernel.plan_kernel(order, ENV)
    script, spec = (text.replace(str(tmp_path), "/images") for _, text in kernel.kernel_files(made, FOLDER))
    # Where the lines of the command break follows from how long the path was.
    assert unbroken(script) == unbroken((GOLDEN / f"{engine}.sh").read_text())
    assert_golden(f"{engine}.json", spec)


@pytest.mark.parametrize("script", sorted(GOLDEN.glob("*.sh")), ids=lambda path: path.name)
@pytest.mark.parametrize("shell", [("sh", "-n"), ("bash", "-n"), ("bash", "--posix", "-n")], ids=" ".join)
def test_any_shell_reads_the_scripts(script: Path, shell: tuple[str, ...]) -> None:
    assert subprocess.run([*shell, script], capture_output=True, check=False).stderr == b""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "shown", "expected"),
    [
        ("docker", "{here}", ("--env OMP_NUM_THREADS", "--env LANG")),
        (
            "docker",
            "/nowhere",
            ("--volume {run}:{run}", "--volume {notes}:{notes}", "--env OMP_NUM_THREADS", "--env LANG"),
        ),
        ("docker", "{notes}", ("--volume {run}:{run}", "--env OMP_NUM_THREADS", "--env LANG")),
        ("shifter", "/nowhere", ("--env=OMP_NUM_THREADS=3", "--env=LANG=C x")),
        ("apptainer", "/nowhere", ("--bind {run}:{run}",)),
        ("apptainer", "{run}", ()),
    ],
)
def test_what_the_script_knows_when_it_starts(
    tmp_path: Path, engine: str, shown: str, expected: tuple[str, ...]
) -> None:
    """A made-up engine writes down how it was called, and ends; a container's name is then asked to be gone."""
    calls = tmp_path / "calls"
    program = tmp_path / "engine"
    program.write_text(
        f'#!/bin/sh\n{{ printf "%s|" "$@"; env | grep ^APPTAINERENV_ | sort | tr "\\n" " "; echo; }} >> {calls}\n'
    )
    program.chmod(0o755)
    places = {"here": str(tmp_path), "notes": str(tmp_path / "notes"), "run": str(tmp_path / "run")}
    for name in ("notes", "run"):
        Path(places[name]).mkdir()
    connection = f"{places['run']}/kernel-7.json"
    made = Kernel(
        name="k",
        display_name="K",
        language="python",
        image="i",
        engine=engine,
        argv=(str(program), "run", "image", CONNECTION),
        more=2,
        shown=(shown.format(**places),),
        passed=("OMP_*", "LANG"),
        kept_out=("OMP_HOME",),
    )
    launch = tmp_path / "launch.sh"
    launch.write_text(kernel.kernel_files(made, str(tmp_path))[0][1])
    env = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "3", "OMP_HOME": "/x", "OTHER": "1", "LANG": "C x"}
    process = subprocess.Popen(["sh", launch, connection], cwd=places["notes"], env=env, start_new_session=True)
    assert process.wait() == 0
    name = f"sealift-kernel-7-{process.pid}"
    daemon = engine == "docker"
    if daemon:
        subprocess.run(["sh", "-c", f"until grep -q '^rm|' {calls}; do sleep 0.1; done"], check=True, timeout=60)
    lines = calls.read_text().splitlines()
    ran = lines.pop(1 if daemon else 0)
    asked = ["ps|--all|--quiet|--filter|name=^sealift-kernel-7-|", f"kill|{name}|", f"rm|--force|{name}|"]
    assert lines == (asked if daemon else [])
    start = f"run|--name|{name}|" if daemon else "run|"
    end = f"image|{connection}|" + (
        "APPTAINERENV_LANG=C x APPTAINERENV_OMP_NUM_THREADS=3 " if engine == "apptainer" else ""
    )
    assert (ran[: len(start)], ran[len(ran) - len(end) :]) == (start, end)
    added = ran[len(start) : len(ran) - len(end)]
    words = [word.format(**places) for word in expected]
    # The environment has no order.
    folders = [word for word in words if "env" not in word]
    assert added.startswith("".join(f"{word.replace(' ', '|')}|" for word in folders))
    told = [f"{word}|" if word.startswith("--env=") else f"{word.replace(' ', '|')}|" for word in words]
    assert sorted(added.split("|")) == sorted("".join(told).split("|"))


# Which engine


@pytest.mark.usefixtures("me")
@pytest.mark.parametrize(
    ("image_text", "site", "expected"),
    [
        ("docker://me/x:1", "perlmutter", "podman-hpc"),
        ("file", "perlmutter", "embedded"),
        ("file", "", "embedded"),
    ],
)
def test_the_engine_that_takes_the_image(image: Path, image_text: str, site: str, expected: str) -> None:
    text = str(image) if image_text == "file" else image_text
    assert kernel.plan_kernel(KernelOrder(image=text, site=site), ENV, load=False).engine == expected


# Jupyter's folder


def env(tmp_path: Path) -> dict[str, str]:
    return {**ENV, "JUPYTER_DATA_DIR": str(tmp_path / "jupyter")}


def installed(image: Path, tmp_path: Path, **order: Any) -> InstalledKernel:
    return kernel.install_kernel(KernelOrder(image=str(image), engine="embedded", **order), env(tmp_path))


def test_a_kernel_is_installed_listed_replaced_and_removed(image: Path, tmp_path: Path) -> None:
    made = installed(image, tmp_path)
    folder = tmp_path / "jupyter/kernels/analysis"
    assert made == InstalledKernel(
        name="analysis",
        display_name="Python in analysis",
        folder=str(folder),
        image=str(image),
        engine="embedded",
    )
    assert sorted(os.listdir(folder)) == ["kernel.json", "launch.sh"]
    spec = json.loads((folder / "kernel.json").read_text())
    assert spec["argv"] == ["/bin/sh", f"{folder}/launch.sh", "{connection_file}"]
    with pytest.raises(UsageError) as caught:
        installed(image, tmp_path)
    assert caught.value.message == f"there is a kernel `analysis` already: `{folder}`"
    assert caught.value.hints == ("replace it: add -F", "another name: --name NAME")
    again = installed(image, tmp_path, force=True, display_name="Mine")
    assert kernel.list_kernels(env(tmp_path)) == (again,)
    assert again.display_name == "Mine"
    image.rename(tmp_path / "moved")
    assert [each.fault for each in kernel.list_kernels(env(tmp_path))] == ["the image is gone"]
    assert kernel.remove_kernel("analysis", env(tmp_path)) == str(folder)
    assert not folder.exists()
    assert kernel.list_kernels(env(tmp_path)) == ()


def test_kernels_of_others_are_neither_listed_replaced_nor_removed(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "jupyter/kernels/analysis"
    folder.mkdir(parents=True)
    theirs = folder / "kernel.json"
    for text in ('{"argv": ["python"], "metadata": {}}', "{", '["sealift"]', '{"metadata": {"sealift": true}}'):
        theirs.write_text(text)
        assert kernel.list_kernels(env(tmp_path)) == ()
        with pytest.raises(UsageError, match="not Sealift's"):
            installed(image, tmp_path, force=True)
        with pytest.raises(UsageError, match="not Sealift's, and stays") as caught:
            kernel.remove_kernel("analysis", env(tmp_path))
        assert caught.value.hints == ("jupyter kernelspec remove analysis",)
        assert theirs.read_text() == text


def test_what_others_put_beside_a_kernel_stays(image: Path, tmp_path: Path) -> None:
    folder = Path(installed(image, tmp_path).folder)
    (folder / "logo-64x64.png").write_text("a picture")
    kernel.remove_kernel("analysis", env(tmp_path))
    assert os.listdir(folder) == ["logo-64x64.png"]


def test_a_prefix_is_an_environments_folder(image: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "venv"
    made = installed(image, tmp_path, prefix=str(prefix), name="other")
    assert made.folder == str(prefix / "share/jupyter/kernels/other")
    assert kernel.list_kernels(env(tmp_path)) == ()
    assert kernel.list_kernels(env(tmp_path), prefix=str(prefix)) == (made,)


@pytest.mark.parametrize(
    ("more", "folder"),
    [
        ({}, "/home/me/.local/share/jupyter/kernels"),
        ({"XDG_DATA_HOME": "/data"}, "/data/jupyter/kernels"),
        ({"XDG_DATA_HOME": "/data", "JUPYTER_DATA_DIR": "/j"}, "/j/kernels"),
    ],
)
def test_where_jupyter_looks(more: dict[str, str], folder: str) -> None:
    assert kernel.kernels_folder({**ENV, **more}) == folder


def test_nothing_is_left_of_a_kernel_that_cannot_be_written(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = atomic_file

    def full(path: str) -> Any:
        if path.endswith("kernel.json"):
            raise OSError(28, "No space left on device", path)
        return real(path)

    monkeypatch.setattr(kernel, "atomic_file", full)
    with pytest.raises(SealiftError):
        installed(image, tmp_path)
    assert os.listdir(tmp_path / "jupyter/kernels") == []


# What is refused, and what is warned of


@pytest.mark.parametrize(
    ("order", "message", "hint"),
    [
        ({"name": "a b"}, "`a b` is no name for a kernel", "--name analysis"),
        ({"name": "Python3"}, "the name `Python3` would hide Jupyter's own Python", "another name: --name analysis"),
        ({"engine": "enroot"}, "a kernel cannot run on the engine `enroot`", "engines of kernels: embedded, apptainer"),
        ({"language": "r"}, "has no Jupyter kernel for r", "its %post has to install the kernel"),
        ({"engine": "apptainer"}, "`apptainer` is not installed", "run it without: --engine embedded"),
    ],
)
def test_wrong_orders(image: Path, tmp_path: Path, order: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises((UsageError, HostError)) as caught:
        kernel.install_kernel(KernelOrder(image=str(image), **order), env(tmp_path))
    assert message in caught.value.message
    assert caught.value.hints[0].startswith(hint)
    assert not (tmp_path / "jupyter").exists()


@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        ((), "has no `python3`", "in its %post: apt-get update && apt-get install -y python3-ipykernel"),
        (
            ("usr/bin/python3",),
            "has Python, but not ipykernel, which speaks with Jupyter",
            "in its %post: python3 -m pip install ipykernel",
        ),
        (
            ("usr/bin/python3", "usr/lib/python3.11/EXTERNALLY-MANAGED"),
            "has Python, but not ipykernel, which speaks with Jupyter",
            "in its %post: apt-get update && apt-get install -y python3-ipykernel",
        ),
    ],
)
def test_images_that_cannot_be_a_kernel(tmp_path: Path, files: tuple[str, ...], message: str, hint: str) -> None:
    root = tmp_path / "bare"
    root.mkdir()
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    with pytest.raises(UsageError) as caught:
        installed(root, tmp_path)
    assert (caught.value.message, caught.value.hints) == (f"`{root}` {message}", (hint,))


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SealiftError, match="there is no image"):
        installed(tmp_path / "none.sif", tmp_path)


def test_a_place_that_is_purged_is_warned_of(image: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    order = KernelOrder(image=str(image), site="perlmutter", engine="embedded")
    kernel.install_kernel(order, {**env(tmp_path), "SCRATCH": str(tmp_path)}, events=said.append)
    text = f"{image} lies where files that nobody used for 56 days are removed: keep a copy elsewhere"
    assert said == [Said(text=text, level="warning")]
    said.clear()
    kernel.install_kernel(
        KernelOrder(image=str(image), site="perlmutter", engine="embedded", force=True),
        env(tmp_path),
        events=said.append,
    )
    assert said == []


def test_a_file_on_an_engine_that_takes_registries_only(image: Path) -> None:
    with pytest.raises(UsageError, match="runs what is in a registry"):
        kernel.plan_kernel(KernelOrder(image=str(image), site="perlmutter", engine="podman-hpc"), ENV, load=False)

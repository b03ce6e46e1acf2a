"""Programs in engines that keep images of their own: what is shown, what is refused, and real runs."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from sealift.core.launch import LaunchPlan
from sealift.core.reference import parse_reference
from sealift.engines import choose
from sealift.engines.clean import surroundings
from sealift.engines.clean.surroundings import passes
from sealift.evidence.inspection import noted_tree
from sealift.evidence.opening import open_image
from sealift.flows.pushed import note_pushed
from sealift.flows.stored import note
from sealift.oci.config import ImageConfig
from sealift.oci.image import TREE_LABEL
from sealift.oci.manifest import Platform
from sealift.store import open_store
from sealift.system import caller
from tests import parts
from tests.flows.conftest import Outcome
from tests.ground import services

SCRATCH = "Bootstrap: scratch\n%files\n    {busybox} /bin/busybox\n    {busybox} /bin/sh\n"
RECIPE = (
    SCRATCH
    + "%environment\n    export GREETING='hello there'\n    export LD_LIBRARY_PATH=/app/lib\n"
    + '%runscript\n    echo ran "$@"\n    exit 9\n%test\n    true\n'
)


def words(line: str) -> list[str]:
    return shlex.split(line)


def call(env: dict[str, str], *arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "sealift", *map(str, arguments)]
    return subprocess.run(argv, input=stdin, capture_output=True, check=False, env=env)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a test sets is what the command is started with; nothing says that this is a known site, nor one's own.
    What would be started in this process is not: a refusal that is lost would end the tests in silence.
    """
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(caller, "started_with", lambda: dict(os.environ))
    monkeypatch.delenv("NERSC_HOST", raising=False)

    def execve(program: str, *_: object) -> None:
        raise AssertionError(f"`{program}` would have taken the place of the tests")

    monkeypatch.setattr(os, "execve", execve)


@pytest.fixture
def image(sealift) -> Path:
    """A file that has to be there, and is not looked into by what only shows a command."""
    Path("app.sif").write_bytes(b"")
    return Path("app.sif")


@pytest.fixture
def noted(sealift, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of a registry of which it is noted what they say, in a job, which asks nobody."""
    for name in list(os.environ):
        if passes(name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.delenv("SCRATCH", raising=False)
    with open_store(os.environ) as store:
        for name, env, entrypoint, labels in (
            ("me/app:1", (), (), {}),
            ("me/libraries:1", ("LD_LIBRARY_PATH=/app/lib",), ("/start",), {}),
            ("registry.example.org/me/ours:1", (), (), {TREE_LABEL: "sha256:0"}),
        ):
            config = ImageConfig(platform=Platform(architecture="amd64"), env=env, entrypoint=entrypoint, labels=labels)
            for architecture in ("amd64", "arm64"):
                note(store, parse_reference(name), architecture, "sha256:1", config)


INSIDE = {
    "SLURM_JOB_ID": "7",
    "PYTHONNOUSERSITE": "1",
    "HF_HOME": "/tmp/sealift-cache-7/huggingface",
    "TORCH_HOME": "/tmp/sealift-cache-7/torch",
    "MPLCONFIGDIR": "/tmp/sealift-cache-7/matplotlib",
    "NUMBA_CACHE_DIR": "/tmp/sealift-cache-7/numba",
    "TRITON_CACHE_DIR": "/tmp/sealift-cache-7/triton",
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/sealift-cache-7/torchinductor",
    "CUDA_CACHE_PATH": "/tmp/sealift-cache-7/cuda",
}
EXEC = "/.singularity.d/actions/exec"
LIBS = "/.singularity.d/libs"
APART = ("--contain", "--no-home")
MPICH = "/opt/udiImage/modules/mpich:/opt/udiImage/modules/mpich/dep"
GROUPS = ["--group-add=keep-groups"] if set(os.getgroups()) - {os.getgid()} else []
HOSTS = ["--network=host", *(["--ipc=host"] if os.path.isdir("/dev/mqueue") else []), *GROUPS]
"""What podman-hpc shares with this host."""


def pairs(variables: dict[str, str], flag: str = "--env") -> list[str]:
    return [word for name, value in variables.items() for word in (flag, f"{name}={value}")]


def one_word(variables: dict[str, str], flag: str = "--env") -> list[str]:
    return [f"{flag}={name}={value}" for name, value in variables.items()]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("podman-hpc", "--site", "perlmutter", "--nv", *APART, "docker://me/app:1", "python", "x.py", "--gpu"),
            [
                *("podman-hpc", "run", "--rm", "--gpu", *HOSTS, *pairs(INSIDE)),
                *("--entrypoint", "python", "--", "docker.io/me/app:1", "x.py", "--gpu"),
            ],
        ),
        (
            *(("podman-hpc", "--site", "perlmutter", "--communication", "mpi", *APART),),
            [],
        ),
        (
            ("docker", *APART, "docker://me/app:1", "./a"),
            [
                *("docker", "run", "--rm", "--interactive", "--network", "host", "--ipc", "host", "--pid", "host"),
                *("--uts", "host", "--user", "UID", "--cap-drop", "all", "--read-only"),
                *("--security-opt", "no-new-privileges", "--tmpfs", "/tmp:rw,exec,mode=1777"),
                *("--tmpfs", "/var/tmp:rw,exec,mode=1777", *pairs(INSIDE), "--entrypoint", "./a", "me/app:1"),
            ],
        ),
        (
            ("pyxis", *APART, "docker://registry.example.org/me/ours:1", "./a"),
            [
                *("srun", "--container-image=registry.example.org#me/ours:1", "--no-container-mount-home"),
                *("--container-readonly", "--no-container-remap-root", "--no-container-entrypoint"),
                f"--export={','.join(INSIDE)}",
                f"--container-env={','.join(name for name in INSIDE if name != 'SLURM_JOB_ID')}",
                *(EXEC, "./a"),
            ],
        ),
    ],
)
def test_what_would_be_called_is_shown(
    sealift, noted: None, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], line: list[str]
):
    if not line:
        arguments = (*arguments, "docker://me/libraries:1", "./a")
        variables = {"MPICH_OFI_NIC_POLICY": "GPU", **INSIDE, "LD_LIBRARY_PATH": f"{MPICH}:/app/lib"}
        line = ["podman-hpc", "run", "--rm", "--mpi", *GROUPS, *pairs(variables)]
        line += ["--entrypoint", "env", "--", "docker.io/me/libraries:1", "./a"]
    monkeypatch.setenv("PATH", "/nowhere")
    done = sealift("exec", "--print", "--engine", *arguments)
    assert (done.code, done.err) == (0, "")
    groups = [word for group in os.getgroups() if group != os.getgid() for word in ("--group-add", str(group))]
    number = line.index("UID") + 1 if "UID" in line else 0
    expected = [*line[:number], *groups, *line[number:]] if number else line
    shown = words(done.out)
    start = next(at for at, word in enumerate(shown) if word == line[0])
    assert [word for word in shown[:start] if "=" not in word] == []
    assert shown[start:] == [f"{os.getuid()}:{os.getgid()}" if word == "UID" else word for word in expected]


def test_binds_begin_at_the_root(sealift, noted: None, tmp_path: Path):
    Path("data").mkdir()
    flags = ("--print", "--engine", "pyxis", *APART)
    done = sealift("exec", *flags, "-B", "data:/data", "-B", "data/../up:/up", "docker://me/app:1", "./a")
    assert (done.code, done.err) == (0, "")
    here = os.path.realpath(os.getcwd())
    assert f"--container-mounts={here}/data:/data,{here}/up:/up" in words(done.out)


def test_plain_http_and_logins_stay_in_the_line(sealift):
    Path("my auth.json").write_text("{}")
    flags = ("--print", "--engine", "embedded", "--no-https", "--authfile", "my auth.json")
    for image in ("docker://127.0.0.1:1/me/app:1", "oras://127.0.0.1:1/me/app:1"):
        done = sealift("exec", *flags, image, "ls")
        assert words(done.out) == [
            *("sealift", "exec", "--engine", "embedded", "--no-https", "--authfile=my auth.json", image, "ls")
        ]


def test_logins_are_handed_to_engines_that_fetch_by_themselves(sealift, noted: None):
    Path("my auth.json").write_text("{}")
    flags = ("--print", "--engine", "podman-hpc", "--site", "perlmutter", *APART)
    image = ("docker://me/app:1", "ls")
    plain, done = sealift("exec", *flags, *image), sealift("exec", *flags, "--authfile", "my auth.json", *image)
    assert (done.code, done.err, done.out) == (0, "", f"REGISTRY_AUTH_FILE='my auth.json' {plain.out}")


def test_logins_do_not_enter_the_container(sealift, image: Path, monkeypatch: pytest.MonkeyPatch):
    handed = list[Mapping[str, str]]()

    def start(_plan: LaunchPlan, *, env: Mapping[str, str], **_: object) -> int:
        handed.append(env)
        return 0

    monkeypatch.setattr("sealift.flows.run.start", start)
    assert sealift("exec", "--engine", "embedded", "--authfile", "auth.json", image, "ls").code == 0
    assert handed == [dict(os.environ)]


@pytest.mark.parametrize(
    ("verb", "arguments", "inner"),
    [
        ("exec", ("docker://me/app:1", "./a", "-x"), ["./a", "-x"]),
        ("run", ("docker://me/app:1", "-x"), ["--entrypoint", "--", "-x"]),
        ("exec", ("docker://registry.example.org/me/ours:1", "./a"), [EXEC, "./a"]),
        ("shell", ("docker://registry.example.org/me/ours:1",), ["/.singularity.d/actions/shell"]),
    ],
)
def test_shifter_is_shown(sealift, noted: None, verb: str, arguments: tuple[str, ...], inner: list[str]):
    done = sealift(verb, "--print", "--engine", "shifter", "--site", "perlmutter-cpu", *arguments)
    assert (done.code, done.err) == (0, "")
    cwd = os.getcwd()
    variables = {**INSIDE, "HOME": os.environ["HOME"]}
    assert words(done.out) == [
        *("shifter", f"--image={arguments[0].replace('docker://', 'docker:')}", "--clearenv", f"--workdir={cwd}"),
        *one_word(variables),
        *inner,
    ]


def test_the_embedded_engine_is_shown_as_our_own_command(sealift, image: Path):
    done = sealift("exec", "--print", "--engine", "embedded", "--nv", "-B", "/scratch:/data", "app.sif", "python", "x")
    assert (done.code, done.err) == (0, "")
    assert words(done.out) == [
        *("sealift", "exec", "--engine", "embedded", "--nv", "--bind", "/scratch:/data", "app.sif", "python", "x")
    ]


@pytest.mark.parametrize(
    ("verb", "arguments", "handed"),
    [
        ("shell", ("--nv", "pytorch.sif"), ("--nv", "pytorch.sif")),
        (
            "exec",
            ("--nv", "-B", "/scratch:/data", "pytorch.sif", "python", "train.py", "--data", "/data"),
            ("--nv", "--bind", "/scratch:/data", "pytorch.sif", "python", "train.py", "--data", "/data"),
        ),
    ],
)
def test_a_sif_with_a_gpu(
    sealift, apptainer_on_path: str, verb: str, arguments: tuple[str, ...], handed: tuple[str, ...]
):
    Path("pytorch.sif").touch()
    for engine, begin in (
        ("apptainer", (apptainer_on_path, verb)),
        ("embedded", ("sealift", verb, "--engine", "embedded")),
    ):
        done = sealift(verb, "--print", "--engine", engine, *arguments)
        assert (done.code, done.err, words(done.out)) == (0, "", [*begin, *handed])


def test_a_gpu_on_perlmutter(sealift, noted: None, monkeypatch: pytest.MonkeyPatch):
    home = os.environ["HOME"]
    monkeypatch.setenv("SCRATCH", "/pscratch/sd/m/me")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cray/pe/lib64")
    monkeypatch.setenv("PYTHONPATH", "/global/homes/m/me/lib")
    asked = ("--site", "perlmutter", "--nv", "docker://me/libraries:1", "python", "train.py")
    variables = {
        "SLURM_JOB_ID": "7",
        "SCRATCH": "/pscratch/sd/m/me",
        **INSIDE,
        "HF_HOME": "/pscratch/sd/m/me/.cache/huggingface",
        "TORCH_HOME": "/pscratch/sd/m/me/.cache/torch",
        "HOME": home,
    }
    shifter = sealift("exec", "--print", "--engine", "shifter", *asked)
    assert (shifter.code, shifter.err) == (0, "")
    assert words(shifter.out) == [
        *("shifter", "--image=docker:me/libraries:1", "--module=gpu", "--clearenv", f"--workdir={os.getcwd()}"),
        *(*one_word(variables), "python", "train.py"),
    ]
    podman = sealift("exec", "--print", "--engine", "podman-hpc", *asked)
    assert (podman.code, podman.err) == (0, "")
    # The working folder lies in /tmp here.
    wanted = ("/tmp", "/var/tmp", home, "/pscratch/sd/m/me")
    folders = sorted((each for each in wanted if not each.startswith("/tmp/")), key=lambda path: path.count("/"))
    assert words(podman.out) == [
        *("podman-hpc", "run", "--rm", "--gpu", *HOSTS),
        *(word for each in folders for word in ("--mount", f"type=bind,source={each},target={each}")),
        *("--workdir", os.getcwd(), *pairs(variables)),
        *("--entrypoint", "python", "--", "docker.io/me/libraries:1", "train.py"),
    ]


def test_an_environment_file_is_shown(sealift, noted: None):
    done = sealift("exec", "--print", "--engine", "edf", "--contain", "docker://me/libraries:1", "ls")
    assert (done.code, done.err) == (0, "")
    read = tomllib.loads(done.out)
    harmful = dict.fromkeys(surroundings.harmful(), "")
    own = {name: value for name, value in INSIDE.items() if name != "SLURM_JOB_ID"}
    assert read == {
        "image": "me/libraries:1",
        "writable": False,
        "entrypoint": False,
        "env": {**own, "LD_LIBRARY_PATH": "/app/lib", **harmful},
    }


def test_what_is_not_known_of_an_image_is_said(sealift, noted: None):
    done = sealift(
        "exec", "--print", "--engine", "shifter", "--site", "perlmutter", "docker://127.0.0.1:1/me/new:1", "ls"
    )
    assert done.code == 0
    assert done.err.startswith(
        "warning: what `127.0.0.1:1/me/new:1` sets and runs by itself is not known: no connection"
    )
    assert words(done.out)[-1] == "ls"


def test_safe_surroundings_are_shown_as_flags(sealift, noted: None, image: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", "/home/me/lib")
    monkeypatch.setenv("NCCL_DEBUG", "INFO")
    monkeypatch.setenv("MY_OWN", "1")
    wanted = ("--safe-env", "--pass", "MY_*,OTHER", "--env", "LD_LIBRARY_PATH=/mine", "--engine", "embedded")
    done = sealift("exec", "--print", *wanted, image, "ls")
    assert (done.code, done.err) == (0, "")
    variables = {"MY_OWN": "1", "NCCL_DEBUG": "INFO"} | INSIDE
    path = "LD_LIBRARY_PATH=/mine${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    assert words(done.out) == [
        *("sealift", "exec", "--engine", "embedded", "--cleanenv", *pairs(variables), "--env", path),
        *(str(image), "ls"),
    ]


def test_what_the_user_names_enters_where_nothing_else_does(sealift, image: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MY_OWN", "1")
    for flags, shown in (((), ()), (("--cleanenv",), ("--cleanenv", "--env", "MY_OWN=1"))):
        done = sealift("exec", "--print", "--engine", "embedded", *flags, "--pass", "MY_*", image, "ls")
        assert words(done.out) == ["sealift", "exec", "--engine", "embedded", *shown, str(image), "ls"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--engine", "podman-hpc", "docker://me/app:1", "ls"),
            "error: podman-hpc's flags are the site's: which one is it?\nhint: add --site perlmutter\n",
        ),
        (
            ("--engine", "enroot", "docker://me/app:1", "ls"),
            (
                "error: enroot runs a squashfs or a folder, and `docker://me/app:1` is in a registry\n"
                "hint: make one: sealift build app.sqfs docker://me/app:1\n"
                "hint: then: sealift … --engine enroot app.sqfs …\n"
            ),
        ),
        (
            ("--engine", "charliecloud", "app.sif", "ls"),
            "error: charliecloud takes a squashfs, not `app.sif`\nhint: make one: sealift build app.sqfs app.sif\n",
        ),
        (
            ("--engine", "charliecloud", "my app.sif", "ls"),
            (
                "error: charliecloud takes a squashfs, not `my app.sif`\n"
                "hint: make one: sealift build 'my app.sqfs' 'my app.sif'\n"
            ),
        ),
        (
            ("--engine", "podman", "--print", "docker://--help", "ls"),
            (
                "error: `docker://--help`: `--help` is not the name of an image\n"
                "hint: a name has lower-case letters, digits and single `.`, `_`, `-` between them\n"
            ),
        ),
        (
            ("--engine", "docker", "--print", "-B", "data", "docker://me/app:1", "ls"),
            "error: the target of a bind must be an absolute path, not `data`\nhint: -B data:/data\n",
        ),
        (
            ("--engine", "docker", "--overlay", "o", "docker://me/app:1", "ls"),
            (
                "error: Docker cannot do what is asked for: `--overlay` (its images take no overlay)\n"
                "hint: leave out --overlay, or take another --engine\n"
            ),
        ),
        (
            ("--engine", "docker", "--print", "--communication", "mpi", "docker://me/app:1", "ls"),
            (
                "error: Docker cannot do what is asked for: `--communication` (it has no flags for MPI or NCCL; what "
                "to bind is shown by: sealift mpi show IMAGE --site NAME)\n"
                "hint: leave out --communication, or take another --engine\n"
            ),
        ),
        (
            ("--engine", "embedded", "--print", "--communication", "nccl", "app.sif", "ls"),
            (
                "error: embedded has no flags for MPI or NCCL: `--communication nccl`\n"
                "hint: leave out --communication; what to bind is shown by: sealift mpi show IMAGE --site NAME\n"
            ),
        ),
        (
            ("--engine", "docker", "--print", "--communication", "mpich", "docker://me/app:1", "ls"),
            "error: `--communication mpich` is not known\nhint: one of none, mpi, gpu-mpi, nccl, openmpi\n",
        ),
        (
            ("--engine", "embedded", "--authfile", "no such", "docker://127.0.0.1:1/me/app:1", "ls"),
            (
                "error: there is no file `no such` with logins\n"
                "hint: write one: podman login --authfile 'no such' REGISTRY\n"
            ),
        ),
        (
            ("--engine", "edf", "docker://me/app:1", "ls"),
            "error: an environment file is written, not run\nhint: see it: add --print\n",
        ),
    ],
)
def test_what_is_refused(sealift, image: Path, arguments: tuple[str, ...], said: str):
    done = sealift("exec", *arguments)
    assert (done.code, done.out, done.err) == (2, "", said)


def test_an_engine_that_is_not_there(sealift, noted: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = sealift("exec", "--engine", "pyxis", "--contain", "docker://me/app:1", "ls")
    assert done.code == 6
    assert done.err == (
        "error: `srun` is not installed\n"
        "hint: run it without: --engine embedded\n"
        "hint: see what would be called: add --print\n"
    )


# Images that are files, on engines that take what was pushed


NOT_PUSHED = """\
error: {engine} runs what is in a registry, and `app.sif` was not pushed yet
hint: sealift push app.sif docker://registry.nersc.gov/PROJECT/app:1
hint: {pull}registry.nersc.gov/PROJECT/app:1
hint: then the same line again
{more}"""
OWN_STORE = "hint: or into its own store, on this machine: sealift push app.sif podman-hpc:app:1\n"


@pytest.mark.slow
def test_an_image_that_is_a_file_runs_under_the_name_under_which_it_was_pushed(sealift, noted: None):
    Path("a").write_text("a\n")
    Path("app.def").write_text(
        "Bootstrap: scratch\n%files\n    a /a\n%environment\n    export LD_LIBRARY_PATH=/app/lib\n"
    )
    done = sealift("build", "app.sif", "app.def")
    assert done.code == 0, done.err
    with open_image("app.sif") as image:
        tree = noted_tree(image)

    def shown(engine: str) -> Outcome:
        wanted = ("--site", "perlmutter", "--print", "--communication", "mpi")
        done: Outcome = sealift("exec", "--engine", engine, *wanted, "app.sif", "ls")
        return done

    for engine, pull, more in (
        ("shifter", "shifterimg pull docker:", ""),
        ("podman-hpc", "podman-hpc pull ", OWN_STORE),
    ):
        done = shown(engine)
        assert (done.code, done.out) == (2, "")
        assert done.err == NOT_PUSHED.format(engine=engine, pull=pull, more=more)
    for target, shifters, podmans in (
        ("podman-hpc:localhost/app:1", "", "localhost/app:1"),
        ("docker://docker.io/me/old:1", "me/old:1", "localhost/app:1"),
        ("docker://registry.nersc.gov/p/app:1", "registry.nersc.gov/p/app:1", "localhost/app:1"),
    ):
        with open_store(os.environ) as store:
            note_pushed(store, tree=tree, target=target, library_path="/app/lib")
        done = shown("shifter")
        assert (done.code, words(done.out)[1:2]) == ((0, [f"--image=docker:{shifters}"]) if shifters else (2, []))
        line = words(shown("podman-hpc").out)
        at = line.index("--")
        assert line[at - 4 : at + 2] == [
            *("--env", f"LD_LIBRARY_PATH={MPICH}:/app/lib", "--entrypoint", EXEC, "--", podmans)
        ]


def test_an_image_in_an_engines_own_store_is_named_as_it_was_pushed(sealift, noted: None):
    with open_store(os.environ) as store:
        note_pushed(store, tree="sha256:0", target="podman-hpc:localhost/app:1", library_path="/app/lib")
    for name, inner in (
        ("app:1", ["--entrypoint", EXEC, "--", "localhost/app:1", "ls"]),
        ("other", ["--entrypoint", "ls", "--", "localhost/other:latest"]),
    ):
        wanted = ("--engine", "podman-hpc", "--site", "perlmutter", "--print", "--contain", "--no-home")
        done = sealift("exec", *wanted, f"podman-hpc:{name}", "ls")
        assert (done.code, done.err) == (0, "")
        assert words(done.out) == ["podman-hpc", "run", "--rm", *HOSTS, *pairs(INSIDE), *inner]


# The site decides which engine runs a SIF


@pytest.fixture
def apptainer_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("apptainer", "site-apptainer"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(choose, "_unusable", lambda _status: "")
    return str(folder / "apptainer")


@pytest.mark.parametrize(
    ("host", "arguments", "engine"),
    [
        ("", (), "apptainer"),
        ("", ("--site", "perlmutter"), "embedded"),
        ("perlmutter", (), "embedded"),
        ("perlmutter", ("--site", "lumi-g"), "apptainer"),
        ("perlmutter", ("--engine", "apptainer"), "apptainer"),
        ("other", (), "apptainer"),
    ],
)
def test_a_site_whose_engines_take_no_sif_has_the_embedded_one(
    sealift,
    image: Path,
    apptainer_on_path: str,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    arguments: tuple[str, ...],
    engine: str,
):
    monkeypatch.setenv("NERSC_HOST", host)
    done = sealift("exec", "--print", *arguments, "app.sif", "ls")
    assert (done.code, done.err) == (0, "")
    begin = [apptainer_on_path, "exec"] if engine == "apptainer" else ["sealift", "exec", "--engine", "embedded"]
    assert words(done.out) == [*begin, "app.sif", "ls"]


def test_a_site_calls_its_engine_by_another_name(sealift, image: Path, apptainer_on_path: str):
    Path("mine.toml").write_text(
        'schema = 1\nname = "mine"\ncollected = "2026-11-01"\n[engines]\norder = ["apptainer"]\n'
        '[engines.apptainer]\ncommand = "site-apptainer"\n'
    )
    assert sealift("sites", "add", "mine.toml").code == 0
    done = sealift("exec", "--print", "--site", "mine", "app.sif", "ls")
    assert words(done.out) == [f"{Path(apptainer_on_path).parent}/site-apptainer", "exec", "app.sif", "ls"]
    Path("mine.toml").write_text(
        Path("mine.toml").read_text().replace("site-apptainer", "gone") + 'modules = ["containers", "gone"]\n'
    )
    assert sealift("sites", "add", "-F", "mine.toml").code == 0
    done = sealift("exec", "--print", "--site", "mine", "--engine", "apptainer", "app.sif", "ls")
    assert done.err == (
        "error: `apptainer` is not installed\n"
        "hint: module load containers gone\n"
        "hint: run it without: --engine embedded\n"
    )


# Real engines


@pytest.fixture
def built(sealift, open_folder: Path, busybox: str) -> Path:
    """An image of this test alone: an engine that other tests use, too, has not been given it yet."""
    os.chdir(open_folder)
    Path("app.def").write_text(RECIPE.format(busybox=busybox) + f"%labels\n    place {open_folder}\n")
    done = sealift("build", "app.sif", "app.def")
    assert done.code == 0, done.err
    return open_folder / "app.sif"


@pytest.fixture
def busybox() -> str:
    found = parts.program("busybox")
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.needs("root", "docker", "busybox")
def test_docker_runs_a_sif_as_apptainer_does(built: Path, docker: services.Docker, open_folder: Path):
    env = {
        **os.environ,
        "DOCKER_HOST": docker.endpoint,
        "PYTHONPATH": "/x",
        "NCCL_DEBUG": "INFO",
        "TOKEN": "a 'b'\n$c",
    }

    def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return call(env, *arguments, stdin=stdin)

    def stored() -> set[str]:
        return set(docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.decode().split())

    before = stored()
    script = "echo $GREETING:$NCCL_DEBUG:$PYTHONPATH:$PYTHONNOUSERSITE; busybox pwd; busybox cat; echo x > made; exit 7"
    done = run("exec", "--engine", "docker", built, "/bin/sh", "-c", script, stdin=b"in\n")
    assert (done.returncode, done.stdout) == (7, f"hello there:INFO::1\n{open_folder}\nin\n".encode()), done.stderr
    assert (open_folder / "made").read_text() == "x\n"
    assert b"giving" in done.stderr
    # Its environment is the caller's, where the value is taken from; its command line is for everybody to read.
    done = run("exec", "--engine", "docker", "--pass", "TOK*", "-v", built, "/bin/sh", "-c", 'echo "$TOKEN"')
    assert (done.returncode, done.stdout) == (0, b"a 'b'\n$c\n"), done.stderr
    (line,) = (each for each in done.stderr.decode().splitlines() if " run --rm " in each)
    assert "--env TOKEN --env" in line
    done = run("run", "--engine", "docker", "-B", f"{open_folder}:/data:ro", built, "a", "b c")
    assert (done.returncode, done.stdout, done.stderr) == (9, b"ran a b c\n", b"")
    done = run("exec", "--engine", "docker", built, "/bin/sh", "-c", "echo > /bin/new")
    assert done.returncode != 0
    assert b"Read-only file system" in done.stderr
    done = run("exec", "--engine", "docker", "--writable-tmpfs", built, "/bin/sh", "-c", "echo > /bin/new")
    assert done.returncode == 0, done.stderr
    assert run("test", "--engine", "docker", built).returncode == 0
    orders = ("--env", "GREETING=from me,LD_LIBRARY_PATH=/mine")
    done = run("exec", "--engine", "docker", *orders, built, "/bin/sh", "-c", 'echo "$GREETING:$LD_LIBRARY_PATH"')
    assert (done.returncode, done.stdout, done.stderr) == (0, f"from me:/mine:/app/lib:{LIBS}:{LIBS}\n".encode(), b"")
    done = run("run", "--engine", "docker", *orders, built, "a")
    assert (done.returncode, done.stdout, done.stderr) == (9, b"ran a\n", b"")
    contained = 'echo > "$HOME/new"; echo > /tmp/new; echo > /var/tmp/new; busybox pwd; echo "$LD_LIBRARY_PATH"'
    done = run("exec", "--engine", "docker", "--contain", built, "/bin/sh", "-c", contained)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"{env['HOME']}\n/app/lib:/.singularity.d/libs\n".encode(),
        b"",
    )
    assert not Path(env["HOME"], "new").exists()
    (image,) = stored() - before
    assert image.startswith("localhost/sealift:")


@pytest.mark.slow
@pytest.mark.needs("root", "podman", "busybox")
def test_podman_runs_a_sif_for_an_ordinary_user(built: Path, open_folder: Path, as_user):
    as_user.give(open_folder)
    with services.podman(open_folder, as_user) as podman:
        env = {**podman, "NCCL_DEBUG": "INFO", "TOKEN": "a 'b'\n$c"}

        def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
            done: subprocess.CompletedProcess[bytes] = as_user(
                ["sealift", *arguments], cwd=open_folder, env=env, input=stdin
            )
            return done

        script = "echo $GREETING:$NCCL_DEBUG; busybox id -u; busybox cat; echo x > made; exit 7"
        done = run("exec", "--engine", "podman", built, "/bin/sh", "-c", script, stdin=b"in\n")
        uid = (open_folder / "app.sif").stat().st_uid
        assert (done.returncode, done.stdout) == (7, f"hello there:INFO\n{uid}\nin\n".encode()), done.stderr
        assert (open_folder / "made").stat().st_uid == uid
        done = run("exec", "--engine", "podman", "--pass", "TOK*", built, "/bin/sh", "-c", 'echo "$TOKEN"')
        assert (done.returncode, done.stdout) == (0, b"a 'b'\n$c\n"), done.stderr
        contained = 'echo > "$HOME/new" && busybox pwd && echo "$LD_LIBRARY_PATH"'
        wanted = ("--contain", "--env", "LD_LIBRARY_PATH=/mine")
        done = run("exec", "--engine", "podman", *wanted, built, "/bin/sh", "-c", contained)
        home = pwd.getpwuid(uid).pw_dir
        assert (done.returncode, done.stdout) == (0, f"{home}\n/mine:/app/lib:{LIBS}:{LIBS}\n".encode()), done.stderr
        done = run("run", "--engine", "podman", "--contain", built, "a", "b c")
        assert (done.returncode, done.stdout, done.stderr) == (9, b"ran a b c\n", b"")


@pytest.mark.slow
@pytest.mark.needs("root", "apptainer", "squashfuse", "busybox")
@pytest.mark.parametrize("engine", ["embedded", "apptainer"])
@pytest.mark.parametrize(("flags", "front"), [((), ""), (("--env", "LD_LIBRARY_PATH=/mine"), "/mine:")])
def test_a_safe_environment_has_one_library_path(
    built: Path, open_folder: Path, as_user, engine: str, flags: tuple[str, ...], front: str
):
    as_user.give(open_folder)
    env = {"LD_LIBRARY_PATH": "/host", "PYTHONPATH": "/host", "NCCL_DEBUG": "INFO"}
    script = 'echo "$LD_LIBRARY_PATH,$PYTHONPATH,$PYTHONNOUSERSITE,$NCCL_DEBUG,$GREETING"'
    argv = ["sealift", "exec", "--engine", engine, "--safe-env", *flags, built, "/bin/sh", "-c", script]
    done = as_user(argv, cwd=open_folder, env=env)
    # The scripts of every image have this folder at the end, and so has each order.
    end = f"{LIBS}:{LIBS}" if front else LIBS
    assert (done.returncode, done.stdout) == (0, f"{front}/app/lib:{end},,1,INFO,hello there\n".encode()), done.stderr


@pytest.mark.slow
@pytest.mark.needs("registry", "busybox")
def test_what_an_image_in_a_registry_says_is_asked_once_and_again_when_it_changed(
    built: Path, sealift, registry: services.Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    target = f"docker://{registry.host}/safe/app:1"
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    def shown() -> tuple[list[str], str]:
        wanted = ("--site", "perlmutter", "--communication", "mpi", *APART, target, "ls")
        done = sealift("exec", "--print", "--engine", "podman-hpc", *wanted)
        assert done.code == 0, done.err
        line = words(done.out)
        at = line.index("--")
        return line[at - 3 : at + 2], done.err

    def expected(path: str) -> list[str]:
        name = target.removeprefix("docker://")
        return [f"LD_LIBRARY_PATH={MPICH}{path}", "--entrypoint", EXEC, "--", name]

    def push(path: str) -> None:
        Path("app.def").write_text(RECIPE.format(busybox=parts.program("busybox")).replace("/app/lib", path))
        for arguments in (("build", "-F", "app.sif", "app.def"), ("push", "app.sif", target)):
            done = sealift(*arguments)
            assert done.code == 0, done.err

    push("/one/lib")
    # What was pushed from here is not looked at.
    monkeypatch.setenv("SEALIFT_CACHE_DIR", str(tmp_path / "another"))
    assert shown() == (expected(":/one/lib"), "")
    push("/two/lib")
    # A job goes on with what is kept; elsewhere the registry is asked whether that still is so.
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert shown() == (expected(":/one/lib"), "")
    monkeypatch.delenv("SLURM_JOB_ID")
    assert shown() == (expected(":/two/lib"), "")
    target = target.replace("app:1", "none:1")
    line, said = shown()
    assert line[1:] == ["--entrypoint", "env", "--", target.removeprefix("docker://")]
    assert said.startswith(f"warning: what `{registry.host}/safe/none:1` sets and runs by itself is not known: ")

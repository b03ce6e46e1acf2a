"""Whole command lines, engine by engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sealift.core.launch import Action, Bind, Communication
from sealift.engines.clean import charliecloud, docker, enroot, podman_hpc, shifter
from sealift.engines.clean.communication import recipe
from sealift.engines.clean.image import StoredImage, inner_command
from sealift.engines.clean.inside import script
from sealift.engines.environment import Voices
from sealift.errors import UsageError
from tests.engines.clean.world import AROUND, DATA, FOREIGN, IMAGE, bare, caller, pairs, plan, site

CLEAN = {name: value for name, value in AROUND.items() if name != "HOME"}
EXEC = ("--entrypoint", "/.singularity.d/actions/exec", IMAGE.reference, "python", "train.py")
MINE = ["--userns", "keep-id", "--group-add", "keep-groups", "--user", "1000:100", "--cap-drop", "all"]
ALONE = ["--network", "host", "--ipc", "host", "--pid", "host", "--uts", "host"]


@pytest.mark.parametrize(
    ("fields", "image", "expected"),
    [
        ({}, IMAGE, ("/.singularity.d/actions/exec", ("python", "train.py"))),
        ({}, FOREIGN, ("python", ("train.py",))),
        ({"action": "run", "command": ("a",)}, IMAGE, ("/.singularity.d/actions/run", ("a",))),
        ({"action": "run", "command": ("a",)}, FOREIGN, ("", ("a",))),
        ({"action": "test", "command": ()}, IMAGE, ("/.singularity.d/actions/test", ())),
        ({"action": "shell", "command": ()}, IMAGE, ("/.singularity.d/actions/exec", ("/bin/sh",))),
        ({"action": "shell", "command": (), "shell": "/bin/zsh"}, FOREIGN, ("/bin/zsh", ())),
    ],
)
def test_what_is_started_inside(
    fields: dict[str, object], image: StoredImage, expected: tuple[str, tuple[str, ...]]
) -> None:
    assert inner_command(plan(**fields), image) == expected


def test_docker_as_apptainer_would_show_it() -> None:
    started = docker.command_line(
        plan(binds=(DATA,), env={"A": "b c"}), IMAGE, caller(terminal=True), name="docker", program="/usr/bin/docker"
    )
    assert list(started.argv) == [
        *("/usr/bin/docker", "run", "--rm", "--interactive", "--tty"),
        *ALONE,
        *("--group-add", "27", "--user", "1000:100", "--cap-drop", "all"),
        *("--read-only", "--security-opt", "no-new-privileges"),
        *("--mount", "type=bind,source=/tmp,target=/tmp"),
        *("--mount", 'type=bind,source=/lustre/data,"target=/in put,1",readonly'),
        *("--mount", "type=bind,source=/var/tmp,target=/var/tmp"),
        *("--mount", "type=bind,source=/home/me,target=/home/me"),
        *("--mount", "type=bind,source=/lustre/me,target=/scratch/me"),
        *("--workdir", "/scratch/me/run"),
        *pairs("--env", AROUND),
        *settled(AROUND, {"A": "b c"}),
    ]
    assert started.env == caller().env


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, [*ALONE, *MINE, "--read-only"]),
        (
            {"contain_all": True, "writable_tmpfs": True},
            ["--network", "host", "--ipc", "private", "--init", "--uts", "host", *MINE],
        ),
        (
            {"pid": True, "no_init": True, "net": True, "fakeroot": True, "ipc": True},
            [
                *("--network", "none", "--ipc", "private", "--group-add", "keep-groups"),
                *("--user", "0:0", "--read-only"),
            ],
        ),
        (
            {"hostname": "node", "dns": "192.0.2.1,192.0.2.2", "add_caps": "CAP_SYS_NICE", "drop_caps": "all"},
            [
                *(*ALONE[:-2], "--hostname", "node", "--dns", "192.0.2.1", "--dns", "192.0.2.2"),
                *(*MINE[:-2], "--cap-add", "CAP_SYS_NICE", "--cap-drop", "all", "--read-only"),
            ],
        ),
        (
            {"nv": True},
            [*ALONE, *MINE, "--device", "nvidia.com/gpu=all", "--read-only"],
        ),
        (
            {"rocm": True},
            [*ALONE, *MINE, "--device", "/dev/kfd", "--device", "/dev/dri", "--read-only"],
        ),
    ],
)
def test_podman_flag_by_flag(fields: dict[str, object], words: list[str]) -> None:
    started = docker.command_line(bare(**fields), IMAGE, caller(), name="podman", program="podman")
    assert list(started.argv) == [
        *("podman", "run", "--rm", "--interactive"),
        *words,
        *("--security-opt", "no-new-privileges"),
        *pairs("--env", CLEAN),
        *settled(CLEAN, {}),
    ]


def test_what_docker_starts_inside() -> None:
    """The image's shell makes the environment; an image without one is started as its configuration says."""
    more: dict[str, object] = {"env": {"LD_LIBRARY_PATH": "/mine"}, "app": "tool", "action": "run"}
    argv = docker.command_line(bare(**more), IMAGE, caller(), name="podman", program="podman").argv
    assert list(argv[argv.index("no-new-privileges") + 1 :]) == [
        *pairs("--env", CLEAN | {"APPTAINER_APPNAME": "tool", "SINGULARITY_APPNAME": "tool"}),
        *settled(CLEAN, {"LD_LIBRARY_PATH": "/mine${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"}, "run", "tool"),
    ]
    bash = replace(IMAGE, shell="/bin/bash", variables=("A", "HOME", "OMP_NUM_THREADS"))
    host = replace(caller(APPTAINERENV_B="c"), umask=0o027)
    argv = docker.command_line(bare(no_eval=True), bash, host, name="docker", program="docker").argv
    assert list(argv[argv.index("no-new-privileges") + 1 :]) == [
        *pairs("--env", CLEAN | {"APPTAINER_NO_EVAL": "1", "SINGULARITY_NO_EVAL": "1"}),
        *("--entrypoint", "/bin/bash", IMAGE.reference, "-c"),
        script("exec", voices=Voices(host=CLEAN, orders={"B": "c"}, expand=False), variables=("A",), umask=0o027),
        *("exec", "python", "train.py"),
    ]
    argv = docker.command_line(
        bare(env={"A": "b"}), replace(IMAGE, shell=""), caller(), name="docker", program="docker"
    ).argv
    assert list(argv[argv.index("no-new-privileges") + 1 :]) == [
        *pairs("--env", CLEAN | {"A": "b"}),
        *("--entrypoint", "python", IMAGE.reference, "train.py"),
    ]


def settled(host: dict[str, str], orders: dict[str, str], action: Action = "exec", app: str = "") -> list[str]:
    text = script(action, voices=Voices(host=host, orders=orders), variables=(), umask=0o022, app=app)
    return ["--entrypoint", "/bin/sh", IMAGE.reference, "-c", text, action, "python", "train.py"]


@pytest.mark.parametrize(("terminal", "name"), [(False, "podman"), (True, "podman"), (False, "docker")])
def test_podman_hands_the_descriptors_on_where_it_can(terminal: bool, name: docker.Name) -> None:
    host = replace(caller(terminal=terminal), passthrough=True)
    argv = docker.command_line(bare(), IMAGE, host, name=name, program=name).argv
    assert argv[:3] == (name, "run", "--rm")
    more = {True: ("--tty",), False: ("--log-driver", "passthrough") if name == "podman" else ()}
    assert argv[3 : argv.index("--network")] == ("--interactive", *more[terminal])


def test_an_image_without_a_shell_is_not_tested() -> None:
    with pytest.raises(UsageError) as caught:
        docker.command_line(bare(action="test"), replace(IMAGE, shell=""), caller(), name="docker", program="docker")
    assert caught.value.message == "`x` has no shell that could run a test"
    assert caught.value.hints == ("run a program: sealift exec … IMAGE PROGRAM",)


def test_podman_of_root_maps_nobody() -> None:
    argv = docker.command_line(
        bare(), IMAGE, replace(caller(), uid=0, gid=0, groups=(0,)), name="podman", program="podman"
    ).argv
    assert argv[argv.index("--uts") + 2 : argv.index("--read-only")] == ("--user", "0:0", "--cap-drop", "all")


def test_docker_says_everything_that_it_cannot_do() -> None:
    with pytest.raises(UsageError) as caught:
        docker.command_line(plan(overlays=("/o",), env_files=("f",)), IMAGE, caller(), name="docker", program="docker")
    assert caught.value.message == (
        "Docker cannot do what is asked for: `--env-file` (a shell reads them under Apptainer, Docker takes them word "
        "for word), `--overlay` (its images take no overlay)"
    )
    assert caught.value.hints == ("leave out --env-file --overlay, or take another --engine",)


# podman-hpc

PERLMUTTER = site("perlmutter")
MPICH = "/opt/udiImage/modules/mpich:/opt/udiImage/modules/mpich/dep"
NCCL = "/opt/udiImage/modules/nccl-plugin/lib:/opt/udiImage/modules/nccl-plugin/deps/lib:/usr/lib64"


@pytest.mark.parametrize(
    ("fields", "communication", "flags", "more", "inner"),
    [
        ({}, "none", [], {}, EXEC),
        ({"nv": True}, "none", ["--gpu"], {}, EXEC),
        (
            {},
            "mpi",
            ["--mpi"],
            {"MPICH_OFI_NIC_POLICY": "GPU", "LD_LIBRARY_PATH": f"{MPICH}:/app/lib"},
            (*EXEC[:3], "/.singularity.d/actions/exec", *EXEC[3:]),
        ),
        (
            {"nv": True},
            "gpu-mpi",
            ["--gpu", "--cuda-mpi"],
            {
                "MPICH_OFI_NIC_POLICY": "GPU",
                "MPICH_GPU_SUPPORT_ENABLED": "1",
                "LD_LIBRARY_PATH": f"{MPICH}:/app/lib",
            },
            (*EXEC[:3], "/.singularity.d/actions/exec", *EXEC[3:]),
        ),
        (
            {"nv": True},
            "nccl",
            ["--gpu", "--nccl"],
            {
                "FI_CXI_DISABLE_HOST_REGISTER": "1",
                "FI_MR_CACHE_MONITOR": "userfaultfd",
                "NCCL_CROSS_NIC": "1",
                "NCCL_SOCKET_IFNAME": "hsn",
                "NCCL_NET_GDR_LEVEL": "PHB",
                "LD_LIBRARY_PATH": f"{NCCL}:/app/lib",
            },
            EXEC,
        ),
        (
            {"action": "run", "command": ("a",)},
            "openmpi",
            ["--openmpi-pmi2"],
            {},
            (*EXEC[:3], "/.singularity.d/actions/run", "a"),
        ),
    ],
)
def test_podman_hpc(
    fields: dict[str, object],
    communication: Communication,
    flags: list[str],
    more: dict[str, str],
    inner: tuple[str, ...],
) -> None:
    image = replace(IMAGE, library_path="/app/lib")
    started = podman_hpc.command_line(bare(communication=communication, **fields), image, caller(), site=PERLMUTTER)
    variables = {name: value for name, value in more.items() if name != "LD_LIBRARY_PATH"}
    last = {name: value for name, value in more.items() if name == "LD_LIBRARY_PATH"}
    assert list(started.argv) == [
        *("podman-hpc", "run", "--rm"),
        *flags,
        *pairs("--env", variables | CLEAN | last),
        *inner,
    ]


def test_podman_hpc_mounts_what_nothing_mounts_by_itself() -> None:
    argv = podman_hpc.command_line(plan(), IMAGE, caller(), site=PERLMUTTER).argv
    assert [word for word in argv if word.startswith("type=bind")] == [
        "type=bind,source=/tmp,target=/tmp",
        "type=bind,source=/var/tmp,target=/var/tmp",
        "type=bind,source=/home/me,target=/home/me",
        "type=bind,source=/lustre/me,target=/scratch/me",
    ]
    assert argv[argv.index("--workdir") + 1] == "/scratch/me/run"


def test_a_shared_container_of_a_foreign_image_runs_what_it_is_given() -> None:
    argv = podman_hpc.command_line(bare(communication="mpi"), FOREIGN, caller(), site=PERLMUTTER).argv
    assert argv[-5:] == ("--entrypoint", "env", FOREIGN.reference, "python", "train.py")
    with pytest.raises(UsageError, match="runs by itself is not known"):
        podman_hpc.command_line(bare(action="run", communication="mpi"), FOREIGN, caller(), site=PERLMUTTER)


# Shifter


@pytest.mark.parametrize(
    ("fields", "communication", "modules"),
    [
        ({}, "none", []),
        ({"nv": True}, "none", ["--module=gpu"]),
        ({}, "mpi", ["--module=mpich"]),
        ({"nv": True}, "gpu-mpi", ["--module=gpu,cuda-mpich"]),
        ({"nv": True}, "nccl", ["--module=gpu,nccl-plugin"]),
        ({}, "openmpi", ["--module=none"]),
        ({"nv": True}, "openmpi", ["--module=gpu"]),
    ],
)
def test_shifter_names_image_volumes_and_modules_in_the_header_or_in_the_call(
    fields: dict[str, object], communication: Communication, modules: list[str]
) -> None:
    wanted = bare(
        binds=(Bind(source="/lustre/data", destination="/data", read_only=True),), communication=communication, **fields
    )
    folders = {"/lustre/data": True}
    lines = shifter.header(wanted, IMAGE, site=PERLMUTTER, is_folder=folders)
    options = [f"--image=docker:{IMAGE.reference}", "--volume=/lustre/data:/data:ro", *modules]
    assert lines == tuple(f"#SBATCH {option}" for option in options)
    theirs = recipe(PERLMUTTER, communication)
    fresh = {name: value for name, value in CLEAN.items() if caller().env.get(name) != value}
    variables = [f"--env={name}={value}" for name, value in (theirs | fresh).items()]
    inner = ["--env=LD_LIBRARY_PATH=", "/.singularity.d/actions/exec", "python", "train.py"]
    call = shifter.command_line(wanted, IMAGE, caller(), site=PERLMUTTER, is_folder=folders)
    assert list(call.argv) == ["shifter", *options, *variables, *inner]
    call = shifter.command_line(wanted, IMAGE, caller(), site=PERLMUTTER, is_folder=folders, in_job=True)
    assert list(call.argv) == ["shifter", *variables, *inner]


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        ("/data", ""),
        ("/var/tmp", ""),
        ("/opt/app", ""),
        ("/etc", "`/etc` is its own"),
        ("/etc/ssl", "`/etc` is its own"),
        ("/etcetera", ""),
        ("/var", "`/var` is its own"),
        ("/var/tmp/x", "`/var` is its own"),
        ("/opt", "`/opt` is its own"),
        ("/opt/", "`/opt` is its own"),
        ("/opt/udiImage/x", "`/opt/udiImage` is its own"),
        ("/", "`/` is its own"),
    ],
)
def test_shifter_forbids_targets(target: str, refused: str) -> None:
    wanted = bare(binds=(Bind(source="/lustre/data", destination=target),))
    if not refused:
        shifter.header(wanted, IMAGE, site=PERLMUTTER, is_folder={})
        return
    with pytest.raises(UsageError) as caught:
        shifter.header(wanted, IMAGE, site=PERLMUTTER, is_folder={})
    assert caught.value.message == f"Shifter lets nothing be bound to `{target}`: {refused}"


def test_shifter_binds_no_files_and_cannot_be_written_to() -> None:
    wanted = bare(binds=(Bind(source="/lustre/data/a.txt", destination="/in/a.txt"),))
    with pytest.raises(UsageError) as caught:
        shifter.header(wanted, IMAGE, site=PERLMUTTER, is_folder={"/lustre/data/a.txt": False})
    assert caught.value.message == "Shifter binds folders only, and `/lustre/data/a.txt` is a file"
    assert caught.value.hints == ("bind its folder: -B /lustre/data:/in",)
    with pytest.raises(UsageError, match="its root file system cannot be written to"):
        shifter.command_line(bare(writable_tmpfs=True), IMAGE, caller(), site=PERLMUTTER, is_folder={})


def test_shifter_runs_an_entrypoint_where_it_is_asked_to() -> None:
    wanted = bare(action="run", command=("a",))
    argv = shifter.command_line(wanted, FOREIGN, caller(), site=PERLMUTTER, is_folder={}, in_job=True).argv
    assert argv[-2:] == ("--entrypoint", "a")


# Charliecloud, enroot, pyxis, environment files


def test_charliecloud() -> None:
    wanted = plan(binds=(Bind(source="/data", destination="/data"),), writable_tmpfs=True, fakeroot=True)
    argv = charliecloud.command_line(wanted, StoredImage(reference="/scratch/me/app.sqfs"), caller()).argv
    assert list(argv) == [
        *("ch-run", "--unset-env=*", "--uid=0", "--gid=0", "--write-fake"),
        *("--bind=/lustre/data:/data", "--bind=/home/me:/home/me", "--bind=/lustre/me:/scratch/me"),
        "--cd=/scratch/me/run",
        *(f"--set-env={name}={value}" for name, value in AROUND.items()),
        *("/scratch/me/app.sqfs", "--", "/.singularity.d/actions/exec", "python", "train.py"),
    ]
    with pytest.raises(UsageError, match="binds nothing read-only"):
        charliecloud.command_line(bare(binds=(DATA,)), IMAGE, caller())


def test_enroot() -> None:
    wanted = bare(nv=True, writable=True, binds=(Bind(source="/data", destination="/in", read_only=True),))
    argv = enroot.command_line(wanted, StoredImage(reference="app.sqsh"), caller()).argv
    gpu = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    assert list(argv) == [
        *("enroot", "start", "--rw", "--mount", "/lustre/data:/in:ro"),
        *pairs("--env", gpu | CLEAN),
        *("app.sqsh", "/.singularity.d/actions/exec", "python", "train.py"),
    ]
    with pytest.raises(UsageError, match="enroot takes no `:` and no `,`"):
        enroot.command_line(bare(binds=(DATA,)), IMAGE, caller())


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("registry.example.org/me/app:1", "registry.example.org#me/app:1"),
        ("docker://localhost:5000/app", "localhost:5000#app"),
        ("ubuntu:24.04", "ubuntu:24.04"),
        ("me/app", "me/app"),
        ("/scratch/me/app.sqsh", "/scratch/me/app.sqsh"),
    ],
)
def test_pyxis(reference: str, shown: str) -> None:
    wanted = bare(nv=True, binds=(Bind(source="/data", destination="/in"),), pwd="/in")
    started = enroot.srun_options(wanted, StoredImage(reference=reference), caller())
    assert list(started.argv) == [
        *("srun", f"--container-image={shown}", "--container-mounts=/lustre/data:/in", "--container-workdir=/in"),
        *("--container-readonly", "--no-container-entrypoint"),
        *("/.singularity.d/actions/exec", "python", "train.py"),
    ]
    fresh = {name: value for name, value in CLEAN.items() if caller().env.get(name) != value}
    gpu = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    assert started.added == tuple(gpu | fresh)
    assert dict(started.env) == {**caller().env, **gpu, **fresh}


def test_an_environment_file() -> None:
    wanted = bare(nv=True, binds=(Bind(source="/data", destination="/in"),), env={"A": 'b "c"'}, pwd="/in")
    alone = replace(caller(), env={"SLURM_JOB_ID": "7", "SCRATCH": "/scratch/me"})
    assert enroot.environment_file(wanted, IMAGE, alone, site=site("cscs-alps")) == (
        'image = "registry.example.org#me/app:1"\n'
        "mounts = [\n"
        '    "/lustre/data:/in",\n'
        "]\n"
        'workdir = "/in"\n'
        "writable = false\n"
        "entrypoint = false\n"
        "\n"
        "[env]\n"
        'NVIDIA_VISIBLE_DEVICES = "all"\n'
        'NVIDIA_DRIVER_CAPABILITIES = "compute,utility"\n'
        'PYTHONNOUSERSITE = "1"\n'
        'HF_HOME = "/scratch/me/.cache/huggingface"\n'
        'TORCH_HOME = "/scratch/me/.cache/torch"\n'
        'MPLCONFIGDIR = "/tmp/sealift-cache-7/matplotlib"\n'
        'NUMBA_CACHE_DIR = "/tmp/sealift-cache-7/numba"\n'
        'TRITON_CACHE_DIR = "/tmp/sealift-cache-7/triton"\n'
        'TORCHINDUCTOR_CACHE_DIR = "/tmp/sealift-cache-7/torchinductor"\n'
        'CUDA_CACHE_PATH = "/tmp/sealift-cache-7/cuda"\n'
        'A = "b \\"c\\""\n'
        "\n"
        "[annotations]\n"
        'com.hooks.cxi.enabled = "true"\n'
    )

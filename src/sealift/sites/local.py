"""The site `local`: what can be measured on this host, now, without a GPU's help where there is none."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sealift.core.architecture import find_architecture
from sealift.errors import HostError
from sealift.sites.profile import Fact, Profile, Source, Value

NAME = "local"
ENGINES = ("apptainer", "singularity", "podman-hpc", "shifter", "podman", "docker", "ch-run", "enroot")
FOLDERS = (
    ("scratch", "SCRATCH", "scratch"),
    ("pscratch", "PSCRATCH", "scratch"),
    ("work", "WORK", "scratch"),
    ("project", "PROJECT", "project"),
    ("cfs", "CFS", "project"),
    ("tmpdir", "TMPDIR", "node"),
    ("localscratch", "LOCAL_SCRATCH", "node"),
    ("home", "HOME", "home"),
)
"""Variables by which sites tell where things may lie; a folder counts once."""
TIMEOUT = 10.0
"""Seconds that a program which is asked for its version may take."""

Run = Callable[[Sequence[str]], str]
"""Runs a program and gives its standard output and error together; HostError when it fails or is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What is looked at: the files below `root`, the environment, the programs that `find` finds and `run` runs."""

    environment: Mapping[str, str]
    machine: str
    cpu_count: int
    libc: str
    run: Run
    find: Callable[[str], str | None]
    users: tuple[str, ...] = ()
    """What /etc/subuid may call the caller: the name and the number."""
    root: str = "/"

    def text(self, path: str) -> str:
        try:
            with open(os.path.join(self.root, path.lstrip("/")), encoding="utf-8", errors="replace") as file:
                return file.read(1 << 20)
        except OSError:
            return ""

    def names(self, path: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(os.listdir(os.path.join(self.root, path.lstrip("/")))))
        except OSError:
            return ()

    def ask(self, *argv: str) -> str:
        """The output of a program, empty when it is not there or fails."""
        if self.find(argv[0]) is None:
            return ""
        try:
            return self.run(argv)
        except HostError:
            return ""


def this_host(environment: Mapping[str, str]) -> Host:
    from sealift.system.process import cpu_count, find_program, machine, run

    def ask(argv: Sequence[str]) -> str:
        done = run(argv, timeout=TIMEOUT)
        return (done.out + done.err).decode(errors="replace")

    number = str(os.getuid()) if hasattr(os, "getuid") else ""
    libc = ""
    if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}):
        libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ")
    return Host(
        environment=environment,
        machine=machine(),
        cpu_count=cpu_count(),
        libc=libc,
        run=ask,
        find=lambda name: find_program(name, path=environment.get("PATH")),
        users=(environment.get("USER") or environment.get("LOGNAME") or number, number),
    )


def measure(host: Host, *, today: str) -> Profile:
    """The profile of `host`; what cannot be seen is not in it."""
    return _profile(_seen(host), today)


def measure_gpus(host: Host, *, today: str) -> Profile:
    """Of that profile the processor and what it says of GPUs, for which no queue is asked."""
    return _profile(itertools.chain(_architecture(host), _gpu(host)), today)


def _profile(seen: Seen, today: str) -> Profile:
    facts: dict[str, Fact] = {}
    for key, value, how in seen:
        source = Source(key=how, kind="measured", date=today)
        facts[key] = Fact(key=key, value=value, file=NAME, sources=(source,), verified=today)
    return Profile(name=NAME, collected=today, facts=facts, files=())


Seen = Iterator[tuple[str, Value, str]]


def _seen(host: Host) -> Seen:
    yield "site.title", "this host", "asked for"
    yield "site.kind", "host", "asked for"
    yield "site.scheduler", "slurm" if host.find("srun") else "pbs" if host.find("qsub") else "none", "PATH"
    yield from _node(host)
    yield from _gpu(host)
    yield from _network(host)
    if host.libc:
        yield "libc.host", host.libc, "confstr"
    yield from _kernel(host)
    yield from _slurm(host)
    yield from _folders(host)
    yield from _engines(host)


def _architecture(host: Host) -> Seen:
    known = find_architecture(host.machine)
    yield "node.architecture", known.oci if known else host.machine, "uname -m"


def _node(host: Host) -> Seen:
    yield from _architecture(host)
    cpu = re.search(r"^model name\s*:\s*(.+)$", host.text("/proc/cpuinfo"), re.MULTILINE)
    if cpu:
        yield "node.cpu", cpu[1].strip(), "/proc/cpuinfo"
    yield "node.threads", float(host.cpu_count), "sched_getaffinity"
    memory = re.search(r"^MemTotal:\s*(\d+) kB", host.text("/proc/meminfo"), re.MULTILINE)
    if memory:
        yield "node.memory_gb", float(round(int(memory[1]) * 1024 / 1e9)), "/proc/meminfo"


def _gpu(host: Host) -> Seen:
    driver = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)", host.text("/proc/driver/nvidia/version"))
    if driver is None:
        yield from _amd(host)
        return
    yield "gpu.vendor", "nvidia", "/proc/driver/nvidia/version"
    yield "gpu.driver", driver[1], "/proc/driver/nvidia/version"
    cards = host.names("/proc/driver/nvidia/gpus")
    if cards:
        yield "gpu.count", float(len(cards)), "/proc/driver/nvidia/gpus"
    answer = host.ask("nvidia-smi", "--query-gpu=name,compute_cap,memory.total", "--format=csv,noheader,nounits")
    fields = [field.strip() for field in answer.partition("\n")[0].split(",")]
    if len(fields) == 3 and re.fullmatch(r"\d+\.\d+", fields[1]):
        yield "gpu.model", fields[0], "nvidia-smi"
        yield "gpu.capability", fields[1], "nvidia-smi"
        if fields[2].isdigit():
            yield "gpu.memory_gb", float(round(int(fields[2]) * 1024**2 / 1e9)), "nvidia-smi"
    cuda = re.search(r"CUDA (?:UMD )?Version: (\d+\.\d+)", host.ask("nvidia-smi"))
    if cuda:
        yield "gpu.cuda", cuda[1], "nvidia-smi"


def _amd(host: Host) -> Seen:
    """What the amdgpu driver shows; its newer versions show no version of their own, but always the topology."""
    nodes = "/sys/class/kfd/kfd/topology/nodes"
    targets = [
        int(found[1])
        for node in host.names(nodes)
        if (found := re.search(r"^gfx_target_version (\d+)$", host.text(f"{nodes}/{node}/properties"), re.MULTILINE))
    ]
    cards = [target for target in targets if target]  # processors are nodes, too, with a 0
    version = host.text("/sys/module/amdgpu/version").strip()
    if not (cards or version):
        yield "gpu.vendor", "none", "/proc/driver/nvidia, /sys/class/kfd"
        return
    yield "gpu.vendor", "amd", nodes if cards else "/sys/module/amdgpu"
    if version:
        yield "gpu.driver", version, "/sys/module/amdgpu/version"
    if cards:
        yield "gpu.count", float(len(cards)), nodes
        major, minor, step = cards[0] // 10000, cards[0] // 100 % 100, cards[0] % 100
        yield "gpu.capability", f"gfx{major}{minor:x}{step:x}", nodes
    rocm = re.match(r"\d+\.\d+\.\d+", host.text("/opt/rocm/.info/version"))
    if rocm:
        yield "gpu.rocm", rocm[0], "/opt/rocm/.info/version"


def _network(host: Host) -> Seen:
    cards = [name for name in host.names("/sys/class/net") if name.startswith(("hsn", "ib"))]
    if cards:
        yield "network.interfaces", ",".join(cards), "/sys/class/net"
    versions = [name for name in host.names("/opt/cray/libfabric") if re.fullmatch(r"[0-9.]+", name)]
    if versions:
        newest = max(versions, key=lambda name: [int(part) for part in name.split(".") if part])
        yield "network.libfabric", newest, "/opt/cray/libfabric"


def _kernel(host: Host) -> Seen:
    """May users make user namespaces? Three switches, of the kernel itself, of Debian's and of Ubuntu's."""
    release = host.text("/proc/sys/kernel/osrelease").strip()
    if release:
        yield "kernel.release", release, "/proc/sys/kernel/osrelease"
    limit = host.text("/proc/sys/user/max_user_namespaces").strip()
    if limit:
        forbidden = (
            limit == "0"
            or host.text("/proc/sys/kernel/unprivileged_userns_clone").strip() == "0"
            or host.text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").strip() == "1"
        )
        yield "kernel.user_namespaces", not forbidden, "/proc/sys/user, /proc/sys/kernel"
    lines = [line.strip().split(":") for line in host.text("/etc/subuid").splitlines()]
    mine = [int(line[2]) for line in lines if len(line) == 3 and line[0] in host.users and line[2].isdigit()]
    if mine:
        yield "kernel.subuids", float(sum(mine)), "/etc/subuid"


def _slurm(host: Host) -> Seen:
    listing = host.ask("srun", "--mpi=list")
    types = tuple(word for word in re.findall(r"^\s*(\w+)\s*$", listing, re.MULTILINE) if word)
    if types:
        yield "slurm.mpi_types", types, "srun --mpi=list"
    default = re.search(r"^MpiDefault\s*=\s*(\S+)", host.ask("scontrol", "show", "config"), re.MULTILINE)
    if default:
        yield "slurm.mpi_default", default[1], "scontrol show config"


def _folders(host: Host) -> Seen:
    seen: set[str] = set()
    for name, variable, purpose in FOLDERS:
        path = host.environment.get(variable, "")
        if os.path.isabs(path) and path not in seen:
            seen.add(path)
            yield f"filesystems.{name}.purpose", purpose, f"${variable}"
            yield f"filesystems.{name}.variable", variable, f"${variable}"
            yield f"filesystems.{name}.path", path, f"${variable}"


def _engines(host: Host) -> Seen:
    found = [name for name in ENGINES if host.find(name)]
    yield "engines.order", (*found, "embedded"), "PATH"
    for name in found:
        yield f"engines.{name}.command", str(host.find(name)), "PATH"
        version = re.search(r"\d+\.\d+(?:\.\d+)?", host.ask(name, "--version"))
        if version:
            yield f"engines.{name}.version", version[0], f"{name} --version"

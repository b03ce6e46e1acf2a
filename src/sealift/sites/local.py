"""The site `local`: what can be measured on this host, now, without a GPU's help where there is none."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sealift.core.architecture import find_architecture
from sealift.errors import HostError
from sealift.sites.profile import Fact, Profile, Source, Value

NAME = "local"
ENGINES = ("apptainer", "singularity", "podman-hpc", "shifter", "podman", "docker", "ch-run", "enroot")
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
    )


def measure(host: Host, *, today: str) -> Profile:
    """The profile of `host`; what cannot be seen is not in it."""
    facts: dict[str, Fact] = {}
    for key, value, how in _seen(host):
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
    if host.libc:
        yield "libc.host", host.libc, "confstr"
    yield from _slurm(host)
    yield from _folders(host)
    yield from _engines(host)


def _node(host: Host) -> Seen:
    known = find_architecture(host.machine)
    yield "node.architecture", known.oci if known else host.machine, "uname -m"
    cpu = re.search(r"^model name\s*:\s*(.+)$", host.text("/proc/cpuinfo"), re.MULTILINE)
    if cpu:
        yield "node.cpu", cpu[1].strip(), "/proc/cpuinfo"
    yield "node.threads", float(host.cpu_count), "sched_getaffinity"
    memory = re.search(r"^MemTotal:\s*(\d+) kB", host.text("/proc/meminfo"), re.MULTILINE)
    if memory:
        yield "node.memory_gb", float(round(int(memory[1]) * 1024 / 1e9)), "/proc/meminfo"


def _gpu(host: Host) -> Seen:
    driver = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)", host.text("/proc/driver/nvidia/version"))
    amd = host.text("/sys/module/amdgpu/version").strip()
    if driver is None:
        yield "gpu.vendor", "amd" if amd else "none", "/sys/module" if amd else "/proc/driver/nvidia, /sys/module"
        if amd:
            yield "gpu.driver", amd, "/sys/module/amdgpu/version"
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


def _slurm(host: Host) -> Seen:
    listing = host.ask("srun", "--mpi=list")
    types = tuple(word for word in re.findall(r"^\s*(\w+)\s*$", listing, re.MULTILINE) if word)
    if types:
        yield "slurm.mpi_types", types, "srun --mpi=list"
    default = re.search(r"^MpiDefault\s*=\s*(\S+)", host.ask("scontrol", "show", "config"), re.MULTILINE)
    if default:
        yield "slurm.mpi_default", default[1], "scontrol show config"


def _folders(host: Host) -> Seen:
    for name, variable, purpose in (("scratch", "SCRATCH", "scratch"), ("home", "HOME", "home")):
        path = host.environment.get(variable, "")
        if path:
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

"""From what a person orders to what Slurm is asked for: the site's rules fill in what was left open.

Whatever cannot come true is refused here, with the reason, before a job waits in a queue for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sealift.errors import UsageError
from sealift.jobs.job import KINDS, Kind, Orders
from sealift.sites.profile import Profile

AHEAD = "USR1@120"
"""The signal of `--requeue` where none was named."""
_TIME = re.compile(r"\d+|\d+:\d+|\d+:\d\d:\d\d|\d+-\d+(:\d+){0,2}")
_ARRAY = re.compile(r"\d+(-\d+(:\d+)?)?(,\d+(-\d+(:\d+)?)?)*(%\d+)?")
_SIGNAL = re.compile(r"(?:SIG)?([A-Z][A-Z0-9+]*)@(\d+)")
_SIGNALS = ("USR1", "USR2", "TERM", "INT", "HUP", "CONT", "ALRM", "URG", "WINCH")
_GPU_KINDS = ("gpu-mpi", "pytorch", "pytorch-tasks", "jax")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person ordered; None where it was left to the site's rules."""

    kind: str = "single"
    nodes: int = 1
    tasks_per_node: int | None = None
    gpus_per_node: int | None = None
    cpus_per_task: int | None = None
    name: str = ""
    time: str = ""
    account: str = ""
    qos: str = ""
    partition: str = ""
    constraint: str = ""
    array: str = ""
    output: str = ""
    signal: str = ""
    requeue: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`workers` are torchrun's processes of a node; `warnings` what the person should hear."""

    kind: Kind
    orders: Orders
    workers: int
    warnings: tuple[str, ...]


def settle(wish: Wish, site: Profile) -> Settled:
    """Fill in what was left open; UsageError for what cannot come true."""
    _check_site(site)
    kind = _kind(wish.kind)
    for name, value in (
        ("nodes", wish.nodes),
        ("tasks-per-node", wish.tasks_per_node),
        ("cpus-per-task", wish.cpus_per_task),
    ):
        if value is not None and value < 1:
            raise UsageError(f"`--{name} {value}` is less than one")
    gpus = _gpus(wish, kind, site)
    tasks = wish.tasks_per_node or _tasks(kind, gpus, site)
    workers = 0
    if kind == "pytorch":
        # torchrun is one task a node; what was asked for are its workers.
        workers, tasks = wish.tasks_per_node or gpus or 1, 1
    signal = _signal(wish)
    orders = Orders(
        nodes=wish.nodes,
        tasks_per_node=tasks,
        gpus_per_node=gpus,
        cpus_per_task=wish.cpus_per_task or _cpus(tasks, gpus, site),
        name=wish.name,
        time=_checked(wish.time, _TIME, "time", "minutes, H:MM:SS or D-HH:MM:SS: --time 1:30:00"),
        account=wish.account,
        qos=wish.qos or site.text("slurm.qos_job"),
        partition=wish.partition or site.text("slurm.partition"),
        constraint=wish.constraint or site.text("slurm.constraint"),
        array=_checked(wish.array, _ARRAY, "array", "numbers and ranges: --array 0-9%4"),
        output=wish.output or ("%x-%A_%a.out" if wish.array else "%x-%j.out"),
        signal=signal,
        requeue=wish.requeue,
    )
    _check_lines(orders)
    return Settled(kind=kind, orders=orders, workers=workers, warnings=tuple(_warnings(orders, site)))


def _check_site(site: Profile) -> None:
    scheduler = site.text("site.scheduler", "none")
    if scheduler == "slurm":
        return
    title = site.text("site.title", site.name)
    if scheduler == "pbs":
        raise UsageError(
            f"{title} has PBS, and Sealift writes no PBS scripts yet",
            hints=(f"see how the engine is called there: sealift exec --print --site {site.name} …",),
        )
    raise UsageError(f"{title} has no Slurm", hints=("name a site that has: sealift sites", "any other: --site slurm"))


def _kind(name: str) -> Kind:
    found = next((kind for kind in KINDS if kind == name), None)
    if found is None:
        raise UsageError(f"`--kind {name}` is not known", hints=(f"one of {', '.join(KINDS)}",))
    return found


def _gpus(wish: Wish, kind: Kind, site: Profile) -> int:
    vendor, there = site.text("gpu.vendor"), int(site.number("gpu.count"))
    title = site.text("site.title", site.name)
    asked = wish.gpus_per_node
    if asked is not None and asked < 0:
        raise UsageError(f"`--gpus-per-node {asked}` is less than none")
    if vendor == "none":
        if asked or kind == "gpu-mpi":
            raise UsageError(f"{title} has no GPUs", hints=("see the sites: sealift sites",))
        return 0
    if asked is not None:
        if there and asked > there:
            raise UsageError(f"a node of {title} has {there} GPUs, not {asked}", hints=(f"--gpus-per-node {there}",))
        if asked == 0 and kind == "gpu-mpi":
            raise UsageError("`--kind gpu-mpi` needs GPUs", hints=("--kind mpi",))
        return asked
    if not there and kind in _GPU_KINDS and (kind == "gpu-mpi" or wish.tasks_per_node is None):
        raise UsageError(
            f"how many GPUs a node of {title} has is not known",
            hints=("--gpus-per-node 4", "without GPUs: --gpus-per-node 0"),
        )
    return there


def _tasks(kind: Kind, gpus: int, site: Profile) -> int:
    if kind == "single":
        return 1
    if gpus:
        return gpus
    if kind != "mpi":
        return 1
    cores = int(site.number("node.usable_cores") or site.number("node.cores"))
    if not cores:
        raise UsageError(
            f"how many cores a node of {site.text('site.title', site.name)} has is not known",
            hints=("--tasks-per-node 64",),
        )
    return cores


def _cpus(tasks: int, gpus: int, site: Profile) -> int:
    """Processors as Slurm counts them there; 0 leaves it to Slurm where nobody knows."""
    of_gpu = int(site.number("slurm.cpus_per_gpu"))
    if gpus and of_gpu:
        return max(1, of_gpu * gpus // tasks)
    threads, cores = int(site.number("node.threads")), int(site.number("node.cores"))
    usable = int(site.number("node.usable_cores"))
    if usable or not threads or not cores:
        return max(1, (usable or cores) // tasks) if usable or cores else 0
    # Whole cores: with all of a core's threads.
    return max(1, cores // tasks) * (threads // cores)


def _signal(wish: Wish) -> str:
    text = wish.signal or (AHEAD if wish.requeue else "")
    if not text:
        return ""
    found = _SIGNAL.fullmatch(text.removeprefix("B:"))
    if found is None or found[1] not in _SIGNALS:
        raise UsageError(
            f"`--signal {text}` is not NAME@SECONDS", hints=("--signal USR1@120", f"names: {', '.join(_SIGNALS)}")
        )
    return f"{found[1]}@{found[2]}"


def _checked(text: str, pattern: re.Pattern[str], option: str, hint: str) -> str:
    if text and not pattern.fullmatch(text):
        raise UsageError(f"`--{option} {text}` is not what Slurm takes", hints=(hint,))
    return text


def _check_lines(orders: Orders) -> None:
    """What goes into the header must stay on its line, and in its quotes."""
    for name in ("name", "account", "qos", "partition", "constraint", "output"):
        text = getattr(orders, name)
        if re.search(r'["\n\r\\]', text):
            raise UsageError(f"`--{name} {text!r}` has characters that have no place in a job's header")


def _warnings(orders: Orders, site: Profile) -> list[str]:
    found = []
    rule = site.text("slurm.account")
    if orders.account and orders.gpus_per_node and "_g" in rule and not orders.account.endswith("_g"):
        found.append(f"account `{orders.account}`: {rule}; Slurm decides, and nothing was changed")
    if orders.qos and site.texts("slurm.qos") and orders.qos not in site.texts("slurm.qos"):
        found.append(f"the QOS `{orders.qos}` is none of those known: {', '.join(site.texts('slurm.qos'))}")
    return found

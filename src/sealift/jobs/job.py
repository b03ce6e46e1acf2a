"""A job: what Slurm is asked for, which image, and how its ranks are started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from sealift.core.launch import LaunchPlan
from sealift.core.mpi import Probe, Wireup
from sealift.sites.profile import Profile

Kind = Literal["single", "mpi", "gpu-mpi", "pytorch", "pytorch-tasks", "jax"]
"""How ranks find each other: not at all; by MPI; by MPI with buffers on GPUs; by torchrun, one a node; by PyTorch's
variables, one task a GPU; by JAX's coordinator.
"""

KINDS: tuple[Kind, ...] = get_args(Kind)
Engine = Literal["apptainer", "singularity", "embedded", "podman-hpc", "shifter"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
FILE_ENGINES = ("apptainer", "singularity", "embedded")
"""Engines that run a SIF or squashfs; the others run what is in a registry."""

Stage = Literal["shared", "node"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What Slurm is asked for, in its own words; empty texts and zeros leave it to Slurm.

    `signal` is NAME@SECONDS ahead of the time limit. `requeue` puts the job into the queue again when that signal came
    and the program ended with another code than 0.
    """

    nodes: int
    tasks_per_node: int
    gpus_per_node: int = 0
    cpus_per_task: int = 0
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
class JobImage:
    """The image as it was when the script was made: a job that finds another one stops.

    `reference` is a file's absolute path, a registry's HOST/NAME[:TAG], or a name in podman-hpc's own store. `digest`
    is the file's, the manifest's, or the identifier there.
    `offset` is where a file's root file system begins. `prepared` says that Apptainer's scripts are in it.
    """

    form: Literal["file", "registry", "store"]
    reference: str
    digest: str = ""
    size: int = 0
    offset: int = 0
    prepared: bool = True
    library_path: str = ""
    """What the image itself puts into LD_LIBRARY_PATH, as far as that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`workers` are the processes of a node that torchrun starts. `wireup` is what is done about MPI, `probe` a program
    that tells whether the ranks found each other. `notes` are what people should know of this way of starting.
    """

    plan: LaunchPlan
    kind: Kind
    engine: Engine
    site: Profile
    orders: Orders
    image: JobImage
    stage: Stage = "shared"
    workers: int = 0
    wireup: Wireup = field(default_factory=Wireup)
    probe: Probe | None = None
    why_alone: str = ""
    """What it means when the probe's ranks are two worlds of one rank."""
    variables: tuple[str, ...] = ()
    """Variables that name the site's file systems, and are set there."""
    folders: Mapping[str, bool] = field(default_factory=dict)
    """Which sources of binds are folders, as far as that is known."""
    notes: tuple[str, ...] = ()

    @property
    def tasks(self) -> int:
        return self.orders.nodes * self.orders.tasks_per_node

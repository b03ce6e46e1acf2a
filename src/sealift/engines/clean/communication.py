"""What the ranks of a job talk by, and which flags and variables a site's recipe has for it."""

from __future__ import annotations

from typing import Literal

from sealift.sites.profile import Profile

Communication = Literal["none", "mpi", "gpu-mpi", "nccl", "openmpi"]
"""The host's MPI, the same with buffers on GPUs, NCCL, or the image's own Open MPI."""


def site_flags(site: Profile, engine: str, communication: Communication, *, gpu: bool) -> tuple[str, ...]:
    """The flags of `engine` on `site`, in the profile's words."""
    flags = list(site.texts(f"engines.{engine}.gpu_flags")) if gpu else []
    if communication != "none":
        flags += site.texts(f"engines.{engine}.{communication.replace('-', '_')}_flags")
    return tuple(dict.fromkeys(flags))


def recipe(site: Profile, communication: Communication) -> dict[str, str]:
    """The variables that the site's recipe for this way of talking sets."""
    groups = {"mpi": ("mpi.env",), "gpu-mpi": ("mpi.env", "mpi.gpu_env"), "nccl": ("nccl.env",)}
    return {name: fact.shown for group in groups.get(communication, ()) for name, fact in site.below(group).items()}

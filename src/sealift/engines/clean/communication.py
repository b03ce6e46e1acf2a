"""Which flags and variables a site's recipe has for what the ranks of a job talk by."""

from __future__ import annotations

from sealift.core.launch import Communication
from sealift.sites.profile import Profile


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

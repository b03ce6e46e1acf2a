"""Jobs for tests: the site's rules as they are, images that nobody made."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from sealift.core.launch import Bind, Communication, LaunchPlan
from sealift.core.mpi import Probe, Wireup
from sealift.jobs.job import FILE_ENGINES, Engine, Job, JobImage
from sealift.jobs.settle import Wish, settle
from sealift.sites.catalogue import load_catalogue
from sealift.sites.profile import Profile

DIGEST = "sha256:" + "0123456789abcdef" * 4
FILE = JobImage(form="file", reference="/scratch/images/app.sif", digest=DIGEST, size=3_346_432, offset=36864)
LARGE_FILE = JobImage(form="file", reference="/scratch/images/big.sif", digest=DIGEST, size=8_200_000_000, offset=36864)
REGISTRY = JobImage(form="registry", reference="registry.nersc.gov/m1234/app:1.2", digest=DIGEST, prepared=False)


@functools.cache
def site(name: str) -> Profile:
    return load_catalogue({}).find(name)


def job(
    name: str,
    engine: Engine,
    *command: str,
    image: JobImage | None = None,
    talk: Communication = "none",
    binds: tuple[Bind, ...] = (),
    env: Mapping[str, str] | None = None,
    wireup: Wireup | None = None,
    stage: Any = "shared",
    probe: Probe | None = None,
    why_alone: str = "",
    **wishes: Any,
) -> Job:
    """The job that `sealift job` would make of these orders."""
    profile = site(name)
    settled = settle(Wish(**{"name": "app", **wishes}), profile)
    known = profile.text("site.kind") == "cluster"
    gpus = bool(settled.orders.gpus_per_node)
    return Job(
        plan=LaunchPlan(
            image="app.sif",
            action="exec" if command else "run",
            command=command,
            binds=binds,
            env=env or {},
            nv=gpus and profile.text("gpu.vendor", "nvidia") == "nvidia",
            rocm=gpus and profile.text("gpu.vendor") == "amd",
            communication=talk,
        ),
        kind=settled.kind,
        engine=engine,
        site=profile,
        orders=settled.orders,
        image=image or (FILE if engine in FILE_ENGINES else REGISTRY),
        stage=stage,
        workers=settled.workers,
        wireup=wireup or Wireup(communication=talk),
        probe=probe,
        why_alone=why_alone,
        variables=profile.folder_variables() if known else (),
    )

"""`check` of real images: Debian's own tree from a registry, and Debian's MPICH and Open MPI."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.flows.check import CheckRequest, check
from sealift.preflight.checks import Verdict
from tests.ground import services

pytestmark = pytest.mark.slow


def judged(image: str, folder: Path, site: str, *, engine: str = "", insecure: bool = False) -> Verdict:
    environment = {"PATH": os.environ["PATH"], "SEALIFT_CACHEDIR": str(folder / "cache"), "HOME": str(folder)}
    return check(CheckRequest(image=image, environment=environment, site=site, engine=engine, insecure=insecure))


def said(verdict: Verdict) -> list[tuple[str, str, str]]:
    return [(each.id, each.severity, each.what) for each in verdict.findings]


@pytest.mark.needs("registry", "skopeo", "mmdebstrap", "mirror")
def test_a_registry_s_image_is_pulled_there_by_the_site_s_engine(
    debian_oci: Path, registry: services.Registry, tmp_path: Path
) -> None:
    """Nothing is wrong with Debian's own files, on any of these sites."""
    registry.push(debian_oci, "latest", "group/app:1.0")
    name = f"{registry.host}/group/app:1.0"
    for site, engine, before in (
        ("perlmutter", "podman-hpc", f"podman-hpc pull {name}"),
        ("perlmutter", "shifter", f"shifterimg pull docker:{name}"),
        ("frontier", "apptainer", ""),
        ("lumi", "singularity", ""),
    ):
        found = judged(f"docker://{name}", tmp_path, site, engine=engine, insecure=True)
        assert said(found) == []
        assert found.before == ((before,) if before else ())
        there = f"docker://{name} runs on {found.site} with {engine}"
        assert found.sentence == (f"{there}, after: {before}" if before else there)


OTHER_NAME = (
    "the image's MPI is called `libmpich.so.12`, as Debian and Ubuntu have it, and Cray MPICH of ALCF Polaris "
    "answers to `libmpi.so.12`"
)
OTHER_FAMILY = (
    "the image has Open MPI 4.1.4 (`libmpi.so.40`), and Cray MPICH of OLCF Frontier takes the place of MPICH and "
    "its kin only"
)
NO_USER_SITE = "packages in ~/.local come before the image's own: apptainer shows $HOME inside"


@pytest.mark.needs("root", "mmdebstrap", "mirror", "bookworm-amd64")
@pytest.mark.parametrize(
    ("fixture", "site", "engine", "mpi", "how"),
    [
        ("mpich_image", "polaris", "apptainer", OTHER_NAME, ()),
        ("mpich_image", "slurm", "apptainer", "", ("MPI: srun --mpi=pmi2",)),
        ("openmpi_image", "frontier", "apptainer", OTHER_FAMILY, ()),
        ("openmpi_image", "slurm", "apptainer", "", ("MPI: srun --mpi=pmix",)),
    ],
)
def test_debian_s_mpi(
    fixture: str,
    site: str,
    engine: str,
    mpi: str,
    how: tuple[str, ...],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    found = judged(str(request.getfixturevalue(fixture)), tmp_path, site, engine=engine)
    expected = [("mpi.fit", "error", mpi)] if mpi else []
    assert said(found) == [*expected, ("python.user-site", "warning", NO_USER_SITE)]
    assert found.runs is not bool(mpi)
    assert tuple(line for line in found.how if line.startswith("MPI")) == how

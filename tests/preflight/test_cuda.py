"""Which driver runs which CUDA, beside NVIDIA's tables and what they mean."""

from __future__ import annotations

import pytest

from sealift.core.finding import Finding
from sealift.core.mpi import version_numbers
from sealift.elf.gpucode import GpuCode
from sealift.preflight import cuda
from sealift.preflight.host import driver_findings


@pytest.mark.parametrize(
    ("version", "driver", "known", "expected"),
    [
        ("12.6", "580.105.08", "", "full"),
        ("13.0", "580.105.08", "", "full"),
        ("13.0", "580.65.06", "", "full"),
        ("13.1", "580.105.08", "", "minor"),
        ("13.2", "580.105.08", "13.0", "minor"),
        ("13.2", "595.71.05", "", "full"),
        ("13.2", "590", "", "minor"),
        ("13.1", "590", "", "full"),  # a branch is as good as its newest release
        ("13.2", "580.105.08", "13.2", "full"),  # the site says so
        ("13.0", "570.124.06", "12.8", "no"),
        ("12.9", "570.124.06", "", "minor"),
        ("12.7", "570.124.06", "", "full"),  # not in the table, and older than one that runs in full
        ("12.6", "525.60.13", "", "minor"),
        ("12.6", "515.65.01", "", "no"),
        ("11.8", "450.80.02", "", "minor"),
        ("11.8", "450.51.06", "", "no"),
        ("12", "525.60.13", "", "full"),
        ("13", "570.124.06", "", "no"),
        ("14.0", "999", "", None),
        ("", "580.105.08", "", None),
    ],
)
def test_a_toolkit_on_a_driver(version: str, driver: str, known: str, expected: str | None) -> None:
    assert cuda.runs(version, driver, known) == expected


@pytest.mark.parametrize(
    ("code", "ptx", "capability", "expected"),
    [
        (("sm_80",), (), "8.0", "code"),
        (("sm_80",), (), "8.6", "code"),
        (("sm_86",), (), "8.0", "no"),
        (("sm_80",), (), "9.0", "no"),
        (("sm_80",), ("compute_80",), "9.0", "ptx"),
        (("sm_120",), ("compute_120",), "9.0", "no"),
        (("sm_100",), (), "10.3", "code"),
        ((), (), "8.0", "no"),
    ],
)
def test_code_for_a_gpu(code: tuple[str, ...], ptx: tuple[str, ...], capability: str, expected: str) -> None:
    assert cuda.covers(GpuCode(code=code, ptx=ptx), capability) == expected


@pytest.mark.parametrize(
    ("requirement", "driver", "known", "expected"),
    [
        ("cuda>=12.6", "580.105.08", "", True),
        ("cuda>=13.2", "580.105.08", "", False),
        ("cuda>=13.2", "580.105.08", "13.2", True),
        ("cuda>=13.2 brand=tesla,driver>=580,driver<581", "580.105.08", "", True),
        ("cuda>=13.2 brand=tesla,driver>=535,driver<536", "580.105.08", "", False),
        ("cuda>=13.2 brand=quadro,driver>=580,driver<581", "580.105.08", "", False),
        ("cuda>=13.1", "590", "", True),
        ("driver!=580", "590", "", True),
        ("arch>=8.0", "590", "", True),
    ],
)
def test_what_an_image_requires(requirement: str, driver: str, known: str, expected: bool) -> None:
    assert cuda.meets(requirement, driver, known) is expected


def test_the_tables_name_their_sources_and_grow() -> None:
    tables = cuda.tables()
    rows = [*tables["drivers"].values(), *tables["majors"].values(), *tables["torch_default"].values()]
    rows += [row for group in ("torch", "jax") for row in tables[group].values() if "source" in row]
    rows += [row for architecture in tables["torch"].values() for row in architecture.values()]
    named = {key for row in rows for key in row["source"]}
    named_by_compatibility = {"G4"}
    assert named <= set(tables["sources"])
    assert set(tables["sources"]) - named == named_by_compatibility
    drivers = [row["driver"] for row in tables["drivers"].values()]
    assert drivers == sorted(drivers, key=version_numbers)
    assert cuda.newest_full("580.105.08") == "13.0"
    assert cuda.newest_full("400") == ""
    assert cuda.newest_full("") == ""


def test_what_doctor_says_of_a_driver() -> None:
    assert driver_findings("570.124.06") == (
        Finding(
            id="gpu.nvidia.cuda",
            severity="ok",
            what="images with CUDA up to 12.8 run in full here, later ones of CUDA 12 with limits",
            evidence="driver 570.124.06; later ones: no PTX that is compiled while a program runs",
        ),
    )
    assert driver_findings("") == ()

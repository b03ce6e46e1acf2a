"""What this host's GPU driver runs, for `sealift doctor`: the same tables by which images are judged."""

from __future__ import annotations

from sealift.core.finding import Finding
from sealift.preflight import cuda


def driver_findings(driver: str) -> tuple[Finding, ...]:
    """Which images NVIDIA's driver of this version runs; nothing for one that is older than all that is known."""
    newest = cuda.newest_full(driver)
    if not newest:
        return ()
    major = newest.partition(".")[0]
    return (
        Finding(
            id="gpu.nvidia.cuda",
            severity="ok",
            what=f"images with CUDA up to {newest} run in full here, later ones of CUDA {major} with limits",
            evidence=f"driver {driver}; later ones: no PTX that is compiled while a program runs",
        ),
    )

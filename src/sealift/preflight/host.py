"""What this host's GPUs and their driver run, for `sealift doctor`: the same tables by which images are judged."""

from __future__ import annotations

from sealift.core.finding import Finding
from sealift.core.mpi import version_numbers
from sealift.preflight import cuda
from sealift.sites.profile import Profile


def card_findings(host: Profile) -> tuple[Finding, ...]:
    """Which code the GPUs of this host run, by a profile of it; nothing where it has none, or they cannot be seen."""
    vendor, target = host.text("gpu.vendor"), host.text("gpu.capability")
    if vendor not in ("nvidia", "amd") or not target:
        return ()
    cards = f"{host.number('gpu.count') or 1:g} x {host.text('gpu.model') or target}"
    if vendor == "amd":
        rocm = host.text("gpu.rocm")
        return (
            Finding(
                id="gpu.amd.code",
                severity="ok",
                what=f"{cards}: what has code for {target} runs here",
                evidence=f"ROCm {rocm} of the host" if rocm else "",
            ),
        )
    driver = host.text("gpu.driver")
    fitting = cuda.wheels_for(target, host.text("node.architecture"))
    wheels = sorted((each for each in fitting if cuda.runs(each, driver) != "no"), key=version_numbers)
    first = cuda.first_for(target)
    return (
        Finding(
            id="gpu.nvidia.code",
            severity="ok",
            what=f"{cards}: what has machine code for {target}, or PTX for at most {target}, runs here",
            evidence="; ".join(
                text
                for text in (
                    f"CUDA {first} is the first with code for it" if first else "",
                    f"PyTorch's wheels for CUDA {', '.join(wheels)} have it" if wheels else "",
                )
                if text
            ),
        ),
    )


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

"""Which engines this host has to run images with, and which GPUs they can show, as findings of `sealift doctor`."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sealift.core.finding import Finding
from sealift.engines.choose import choose
from sealift.engines.driver import CACHE, Driver, Kind, find_driver
from sealift.errors import SealiftError

_CALLED: Mapping[Kind, tuple[str, str]] = {"nvidia": ("NVIDIA", "--nv"), "amd": ("AMD", "--rocm")}
_UVM = "/dev/nvidia-uvm"
_SEEN = ("/dev/nvidia", "/dev/kfd")
"""Devices that no other driver has."""


def engine_findings(environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """What `--engine auto` takes and why, and what `--nv` and `--rocm` would bind."""
    return (_engine(environment), *gpu_findings(environment))


def _engine(environment: Mapping[str, str]) -> Finding:
    try:
        choice = choose("auto", env=environment)
    except SealiftError as error:
        return Finding(
            id="engine.none",
            severity="error",
            what="there is no engine to run images with",
            evidence=error.message,
            remedy="\n".join(error.hints),
        )
    return Finding(id="engine.auto", severity="ok", what=f"images run on: {choice.engine}", evidence=choice.why)


def gpu_findings(environment: Mapping[str, str], *, root: str = "") -> tuple[Finding, ...]:
    """The GPU drivers of the host below `root`: version, devices, and all that would be bound."""
    kinds: tuple[Kind, ...] = ("nvidia", "amd")
    found: list[Finding] = []
    for kind in kinds:
        driver = find_driver(
            kind,
            path=environment.get("PATH", ""),
            machine=os.uname().machine,
            library_path=environment.get("LD_LIBRARY_PATH", ""),
            root=root,
        )
        if driver.version or driver.unlisted or driver.own or any(each.startswith(_SEEN) for each in driver.devices):
            found += _driver(driver)
    if found:
        return tuple(found)
    return (
        Finding(id="gpu.none", severity="note", what="this host has no GPU driver: `--nv` and `--rocm` show nothing"),
    )


def _driver(driver: Driver) -> list[Finding]:
    name, flag = _CALLED[driver.kind]
    loaded = bool(driver.version or driver.devices)
    findings = [
        Finding(
            id=f"gpu.{driver.kind}.driver",
            severity="ok" if loaded else "warning",
            what=f"the driver for {name} GPUs is {driver.version or 'of a version that it does not tell'}"
            if loaded
            else f"the driver for {name} GPUs is installed, but not loaded",
            evidence=f"devices: {', '.join(driver.devices) or 'none'}",
        )
    ]
    if driver.kind == "nvidia" and driver.devices and _UVM not in driver.devices:
        findings.append(
            Finding(
                id="gpu.nvidia.uvm",
                severity="warning",
                what=f"{_UVM} is not there, and CUDA fails without it",
                remedy="as an administrator: nvidia-modprobe -u -c 0",
            )
        )
    libraries = Finding(
        id=f"gpu.{driver.kind}.bound",
        severity="ok",
        what=f"`{flag}` binds {len(driver.libraries)} libraries of the host, and what goes with them",
        evidence=", ".join((*sorted(driver.libraries), *driver.programs, *driver.files)),
    )
    if not driver.libraries:
        remedy = f"bind them yourself: -B {driver.unlisted}:/.singularity.d/libs" if driver.unlisted else ""
        libraries = Finding(
            id=f"gpu.{driver.kind}.bound",
            severity="warning",
            what=f"`{flag}` binds no libraries of the driver, for {CACHE} names none",
            evidence=f"some lie in {driver.unlisted}" if driver.unlisted else "",
            remedy=remedy or "as an administrator, once they are installed: ldconfig",
        )
    return [*findings, libraries]

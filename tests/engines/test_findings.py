"""What `doctor` says of GPUs, on hosts that are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.core.finding import Finding
from sealift.engines.findings import gpu_findings
from tests.ground.driver import FOLDER, VERSION, make_driver

DEVICES = "/dev/nvidia-uvm, /dev/nvidia0, /dev/nvidia1, /dev/nvidiactl"
LIBRARIES = (
    "libGLX_installertest.so.0, libGLX_nvidia.so.0, libOpenCL.so.1, libcuda.so.1, libnvidia-ml.so.1, "
    "libnvidia-new.so.3, libnvidia-ptxjitcompiler.so.1"
)


def test_a_host_without_gpus(tmp_path: Path) -> None:
    (tmp_path / "dev/dri").mkdir(parents=True)
    assert gpu_findings({"PATH": "/nowhere"}, root=str(tmp_path)) == (
        Finding(id="gpu.none", severity="note", what="this host has no GPU driver: `--nv` and `--rocm` show nothing"),
    )


@pytest.mark.slow
@pytest.mark.needs("ldconfig", "binutils")
def test_a_host_with_a_driver(tmp_path: Path) -> None:
    root = make_driver(tmp_path)
    driver = Finding(
        id="gpu.nvidia.driver",
        severity="ok",
        what=f"the driver for NVIDIA GPUs is {VERSION}",
        evidence=f"devices: {DEVICES}",
    )
    bound = Finding(
        id="gpu.nvidia.bound",
        severity="ok",
        what="`--nv` binds 7 libraries of the host, and what goes with them",
        evidence=f"{LIBRARIES}, nvidia-smi",
    )
    assert gpu_findings({"PATH": f"{root}/bin"}, root=str(root)) == (driver, bound)
    (root / "dev/nvidia-uvm").unlink()
    (root / "etc/ld.so.cache").unlink()
    found = gpu_findings({"PATH": f"{root}/bin", "LD_LIBRARY_PATH": f"/{FOLDER}"}, root=str(root))
    assert found == (
        Finding(
            id="gpu.nvidia.driver",
            severity="ok",
            what=f"the driver for NVIDIA GPUs is {VERSION}",
            evidence="devices: /dev/nvidia0, /dev/nvidia1, /dev/nvidiactl",
        ),
        Finding(
            id="gpu.nvidia.uvm",
            severity="warning",
            what="/dev/nvidia-uvm is not there, and CUDA fails without it",
            remedy="as an administrator: nvidia-modprobe -u -c 0",
        ),
        Finding(
            id="gpu.nvidia.bound",
            severity="warning",
            what="`--nv` binds no libraries of the driver, for /etc/ld.so.cache names none",
            evidence=f"some lie in /{FOLDER}",
            remedy=f"bind them yourself: -B /{FOLDER}:/.singularity.d/libs",
        ),
    )


def test_an_amd_gpu(tmp_path: Path) -> None:
    (tmp_path / "dev/dri").mkdir(parents=True)
    (tmp_path / "dev/kfd").touch()
    (tmp_path / "sys/module/amdgpu").mkdir(parents=True)
    (tmp_path / "sys/module/amdgpu/version").write_text("6.3.4\n")
    first, *_ = gpu_findings({"PATH": "/nowhere"}, root=str(tmp_path))
    assert first == Finding(
        id="gpu.amd.driver",
        severity="ok",
        what="the driver for AMD GPUs is 6.3.4",
        evidence="devices: /dev/dri, /dev/kfd",
    )

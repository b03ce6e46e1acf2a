"""What is said of the templates for Perlmutter: of made-up images with their environment and what they install."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sealift.core.finding import Finding
from sealift.flows.check import CheckRequest, check
from tests.docs.blocks import ROOT
from tests.evidence.conftest import Content
from tests.preflight import images

SITE = "opt/env/lib/python3.12/site-packages"


def text(name: str, section: str) -> str:
    whole = (ROOT / "templates" / f"{name}.def").read_text("utf-8")
    (found,) = re.findall(rf"^%{section}\n(.*?)^%", whole, re.MULTILINE | re.DOTALL)
    return str(found)


def made(name: str, wheels: dict[str, str], *, cuda: str = "") -> dict[str, Content | images.File]:
    """The smallest image that has the template's environment and these packages in its virtual environment."""
    found: dict[str, Content | images.File] = {
        **images.base(),
        "opt/env/bin/python3": images.elf("python3"),
        "opt/env/pyvenv.cfg": b"home = /usr/bin\n",
        ".singularity.d/env/90-environment.sh": text(name, "environment").encode(),
    }
    for wheel, version in wheels.items():
        found |= {path.replace(images.SITE, SITE): content for path, content in images.wheel(wheel, version).items()}
    if cuda:
        said = images.torch(wheels["torch"], cuda)[f"{images.SITE}/torch/version.py"]
        found[f"{SITE}/torch/version.py"] = said
    return found


ARGUMENTS = dict(re.findall(r"^\s*(\w+)=(\S+)$", text("cuda-pytorch", "arguments"), re.MULTILINE))
TORCH_12 = {"torch": f"{ARGUMENTS['torch']}+cu126", "nvidia-cuda-runtime-cu12": "12.6.77", "nvidia-nccl-cu12": "2.27.5"}
TORCH_13 = {"torch": f"{ARGUMENTS['torch']}+cu130", "nvidia-cuda-runtime": "13.0.96", "nvidia-nccl-cu13": "2.27.7"}
JAX_12 = {"jax": "0.10.2", "jax-cuda12-plugin": "0.10.2", "nvidia-cuda-runtime-cu12": "12.9.79"}
JAX_13 = {"jax": "0.10.2", "jax-cuda13-plugin": "0.10.2", "nvidia-cuda-runtime": "13.5.37"}
MPICH = {
    "opt/env/lib/libmpi.so.12": images.elf(
        "libmpi.so.12", symbols=(("MPII_Version_string", "3.4.3"), ("MPII_Version_device", "ch3:nemesis"))
    )
}
JAX_CODE = {f"{SITE}/jax_plugins/xla_cuda13/xla_cuda_plugin.so": images.gpu_library((75, 80, 90, 100, 120), (120,))}
PTX = "PTX that is compiled while a program runs (numba, CuPy's raw kernels) can fail: `unsupported PTX version`"
MINOR = Finding(
    id="gpu.cuda.minor",
    severity="note",
    what="CUDA 13.5 runs on driver 580.105.08 by minor-version compatibility, its own driver is a later one",
    evidence=f"jax with jax-cuda13-plugin 0.10.2 is of CUDA 13.5 (/{SITE}/jax_cuda13_plugin-0.10.2.dist-info)\n"
    f"nvidia-cuda-runtime 13.5.37 is of CUDA 13.5 (/{SITE}/nvidia_cuda_runtime-13.5.37.dist-info)\n"
    "perlmutter-gpu: gpu.driver is 580.105.08 [N13], which nobody verified there\n"
    f"machine code for 8.0 is there\n{PTX}",
    remedy="for all of it, build with CUDA 13.0",
)
GPU, NCCL = "GPUs: podman-hpc --gpu", "NCCL over several nodes: podman-hpc --gpu --nccl"
MPI = "MPI: srun --mpi=cray_shasta, podman-hpc --mpi"


@pytest.mark.slow
@pytest.mark.needs("gcc")
@pytest.mark.parametrize(
    ("content", "findings", "how"),
    [
        pytest.param(made("cuda-pytorch", TORCH_12, cuda="12.6"), (), (GPU, NCCL), id="cuda-pytorch"),
        pytest.param(made("cuda-pytorch", TORCH_13, cuda="13.0"), (), (GPU, NCCL), id="cuda-pytorch-13"),
        pytest.param(made("cuda-jax", JAX_12), (), (GPU,), id="cuda-jax"),
        pytest.param({**made("cuda-jax", JAX_13), **JAX_CODE}, (MINOR,), (GPU,), id="cuda-jax-13"),
        pytest.param(
            {**made("ml-complete", {**TORCH_12, "mpi4py": "4.1.2"}, cuda="12.6"), **MPICH},
            (),
            (GPU, MPI, NCCL),
            id="ml-complete",
        ),
        pytest.param({**made("mpi-mpich", {"mpi4py": "4.1.2"}), **MPICH}, (), (MPI,), id="mpi-mpich"),
    ],
)
def test_the_verdict_on_perlmutter(
    content: images.Contents, findings: tuple[Finding, ...], how: tuple[str, ...], tmp_path: Path
) -> None:
    root = images.Image(content=content, modes={"opt/env/bin/python3": 0o755}).write(tmp_path / "app")
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    found = check(CheckRequest(image=str(root), environment=environment, site="perlmutter"))
    assert tuple(each for each in found.findings if each.id != "engine.form") == findings
    assert found.before[0] == f"sealift push {root} podman-hpc:app   (on a login node there)"
    assert found.how[:-1] == how
    assert found.runs

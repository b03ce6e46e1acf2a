"""What is said of the templates for Perlmutter, word for word.

`built/NAME.txt` are the Python packages of an image that was really built with that template and CUDA's wheels, and
`CODE` is what was read of its libraries. Whole images are too large to keep: here stand the files that checks look at.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sealift.cli.check import lines_of
from sealift.flows.check import CheckRequest, check
from sealift.flows.ociconfig import DEFAULT_PATH
from tests.docs.blocks import ROOT
from tests.evidence.conftest import Content
from tests.preflight import images

BUILT = Path(__file__).parent / "built"
SITE = "opt/env/lib/python3.12/site-packages"
SITES = ("perlmutter", "perlmutter-cpu")
TORCH = {"12": "cu126", "13": "cu130"}
CODE = {
    "cuda-pytorch-12": (f"{SITE}/torch/lib/libtorch_cuda.so", (50, 60, 70, 75, 80, 86, 90), ()),
    "cuda-pytorch-13": (f"{SITE}/torch/lib/libtorch_cuda.so", (75, 80, 86, 90, 100, 120), ()),
    "ml-complete-13": (f"{SITE}/torch/lib/libtorch_cuda.so", (75, 80, 86, 90, 100, 120), ()),
    "cuda-jax-12": (
        f"{SITE}/jax_plugins/xla_cuda12/xla_cuda_plugin.so",
        (50, 60, 70, 80, 90, 100, 101, 120),
        (120,),
    ),
    "cuda-jax-13": (f"{SITE}/jax_plugins/xla_cuda13/xla_cuda_plugin.so", (75, 80, 90, 100, 110, 120), (120,)),
}
MPICH: dict[str, Content | images.File] = {
    "opt/env/lib/libmpi.so.12": images.elf(
        "libmpi.so.12", symbols=(("MPII_Version_string", "3.4.3"), ("MPII_Version_device", "ch3:nemesis"))
    ),
    "opt/env/lib/libmpi.so": "libmpi.so.12",
    f"{SITE}/mpi4py/MPI.mpich.cpython-312-x86_64-linux-gnu.so": images.elf("MPI.so", needed="libmpi.so.12"),
}


def text(name: str, section: str) -> str:
    whole = (ROOT / "templates" / f"{name}.def").read_text("utf-8")
    (found,) = re.findall(rf"^%{section}\n(.*?)^%", whole, re.MULTILINE | re.DOTALL)
    return str(found)


def cuda_base(cuda: str, driver: str) -> dict[str, Content | images.File]:
    """What NVIDIA's smallest base has beside Ubuntu: its variables, the runtime, and a libcuda for older drivers."""
    folder = f"usr/local/cuda-{cuda.rpartition('.')[0]}"
    variables = {
        "PATH": f"/usr/local/nvidia/bin:/usr/local/cuda/bin:{DEFAULT_PATH}",
        "CUDA_VERSION": cuda,
        "NVIDIA_REQUIRE_CUDA": f"cuda>={cuda.rpartition('.')[0]} brand=tesla,driver>=535,driver<536",
        "LD_LIBRARY_PATH": "/usr/local/nvidia/lib:/usr/local/nvidia/lib64:/usr/local/cuda/lib64",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    }
    lines = [f'export {name}="${{{name}:-"{value}"}}"\n' for name, value in variables.items()]
    runtime = f"libcudart.so.{cuda.partition('.')[0]}"
    return {
        ".singularity.d/env/10-docker2singularity.sh": "".join(["#!/bin/sh\n", *lines]).encode(),
        "usr/local/cuda": folder.rpartition("/")[2],
        f"{folder}/lib64/{runtime}": images.elf(runtime),
        f"{folder}/compat/libcuda.so.1": f"libcuda.so.{driver}",
        f"{folder}/compat/libcuda.so.{driver}": images.elf("libcuda.so.1"),
        "etc/ld.so.conf.d/nvidia.conf": b"/usr/local/nvidia/lib\n/usr/local/nvidia/lib64\n",
    }


def made(name: str) -> dict[str, Content | images.File]:
    template, _, cuda = name.rpartition("-")
    base = cuda_base(*(("12.6.3", "560.35.05") if cuda == "12" else ("13.0.3", "580.126.20")))
    found: dict[str, Content | images.File] = {
        **images.base(),
        **base,
        "opt/env/bin/python3": images.elf("python3"),
        "opt/env/pyvenv.cfg": b"home = /usr/bin\ninclude-system-site-packages = false\n",
        ".singularity.d/env/90-environment.sh": text(template, "environment").encode(),
        CODE[name][0]: images.gpu_library(*CODE[name][1:]),
    }
    for line in (BUILT / f"{name}.txt").read_text().splitlines():
        wheel = images.wheel(*line.split("=="))
        found |= {path.replace(images.SITE, SITE): content for path, content in wheel.items()}
        if line.startswith("torch=="):
            said = images.torch(f"{line[7:]}+{TORCH[cuda]}", f"{TORCH[cuda][2:4]}.{TORCH[cuda][4:]}")
            found[f"{SITE}/torch/version.py"] = said[f"{images.SITE}/torch/version.py"]
        if line.startswith("mpich=="):
            found |= MPICH
    if template == "cuda-jax":  # its %post removes it
        found = {path: content for path, content in found.items() if "/lib64/libcudart" not in path}
    return found


@pytest.mark.slow
@pytest.mark.needs("gcc")
@pytest.mark.parametrize("name", CODE)
def test_the_verdict_on_perlmutter(name: str, tmp_path: Path) -> None:
    root = images.Image(content=made(name), modes={"opt/env/bin/python3": 0o755}).write(tmp_path / name)
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    verdicts = [check(CheckRequest(image=str(root), environment=environment, site=site)) for site in SITES]
    said = "\n\n".join("\n".join(lines_of(each)) for each in verdicts).replace(str(root), name) + "\n"
    expected = BUILT / f"{name}.verdict.txt"
    if os.environ.get("SEALIFT_TEST_WRITE"):
        expected.write_text(said)
    assert said == expected.read_text()


def test_what_was_built_is_what_the_template_asks_for() -> None:
    """Packages that a template pins, in the versions that it pins; PyTorch for CUDA 12.6 was an older one."""
    for name in CODE:
        template = name.rpartition("-")[0]
        pins = dict(re.findall(r"^\s*(\w+)=(\S+)$", text(template, "arguments"), re.MULTILINE))
        built = dict(line.split("==") for line in (BUILT / f"{name}.txt").read_text().splitlines())
        known = {key.replace("_", "-"): value for key, value in pins.items() if key not in ("base", "wheels", "plugin")}
        differ = {key for key, value in known.items() if key != "cuda" and built[key] != value}
        assert differ == ({"torch"} if name == "cuda-pytorch-12" else set()), name

"""GPU: drivers come from the host, CUDA from NVIDIA's own images."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.lint.examples import CUDA, file, post
from sealift.lint.recipe import Recipe
from sealift.lint.rules.portability import assigned
from sealift.lint.tools import downloads, installs, listed
from sealift.lint.values import Hit, Rule

_DRIVER = re.compile(
    r"(nvidia-driver(-\S+)?|nvidia-\d{3}(-\S+)?|cuda-drivers(-\S+)?|nvidia-utils-\S+|nvidia-kernel\S*|nvidia-dkms\S*"
    r"|libcuda1(-\S+)?|nvidia-headless\S*|libnvidia-(compute|gl|encode|decode)-\S+|nvidia-smi|nvidia-open|cuda|cuda-\d+-\d+"
    r"|libnvidia-ml\d*|amdgpu-dkms|rocm-dkms)$"
)
_TOOLKIT = re.compile(
    r"(nvidia-cuda-toolkit|cuda-toolkit(-\S+)?|cuda-libraries\S*|cuda-runtime\S*|cuda-compiler\S*|cuda-nvcc\S*|cuda)$"
)


def _driver(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for one in installs(stage.calls, "apt", "yum", "zypper"):
            names = [field.text for field in one.packages if _DRIVER.match(field.text.partition("=")[0])]
            if names:
                yield one.call.hit(
                    f"{listed(names)} {'brings' if len(names) == 1 else 'bring'} a driver into the image: it must be "
                    "the host's, and hides it where both are there",
                    "leave the driver out; of CUDA take `cuda-toolkit-12-6` or better NVIDIA's own base image",
                )
        for call in stage.calls:
            if re.match(r"NVIDIA-Linux-.*\.run$", call.name) or (
                call.name in ("sh", "bash") and re.search(r"NVIDIA-Linux-\S*\.run$", (*call.texts, "")[0])
            ):
                yield call.hit(
                    "this installs a driver into the image: it must be the host's",
                    "leave it out: the engine brings the host's own (--nv, --gpu)",
                )


def _unofficial(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    if (
        stage is None
        or stage.base.is_cuda
        or stage.base.agent not in ("docker", "library", "debootstrap", "yum", "dnf", "shub")
    ):
        return
    if not stage.base.distribution or re.search(r"cuda|nvidia|gpu", stage.base.text.lower()):
        return
    for one in installs(stage.calls, "apt", "yum"):
        names = [field.text for field in one.packages if _TOOLKIT.match(field.text.partition("=")[0])]
        if names:
            yield one.call.hit(
                f"CUDA is put together by hand from {listed(names)}",
                "stand on NVIDIA's own image: From: nvidia/cuda:12.6.3-runtime-ubuntu24.04",
            )
            return
    for got in downloads(stage.calls):
        if re.search(r"/cuda_[\d.]+_[\d.]*_?linux\S*(\.run|-run)", got.url):
            yield got.call.hit(
                "CUDA is put together by hand from NVIDIA's installer",
                "stand on NVIDIA's own image: From: nvidia/cuda:12.6.3-devel-ubuntu24.04",
            )
            return


def _stubs(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    for script in stage.scripts("environment", "runscript") if stage is not None else ():
        for start, end, word in assigned(script, "LD_LIBRARY_PATH"):
            text = script.text[word.start : word.end] if word is not None else ""
            found = re.search(r"[^:\"'=]*(?:lib64|lib)/stubs|[^:\"'=]*/cuda[^:\"']*/compat", text)
            if found:
                kind = "stub" if "stubs" in found[0] else "compatibility"
                yield script.hit(
                    start,
                    end,
                    f"`{found[0]}` holds a {kind} libcuda, which is found before the host's driver",
                    "leave this folder out here; for linking it is needed in `%post` alone",
                )


def _visible(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    for script in stage.scripts("environment") if stage is not None else ():
        for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
            for start, end, word in assigned(script, name):
                text = script.text[word.start : word.end] if word is not None else ""
                if "$" not in text:
                    yield script.hit(
                        start,
                        end,
                        f"`{name}` is the batch system's to set: this gives every rank the same GPUs",
                        "leave it out",
                    )


def _copied(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for group in stage.stage.files:
            for copy in group.copies if group.from_host else ():
                if re.search(r"/(libcuda\.so|libnvidia-|libnvcuvid|nvidia-smi$|libcuda\*)", copy.source):
                    start = recipe.line_starts[copy.span.line - 1] + copy.span.column - 1
                    yield Hit(
                        start=start,
                        end=start + copy.span.length,
                        message=f"`{copy.source}` is a part of this host's driver, and fits no other",
                        hints=("leave it out: the engine brings the host's own (--nv, --gpu)",),
                    )


def _mixed(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        major = stage.base.cuda.partition(".")[0]
        for one in installs(stage.calls, "pip", "uv"):
            text = " ".join(one.call.texts)
            found = re.search(
                r"(?:whl/|\+)cu(\d\d)\d\b|\bcupy-cuda(\d\d)x|\bjax\[cuda(\d\d)|\bnvidia-[a-z-]+-cu(\d\d)\b", text
            )
            if found and major:
                wheel = next(group for group in found.groups() if group)
                if wheel != major:
                    yield one.call.hit(
                        f"the base has CUDA {major}, and these wheels are for CUDA {wheel}: the image holds both",
                        f"take wheels for CUDA {major}, or a base with CUDA {wheel}; wheels that bring their own "
                        "CUDA do "
                        "with a base without",
                    )
                    break


_TORCH = "/opt/venv/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cu126 torch==2.7.1"

RULES: tuple[Rule, ...] = (
    Rule(
        id="driver-in-image",
        family="gpu",
        level="error",
        title="A GPU driver is installed into the image",
        reason="A driver's libraries must be those of the kernel module, which is the host's. Engines bring them "
        "when the image runs. A second set in the image is found first, and programs say `Driver/library "
        "version mismatch`. The package `cuda` brings the driver too.",
        remedy="Leave it out. Of CUDA install `cuda-toolkit-X-Y`, or stand on `nvidia/cuda`.",
        bad=post(
            "apt-get update\napt-get install -y --no-install-recommends nvidia-driver-535\nrm -rf /var/lib/apt/lists/*"
        ),
        good=post("nvcc --version", "Bootstrap: docker\nFrom: nvidia/cuda:12.6.3-runtime-ubuntu24.04\n"),
        look=_driver,
    ),
    Rule(
        id="driver-copied",
        family="gpu",
        level="error",
        title="`%files` copies the host's driver",
        reason="The copy fits the kernel module of this host alone, and is found before the one that the engine "
        "brings.",
        remedy="Leave it out, and run with `--nv` (Apptainer) or `--gpu` (podman-hpc).",
        bad=file(CUDA, files="/usr/lib64/libcuda.so.1 /usr/lib64/libcuda.so.1"),
        good=file(CUDA, files="app.py /opt/app.py"),
        look=_copied,
    ),
    Rule(
        id="cuda-stubs-at-run-time",
        family="gpu",
        level="error",
        title="A stub or compatibility libcuda is on the library path",
        reason="`lib64/stubs/libcuda.so` is there for linking and does nothing. On `LD_LIBRARY_PATH` it is found "
        "before the host's driver: no GPU is seen, or `CUDA driver is a stub library`. The library in "
        "`compat` is newer than the host's driver may allow.",
        remedy="Use the folder in `%post` alone, while programs are linked.",
        bad=file(CUDA, environment="export LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs:$LD_LIBRARY_PATH"),
        good=file(CUDA, environment="export LD_LIBRARY_PATH=/usr/local/cuda/lib64:$LD_LIBRARY_PATH"),
        look=_stubs,
    ),
    Rule(
        id="gpus-chosen-in-image",
        family="gpu",
        level="warning",
        title="The image chooses the GPUs",
        reason="Slurm gives each rank its GPUs in this variable. A value in `%environment` wins over it, so that "
        "all ranks crowd on the same GPU, or see none.",
        remedy="Leave it out. To try one GPU, set it where the image is run.",
        bad=file(CUDA, environment="export CUDA_VISIBLE_DEVICES=0"),
        good=file(CUDA, environment="export OMP_NUM_THREADS=1"),
        look=_visible,
    ),
    Rule(
        id="cuda-not-official",
        family="gpu",
        level="warning",
        title="CUDA is put together by hand",
        reason="NVIDIA's images hold CUDA in parts that fit each other, with the variables that engines look for, "
        "in variants of a tenth of the size. Installed by hand it is easily too much (the driver, all "
        "tools), too old (a distribution's own), or without its libraries on the path.",
        remedy="Let the image stand on `nvidia/cuda:VERSION-base`, `-runtime` or `-devel`, or on "
        "`nvcr.io/nvidia/pytorch` and its like. Python wheels bring their own CUDA, and need none in the "
        "base.",
        bad=post(
            "apt-get update\napt-get install -y --no-install-recommends nvidia-cuda-toolkit\n"
            "rm -rf /var/lib/apt/lists/*"
        ),
        good=post("nvcc --version", "Bootstrap: docker\nFrom: nvidia/cuda:12.6.3-runtime-ubuntu24.04\n"),
        look=_unofficial,
    ),
    Rule(
        id="cuda-versions-mixed",
        family="gpu",
        level="warning",
        title="The base and the wheels have different CUDAs",
        reason="Both lie in the image, some GB each. A library of one that loads a library of the other fails, or "
        "computes with a mixture.",
        remedy="Take both of one major version. Where wheels bring all they need, a base without CUDA is enough.",
        bad=file(
            "Bootstrap: docker\nFrom: nvidia/cuda:13.0.1-runtime-ubuntu24.04\n",
            post=_TORCH,
        ),
        good=file(
            CUDA,
            post=_TORCH,
        ),
        look=_mixed,
    ),
)

"""GPU: drivers come from the host, CUDA from NVIDIA's own images."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.lint.examples import CUDA, file, post
from sealift.lint.recipe import Recipe
from sealift.lint.tools import downloads, installs, listed, told
from sealift.lint.values import Hit, Rule
from sealift.shell.follow import UNKNOWN

_DRIVER = re.compile(
    r"(nvidia-driver(-\S+)?|nvidia-\d{3}(-\S+)?|cuda-drivers(-\S+)?|nvidia-utils-\S+|nvidia-kernel\S*|nvidia-dkms\S*"
    r"|libcuda1(-\S+)?|nvidia-headless\S*|libnvidia-(compute|gl|encode|decode)-\S+|nvidia-smi|nvidia-open|cuda|cuda-\d+-\d+"
    r"|libnvidia-ml\d*|amdgpu-dkms|rocm-dkms)$"
)
_TOOLKIT = re.compile(
    r"(nvidia-cuda-toolkit|cuda-toolkit(-\S+)?|cuda-libraries\S*|cuda-runtime\S*|cuda-compiler\S*|cuda-nvcc\S*|cuda)$"
)

_WHEEL = re.compile(r"(?:whl/|\+)cu(\d\d)\d\b|\bcupy-cuda(\d\d)x|\bjax\[cuda(\d\d)|\bnvidia-[a-z-]+-cu(\d\d)\b")
"""What tells a wheel's CUDA, by its major version."""


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
    yield from _stubs_linked(recipe)
    for script in recipe.image_scripts("environment", "runscript"):
        for start, end, word in script.assigned("LD_LIBRARY_PATH"):
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


def _stubs_linked(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("post", "appinstall"):
        if re.search(r"\b(rm|unlink)\s[^\n]*(libcuda|ld\.so\.conf\.d)", script.text):
            continue  # for linking alone
        for call in script.calls:
            operands = [one.text for one in call.operands()]
            source, target = (operands[0], operands[-1]) if len(operands) > 1 else ("", "")
            links = call.name in ("ln", "cp") and re.search(r"stubs/libcuda\.so", source) and "stubs" not in target
            listed_there = any(
                "ld.so.conf" in (one.target.literal or "") for one in call.run.command.redirects
            ) and re.search(r"/stubs\b", told(call))
            if links or listed_there:
                yield call.hit(
                    "the loader finds the stub libcuda when the image runs: where it comes before the host's driver, "
                    "no GPU is found",
                    "give the folder to the linker alone: LIBRARY_PATH=/usr/local/cuda/lib64/stubs in `%post`",
                )


def _visible(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("environment"):
        for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
            for start, end, word in script.assigned(name):
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
        for copy in stage.host_copies:
            if re.search(r"/(libcuda\.so|libnvidia-|libnvcuvid|nvidia-smi$|libcuda\*)", copy.source):
                yield recipe.hit_at(
                    copy.span,
                    f"`{copy.source}` is a part of this host's driver, and fits no other",
                    "leave it out: the engine brings the host's own (--nv, --gpu)",
                )


def _mixed(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        major = stage.base.cuda.partition(".")[0]
        for one in installs(stage.calls, "pip", "uv"):
            found = _WHEEL.search(" ".join(one.call.texts))
            if found and major:
                wheel = next(group for group in found.groups() if group)
                if wheel != major:
                    yield one.call.hit(
                        f"the base has CUDA {major}, and these wheels are for CUDA {wheel}: the image holds both",
                        f"take wheels for CUDA {major}, or a base with CUDA {wheel}; wheels that bring their own "
                        "CUDA do with a base without",
                    )
                    break


def _too_new(recipe: Recipe) -> Iterator[Hit]:
    stage, newest = recipe.last, recipe.facts.get("gpu.cuda", "")
    if stage is None or not re.fullmatch(r"\d+(\.\d+)?", newest):
        return
    name, major = recipe.site[0], int(newest.partition(".")[0])
    driver = recipe.facts.get("gpu.driver", "") or "its driver"
    if stage.base.cuda and int(stage.base.cuda.partition(".")[0]) > major:
        yield stage.hit_header(
            "from",
            f"`{stage.base.text}` has CUDA {stage.base.cuda}; the driver of {name} ({driver}) runs CUDA {newest} at "
            "most",
            f"take a base with CUDA {major}",
        )
    for one in installs(stage.calls, "pip", "uv"):
        found = _WHEEL.search(" ".join(one.call.texts))
        wheel = next((group for group in found.groups() if group), "") if found else ""
        if wheel and int(wheel) > major:
            yield one.call.hit(
                f"these wheels are for CUDA {wheel}; the driver of {name} ({driver}) runs CUDA {newest} at most",
                f"take wheels for CUDA {major}",
            )


def _capability(recipe: Recipe) -> Iterator[Hit]:
    found = re.fullmatch(r"(\d+)\.(\d)", recipe.facts.get("gpu.capability", ""))
    if found is None:
        return
    have = int(found[1]) * 10 + int(found[2])
    for script in recipe.scripts("post", "appinstall"):
        for run in script.runs:
            texts = [*run.texts, *(f"{one.name}={run.variables.get(one.name, '')}" for one in run.command.assignments)]
            # Options of a compiler are many words, and only all of them say what it makes.
            named = _compiled_for(" ".join(text for text in texts if UNKNOWN not in text))
            if named and not any(_runs_on(one, have) for one in named):
                yield script.hit(
                    run.start,
                    run.end,
                    f"this compiles for {_generations(named)}, and the GPUs of {recipe.site[0]} have "
                    f"{have // 10}.{have % 10}: no kernel in it runs there",
                    f"add the site's: {have // 10}.{have % 10} (sm_{have})",
                )


def _compiled_for(text: str) -> list[str]:
    """The targets that a setting or an option of a compiler names: `80`, `80-real`, `80-virtual`."""
    torch = re.search(r"(?:^|[\s-])TORCH_CUDA_ARCH_LIST=[\"']?([\d.+PTX;, ]+)", text)
    if torch:
        entries = re.findall(r"(\d+)\.(\d)(\+PTX)?", torch[1])
        return [f"{major}{minor}" + ("" if ptx else "-real") for major, minor, ptx in entries]
    cmake = re.search(r"CMAKE_CUDA_ARCHITECTURES=[\"']?([\d;a-z-]+)", text)
    if cmake:
        return re.findall(r"\d{2,3}(?:-real|-virtual)?", cmake[1])
    nvcc = re.search(r"(?:^|\s)(?:-arch|--gpu-architecture)[= ]sm_(\d{2,3})", text)
    codes = re.findall(r"(?:^|[\s,=])code=\[?([\w,]+)", text) if re.search(r"-gencode|--generate-code", text) else []
    made = [one for code in codes for one in re.findall(r"(sm|compute|lto)_(\d{2,3})a?", code)]
    # A binary runs on its own generation; what is kept as PTX (`compute_80`), on all that are newer.
    return [*([nvcc[1]] if nvcc else ()), *(number + ("" if kind == "compute" else "-real") for kind, number in made)]


def _generations(targets: list[str]) -> str:
    numbers = [int(re.sub(r"\D", "", target)) for target in targets]
    return ", ".join(dict.fromkeys(f"{number // 10}.{number % 10}" for number in numbers))


def _runs_on(target: str, have: int) -> bool:
    """Binaries run on the same major generation, from their minor one on; what holds PTX, on all that are newer."""
    number = int(re.sub(r"\D", "", target))
    return number <= have and (not target.endswith("-real") or number // 10 == have // 10)


def _other_vendor(recipe: Recipe) -> Iterator[Hit]:
    stage, vendor = recipe.last, recipe.facts.get("gpu.vendor", "").lower()
    if stage is None or vendor not in ("nvidia", "amd", "intel", "none"):
        return
    name = stage.base.name
    of = (
        "nvidia"
        if stage.base.cuda or name.startswith(("nvidia/", "nvcr.io/"))
        else "amd"
        if name.startswith("rocm/")
        else ""
    )
    if of and of != vendor and stage.base.is_registry:
        site = (
            "no GPUs" if vendor == "none" else f"GPUs of {vendor.upper() if vendor == 'amd' else vendor.capitalize()}"
        )
        yield stage.hit_header(
            "from",
            f"`{stage.base.text}` is for GPUs of {'NVIDIA' if of == 'nvidia' else 'AMD'}, and {recipe.site[0]} has "
            f"{site}",
            "take a base for the site's GPUs, or one without",
        )


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
    Rule(
        id="cuda-newer-than-site",
        family="gpu",
        level="error",
        title="CUDA is newer than the site's driver can run",
        reason="A driver runs programs of its own major version of CUDA and of older ones. A newer one ends with "
        "`CUDA driver version is insufficient for CUDA runtime version`, in the job, after the queue.",
        remedy="Take a base and wheels of the major version that `sealift sites NAME` shows as `gpu.cuda`, or an "
        "older one.",
        bad=post("nvcc --version", "Bootstrap: docker\nFrom: nvidia/cuda:13.0.1-runtime-ubuntu24.04\n"),
        good=post("nvcc --version", "Bootstrap: docker\nFrom: nvidia/cuda:12.6.3-runtime-ubuntu24.04\n"),
        look=_too_new,
        site="any",
        facts={"gpu.cuda": "12.4", "gpu.driver": "550.54.15"},
    ),
    Rule(
        id="gpu-generation-missing",
        family="gpu",
        level="error",
        title="The program is compiled for other GPUs than the site's",
        reason="A kernel that is compiled for one generation runs on that generation, and where it holds PTX on "
        "newer ones. Elsewhere the program ends with `no kernel image is available for execution on the "
        "device`.",
        remedy="Name the site's generation too: 8.0 for A100, 9.0 for H100 and GH200. `sealift sites NAME` shows "
        "it as `gpu.capability`.",
        bad=file(CUDA, post="export TORCH_CUDA_ARCH_LIST='9.0'"),
        good=file(CUDA, post="export TORCH_CUDA_ARCH_LIST='8.0;9.0'"),
        look=_capability,
        site="any",
        facts={"gpu.capability": "8.0"},
    ),
    Rule(
        id="gpu-of-another-vendor",
        family="gpu",
        level="error",
        title="The base is for GPUs that the site does not have",
        reason="CUDA runs on NVIDIA's GPUs, ROCm on AMD's.",
        remedy="Take a base for the site's GPUs, or one without.",
        bad=post("echo ok", "Bootstrap: docker\nFrom: rocm/pytorch:rocm6.3_ubuntu24.04_py3.12_pytorch_release_2.4.0\n"),
        good=post("echo ok", "Bootstrap: docker\nFrom: nvidia/cuda:12.6.3-runtime-ubuntu24.04\n"),
        look=_other_vendor,
        site="any",
        facts={"gpu.vendor": "nvidia"},
    ),
)

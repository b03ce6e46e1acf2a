"""Small images with one fault each, and good ones: folders whose programs and libraries are real ELF files."""

from __future__ import annotations

import functools
import os
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.evidence.conftest import Content, write_root
from tests.ground import gpu

SITE = "usr/lib/python3.12/site-packages"
HOME = "/root"
"""That of root, in an image."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that is made when an image is written, and not before: a compiler makes it."""

    make: Callable[[], bytes]


Contents = Mapping[str, Content | File]


@dataclass(frozen=True, kw_only=True)
class Image:
    """A case: what is in the image, and for which site and engine it is judged."""

    content: Contents
    site: str = "perlmutter"
    engine: str = ""
    modes: Mapping[str, int] = field(default_factory=dict)
    sparse: Mapping[str, int] = field(default_factory=dict)
    """Files of this many bytes without content."""

    def write(self, folder: Path) -> Path:
        made = {path: what.make() if isinstance(what, File) else what for path, what in self.content.items()}
        root = write_root(folder, made)
        for path in ("bin/sh", "sbin/ldconfig", "usr/bin/python3", *self.content):
            if (root / path).is_file() and path.startswith(("bin/", "sbin/", "usr/bin/", "opt/app/bin/")):
                os.chmod(root / path, 0o755)
        for path, size in self.sparse.items():
            with open(root / path, "wb") as file:
                file.truncate(size)
        for path, mode in self.modes.items():
            os.chmod(root / path, mode)
        return root


def environment(**values: str) -> dict[str, Content | File]:
    text = "".join(f"export {name}={value}\n" for name, value in values.items())
    return {".singularity.d/env/90-environment.sh": f"#!/bin/sh\n{text}".encode()}


def runscript(text: str) -> dict[str, Content | File]:
    return {".singularity.d/runscript": f"#!/bin/sh\n{text}\n".encode()}


def wheel(name: str, version: str) -> dict[str, Content | File]:
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    return {f"{SITE}/{name.replace('-', '_')}-{version}.dist-info/METADATA": metadata}


def torch(version: str, cuda: str) -> dict[str, Content | File]:
    said = f"__version__ = '{version}'\ncuda: Optional[str] = '{cuda}'\nhip: Optional[str] = None\n"
    return {**wheel("torch", version), f"{SITE}/torch/version.py": said.encode()}


def elf(
    soname: str,
    *,
    symbols: tuple[tuple[str, str], ...] = (),
    versions: tuple[str, ...] = (),
    needed: str = "",
    path: str = "",
) -> File:
    """A shared library with these texts, symbol versions, and one library that it needs; `path` is for the linker."""
    return File(make=functools.partial(_elf, soname, symbols, versions, needed, path))


@functools.cache
def _elf(soname: str, symbols: tuple[tuple[str, str], ...], versions: tuple[str, ...], needed: str, path: str) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = "".join(f'const char {symbol}[] = "{text}";\n' for symbol, text in symbols) or "int nothing;\n"
        (folder / "it.c").write_text(source)
        options = []
        if versions:
            (folder / "map").write_text("".join(f"{each} {{ }};\n" for each in versions))
            options.append(f"-Wl,--version-script={folder / 'map'}")
        if needed:
            (folder / "below.c").write_text("")
            _gcc("-shared", "-nostdlib", "-o", folder / needed, f"-Wl,-soname,{needed}", folder / "below.c")
        below = [folder / needed] if needed else []
        options += path.split()
        flags = ("-shared", "-nostdlib", f"-Wl,-soname,{soname}", "-Wl,--no-as-needed")
        _gcc(*flags, *options, "-o", folder / "it", folder / "it.c", *below)
        return (folder / "it").read_bytes()


def static_program(text: str) -> File:
    """A program without libraries, of some size, with this text in it."""
    return File(make=functools.partial(_static_program, text))


@functools.cache
def _static_program(text: str) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "it.c").write_text(f'const char room[300000] = {{1}};\nconst char text[] = "{text}";\n')
        _gcc("-static", "-no-pie", "-nostdlib", "-Wl,-e,0", "-o", folder / "it", folder / "it.c")
        return (folder / "it").read_bytes()


def _gcc(*words: str | Path) -> None:
    subprocess.run(["gcc", *(str(word) for word in words)], check=True)


def gpu_library(
    code: tuple[int, ...], ptx: tuple[int, ...] = (), *, section: str = ".nv_fatbin", version: tuple[int, int] = (0, 0)
) -> File:
    return File(make=functools.partial(_gpu_library, code, ptx, section, version))


@functools.cache
def _gpu_library(code: tuple[int, ...], ptx: tuple[int, ...], section: str, version: tuple[int, int]) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        return gpu.library(Path(name), "libx.so", {section: gpu.fatbin(code, ptx, version=version)})


def amd_library(*targets: str) -> File:
    return File(make=functools.partial(_amd_library, targets))


@functools.cache
def _amd_library(targets: tuple[str, ...]) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        return gpu.library(Path(name), "libx.so", {".hip_fatbin": gpu.bundle(targets)})


def solver(*code: int, ptx: tuple[int, ...] = (), version: tuple[int, int] = (0, 0)) -> Image:
    """A program that somebody compiled with the runtime of CUDA inside, which nothing else in the image speaks of."""
    path = "usr/bin/solver"
    return Image(content={**base(), path: gpu_library(code, ptx, version=version)}, modes={path: 0o755})


def mpi4py_built_for(*sonames: str) -> dict[str, Content | File]:
    """A module for each MPI, as wheels have them: they take the one that is there."""
    modules = {f"MPI.{number}.cpython-312-x86_64-linux-gnu.so": name for number, name in enumerate(sonames)}
    return {
        **wheel("mpi4py", "4.1.2"),
        **{f"{SITE}/mpi4py/{module}": elf(module, needed=name) for module, name in modules.items()},
    }


def for_arm(file: File) -> File:
    """The same file with AArch64's number in its header."""

    def make() -> bytes:
        data = file.make()
        return data[:18] + struct.pack("<H", 183) + data[20:]

    return File(make=make)


def of_arm(content: Contents) -> dict[str, Content | File]:
    """The programs and libraries among these, for the other processor."""
    return {path: for_arm(what) for path, what in content.items() if isinstance(what, File)}


def base(glibc: str = "2.39") -> dict[str, Content | File]:
    """A distribution's smallest parts: C library, shell, ldconfig."""
    versions = ("GLIBC_2.2.5", f"GLIBC_{glibc}")
    return {
        "usr/lib/libc.so.6": elf("libc.so.6", versions=versions),
        "lib": "usr/lib",
        "bin/sh": elf("sh"),
        "sbin/ldconfig": elf("ldconfig"),
    }


def python() -> dict[str, Content | File]:
    return {**base(), "usr/bin/python3": elf("python3"), **environment(PYTHONNOUSERSITE="1")}


def mpich(version: str = "3.4.3", glibc: str = "2.39") -> dict[str, Content | File]:
    said = (("MPII_Version_string", version), ("MPII_Version_device", "ch4:ofi"))
    return {
        **base(glibc),
        "usr/local/lib/libmpi.so.12": elf("libmpi.so.12", symbols=said),
        "opt/app/bin/solver": elf("solver", needed="libmpi.so.12"),
    }


def mpi4py() -> dict[str, Content | File]:
    """The wheel, in a Python that lies in /usr/local."""
    place = "usr/local/lib/python3.12/site-packages"
    files = {path.replace(SITE, place): content for path, content in wheel("mpi4py", "4.1.2").items()}
    module = elf("MPI.so", needed="libmpi.so.12")
    return {
        **files,
        f"{place}/mpi4py/MPI.mpich.cpython-312-x86_64-linux-gnu.so": module,
        **environment(PYTHONNOUSERSITE="1"),
    }


def openmpi(version: str) -> dict[str, Content | File]:
    return {
        **base(),
        "usr/local/lib/libmpi.so.40": elf("libmpi.so.40", symbols=(("ompi_version_string", version),)),
        "opt/app/bin/solver": elf("solver", needed="libmpi.so.40"),
    }


def good() -> dict[str, Image]:
    """Nobody has anything to say of these, but for what to push."""
    torch126 = {**python(), **torch("2.14.1+cu126", "12.6"), **wheel("nvidia-cuda-runtime-cu12", "12.6.77")}
    return {
        "hello": Image(content=base()),
        "hello-frontier": Image(content=base(), site="frontier"),
        "hello-static": Image(content={"bin/hello": elf("hello")}),
        "python": Image(content=python(), site="delta"),
        "torch-126": Image(content=torch126),
        "torch-126-libraries": Image(
            content={**torch126, f"{SITE}/torch/lib/libtorch_cuda.so": gpu_library((50, 60, 70, 75, 80, 86, 90))}
        ),
        "torch-130": Image(content={**python(), **torch("2.14.1+cu130", "13.0")}),
        "torch-130-polaris": Image(content={**python(), **torch("2.14.1+cu130", "13.0")}, site="polaris"),
        "torch-126-expanse": Image(content=torch126, site="expanse"),
        "mpich": Image(content=mpich()),
        "mpich-by-runpath": Image(
            content={
                **mpich(),
                "opt/app/bin/solver": elf(
                    "solver", needed="libmpi.so.12", path="-Wl,-rpath,/usr/local/lib -Wl,--enable-new-dtags"
                ),
            }
        ),
        "mpi4py-by-name": Image(
            content={**mpich(), **mpi4py(), **environment(PYTHONNOUSERSITE="1", MPI4PY_LIBMPI="libmpi.so.12")}
        ),
        "mpi4py-on-one-host": Image(content={**mpich(), **mpi4py()}, site="slurm"),
        "mpich-frontier": Image(content=mpich(), site="frontier"),
        "openmpi-5-slurm": Image(content=openmpi("5.0.8"), site="slurm"),
        "virtual-environment": Image(
            content={
                **base(),
                "opt/env/bin/python3": elf("python3"),
                "opt/env/pyvenv.cfg": b"home = /usr/bin\n",
                **environment(PATH="/opt/env/bin:/usr/bin:/bin"),
            },
            site="frontier",
            modes={"opt/env/bin/python3": 0o755},
        ),
        "runscript-that-writes-elsewhere": Image(
            content={**base(), **runscript('cd "$SCRATCH"\ndate > log.txt\nmkdir -p /tmp/x\nexec sh "$@" 2>/dev/null')},
            site="frontier",
        ),
        "entrypoint-that-asks": Image(
            content={
                **base(),
                **runscript('if [ "$(id -u)" = 0 ]; then chown app /opt/app; fi\nmkdir -p "$HOME/x"\nexec sh "$@"'),
            },
            site="frontier",
        ),
        "stubs-that-nothing-leads-to": Image(
            content={**base(), "usr/local/cuda-12.6/lib64/stubs/libcuda.so": b"stub", "usr/local/cuda": "cuda-12.6"}
        ),
        "locale": Image(content={**base(), **environment(LC_ALL="C.UTF-8")}),
        "environment-that-takes-a-shell": Image(
            content={
                **python(),
                ".singularity.d/env/90-environment.sh": b". /opt/x.sh\nexport PYTHONNOUSERSITE=1\n",
            },
            site="frontier",
        ),
        "entrypoint-that-tests": Image(
            content={
                **base(),
                **runscript(
                    '[ "$(id -u)" = 0 ] && chown app /opt/app\n[[ -w /opt/app ]] && touch /opt/app/x\n'
                    '[ -d /opt/app/x ] || mkdir /opt/app/x\nmkdir -p /opt/app/y 2>/dev/null || true\nexec sh "$@"'
                ),
            },
            site="frontier",
        ),
        "a-folder-to-walk-through": Image(
            content={**base(), "opt/app/x": b""}, modes={"opt/app": 0o711}, site="frontier"
        ),
        "jax-library-path-to-the-same-cuda": Image(
            content={
                **python(),
                **toolkit("13.0.3"),
                **wheel("jax-cuda13-plugin", "0.10.2"),
                **wheel("nvidia-cuda-runtime", "13.0.96"),
                **environment(PYTHONNOUSERSITE="1", LD_LIBRARY_PATH="/usr/local/cuda/lib64"),
            }
        ),
        "two-environments": Image(
            content={
                **python(),
                **torch("2.14.1+cu130", "13.0"),
                "opt/jax/pyvenv.cfg": b"home = /usr/bin\n",
                **in_environment("opt/jax", wheel("jax-cuda12-plugin", "0.10.2")),
            }
        ),
        "solver": replace(solver(75, 80, 90, ptx=(90,), version=(9, 0)), site="polaris"),
        "solver-of-amd": Image(
            content={**base(), "opt/app/lib/libx.so": amd_library("gfx90a:xnack-", "gfx942")}, site="frontier"
        ),
        "solver-that-only-ptx-serves": solver(75, ptx=(75,), version=(8, 4)),
        "archive-of-code": Image(content={**base(), "usr/local/lib/libx.a": b"!<arch>\n" + bytes(20000)}),
        "stub-under-a-name-that-nobody-asks-for": Image(
            content={
                **base(),
                "usr/local/cuda/lib64/stubs/libcuda.so": b"stub",
                "opt/app/bin/solver": elf(
                    "solver", needed="libcuda.so.1", path="-Wl,-rpath,/usr/local/cuda/lib64/stubs"
                ),
            }
        ),
        "torch-for-processors": Image(content={**python(), **torch_without("2.14.1+cpu")}, site="perlmutter-cpu"),
        "jax": Image(
            content={
                **python(),
                **wheel("jax", "0.10.2"),
                **wheel("jaxlib", "0.10.2"),
                **wheel("jax-cuda12-plugin", "0.10.2"),
            }
        ),
        "mpi4py-for-any": Image(content={**mpich(), **mpi4py_built_for("libmpi.so.12", "libmpi.so.40")}),
        "mpi4py-beside-open-mpi": Image(
            content={**openmpi("5.0.8"), **mpi4py_built_for("libmpi.so.12", "libmpi.so.40")}, site="slurm"
        ),
        "mpi-of-the-host-alone": Image(
            content={**base(), "opt/app/bin/solver": elf("solver", needed="libmpi.so.12")}, site="frontier"
        ),
        "mpi-s-own-programs": Image(
            content={
                **mpich(),
                "usr/local/bin/mpiexec.hydra": static_program("MPICH Version: 3.4.3"),
            },
            modes={"usr/local/bin/mpiexec.hydra": 0o755},
        ),
        "program-of-a-bundle": Image(
            content={**base(), "opt/tool/bin/tool-linux-arm64": for_arm(elf("tool"))},
            modes={"opt/tool/bin/tool-linux-arm64": 0o755},
        ),
        "root-that-is-open": Image(
            content={**base(), "root/run.sh": b"#!/bin/sh\n", **runscript(f'exec {HOME}/run.sh "$@"')},
            modes={"root": 0o755},
            site="frontier",
        ),
        "root-that-is-only-read-where-it-can-be": Image(
            content={
                **base(),
                "root/settings": b"",
                **runscript(f"[ -r {HOME}/settings ] && . {HOME}/settings\nexec sh"),
            },
            modes={"root": 0o700},
            site="frontier",
        ),
        "depot-that-is-read": Image(
            content={**base(), "opt/julia": None, **environment(JULIA_DEPOT_PATH="/tmp/depot:/opt/julia")},
            site="frontier",
        ),
        "packages-that-cannot-be-read": Image(
            content={
                **base(),
                "var/lib/rpm/Packages": b"\0" * 12 + b"\x61\x15\x06\0" + bytes(4096),
                "usr/libexec/helper": elf("helper"),
                "usr/bin/su": elf("su"),
            },
            modes={"usr/libexec/helper": 0o750, "usr/bin/su": 0o4755},
            site="frontier",
        ),
        "enroot": Image(
            content={
                **python(),
                **of_arm(python()),
                **torch("2.14.1+cu130", "13.0"),
                **environment(
                    PYTHONNOUSERSITE="1",
                    NVIDIA_VISIBLE_DEVICES="${NVIDIA_VISIBLE_DEVICES:-all}",
                    NVIDIA_REQUIRE_CUDA='"cuda>=13.0 brand=tesla,driver>=535,driver<536"',
                    NVIDIA_DRIVER_CAPABILITIES='"${NVIDIA_DRIVER_CAPABILITIES:-"compute,utility"}"',
                ),
            },
            site="cscs-alps",
        ),
    }


def faulty() -> dict[str, Image]:
    """One fault each, by the name of the file that holds what is to be said of it."""
    stub = {"usr/local/cuda/lib64/stubs/libcuda.so": b"stub"}
    alpine: dict[str, Content | File] = {"lib/ld-musl-x86_64.so.1": elf("libc.musl-x86_64.so.1"), "bin/sh": elf("sh")}
    torch132 = {**python(), **torch("2.15.0+cu132", "13.2")}
    code_for_80 = {f"{SITE}/torch/lib/libtorch_cuda.so": gpu_library((75, 80, 90), (120,))}
    return {
        "architecture": Image(content=of_arm(base())),
        "engine-absent": Image(content=base(), engine="apptainer"),
        "shifter": Image(content=base(), engine="shifter"),
        "cuda-too-new": Image(content=torch132, site="polaris-570"),
        "cuda-minor": Image(content=torch132),
        "cuda-minor-unknown-code": Image(content={**base(), **toolkit("13.2.0")}),
        "cuda-minor-ptx-alone": Image(
            content={**torch132, "opt/app/bin/kernels": gpu_library((), (80,))}, modes={"opt/app/bin/kernels": 0o755}
        ),
        "cuda-minor-read": Image(content={**torch132, **code_for_80}),
        "cuda-toolkit-too-new": Image(content={**base(), **toolkit("12.6.3")}, site="old-driver"),
        "cuda-jax-too-new": Image(content={**python(), **wheel("jax-cuda13-plugin", "0.10.2")}, site="polaris-570"),
        "cuda-variable-too-new": Image(content={**base(), **environment(CUDA_VERSION="13.0.1")}, site="polaris-570"),
        "cuda-default-wheel": Image(
            content={**python(), **wheel("torch", "2.15.0"), **wheel("nvidia-cudnn-cu13", "9.12.0.46")},
            site="polaris-570",
        ),
        "cuda-on-amd": Image(content={**python(), **torch("2.14.1+cu126", "12.6")}, site="lumi"),
        "cuda-on-cpu-nodes": Image(content={**python(), **torch("2.14.1+cu126", "12.6")}, site="perlmutter-cpu"),
        "capability-v100": Image(content={**python(), **torch("2.14.1+cu130", "13.0")}, site="expanse"),
        "capability-read": Image(
            content={**base(), "opt/app/bin/solver": gpu_library((60, 70))}, modes={"opt/app/bin/solver": 0o755}
        ),
        "cuda-mixed": Image(
            content={**python(), **torch("2.14.1+cu130", "13.0"), **wheel("jax-cuda12-plugin", "0.10.2")}
        ),
        "stub-library-path": Image(
            content={**base(), **stub, **environment(LD_LIBRARY_PATH="/usr/local/cuda/lib64/stubs")}
        ),
        "solver-for-another-maker": replace(solver(80), site="frontier"),
        "solver-for-other-cards-of-amd": Image(
            content={**base(), "opt/app/lib/libx.so": amd_library("gfx908")}, site="lumi-g"
        ),
        "solver-of-amd-elsewhere": Image(content={**base(), "opt/app/lib/libx.so": amd_library("gfx90a")}),
        "solver-on-processors": replace(solver(80), site="perlmutter-cpu"),
        "solver-too-new": replace(solver(80, ptx=(90,), version=(9, 0)), site="polaris-570"),
        "solver-for-newer-gpus": solver(90, ptx=(90,), version=(8, 4)),
        "toolkit-before-the-gpu": Image(
            content={**base(), "usr/local/cuda-10.2/lib64/libcudart.so.10.2.89": elf("libcudart.so.10.2")}
        ),
        "torch-for-processors": Image(content={**python(), **torch_without("2.14.1+cpu")}),
        "torch-for-processors-and-cuda": Image(
            content={**python(), **wheel("torch", "2.14.1+cpu"), **toolkit("12.6.3")}, site="polaris"
        ),
        "jax-for-processors": Image(content={**python(), **wheel("jax", "0.10.2"), **wheel("jaxlib", "0.10.2")}),
        "jax-plugin-of-another-version": Image(
            content={
                **python(),
                **wheel("jax", "0.10.2"),
                **wheel("jaxlib", "0.10.2"),
                **wheel("jax-cuda12-plugin", "0.10.1"),
            }
        ),
        "jaxlib-newer": Image(
            content={**python(), **wheel("jax", "0.10.1"), **wheel("jaxlib", "0.10.2")}, site="perlmutter-cpu"
        ),
        "stub-by-rpath": Image(
            content={
                **base(),
                **stub,
                "usr/local/cuda/lib64/stubs/libcuda.so.1": "libcuda.so",
                "opt/app/bin/solver": elf(
                    "solver", needed="libcuda.so.1", path="-Wl,-rpath,/usr/local/cuda/lib64/stubs"
                ),
            }
        ),
        "driver-s-management": Image(
            content={**base(), "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.104.05": b"driver"}, site="polaris"
        ),
        "stub-loader": Image(
            content={**base(), **stub, "etc/ld.so.conf.d/cuda.conf": b"/usr/local/cuda/lib64/stubs\n"}
        ),
        "compat-older": Image(
            content={
                **base(),
                "usr/local/cuda/compat/libcuda.so.560.35.03": b"compat",
                "usr/local/cuda/compat/libcuda.so.1": "libcuda.so.560.35.03",
                **environment(LD_LIBRARY_PATH="/usr/local/cuda/compat"),
            }
        ),
        "driver-inside": Image(content={**base(), "usr/lib/libcuda.so.535.104.05": b"driver"}),
        "rocm-too-new": Image(content={**base(), "opt/rocm-7.2.0/.info/version": b"7.2.0-43\n"}, site="lumi"),
        "enroot-requirement": Image(
            content={
                **python(),
                **of_arm(python()),
                **environment(
                    PYTHONNOUSERSITE="1", NVIDIA_REQUIRE_CUDA='"cuda>=13.2 brand=tesla,driver>=535,driver<536"'
                ),
            },
            site="cscs-alps",
        ),
        "setuid": Image(
            content={**base(), "opt/app/bin/helper": elf("helper")},
            modes={"opt/app/bin/helper": 0o4755},
            site="frontier",
        ),
        "enroot-variables": Image(
            content={
                **python(),
                **of_arm(python()),
                **torch("2.14.1+cu130", "13.0"),
            },
            site="cscs-alps",
        ),
        "openmpi-5": Image(content=openmpi("5.0.8")),
        "openmpi-5-shifter": Image(content=openmpi("5.0.8"), engine="shifter"),
        "openmpi-frontier": Image(content=openmpi("5.0.8"), site="frontier"),
        "mpi-inside-a-program": Image(
            content={**base(), "opt/app/bin/solver": static_program("MPICH Version: 3.4.3")}, site="frontier"
        ),
        "mpi-by-rpath": Image(
            content={
                **mpich(),
                "opt/app/bin/solver": elf(
                    "solver",
                    needed="libmpi.so.12",
                    path="-Wl,-rpath,$ORIGIN/../../../usr/local/lib -Wl,--disable-new-dtags",
                ),
            }
        ),
        "mpi4py-by-path": Image(content={**mpich(), **mpi4py()}),
        "mpi-by-rpath-of-a-program-elsewhere": Image(
            content={
                **mpich(),
                "usr/bin/other": elf(
                    "other", needed="libmpi.so.12", path="-Wl,-rpath,/usr/local/lib -Wl,--disable-new-dtags"
                ),
            },
            site="frontier",
        ),
        "mpi-of-two-families": Image(
            content={
                **mpich(),
                "opt/openmpi/lib/libmpi.so.40": elf("libmpi.so.40", symbols=(("ompi_version_string", "5.0.8"),)),
                "opt/app/bin/other": elf("other", needed="libmpi.so.40"),
            }
        ),
        "mpi4py-of-open-mpi": Image(
            content={
                **mpich(),
                "opt/openmpi/lib/libmpi.so.40": elf("libmpi.so.40", symbols=(("ompi_version_string", "5.0.8"),)),
                **environment(PYTHONNOUSERSITE="1"),
                **mpi4py_built_for("libmpi.so.40"),
            },
            site="frontier",
        ),
        "mpi-inside-beside-a-library": Image(
            content={**mpich(), "opt/app/bin/other": static_program("MPICH Version: 3.4.3")}, site="frontier"
        ),
        "mpi-that-is-not-there": Image(
            content={**base(), "opt/app/bin/solver": elf("solver", needed="libmpi.so.40")}, site="slurm"
        ),
        "program-for-arm": Image(
            content={**base(), "usr/local/bin/solver": for_arm(elf("solver"))}, modes={"usr/local/bin/solver": 0o755}
        ),
        "mpich-of-debian": Image(
            content={
                **base(),
                "usr/lib/x86_64-linux-gnu/libmpich.so.12": elf(
                    "libmpich.so.12", symbols=(("MPII_Version_string", "4.0.2"), ("MPII_Version_device", "ch4:ucx"))
                ),
            },
            site="polaris",
        ),
        "home-too-small": Image(content=base(), sparse={"big": 25 * 10**9}),
        "no-room": Image(content=base(), sparse={"big": 3 * 10**9}, site="small-quota"),
        "mpich-newer": Image(content=mpich("4.1.2")),
        "mpich-old-glibc": Image(content=mpich(glibc="2.35")),
        "nccl-old-glibc": Image(
            content={
                **base("2.35"),
                **torch("2.14.1+cu126", "12.6"),
                **wheel("nvidia-nccl-cu12", "2.27.3"),
            }
        ),
        "nccl-on-cpu-nodes": Image(
            content={**base("2.35"), **torch("2.14.1+cu126", "12.6"), **wheel("nvidia-nccl-cu12", "2.27.3")},
            site="perlmutter-cpu",
        ),
        "alpine": Image(content=alpine),
        "alpine-cscs": Image(content=of_arm(alpine), site="cscs-alps"),
        "ldconfig": Image(
            content={path: data for path, data in mpich().items() if path != "sbin/ldconfig"},
        ),
        "shell": Image(
            content={**{path: data for path, data in base().items() if path != "bin/sh"}, **runscript("exec hello")}
        ),
        "locale": Image(content={**base(), **environment(LC_ALL="en_US.UTF-8")}),
        "closed-files": Image(
            content={**base(), "opt/app/settings.ini": b"x", "opt/app/data/a": b"", "opt/app/data/b": b""},
            site="frontier",
            modes={"opt/app/settings.ini": 0o600, "opt/app/data": 0o700},
        ),
        "root-path": Image(
            content={**base(), "root/tool": b"", **environment(PATH="/root:/usr/bin:/bin")},
            site="frontier",
            modes={"root": 0o700},
        ),
        "root-path-perlmutter": Image(
            content={**base(), "root/tool": b"", **environment(PATH="/root:/usr/bin:/bin")},
            modes={"root": 0o700},
        ),
        "root-by-a-link": Image(
            content={
                **base(),
                "root/.local/share/uv/python/bin/python3.12": elf("python3.12"),
                "opt/env/bin/python": f"{HOME}/.local/share/uv/python/bin/python3.12",
                "opt/env/bin/python3": "python",
                "opt/env/pyvenv.cfg": f"home = {HOME}/.local/share/uv/python/bin\n".encode(),
                **environment(PATH="/opt/env/bin:/usr/bin:/bin"),
            },
            modes={"root": 0o700},
            site="frontier",
        ),
        "root-by-an-entrypoint": Image(
            content={
                **base(),
                "root/app/start": elf("start"),
                **runscript(f'OCI_ENTRYPOINT=\'"{HOME}/app/start"\'\neval "set ${{OCI_ENTRYPOINT}}"\nexec "$@"'),
            },
            modes={"root": 0o700},
            site="frontier",
        ),
        "root-by-a-program-s-file": Image(
            content={**base(), "root/app/main.py": b"", **runscript(f'cd /tmp\nexec python3 {HOME}/app/main.py "$@"')},
            modes={"root": 0o700},
            site="frontier",
        ),
        "root-to-work-in": Image(
            content={**base(), "root/app/main.py": b"", **runscript(f"cd {HOME}/app\nexec python3 main.py")},
            modes={"root": 0o700},
            site="frontier",
        ),
        "root-by-the-runscript": Image(
            content={**base(), "root/run.sh": b"#!/bin/sh\n", **runscript(f'exec {HOME}/run.sh "$@"')},
            modes={"root": 0o700},
        ),
        "sudo": Image(content={**base(), **runscript("exec sudo -E /opt/app/run")}, site="frontier"),
        "writes": Image(content={**base(), **runscript("date > /opt/app/started\nexec sh")}, site="frontier"),
        "writes-beside": Image(
            content={**base(), **runscript("cd /opt/app\n./solve input.txt > log.txt")}, site="frontier"
        ),
        "stub-by-link": Image(
            content={**base(), **stub, "usr/lib/libcuda.so.1": "/usr/local/cuda/lib64/stubs/libcuda.so"}
        ),
        "writes-entrypoint": Image(
            content={
                **base(),
                **runscript('OCI_ENTRYPOINT=\'"/entry.sh"\'\neval "set ${OCI_ENTRYPOINT}"\nexec "$@"'),
                "entry.sh": b"#!/bin/bash\nmkdir -p /var/log/app\nexec sh\n",
            },
            site="frontier",
        ),
        "cache-folder": Image(
            content={**base(), "opt/cache": None, **environment(NUMBA_CACHE_DIR="/opt/cache")}, site="frontier"
        ),
        "cache-of-models": Image(
            content={**base(), "opt/models": None, **environment(HF_HOME="/opt/models")}, site="frontier"
        ),
        "depot": Image(
            content={**base(), "opt/julia": None, **environment(JULIA_DEPOT_PATH="/opt/julia:")}, site="frontier"
        ),
        "locale-older-than-its-glibc": Image(
            content={**base("2.17"), **environment(LC_ALL="C.UTF-8")}, site="perlmutter-cpu"
        ),
        "writes-in-place": Image(
            content={**base(), **runscript("sed -i s/HOST/node/ /opt/app/settings.ini\nexec sh")}, site="frontier"
        ),
        "user-site": Image(content={**base(), "usr/bin/python3": elf("python3")}, site="frontier"),
        "user-site-perlmutter": Image(content={**base(), "usr/bin/python3": elf("python3")}),
        "jax-library-path": Image(
            content={
                **python(),
                **toolkit("12.6.3"),
                **wheel("jax-cuda12-plugin", "0.10.2"),
                **environment(PYTHONNOUSERSITE="1", LD_LIBRARY_PATH="/usr/local/cuda/lib64"),
            }
        ),
        "libfabric-frontier": Image(
            content={**openmpi("4.1.6"), **libfabric(), **plugins("mca_pmix_s2.so", "mca_mtl_ofi.so")}, site="no-cxi"
        ),
        "nccl-plugin": Image(
            content={**python(), **torch("2.14.1+cu126", "12.6"), **wheel("nvidia-nccl-cu12", "2.27.3")}, site="no-cxi"
        ),
        "many-files": Image(
            content={**base(), **{f"opt/data/{number}": b"" for number in range(2001)}}, site="frontier"
        ),
    }


def torch_without(version: str) -> dict[str, Content | File]:
    said = f"__version__ = '{version}'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n"
    return {**wheel("torch", version), f"{SITE}/torch/version.py": said.encode()}


def in_environment(prefix: str, content: Contents) -> dict[str, Content | File]:
    """The same packages in a virtual environment."""
    return {path.replace("usr/", f"{prefix}/", 1): what for path, what in content.items()}


def toolkit(version: str) -> dict[str, Content | File]:
    said = f'{{"cuda": {{"name": "CUDA SDK", "version": "{version}"}}}}'.encode()
    return {
        f"usr/local/cuda-{version.rpartition('.')[0]}/version.json": said,
        "usr/local/cuda": f"cuda-{version.rpartition('.')[0]}",
    }


def libfabric() -> dict[str, Content | File]:
    return {"usr/local/lib/libfabric.so.1": elf("libfabric.so.1", symbols=(("provider", "tcp"),))}


def plugins(*names: str) -> dict[str, Content | File]:
    return {f"usr/local/lib/openmpi/{name}": elf(name) for name in names}


SITES = {
    "small-quota": 'extends = "slurm"\n[filesystems.scratch]\nquota_gb = 2\n[filesystems.home]\nquota_gb = 1\n',
    "polaris-570": 'extends = "polaris"\n[gpu]\ndriver = "570.124.06"\ncuda = "12.8"\n',
    "old-driver": 'extends = "polaris"\n[gpu]\ndriver = "515.65.01"\ncuda = "11.7"\n',
    "no-cxi": 'extends = "slurm"\n[gpu]\nvendor = "nvidia"\ndriver = "580.105.08"\ncapability = "8.0"\n'
    '[network]\nname = "Slingshot 11"\nprovider = "cxi"\n',
}
"""Sites of the tests' own, as users add them."""

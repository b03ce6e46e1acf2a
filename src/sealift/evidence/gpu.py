"""What an image has for GPUs, found without running it: CUDA and ROCm by who brings them, code, drivers' libraries."""

from __future__ import annotations

import itertools
import json
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sealift.elf.gpucode import GpuCode, read_gpu_code
from sealift.evidence.files import ImageFiles
from sealift.evidence.opening import OpenImage
from sealift.evidence.packages import Package
from sealift.evidence.programs import SYSTEM, Program
from sealift.evidence.searching import open_file

Toolkit = Literal["cuda", "rocm"]
LibraryKind = Literal["stub", "compat", "driver"]

_TEXT_LIMIT = 1 << 20
_CODE_LIMIT = 1000
"""Libraries and programs of which it is looked at whether they have code for GPUs."""
_LEAST_CODE = 1 << 10
_DRIVERS = re.compile(r"lib(cuda|nvidia-ml|nvidia-ptxjitcompiler|nvidia-nvvm)\.so(\.[0-9.]+)?")
_DRIVER_VERSION = re.compile(r"lib(?:cuda|nvidia-[\w-]+)\.so\.(\d+\.\d+(?:\.\d+)?)")
_OF_DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")
"""The names by which programs ask for the driver's libraries."""
_CUDART = re.compile(r"libcudart\.so\.(\d+(?:\.\d+)*)")
_NAMED = re.compile(
    r"(?i).*(cuda|cupy|flash_attn|_hip|rocm|xgboost|lightgbm|nccl_ops|apex|xformers|vllm|bitsandbytes|_C\b).*\.so(\.\d+)*"
)
_NOT_OWN = re.compile(
    r"(?:proc|sys|dev|run|tmp|boot|usr/local/cuda[^/]*|opt/rocm[^/]*|opt/nvidia|.*/(?:site|dist)-packages)/"
)
_PACKAGES = re.compile(r"(?P<site>.*/(?:site|dist)-packages)/(?P<name>[^/]+)/")
_VERSION_LINE = re.compile(r"^(__version__|cuda|hip)\s*(?::[^=]*)?=\s*['\"]([^'\"]*)['\"]", re.MULTILINE)
_LOADER_FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
"""Where a loader looks by itself; beside them, their folders for one processor (Debian's multiarch)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that brings CUDA or ROCm: `what` it is, the toolkit's `version`, and the file that says so.

    `framework` is torch, jax or cupy where it is what programs import.
    """

    toolkit: Toolkit
    what: str
    version: str
    path: str
    framework: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverLibrary:
    """A libcuda, or another library of a driver, in the image.

    `led` says what leads programs to it: `LD_LIBRARY_PATH`, a file of the loader's settings, `the loader's own
    folders`, `the RPATH of …`; empty where nothing does.
    """

    path: str
    kind: LibraryKind
    version: str = ""
    led: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGpu:
    """`code` is by what it belongs to: a Python package, or a file. `nccl` is its name and version.

    `without` are frameworks that were built for processors alone, with the file that says so.
    """

    parts: tuple[Part, ...] = ()
    code: Mapping[str, GpuCode] = field(default_factory=dict)
    libraries: tuple[DriverLibrary, ...] = ()
    nccl: str = ""
    nccl_plugin: str = ""
    without: tuple[str, ...] = ()

    def of(self, toolkit: Toolkit) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.toolkit == toolkit)


def find_gpu(
    image: OpenImage,
    files: ImageFiles,
    packages: Iterable[Package],
    environment: Mapping[str, str],
    programs: Iterable[Program] = (),
) -> ImageGpu:
    """All of it; what is damaged or says nothing is passed over. `programs` are those of the image's own."""
    packages = tuple(packages)
    code = _code(image, files, packages)
    parts = [
        *_torch(files, packages),
        *_jax(packages),
        *_wheels(packages),
        *_toolkits(files),
        *_runtimes(files, packages),
        *_compiled(code),
    ]
    if not parts and re.fullmatch(r"\d+\.\d+(\.\d+)?", environment.get("CUDA_VERSION", "")):
        parts.append(
            Part(toolkit="cuda", what="the base", version=_two(environment["CUDA_VERSION"]), path="$CUDA_VERSION")
        )
    return ImageGpu(
        parts=tuple(dict.fromkeys(parts)),
        code=code,
        libraries=tuple(_libraries(files, environment, programs)),
        nccl=_nccl(files, packages),
        nccl_plugin=next((path for path, _ in _named(files, re.compile(r"libnccl-net(-\w+)?\.so(\.\d+)*"))), ""),
        without=tuple(_without(files, packages)),
    )


# Who brings CUDA or ROCm


def _torch(files: ImageFiles, packages: Iterable[Package]) -> Iterator[Part]:
    """PyTorch says in its version.py what it was built with; else the version of its wheel tells, or what lies beside.

    A version that is empty is that of the wheels which the package index gives where none is named.
    """
    told = set[str]()
    for path, row in _named(files, re.compile(r"version\.py")):
        if not path.endswith("-packages/torch/version.py"):
            continue
        told.add(path.removesuffix("/torch/version.py"))
        said = dict(_VERSION_LINE.findall(_text(files, row)))
        name = f"torch {said.get('__version__', '')}".rstrip()
        toolkits: tuple[tuple[str, Toolkit], ...] = (("cuda", "cuda"), ("hip", "rocm"))
        for key, toolkit in toolkits:
            if re.match(r"\d", said.get(key, "")):
                yield Part(toolkit=toolkit, what=name, version=_two(said[key]), path=path, framework="torch")
    wheels = [one for one in packages if one.manager == "python"]
    for one in wheels:
        if one.name != "torch" or one.place in told:
            continue
        local = one.version.partition("+")[2]
        beside = [each for each in wheels if each.place == one.place and each.name.lower().startswith("nvidia-")]
        found = re.fullmatch(r"cu(\d{2})(\d)|rocm(\d+\.\d+)(\.\d+)?", local)
        if found and found[1]:
            yield _torch_wheel(one, "cuda", f"{found[1]}.{found[2]}")
        elif found:
            yield _torch_wheel(one, "rocm", found[3])
        elif not local and beside:
            runtime = [each.version for each in beside if re.fullmatch(r"nvidia-cuda-runtime(-cu\d+)?", _name(each))]
            yield _torch_wheel(one, "cuda", _two(runtime[0]) if runtime else "")


def _without(files: ImageFiles, packages: Iterable[Package]) -> Iterator[str]:
    for path, row in _named(files, re.compile(r"version\.py")):
        if path.endswith("-packages/torch/version.py"):
            text = _text(files, row)
            said = dict(_VERSION_LINE.findall(text))
            if re.search(r"^cuda\b[^=]*= None", text, re.MULTILINE) and not said.get("hip"):
                yield f"torch {said.get('__version__', '')}".rstrip() + f" ({path})"
    wheels = [one for one in packages if one.manager == "python"]
    for one in wheels:
        beside = [_name(each) for each in wheels if each.place == one.place]
        whole = files.file(f"{one.place}/torch/version.py") is not None
        if _name(one) == "torch" and one.version.endswith("+cpu") and not whole:
            yield f"torch {one.version} ({_metadata_of(one)})"
        # Before 0.4.30 CUDA was in jaxlib itself, whose version said so.
        alone = not any(re.fullmatch(r"jax-\w+-plugin|libtpu", name) for name in beside)
        if alone and _name(one) == "jaxlib" and not re.search(r"\+(cuda|rocm)", one.version):
            yield f"jaxlib {one.version} without a plugin ({_metadata_of(one)})"


def _torch_wheel(one: Package, toolkit: Toolkit, version: str) -> Part:
    what = f"torch {one.version}"
    return Part(toolkit=toolkit, what=what, version=version, path=_metadata_of(one), framework="torch")


def _name(one: Package) -> str:
    return one.name.lower().replace("_", "-")


def _jax(packages: Iterable[Package]) -> Iterator[Part]:
    """JAX's plugin names the major version; the runtime that is installed beside it has the rest."""
    packages = tuple(one for one in packages if one.manager == "python")
    for one in packages:
        found = re.fullmatch(r"jax[_-]cuda(\d+)[_-]plugin", one.name.lower())
        if found:
            beside = [each.version for each in packages if each.place == one.place and _is_runtime(each, found[1])]
            yield Part(
                toolkit="cuda",
                what=f"jax with {one.name} {one.version}",
                version=_two(beside[0]) if beside else found[1],
                path=_metadata_of(one),
                framework="jax",
            )


def _is_runtime(one: Package, major: str) -> bool:
    """NVIDIA's wheels carry the major version in their names up to CUDA 12."""
    return _name(one) == (f"nvidia-cuda-runtime-cu{major}" if int(major) < 13 else "nvidia-cuda-runtime")


def _wheels(packages: Iterable[Package]) -> Iterator[Part]:
    for one in packages:
        name, short = _name(one), _two(one.version)
        if one.manager == "python" and re.fullmatch(r"nvidia-cuda-runtime(-cu\d+)?", name):
            yield Part(toolkit="cuda", what=f"{one.name} {one.version}", version=short, path=_metadata_of(one))
        elif one.manager == "python" and (found := re.fullmatch(r"cupy-cuda(\d{2})x", name)):
            yield Part(
                toolkit="cuda",
                what=f"{one.name} {one.version}",
                version=found[1],
                path=_metadata_of(one),
                framework="cupy",
            )
        elif one.manager == "conda" and name in ("cuda-cudart", "cudatoolkit"):
            yield Part(toolkit="cuda", what=f"{one.name} {one.version}", version=short, path=one.place)
        elif one.manager in ("dpkg", "rpm") and name == "rocm-core":
            yield Part(toolkit="rocm", what=f"{one.name} {one.version}", version=short, path=one.manager)


def _metadata_of(one: Package) -> str:
    return f"{one.place}/{one.name.replace('-', '_')}-{one.version}.dist-info"


def _toolkits(files: ImageFiles) -> Iterator[Part]:
    """Toolkits in their own folders, each once, whatever links lead to it."""
    seen = set[str]()
    for name in files.names("/usr/local"):
        real = files.real(f"/usr/local/{name}")
        row = files.file(f"{real}/version.json") if name.startswith("cuda") and real not in seen else None
        version = _json_version(_text(files, row)) if row is not None else ""
        if version:
            seen.add(real)
            what = f"the CUDA toolkit {version}"
            yield Part(toolkit="cuda", what=what, version=_two(version), path=f"{real}/version.json")
    for name in files.names("/opt"):
        real = files.real(f"/opt/{name}")
        row = files.file(f"{real}/.info/version") if name.startswith("rocm") and real not in seen else None
        found = re.match(r"\d+\.\d+(\.\d+)?", _text(files, row)) if row is not None else None
        if found:
            seen.add(real)
            yield Part(toolkit="rocm", what=f"ROCm {found[0]}", version=_two(found[0]), path=f"{real}/.info/version")


def _json_version(text: str) -> str:
    try:
        value = json.loads(text)["cuda"]["version"]
    except (ValueError, KeyError, TypeError):
        return ""
    return value if isinstance(value, str) else ""


def _runtimes(files: ImageFiles, packages: Iterable[Package]) -> Iterator[Part]:
    """The runtime library itself, where no package of Python's or conda's has it: its file carries its version."""
    known = {row for one in packages if one.manager in ("python", "conda") for row in one.rows}
    for path, row in _named(files, _CUDART):
        found = _CUDART.fullmatch(posixpath.basename(path))
        if found and row not in known and "/site-packages/" not in path:
            yield Part(toolkit="cuda", what=posixpath.basename(path), version=_two(found[1]), path=path)


def _compiled(code: Mapping[str, GpuCode]) -> Iterator[Part]:
    """What somebody compiled for this image: mostly with the runtime inside, so that nothing else tells of CUDA."""
    for owner, each in code.items():
        if owner.startswith("/"):
            amd = any(target.startswith("gfx") for target in each.code)
            yield Part(toolkit="rocm" if amd else "cuda", what=posixpath.basename(owner), version=each.cuda, path=owner)


def _two(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _nccl(files: ImageFiles, packages: Iterable[Package]) -> str:
    for one in packages:
        if re.fullmatch(r"nvidia-nccl-cu\d+|libnccl2?", one.name.lower()):
            return f"{one.name} {one.version}"
    return next((posixpath.basename(path) for path, _ in _named(files, re.compile(r"libnccl\.so\.\d+\.[\d.]+"))), "")


# Code


def _code(image: OpenImage, files: ImageFiles, packages: Iterable[Package]) -> dict[str, GpuCode]:
    """Of what somebody built for this image, then of Python's packages, those first whose names speak of GPUs."""
    tree = files.tree
    distribution = {row for one in packages if one.manager not in ("python", "conda") for row in one.rows}
    conda = {row: one.name for one in packages if one.manager == "conda" for row in one.rows}
    own: dict[str, str] = {}
    named: dict[str, str] = {}
    others: dict[str, str] = {}
    late: dict[str, str] = {}
    for row, raw in enumerate(tree.paths):
        mode = tree.modes[row]
        if not stat.S_ISREG(mode) or tree.sizes[row] < _LEAST_CODE or row in distribution:
            continue
        path = os.fsdecode(raw)
        name = posixpath.basename(path)
        package = _PACKAGES.match(path)
        if package and package["name"] != "nvidia" and ".so" in name:
            (named if _NAMED.fullmatch(name) else others)[path] = package["name"]
        elif not package and row in conda and _NAMED.fullmatch(name):
            named[path] = conda[row]
        elif not package and row not in conda and not _NOT_OWN.match(path) and (mode & 0o111 or ".so" in name):
            (late if SYSTEM.match(path) else own)[path] = f"/{path}"
    found: dict[str, GpuCode] = {}
    for path, owner in itertools.islice((own | named | others | late).items(), _CODE_LIMIT):
        file = open_file(image, f"/{path}")
        code = read_gpu_code(file.read) if file is not None else None
        if code is not None:
            found[owner] = found.get(owner, GpuCode()) | code
    return found


# Libraries of the driver


def _libraries(
    files: ImageFiles, environment: Mapping[str, str], programs: Iterable[Program]
) -> Iterator[DriverLibrary]:
    leads = _leads(files, environment) | _by_rpath(files, programs)
    seen: dict[str, None] = {}
    for path, _ in _named(files, _DRIVERS, links=True):
        folder = files.real(posixpath.dirname(path))
        if folder in seen:
            continue
        seen[folder] = None
        target = files.real(path)
        names = files.names(folder)
        found = (_DRIVER_VERSION.fullmatch(posixpath.basename(name)) for name in (target, *names))
        version = next((each[1] for each in found if each), "")
        # A link may lead from the loader's folders to a stub.
        places = f"{folder}/ {target}"
        kind: LibraryKind = "stub" if "/stubs/" in places else "compat" if "/compat/" in places else "driver"
        yield DriverLibrary(
            path=f"{folder}/{posixpath.basename(path)}",
            kind=kind,
            version=version,
            led=leads.get(folder, ""),
        )


def _by_rpath(files: ImageFiles, programs: Iterable[Program]) -> dict[str, str]:
    """Folders to which programs that want the driver are led by their own paths."""
    found: dict[str, str] = {}
    for program in programs:
        wanted = [name for name in _OF_DRIVER if name in program.elf.needed]
        for folder in program.folders:
            if any(files.file(f"{folder}/{name}") is not None for name in wanted):
                found.setdefault(files.real(folder), f"the {'RPATH' if program.first else 'RUNPATH'} of {program.path}")
    return found


def _leads(files: ImageFiles, environment: Mapping[str, str]) -> dict[str, str]:
    """Folders of libraries that programs come by, with what leads there, the strongest first."""
    found: dict[str, str] = {}
    for folder in environment.get("LD_LIBRARY_PATH", "").split(":"):
        if folder.startswith("/"):
            found.setdefault(files.real(folder), "LD_LIBRARY_PATH")
    settings = ["/etc/ld.so.conf", *(f"/etc/ld.so.conf.d/{name}" for name in files.names("/etc/ld.so.conf.d"))]
    for path in settings:
        row = files.file(path) if path.endswith(".conf") else None
        for line in _text(files, row).splitlines() if row is not None else ():
            folder = line.partition("#")[0].strip().partition("=")[0].rstrip("/")
            if folder.startswith("/"):
                found.setdefault(files.real(folder), path)
    for base in _LOADER_FOLDERS:
        multiarch = [f"{base}/{name}" for name in files.names(base) if name.endswith("-linux-gnu")]
        for folder in (base, *multiarch):
            found.setdefault(files.real(folder), "the loader's own folders")
    return found


def _named(files: ImageFiles, pattern: re.Pattern[str], *, links: bool = False) -> Iterator[tuple[str, int]]:
    """Path and row of regular files, with `links` of symbolic links too, whose name fits; in the order of paths."""
    for row, raw in enumerate(files.tree.paths):
        mode = files.tree.modes[row]
        if not (stat.S_ISREG(mode) or (links and stat.S_ISLNK(mode))):
            continue
        name = os.fsdecode(raw.rpartition(b"/")[2])
        if pattern.fullmatch(name):
            yield "/" + os.fsdecode(raw), row


def _text(files: ImageFiles, row: int) -> str:
    if files.tree.sizes[row] > _TEXT_LIMIT:
        return ""
    return files.read(row, _TEXT_LIMIT).decode("utf-8", "replace")

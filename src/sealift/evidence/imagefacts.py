"""All that a check asks of an image, read once and without running it."""

from __future__ import annotations

import os
import posixpath
import re
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sealift.core.mpi import ImageMpi, version_numbers
from sealift.elf.reading import is_elf, read_elf
from sealift.errors import ImageError
from sealift.evidence.files import ImageFiles, files_of
from sealift.evidence.gpu import ImageGpu, find_gpu
from sealift.evidence.mpi import find_mpi
from sealift.evidence.mpi4py import opened_by_path
from sealift.evidence.mpiusers import MpiUse, find_uses
from sealift.evidence.opening import Form, OpenImage
from sealift.evidence.packages import Package, find_packages
from sealift.evidence.programs import SYSTEM, Program, own_programs
from sealift.evidence.searching import open_file

SCRIPTS = ("/.singularity.d/runscript", "/.singularity.d/startscript")
PATHS = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "JULIA_DEPOT_PATH", "R_LIBS_SITE")
"""Variables whose folders programs have to be able to enter."""
_LOCALES = "/usr/lib/locale"
_ARCHIVE_MAGIC = 0xDE020109
_NAMES_LIMIT = 16 << 20
_KNOWS_C_UTF8 = (2, 35)
"""From this glibc on C.UTF-8 is there without a file; before, distributions bring one, or not."""
_SCRIPT_LIMIT = 1 << 18
_APART = frozenset(
    (b"etc", b"var", b"root", b"proc", b"sys", b"dev", b"run", b"tmp", b"boot", b"home", b"mnt", b"media")
)
"""Folders in which files that are closed to others belong to the system, or to nobody's programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What was read of one image.

    - `source` is the image as it was named, `path` the file that was read; `size` is that of the file, or of all
      contents of a folder; `entries` are its names.
    - `environment` is what is certain of the image's own; `scripts` are texts of its runscript and of what that starts.
    - `pythons` are Python's packages: by their folder, then by name, with their versions.
    - `closed` are the topmost paths that somebody else than their owner cannot read, where no package of the
      distribution has them; `shut` are folders that variables name and others cannot enter, by the variable.
    - `user_site` is the interpreter that looks into ~/.local, empty where none does.
    - `locales` are those that are installed; None where every name is as good (musl) or it cannot be told.
    - `mpi_uses` are the MPIs of the image as its programs see them, `libfabric` the library's path with whether it
      knows `cxi`.
    - `foreign` are programs for another processor than the image's, by path.
    """

    source: str
    path: str
    form: Form
    size: int = 0
    entries: int = 0
    architecture: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)
    mpi: ImageMpi = field(default_factory=ImageMpi)
    mpi_uses: tuple[MpiUse, ...] = ()
    mpi_by_path: str = ""
    """The image's MPI where mpi4py opens it by its path."""
    gpu: ImageGpu = field(default_factory=ImageGpu)
    pythons: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shell: bool = True
    ldconfig: bool = True
    locales: frozenset[str] | None = None
    closed: tuple[str, ...] = ()
    setuid: tuple[str, ...] = ()
    """Programs that would run as their owner, where no package of the distribution has them."""
    shut: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shut_folders: tuple[str, ...] = ()
    """The topmost folders that others than their owner cannot enter."""
    shut_links: Mapping[str, str] = field(default_factory=dict)
    """Links of the image's that lead into them, and where to."""
    user_site: str = ""
    libfabric: Mapping[str, bool] = field(default_factory=dict)
    folders: Mapping[str, bool] = field(default_factory=dict)
    """Folders that the environment names for writing: are they there?"""

    @property
    def wheels(self) -> Mapping[str, str]:
        """Python's packages of all folders by name."""
        return {name: version for packages in self.pythons.values() for name, version in packages.items()}


def read_facts(image: OpenImage, environment: Mapping[str, str], *, source: str) -> ImageFacts:
    """Read it all. ImageError where the image is damaged, HostError where it may not be read."""
    files = files_of(image)
    inventory = find_packages(files)
    packages, known = inventory.packages, not inventory.unread
    mpi = find_mpi(image)
    pythons: dict[str, dict[str, str]] = {}
    for one in packages:
        if one.manager == "python":
            pythons.setdefault(one.place, {})[one.name.lower().replace("_", "-")] = one.version
    programs = own_programs(image, files, packages)
    uses = find_uses(image, files, mpi, programs, packages)
    architecture = _architecture(image, mpi)
    shut_folders = tuple(_shut_folders(files))
    return ImageFacts(
        source=source,
        path=image.path,
        form=image.form,
        size=os.stat(image.path).st_size if image.form != "directory" else sum(files.tree.sizes),
        entries=len(files.tree),
        architecture=architecture,
        foreign=_foreign(programs, architecture),
        environment=environment,
        scripts=_scripts(files),
        mpi=uses[0].mpi if uses else mpi,
        mpi_uses=uses,
        mpi_by_path=opened_by_path(files, packages, environment),
        gpu=find_gpu(image, files, packages, environment, programs),
        pythons=pythons,
        shell=files.file("/bin/sh") is not None,
        ldconfig=any(files.file(path) is not None for path in ("/sbin/ldconfig", "/usr/sbin/ldconfig")),
        locales=_locales(image, files, mpi.glibc) if mpi.libc == "glibc" else None,
        closed=tuple(_closed(files, packages, known=known)),
        setuid=tuple(_setuid(files, packages)),
        shut=_shut(files, environment),
        shut_folders=shut_folders,
        shut_links=dict(_shut_links(files, shut_folders)),
        user_site=_user_site(files, environment),
        libfabric=_libfabric(image, files),
        folders=_folders(files, environment),
    )


def _architecture(image: OpenImage, mpi: ImageMpi) -> str:
    """What its programs are made for; else what the SIF's header says."""
    if mpi.architecture:
        return mpi.architecture
    for path in ("/bin/sh", "/bin/busybox", "/bin/true", "/usr/bin/env"):
        file = open_file(image, path)
        if file is not None and is_elf(file.read(0, 64)):
            try:
                return read_elf(file.read).machine
            except ImageError:
                continue
    found = image.sif.architecture if image.sif is not None else None
    return found.oci if found is not None else ""


def _foreign(programs: Iterable[Program], architecture: str) -> dict[str, str]:
    """Programs for another processor, which only end with `exec format error`; 32 bits run on 64."""
    runs = {architecture, *({"386"} if architecture == "amd64" else {"arm"} if architecture == "arm64" else ())}
    return {each.path: each.elf.machine for each in programs if architecture and each.elf.machine not in runs}


# Scripts


def _scripts(files: ImageFiles) -> dict[str, str]:
    """The runscript and the startscript, and scripts that they start by a path of the image."""
    found: dict[str, str] = {}
    for path in SCRIPTS:
        text = _script(files, path)
        if text:
            found[path] = text
            for named in re.findall(r"(?:^|[\s'\"=])(/[\w./+-]+)", text):
                real = files.real(named)
                if real not in found and not real.startswith("/.singularity.d/"):
                    below = _script(files, named)
                    if below:
                        found[real] = below
    return found


def _script(files: ImageFiles, path: str) -> str:
    row = files.file(path)
    if row is None or files.tree.sizes[row] > _SCRIPT_LIMIT:
        return ""
    text = files.read(row, _SCRIPT_LIMIT)
    return text.decode("utf-8", "replace") if re.match(rb"#!.*\b(ba|da|a)?sh\b", text) else ""


# What others may not read


def _closed(files: ImageFiles, packages: Iterable[Package], *, known: bool) -> Iterator[str]:
    """`known` says that all packages could be read: else the distribution's folders may hold what belongs to one."""
    tree = files.tree
    owned = {row for one in packages if one.manager not in ("python", "conda") for row in one.rows}
    shut: list[bytes] = []
    told = set[bytes]()
    for row, path in enumerate(tree.paths):
        if path.partition(b"/")[0] in _APART or not path:
            continue
        mode = tree.modes[row]
        while shut and not path.startswith(shut[-1] + b"/"):
            shut.pop()
        if stat.S_ISDIR(mode):
            if not shut and not mode & 0o001:
                shut.append(path)
            continue
        if not stat.S_ISREG(mode) or row in owned or not (known or shut or not SYSTEM.match(os.fsdecode(path))):
            continue
        if shut:
            if shut[0] not in told:
                told.add(shut[0])
                yield f"/{os.fsdecode(shut[0])}/"
        elif not mode & 0o005:
            yield f"/{os.fsdecode(path)}"


def _setuid(files: ImageFiles, packages: Iterable[Package]) -> Iterator[str]:
    """The distribution's own are its packages', or lie in its folders where those cannot be told."""
    owned = {row for one in packages if one.manager not in ("python", "conda") for row in one.rows}
    for row, mode in enumerate(files.tree.modes):
        if stat.S_ISREG(mode) and mode & stat.S_ISUID and mode & 0o111 and row not in owned:
            path = os.fsdecode(files.tree.paths[row])
            if owned or not SYSTEM.match(path):
                yield f"/{path}"


def _shut(files: ImageFiles, environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for variable in PATHS:
        folders = dict.fromkeys(each for each in environment.get(variable, "").split(":") if each.startswith("/"))
        shut = tuple(each for each in folders if _is_shut(files, each))
        if shut:
            found[variable] = shut
    return found


def _shut_folders(files: ImageFiles) -> Iterator[str]:
    above = b""
    for row, path in enumerate(files.tree.paths):
        mode = files.tree.modes[row]
        if path and stat.S_ISDIR(mode) and not mode & 0o001 and not (above and path.startswith(above + b"/")):
            above = path
            yield f"/{os.fsdecode(path)}"


def _shut_links(files: ImageFiles, shut: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Links outside of closed folders whose target is there, and lies within one."""
    names = {folder: os.fsencode(posixpath.basename(folder)) for folder in shut}
    for row, target in files.tree.links.items():
        raw = files.tree.paths[row]
        if raw.partition(b"/")[0] in _APART or not any(name in target for name in names.values()):
            continue
        path = f"/{os.fsdecode(raw)}"
        real = files.real(path)
        if files.row(real) is not None and any(real.startswith(f"{folder}/") for folder in names):
            yield path, real


def _is_shut(files: ImageFiles, path: str) -> bool:
    """Is it there, and closed to others, by itself or by a folder above it?"""
    real = files.real(path)
    row = files.row(real)
    if row is None:
        return False
    while real != "/":
        row = files.row(real)
        mode = files.tree.modes[row] if row is not None else 0o755 | stat.S_IFDIR
        if stat.S_ISDIR(mode) and not mode & 0o001:
            return True
        real = posixpath.dirname(real)
    return False


# Python, locales, libraries, folders


def _user_site(files: ImageFiles, environment: Mapping[str, str]) -> str:
    """The first `python3` of PATH, unless something keeps it out of ~/.local: a variable, or a virtual environment."""
    if environment.get("PYTHONNOUSERSITE"):
        return ""
    for folder in environment.get("PATH", "").split(":"):
        if folder.startswith("/") and (row := files.file(f"{folder}/python3")) is not None:
            if files.file(f"{posixpath.dirname(folder)}/pyvenv.cfg") is not None or not files.tree.modes[row] & 0o111:
                return ""
            return f"{folder}/python3"
    return ""


def locale_key(name: str) -> str:
    """As glibc compares: `en_US.UTF-8` is `en_US.utf8`."""
    language, dot, codeset = name.partition(".")
    codeset, at, rest = codeset.partition("@")
    return f"{language}{dot}{re.sub('[^a-z0-9]', '', codeset.lower())}{at}{rest}"


def _locales(image: OpenImage, files: ImageFiles, glibc: str) -> frozenset[str] | None:
    found = {locale_key(name) for name in files.names(_LOCALES)} | {"C", "POSIX"}
    if version_numbers(glibc) >= _KNOWS_C_UTF8:
        found.add("C.utf8")
    archive = open_file(image, f"{_LOCALES}/locale-archive")
    if archive is not None:
        head = archive.read(0, 32)
        if len(head) < 32:
            return None
        magic, _, _, _, _, place, used, _ = struct.unpack("<8I", head)
        if magic != _ARCHIVE_MAGIC or used > _NAMES_LIMIT:
            return None
        names = archive.read(place, used).split(b"\0")
        found |= {locale_key(name.decode("ascii", "replace")) for name in names if name}
    return frozenset(found)


def _libfabric(image: OpenImage, files: ImageFiles) -> dict[str, bool]:
    """Does each libfabric know Slingshot's cards, by a provider inside or by a plugin beside it?"""
    found = {}
    for raw in files.tree.paths:
        if not re.fullmatch(rb"(.*/)?libfabric\.so\.1", raw):
            continue
        path = f"/{os.fsdecode(raw)}"
        file = open_file(image, path)
        if file is None:
            continue
        plugin = f"{posixpath.dirname(file.path)}/libfabric/libcxi-fi.so"
        text = file.read(0, min(file.size, 64 << 20))
        found[path] = b"\0cxi\0" in text or files.file(plugin) is not None
    return found


_WRITTEN = (
    "TMPDIR",
    "TMP",
    "TEMP",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "TORCH_EXTENSIONS_DIR",
    "TORCHINDUCTOR_CACHE_DIR",
    "CUDA_CACHE_PATH",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "TRANSFORMERS_CACHE",
    "JULIA_DEPOT_PATH",
    "MIOPEN_USER_DB_PATH",
    "WANDB_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTER_DATA_DIR",
    "IPYTHONDIR",
    "APPTAINER_TMPDIR",
)
"""Variables that name folders in which programs write."""


def _folders(files: ImageFiles, environment: Mapping[str, str]) -> dict[str, bool]:
    """Of a list of folders it is the first that is written to."""
    first = {variable: environment.get(variable, "").partition(":")[0] for variable in _WRITTEN}
    return {variable: files.row(path) is not None for variable, path in first.items() if path.startswith("/")}

"""What MPI is in an image, found without running it: names first, then what its libraries say of themselves.

Which of several counts is the program's to say: the one that it was linked with. Where no program is named, libraries
outside the distribution's folders come first, for somebody put them there on purpose.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from sealift.core.mpi import Family, ImageMpi, Implementation, Libc, MpiLibrary, Pmi, Transport, family_of
from sealift.elf.reading import Elf, Segment, is_elf, read_elf
from sealift.elf.symbols import content, find_symbol
from sealift.errors import ImageError
from sealift.evidence.opening import OpenImage
from sealift.evidence.programs import Program, needed_by, read_program
from sealift.evidence.searching import Found, find_names, open_file

_LIBRARY = re.compile(r"lib(mpi|mpich|mpi_abi|mpi_cray|mpi_gnu_\d+)\.so(\.[0-9.]+)?")
_PLUGIN = re.compile(r"mca_(pmix_\w+|pml_ucx|mtl_ofi|btl_ofi)\.so")
_LIBC = re.compile(r"libc\.so\.6|ld-musl-.*\.so\.1")
_TOOLS = re.compile(r"mpiexec(\.hydra)?|mpirun|cc|gcc|clang|python3|_ctypes\.cpython-.*\.so|_ctypes\.so")
_SYSTEM = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
"""Where distributions put libraries: what lies elsewhere counts before them."""
_PROGRAM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_OWN_FOLDERS = (
    "/opt",
    "/usr/local",
    "/app",
    "/apps",
    "/srv",
    "/home",
    "/root",
    "/code",
    "/work",
    "/workspace",
    "/data",
)
"""Where the programs lie that somebody built for this image: only these are searched for an MPI inside."""

_BRANDS: tuple[tuple[Implementation, bytes], ...] = (
    ("cray-mpich", rb"CRAY MPICH version (\d[\d.]*)"),
    ("intel-mpi", rb"Intel\(R\) MPI Library (\d[\d.]*)?"),
    ("mvapich", rb"MVAPICH2?[- ]Version"),
    ("parastation", rb"ParaStation|psmpi"),
)
"""Texts by which MPICH's descendants tell themselves apart; a version, where one follows, is theirs."""
_NAMELESS = (("name", rb"MPICH Version:"), ("version", rb"/mpich-(\d+\.\d+(?:\.\d+)?)[^/\0]*/src/"))
_STATIC: tuple[tuple[Family, bytes], ...] = (
    ("mpich", rb"MPICH Version:|MPIR_Err_return_comm|MPII_Version_string"),
    ("openmpi", rb"ompi_mpi_init|Open MPI v"),
)
_Name = TypeVar("_Name")
_PIECE = 4 << 20
_OVERLAP = 256
_TEXT_LIMIT = 256 << 20
"""Bytes of one file that are searched for texts."""
_STATIC_LIMIT = 1 << 30
"""Bytes of programs that are searched for an MPI inside, all together."""
_LEAST_STATIC = 256 << 10
"""A program with an MPI inside is larger than this."""


def find_mpi(image: OpenImage, program: str = "") -> ImageMpi:
    """What MPI is in `image`, seen from `program` where one is named: a path in it, or a name in its usual folders.

    A program that is no ELF file, or not in the image, says nothing. ImageError where the image is damaged; a library
    that is damaged is passed over.
    """
    names = sorted(set(find_names(image, _is_wanted)))
    libraries = _libraries(image, names)
    libc, glibc, architecture = _libc(image, names)
    asked, static = _asked(image, program)
    if program and asked:
        libraries = list(answering(libraries, asked))
    if not program and not libraries:
        static = _static_programs(image)
    return ImageMpi(
        libraries=tuple(libraries),
        asked=asked,
        static=tuple(path for path, _ in static),
        static_family=static[0][1] if static else "none",
        libc=libc,
        glibc=glibc,
        architecture=architecture,
        launcher=_first(image, names, "mpiexec", "mpirun", "mpiexec.hydra"),
        compiler=_first(image, names, "cc", "gcc", "clang"),
        python=_python(image, names),
    )


def read_library(path: str, read: Callable[[int, int], bytes], plugins: tuple[str, ...] = ()) -> MpiLibrary | None:
    """What the MPI library at `path` says of itself; None where it is none, or damaged.

    `plugins` are the names of Open MPI's plugins beside it.
    """
    try:
        elf = read_elf(read)
        family = family_of(elf.soname or posixpath.basename(path))
        if elf.kind != "shared" or family is None:
            return None
        version = _text(read, elf, "ompi_version_string") or _text(read, elf, "MPII_Version_string")
        device = _text(read, elf, "MPII_Version_device")
        implementation: Implementation = "openmpi" if family == "openmpi" else "unknown"
        if family != "openmpi":
            implementation, version = _brand(read, elf, version)
    except ImageError:
        return None
    beside = plugins if implementation == "openmpi" else ()
    return MpiLibrary(
        implementation=implementation,
        family=family,
        path=path,
        soname=elf.soname or posixpath.basename(path),
        version=version or _version_by_name(path),
        device=device,
        pmi=_pmi(implementation, version or _version_by_name(path), elf, beside),
        transports=_transports(device, elf, beside),
        glibc=newest_glibc(version for versions in elf.versions_needed.values() for version in versions),
    )


def newest_glibc(versions: Iterable[str]) -> str:
    """The highest of the versions of glibc among symbol versions, such as `2.34`; empty where there is none."""
    found = [
        tuple(int(part) for part in version.removeprefix("GLIBC_").split("."))
        for version in versions
        if re.fullmatch(r"GLIBC_\d+(\.\d+)+", version)
    ]
    return ".".join(str(part) for part in max(found)) if found else ""


def _is_wanted(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in (_LIBRARY, _PLUGIN, _LIBC, _TOOLS))


# Libraries


def _libraries(image: OpenImage, names: Iterable[str]) -> list[MpiLibrary]:
    names = list(names)
    plugins = [path for path in names if _PLUGIN.fullmatch(posixpath.basename(path))]
    found: dict[str, MpiLibrary] = {}
    for path in names:
        if not _LIBRARY.fullmatch(posixpath.basename(path)):
            continue
        file = open_file(image, path)
        if file is None or file.path in found:
            continue
        beside = tuple(posixpath.basename(each) for each in _near(file.path, plugins))
        library = read_library(file.path, file.read, beside)
        if library is not None:
            found[file.path] = library
    return sorted(found.values(), key=lambda each: (each.path.startswith(_SYSTEM), each.path))


def _near(library: str, plugins: Iterable[str]) -> Iterator[str]:
    """Plugins below the library's own folder: each Open MPI of an image has its own."""
    folder = posixpath.dirname(library) + "/"
    return (plugin for plugin in plugins if plugin.startswith(folder))


def answering(libraries: Iterable[MpiLibrary], asked: str) -> tuple[MpiLibrary, ...]:
    """Those under this name first, then those of the same family, which another program may want."""
    same = [each for each in libraries if each.family == family_of(asked)]
    return tuple(sorted(same, key=lambda each: each.soname != asked))


def _text(read: Callable[[int, int], bytes], elf: Elf, name: str) -> str:
    symbol = find_symbol(read, elf, name)
    raw = content(read, elf, symbol, 128).partition(b"\0")[0] if symbol is not None else b""
    return raw.decode("utf-8", "replace")


def _brand(read: Callable[[int, int], bytes], elf: Elf, version: str) -> tuple[Implementation, str]:
    """Which of MPICH's descendants it is, and the version that counts there."""
    if any(needed.startswith("libpscom") for needed in elf.needed):
        return "parastation", version
    symbol = find_symbol(read, elf, "MPII_Version_string")
    segments = elf.segments
    if symbol is not None:
        # Its neighbours are all the texts that the library prints.
        segments = tuple(s for s in segments if 0 <= symbol.address - s.address < s.size)
    for segment in segments:
        for name, match in _search(read, segment.offset, segment.size, _BRANDS):
            told = match[1].decode() if match.re.groups and match[1] else ""
            return name, told.rstrip(".") or version
    if version:
        return "mpich", version
    return _without_symbols(read, segments)


def _without_symbols(read: Callable[[int, int], bytes], segments: Iterable[Segment]) -> tuple[Implementation, str]:
    """MPICH as the Python package index has it hides its symbols; its texts name the folder of its sources."""
    implementation: Implementation = "unknown"
    version = ""
    for segment in segments:
        for name, match in _search(read, segment.offset, segment.size, _NAMELESS):
            if name == "version":
                version = version or match[1].decode()
            else:
                implementation = "mpich"
    return implementation, version if implementation == "mpich" else ""


def _search(
    read: Callable[[int, int], bytes], offset: int, size: int, patterns: Iterable[tuple[_Name, bytes]]
) -> Iterator[tuple[_Name, re.Match[bytes]]]:
    compiled = [(name, re.compile(pattern)) for name, pattern in patterns]
    end = offset + min(size, _TEXT_LIMIT)
    while offset < end:
        piece = read(offset, min(_PIECE, end - offset))
        for name, pattern in compiled:
            match = pattern.search(piece)
            if match is not None:
                yield name, match
        if len(piece) < _PIECE:
            return
        offset += _PIECE - _OVERLAP


def _version_by_name(path: str) -> str:
    """Open MPI's libraries carry their interface's number: 40.30 came with 4.1, 40.40 with 5.0."""
    match = re.search(r"libmpi\.so\.40\.(\d+)\.", posixpath.basename(path))
    return {"10": "3", "20": "4.0", "30": "4.1", "40": "5.0"}.get(match[1], "") if match else ""


def _pmi(implementation: Implementation, version: str, elf: Elf, plugins: tuple[str, ...]) -> tuple[Pmi, ...]:
    needed = " ".join(elf.needed)
    if implementation == "openmpi":
        if version[:1].isdigit() and int(version.partition(".")[0]) >= 5:
            return ("pmix",)
        found: list[Pmi] = []
        for name, pmi in _OPENMPI_PLUGINS:
            if any(re.fullmatch(name, plugin) for plugin in plugins):
                found.append(pmi)
        # Without plugins they are part of the library, and PMIx always is one of them.
        return tuple(found) or ("pmix",)
    spoken: tuple[Pmi, ...] = tuple(pmi for library, pmi in _PMI_LIBRARIES if re.search(rf"(^| ){library}\.so", needed))
    if spoken:
        return spoken
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if implementation == "intel-mpi" or (implementation == "mpich" and numbers >= (4, 2)):
        return ("pmi1", "pmi2")
    return ("pmi1",)


_OPENMPI_PLUGINS: tuple[tuple[str, Pmi], ...] = (
    (r"mca_pmix_s1\.so", "pmi1"),
    (r"mca_pmix_s2\.so", "pmi2"),
    (r"mca_pmix_(ext\w*|pmix\w*)\.so", "pmix"),
)
_PMI_LIBRARIES: tuple[tuple[str, Pmi], ...] = (("libpmi", "pmi1"), ("libpmi2", "pmi2"), ("libpmix", "pmix"))


def _transports(device: str, elf: Elf, plugins: tuple[str, ...]) -> tuple[Transport, ...]:
    names = (*elf.needed, *plugins)
    ucx = device.endswith(":ucx") or any(re.match(r"libucp\.so|mca_pml_ucx\.so", name) for name in names)
    ofi = device.endswith(":ofi") or any(re.match(r"libfabric\.so|mca_(mtl|btl)_ofi\.so", name) for name in names)
    found: list[Transport] = []
    found += ["ucx"] if ucx else []
    found += ["ofi"] if ofi else []
    return tuple(found)


# The program


def _asked(image: OpenImage, program: str) -> tuple[str, list[tuple[str, Family]]]:
    """The MPI library that `program` needs, or the MPI that it seems to carry inside."""
    found = _program(image, program) if program else None
    if found is None:
        return "", []
    asked = asked_by(image, found)
    return asked, [] if asked else [(found.file.path, family) for family in mpi_inside(found.file)]


def _program(image: OpenImage, program: str) -> Program | None:
    places = (program,) if "/" in program else tuple(f"{folder}/{program}" for folder in _PROGRAM_FOLDERS)
    place = next((each for each in places if open_file(image, each) is not None), "")
    return read_program(image, place) if place else None


def asked_by(image: OpenImage, program: Program) -> str:
    """The MPI library that a program needs, itself or by a library beside it; empty where it needs none."""
    return next((soname for soname in needed_by(image, program) if family_of(soname) is not None), "")


def _elf(file: Found | None) -> Elf | None:
    if file is None or not is_elf(file.read(0, 64)):
        return None
    try:
        return read_elf(file.read)
    except ImageError:
        return None


def _static_programs(image: OpenImage) -> list[tuple[str, Family]]:
    """Programs that seem to carry an MPI inside, among those that somebody built for this image."""
    found = []
    left = _STATIC_LIMIT
    for path in sorted(find_names(image, lambda name: "." not in name or name.endswith((".x", ".exe", ".out")))):
        if not path.startswith(tuple(f"{folder}/" for folder in _OWN_FOLDERS)):
            continue
        file = open_file(image, path)
        if file is None or not file.mode & 0o111 or not _LEAST_STATIC <= file.size <= left:
            continue
        elf = _elf(file)
        if elf is None or elf.kind != "executable":
            continue
        left -= file.size
        found += [(file.path, family) for family in mpi_inside(file)]
    return found


def mpi_inside(file: Found) -> list[Family]:
    """Whose MPI a program seems to carry inside, judged by texts."""
    for family, pattern in _STATIC:
        for _ in _search(file.read, 0, file.size, ((family, pattern),)):
            return [family]
    return []


# What else a job has to know


def _libc(image: OpenImage, names: Iterable[str]) -> tuple[Libc, str, str]:
    """Which C library it is, glibc's version, and the processor that it is for."""
    names = [path for path in names if _LIBC.fullmatch(posixpath.basename(path))]
    for path in sorted(names, key=lambda each: (not each.startswith(_SYSTEM), each)):
        elf = _elf(open_file(image, path))
        if elf is None:
            continue
        if posixpath.basename(path) == "libc.so.6":
            return "glibc", newest_glibc(elf.versions_defined), elf.machine
    for path in names:
        elf = _elf(open_file(image, path))
        if elf is not None:
            return "musl", "", elf.machine
    return "", "", ""


def _first(image: OpenImage, names: Iterable[str], *wanted: str) -> str:
    """The first of the wanted programs that a folder of programs has, own ones before the distribution's."""
    names = [path for path in names if path.rpartition("/")[0].endswith("/bin")]
    for name in wanted:
        # A link may lead to nothing: `mpicc` of an image without compilers does.
        found = [path for path in names if posixpath.basename(path) == name and open_file(image, path)]
        if found:
            return min(found, key=_rank)
    return ""


def _rank(path: str) -> tuple[bool, bool, str]:
    return not path.startswith("/usr/local/"), not path.startswith("/usr/"), path


def _python(image: OpenImage, names: Iterable[str]) -> str:
    """An interpreter that has ctypes, by which it can call an MPI library."""
    names = tuple(names)
    modules = [path for path in names if posixpath.basename(path).startswith("_ctypes.")]
    for path in (_first(image, names, "python3"), *names):
        if path.endswith("/bin/python3"):
            top = path.removesuffix("bin/python3")
            if any(module.startswith(f"{top}lib") for module in modules):
                return path
    return ""

"""`--nv` and `--rocm`: what of the host's GPU driver is bound into the container, and what stands in front of what.

/.singularity.d/libs     what Apptainer binds there too, but for libraries that the image has itself: its own fit its
                         libc and its programs, and win, as they do since Apptainer 1.5
/.singularity.d/driver   once more those that must be of the kernel module's version (`own` in the driver's list)

The second folder is there for images whose own library path holds a libcuda: a stub, which is there for linkers and
fails at the first call, or one of the compat packages, which fails with most drivers. It is put in front of what the
image's scripts and the caller make of LD_LIBRARY_PATH; where they want nothing, `libs` alone stands there, as under
Apptainer. A program with an RPATH of its own (not a RUNPATH) is beyond reach.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sealift.engines.driver import CACHE, Driver, Kind, find_driver
from sealift.engines.embedded.layout import Step
from sealift.engines.environment import LIBRARIES
from sealift.errors import ImageError

if TYPE_CHECKING:
    from sealift.engines.embedded.image import RootImage
    from sealift.engines.imagelibraries import ImageLibraries
    from sealift.sections.root import Root

FRONT = "/.singularity.d/driver"
FLAGS: dict[Kind, str] = {"nvidia": "--nv", "amd": "--rocm"}
MAIN = ("libcuda.so",)
"""Without these nothing works at all."""


def driver_steps(
    kind: Kind, image: RootImage | None, *, contain: bool, path: str, library_path: str = ""
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The mounts for the driver of this host, and what has to be said. Without an `image`, all of it is bound.

    ImageError where its main library cannot be loaded in the image, with the library's name.
    """
    from sealift.engines.imagelibraries import ImageLibraries, look_at_libraries

    machine = os.uname().machine
    driver = find_driver(kind, path=path, machine=machine, library_path=library_path)
    if not driver.libraries:
        return (*_files(driver, contain=contain), *_programs(driver)), (_missing(driver),)
    if image is None:
        nothing = ImageLibraries(names=frozenset(), glibc=None, musl=False)
        steps, warnings = chosen_steps(driver, nothing, "", contain=contain)
        return tuple(step for step in steps if not step.target.startswith(f"{FRONT}/")), warnings
    return chosen_steps(driver, look_at_libraries(_root(image), machine), image.path, contain=contain)


def chosen_steps(
    driver: Driver, image: ImageLibraries, name: str, *, contain: bool
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The same for a driver and an image that were looked at; `name` is the image's."""
    flag = FLAGS[driver.kind]
    if image.musl:
        text = f"`{flag}`: the libc of `{name}` is musl, which loads no library of a driver: take an image with glibc"
        return _files(driver, contain=contain), (text,)
    clashes = _clashes(driver, image)
    main = next((library for library in clashes if library.startswith(MAIN)), None)
    if main is not None:
        raise ImageError(
            f"`{name}` has glibc 2.{image.glibc}, and this host's `{main}` needs 2.{clashes[main]}",
            hints=(
                "take an image with a newer system: Ubuntu 24.04 has glibc 2.39",
                f"or go without: leave out {flag}",
            ),
        )
    warnings = []
    if clashes:
        listed = ", ".join(f"{library} (2.{needed})" for library, needed in sorted(clashes.items()))
        warnings.append(f"`{flag}`: left out, for they need a newer glibc than the image's 2.{image.glibc}: {listed}")
    bound = {
        library: source
        for library, source in sorted(driver.libraries.items())
        if library not in clashes and (library in driver.own or library not in image.names)
    }
    steps = [_bound(source, f"{LIBRARIES}/{library}") for library, source in bound.items()]
    steps += [_bound(source, f"{FRONT}/{library}") for library, source in bound.items() if library in driver.own]
    return (*steps, *_programs(driver), *_files(driver, contain=contain)), tuple(warnings)


def in_front(library_path: str) -> str:
    """The library path with the driver's own libraries before all others; as it is where nothing would come first."""
    first = library_path.partition(":")[0]
    return library_path if first in (FRONT, LIBRARIES) else f"{FRONT}:{library_path}".rstrip(":")


def _clashes(driver: Driver, image: ImageLibraries) -> dict[str, int]:
    """The glibc that libraries need and the image does not have, by their names."""
    from sealift.engines.imagelibraries import needed_glibc

    if image.glibc is None:
        return {}
    needed = {name: needed_glibc(source) for name, source in driver.libraries.items()}
    return {name: number for name, number in needed.items() if number is not None and number > image.glibc}


def _missing(driver: Driver) -> str:
    flag = FLAGS[driver.kind]
    if driver.unlisted:
        return (
            f"`{flag}`: {CACHE} names no library of the driver, but some lie in `{driver.unlisted}`: bind them with "
            f"-B {driver.unlisted}:{LIBRARIES}"
        )
    if driver.version:
        return (
            f"`{flag}`: this host has driver {driver.version}, but {CACHE} names none of its libraries: ask an "
            "administrator to install them, and to run ldconfig"
        )
    return f"`{flag}`: this host has no libraries of such a driver in {CACHE}"


def _programs(driver: Driver) -> tuple[Step, ...]:
    return tuple(_bound(source, f"/usr/bin/{name}") for name, source in driver.programs.items())


def _files(driver: Driver, *, contain: bool) -> tuple[Step, ...]:
    steps = [_bound(each, each) for each in driver.files]
    if contain:
        # Without it, the whole of /dev is there.
        steps += [
            Step(kind="bind", target=each, source=each, folder=os.path.isdir(each), restrict=False, optional=True)
            for each in driver.devices
        ]
    return tuple(steps)


def _bound(source: str, target: str) -> Step:
    return Step(kind="bind", target=target, source=source, folder=False, read_only=True, optional=True)


def _root(image: RootImage) -> Root:
    from sealift.sections.root import DirectoryRoot
    from sealift.sections.squashfsroot import SquashfsRoot
    from sealift.squashfs.reader import SquashfsReader

    if image.kind == "folder":
        return DirectoryRoot(path=image.path)
    # The descriptor is this process', which is short-lived before it becomes the program.
    descriptor = os.open(image.path, os.O_RDONLY | os.O_CLOEXEC)
    return SquashfsRoot(squashfs=SquashfsReader(descriptor, image.offset))

"""What of a driver is bound where, what is left out, and what is said; and the same in real containers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sealift.engines.driver import Driver
from sealift.engines.embedded import gpu
from sealift.engines.embedded.layout import Step
from sealift.engines.imagelibraries import ImageLibraries
from sealift.errors import ImageError
from tests.ground.driver import make_library

LIBS, FRONT = "/.singularity.d/libs", "/.singularity.d/driver"
DRIVER = Driver(
    kind="nvidia",
    version="580.105.08",
    libraries={
        "libcuda.so.1": "/d/libcuda.so.580",
        "libnvidia-ml.so.1": "/d/libnvidia-ml.so.1",
        "libGL.so.1": "/d/libGL.so.1",
        "libOpenCL.so.1": "/d/libOpenCL.so.1",
    },
    own=frozenset({"libcuda.so.1", "libnvidia-ml.so.1"}),
    programs={"nvidia-smi": "/d/bin/nvidia-smi"},
    files=("/usr/share/nvidia/nvoptix.bin",),
    devices=("/dev/nvidia0", "/dev/nvidiactl"),
)
IMAGE = ImageLibraries(names=frozenset({"libGL.so.1", "libcuda.so.1"}), glibc=35, musl=False)


def bound(source: str, target: str) -> Step:
    return Step(kind="bind", target=target, source=source, folder=False, read_only=True, optional=True)


OTHERS = (bound("/d/bin/nvidia-smi", "/usr/bin/nvidia-smi"), bound(DRIVER.files[0], DRIVER.files[0]))


@pytest.mark.parametrize("contain", [False, True])
def test_the_images_own_libraries_win_but_never_over_the_drivers(contain: bool) -> None:
    steps, warnings = gpu.chosen_steps(DRIVER, IMAGE, "x.sif", contain=contain)
    assert warnings == ()
    devices = [
        Step(kind="bind", target=each, source=each, folder=False, restrict=False, optional=True)
        for each in DRIVER.devices
    ]
    assert steps == (
        bound("/d/libOpenCL.so.1", f"{LIBS}/libOpenCL.so.1"),
        bound("/d/libcuda.so.580", f"{LIBS}/libcuda.so.1"),
        bound("/d/libnvidia-ml.so.1", f"{LIBS}/libnvidia-ml.so.1"),
        bound("/d/libcuda.so.580", f"{FRONT}/libcuda.so.1"),
        bound("/d/libnvidia-ml.so.1", f"{FRONT}/libnvidia-ml.so.1"),
        *OTHERS,
        *(devices if contain else ()),
    )


@pytest.mark.slow
@pytest.mark.needs("binutils")
def test_a_driver_that_needs_a_newer_glibc(tmp_path: Path) -> None:
    old = make_library(tmp_path / "libcuda.so.1", "libcuda.so.1", needs_glibc=35)
    new = make_library(tmp_path / "libnew.so.1", "libnew.so.1", needs_glibc=38)
    fine = replace(DRIVER, libraries={**DRIVER.libraries, "libcuda.so.1": str(old), "libOpenCL.so.1": str(new)})
    steps, warnings = gpu.chosen_steps(fine, IMAGE, "x.sif", contain=False)
    assert steps == (
        bound(str(old), f"{LIBS}/libcuda.so.1"),
        bound("/d/libnvidia-ml.so.1", f"{LIBS}/libnvidia-ml.so.1"),
        bound(str(old), f"{FRONT}/libcuda.so.1"),
        bound("/d/libnvidia-ml.so.1", f"{FRONT}/libnvidia-ml.so.1"),
        *OTHERS,
    )
    assert warnings == ("`--nv`: left out, for they need a newer glibc than the image's 2.35: libOpenCL.so.1 (2.38)",)
    broken = replace(DRIVER, libraries={**DRIVER.libraries, "libcuda.so.1": str(new)})
    with pytest.raises(ImageError) as caught:
        gpu.chosen_steps(broken, IMAGE, "x.sif", contain=False)
    assert caught.value.message == "`x.sif` has glibc 2.35, and this host's `libcuda.so.1` needs 2.38"
    assert caught.value.hints == (
        "take an image with a newer system: Ubuntu 24.04 has glibc 2.39",
        "or go without: leave out --nv",
    )
    # An image whose libc is not known is not judged.
    steps, warnings = gpu.chosen_steps(broken, replace(IMAGE, glibc=None), "x.sif", contain=False)
    assert (steps[1], warnings) == (bound(str(new), f"{LIBS}/libcuda.so.1"), ())


def test_an_image_with_musl_gets_no_libraries() -> None:
    steps, warnings = gpu.chosen_steps(DRIVER, replace(IMAGE, glibc=None, musl=True), "x.sif", contain=False)
    assert steps == (bound(DRIVER.files[0], DRIVER.files[0]),)
    assert warnings == (
        "`--nv`: the libc of `x.sif` is musl, which loads no library of a driver: take an image with glibc",
    )


NOTHING = replace(DRIVER, version="", libraries={}, own=frozenset(), programs={}, files=(), devices=())


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        (NOTHING, "`--nv`: this host has no libraries of such a driver in /etc/ld.so.cache"),
        (
            replace(NOTHING, kind="amd"),
            "`--rocm`: this host has no libraries of such a driver in /etc/ld.so.cache",
        ),
        (
            replace(NOTHING, version="580.1"),
            (
                "`--nv`: this host has driver 580.1, but /etc/ld.so.cache names none of its libraries: ask an "
                "administrator to install them, and to run ldconfig"
            ),
        ),
        (
            replace(NOTHING, version="580.1", unlisted="/opt/nvidia"),
            (
                "`--nv`: /etc/ld.so.cache names no library of the driver, but some lie in `/opt/nvidia`: bind them "
                "with -B /opt/nvidia:/.singularity.d/libs"
            ),
        ),
    ],
)
def test_a_driver_that_is_not_found(driver: Driver, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "find_driver", lambda *_, **__: driver)
    assert gpu.driver_steps(driver.kind, None, contain=True, path="/nowhere") == ((), (said,))


def test_a_build_has_no_folder_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "find_driver", lambda *_, **__: DRIVER)
    steps, _ = gpu.driver_steps("nvidia", None, contain=False, path="/nowhere")
    libraries = [bound(source, f"{LIBS}/{name}") for name, source in sorted(DRIVER.libraries.items())]
    assert steps == (*libraries, *OTHERS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/.singularity.d/libs", "/.singularity.d/libs"),
        ("", "/.singularity.d/driver"),
        ("/usr/local/cuda/compat:/.singularity.d/libs", f"{FRONT}:/usr/local/cuda/compat:/.singularity.d/libs"),
        (f"{FRONT}:/a", f"{FRONT}:/a"),
    ],
)
def test_what_stands_in_front(before: str, after: str) -> None:
    assert gpu.in_front(before) == after

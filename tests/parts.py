"""The real programs and rights that tests name in `@pytest.mark.needs(…)`: is each there, and how to get it.

As root on Debian or Ubuntu what is missing is installed (`SEALIFT_TEST_INSTALL=no` forbids it). A part that stays
missing skips its tests with its sentence; with `SEALIFT_TEST_REQUIRE=all` it fails them.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.ground import apptainer, browser, debian, foreign, gpu, podman_hpc, sarif, slurm, users

ADMIN_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def program(name: str) -> str | None:
    """The absolute path of a program, administrators' folders included."""
    return shutil.which(name, path=ADMIN_PATH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    present: Callable[[], bool]
    missing: str
    """One sentence for people: what is not there."""
    packages: tuple[str, ...] = ()
    """Debian packages that bring it."""
    set_up: Callable[[], None] | None = None
    """What the packages alone do not do; runs as root, twice is once."""
    also: tuple[str, ...] = ()
    """Parts that this one stands on."""


def _programs(name: str, *programs: str, packages: tuple[str, ...], also: tuple[str, ...] = ()) -> Part:
    wanted = programs or (name,)
    return Part(
        name=name,
        present=lambda: all(program(one) for one in wanted),
        missing=f"{' and '.join(f'`{one}`' for one in wanted)} is not installed (Debian: {' '.join(packages)})",
        packages=packages,
        also=also,
    )


def _is_root() -> bool:
    return os.geteuid() == 0


PARTS = (
    Part(name="root", present=_is_root, missing="the tests do not run as root"),
    _programs("unsquashfs", packages=("squashfs-tools",)),
    _programs("mksquashfs", packages=("squashfs-tools",)),
    _programs("squashfuse", packages=("squashfuse",)),
    _programs("fuse-overlayfs", packages=("fuse-overlayfs",)),
    _programs("umoci", packages=("umoci",)),
    _programs("shellcheck", packages=("shellcheck",)),
    _programs("ldconfig", packages=("libc-bin",)),
    _programs("make", packages=("make",)),
    _programs("tmux", packages=("tmux",)),
    _programs("chromium", packages=browser.PACKAGES),
    _programs("binutils", "readelf", "as", "ld", packages=("binutils",)),
    _programs("gcc", packages=("gcc", "libc6-dev")),
    _programs("mpich", "mpiexec.mpich", packages=("mpich",)),
    _programs("openmpi", "mpiexec.openmpi", packages=("openmpi-bin",)),
    _programs(
        "binutils-foreign",
        *("s390x-linux-gnu-ld", "powerpc-linux-gnu-ld"),
        packages=("binutils-s390x-linux-gnu", "binutils-powerpc-linux-gnu"),
        also=("binutils",),
    ),
    _programs("bash", packages=("bash",)),
    _programs("dash", packages=("dash",)),
    _programs("zsh", packages=("zsh",)),
    _programs("fish", packages=("fish",)),
    _programs("skopeo", packages=("skopeo",)),
    _programs("docker", "dockerd", "docker", packages=("docker.io",), also=("root",)),
    _programs("podman", "podman", "runc", packages=("podman", "runc", "uidmap"), also=("subuid-user",)),
    Part(
        name="podman-hpc",
        present=podman_hpc.present,
        missing=f"podman-hpc is not installed in {podman_hpc.PREFIX}",
        packages=podman_hpc.PACKAGES,
        set_up=podman_hpc.set_up,
        also=("podman", "mirror"),
    ),
    Part(
        name="nvjpeg",
        present=lambda: gpu.nvjpeg(cache_folder()).exists(),
        missing="NVIDIA's nvjpeg was not fetched from the Python package index",
        set_up=lambda: gpu.fetch(gpu.nvjpeg(cache_folder())),
    ),
    _programs("npm", packages=("npm",)),
    Part(
        name="sarif-schema",
        present=lambda: sarif.schema(cache_folder()).exists(),
        missing="the schema of SARIF was not fetched with npm",
        set_up=lambda: sarif.fetch(sarif.schema(cache_folder())),
        also=("npm",),
    ),
    Part(
        name="apptainer",
        present=apptainer.present,
        missing="`apptainer` is not installed",
        packages=apptainer.PACKAGES,
        set_up=apptainer.install,
        also=("subuid-user", "mirror"),
    ),
    _programs("registry", "docker-registry", packages=("docker-registry",)),
    Part(
        name="slurm",
        present=slurm.present,
        missing=f"`slurmctld`, `slurmd` and `munged` are not installed (Debian: {' '.join(slurm.PACKAGES)})",
        packages=slurm.PACKAGES,
        also=("root",),
    ),
    Part(
        name="subuid-user",
        present=lambda: users.can_have("subuid"),
        missing="there is no ordinary user with subuids (others than root need `uidmap` and lines in /etc/subuid)",
        packages=("uidmap",),
    ),
    Part(
        name="plain-user",
        present=lambda: users.can_have("plain"),
        missing="there is no ordinary user without subuids (root makes one)",
    ),
    _programs("debootstrap", packages=("debootstrap",)),
    _programs("busybox", packages=("busybox-static",)),
    _programs("rpms", "rpmbuild", "createrepo_c", "gpg", packages=("rpm", "createrepo-c", "gpg", "gpg-agent")),
    _programs("dnf", packages=("dnf",), also=("rpms", "busybox")),
    _programs("zypper", packages=("zypper",), also=("rpms", "busybox")),
    _programs(
        "pacman",
        *("pacman", "repo-add", "bsdtar"),
        packages=("pacman-package-manager", "makepkg", "libarchive-tools"),
        also=("busybox",),
    ),
    _programs("qemu-user", "qemu-aarch64-static", packages=("qemu-user-static",)),
    Part(
        name="own-binfmt",
        present=foreign.can_have_own_table,
        missing="this kernel has no table of binfmt_misc for each user namespace (6.7 has)",
        also=("qemu-user",),
    ),
    _programs("mmdebstrap", packages=("mmdebstrap",)),
    Part(
        name="bookworm-amd64",
        present=debian.is_bookworm_amd64,
        missing="the mirror's packages are not those of Debian 12 on amd64, whose versions a test knows",
        also=("mirror",),
    ),
    Part(
        name="mirror",
        present=debian.reachable,
        missing="no Debian or Ubuntu mirror among the apt sources answers",
    ),
)
BY_NAME = {part.name: part for part in PARTS}


def closure(names: Iterable[str]) -> tuple[Part, ...]:
    """The named parts and all that they stand on, foundations first; KeyError names an unknown part."""
    order: dict[str, Part] = {}

    def visit(name: str) -> None:
        for below in BY_NAME[name].also:
            visit(below)
        order.setdefault(name, BY_NAME[name])

    for name in names:
        visit(name)
    return tuple(order.values())


@functools.cache
def lacking(name: str) -> str | None:
    """The sentence of the first part that is missing below or at `name`, or None; asked once a process."""
    return next((f"{part.name}: {part.missing}" for part in closure((name,)) if not part.present()), None)


def may_install() -> bool:
    return _is_root() and program("apt-get") is not None and os.environ.get("SEALIFT_TEST_INSTALL", "yes") != "no"


def provide(names: Iterable[str]) -> None:
    """Install what is missing of the parts, in one go; failures show later, as the part's own sentence."""
    absent = [part for part in closure(sorted(set(names))) if not part.present()]
    packages = sorted({package for part in absent for package in part.packages})
    if not may_install() or not (packages or any(part.set_up for part in absent)):
        return
    if packages:
        debian.apt_install(packages)
    for part in absent:
        if part.set_up is not None:
            try:
                part.set_up()
            except (OSError, subprocess.CalledProcessError) as error:
                sys.stderr.write(f"setting up {part.name} failed: {error}\n")
    lacking.cache_clear()


def cache_folder() -> Path:
    """Where what is slow to make is kept between sessions: Debian trees and the like."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "sealift-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder

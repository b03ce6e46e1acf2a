"""Installs NERSC's podman-hpc from the Python package index, for all users, in an environment of its own.

It makes its squashed copies with a mksquashfs that runs inside of the image, and so must be static, and wants 4.6 or
newer for its options: Debian's newest source is built so. Nothing of it is on anybody's PATH.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.ground import debian, install, session, users

VERSION = "1.1.4"
PACKAGES = ("gcc", "libc6-dev", "liblz4-dev", "zlib1g-dev", "make", "squashfuse", "fuse-overlayfs", "inotify-tools")
PREFIX = Path("/opt/podman-hpc")
BIN = PREFIX / "bin"
MKSQUASHFS = BIN / "mksquashfs.static"


def present() -> bool:
    return (BIN / "podman-hpc").exists() and MKSQUASHFS.exists()


def set_up() -> None:
    """Do nothing where it is there; else install it. CalledProcessError names the step that failed."""
    mirror = debian.mirror()
    if present() or mirror is None or not mirror.uri.endswith("/debian"):
        return
    subprocess.run([install.everyones_python(), "-m", "venv", "--without-pip", str(PREFIX)], check=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(BIN / "python"), "install", "--quiet"),
            *("--no-warn-script-location", f"podman-hpc=={VERSION}"),
        ],
        check=True,
    )
    # Podman refuses a folder for hooks that is not there; theirs is for GPUs and MPI, and has nothing to do here.
    (PREFIX / "share/containers/oci/hooks.d").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        _build_mksquashfs(Path(name), f"deb-src {mirror.uri} sid main\n")
    subprocess.run(["chmod", "-R", "a+rX", str(PREFIX)], check=True)


def _environment(folder: Path, path: str) -> dict[str, str]:
    """What the real program needs to keep all it has in `folder`, whose name Podman wants short; `path` is a PATH."""
    settings = {
        "modules_dir": f"{PREFIX}/etc/podman_hpc/modules.d",
        "hooks_dir": f"{PREFIX}/share/containers/oci/hooks.d",
        "mksquashfs_bin": str(MKSQUASHFS),
        "graph_root_template": f"{folder}/storage",
        "run_root_template": f"{folder}/run",
        "config_home_template": f"{folder}/config",
    }
    (folder / "podman_hpc.yaml").write_text("".join(f'{key}: "{text}"\n' for key, text in settings.items()))
    return {
        "PATH": f"{BIN}:{path}",
        "PODMANHPC_CONFIG_FILE": str(folder / "podman_hpc.yaml"),
        "SQUASH_DIR": f"{folder}/squashed",
        # Where nothing is set up, Podman takes the slow kind of storage, which podman-hpc cannot do with.
        "STORAGE_DRIVER": "overlay",
    }


@contextmanager
def store(as_user: users.AsUser, podman: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The variables with which the user whose Podman has these has a podman-hpc of his own, emptied at the end."""
    with tempfile.TemporaryDirectory(prefix="hpc-", dir=session.folder()) as name:
        env = {**podman, **_environment(Path(name), as_user.environment()["PATH"])}
        as_user.give(Path(name))
        try:
            yield env
        finally:
            # Ends the process that keeps its namespace
            assert as_user(["podman-hpc", "system", "migrate"], env=env).returncode == 0
            places = [f"{name}/{part}" for part in ("storage", "run", "squashed")]
            assert as_user(["podman", "unshare", "rm", "-rf", *places], env=podman).returncode == 0
            # It takes XDG_RUNTIME_DIR from Podman, which then goes to /tmp.
            for part in ("podman-run", "containers-user"):
                session.remove(Path(f"/tmp/{part}-{users.get('subuid').uid}"))


def _build_mksquashfs(work: Path, source: str) -> None:
    apt = debian.apt_with(work, source)
    subprocess.run([*apt, "source", "--download-only", "squashfs-tools"], cwd=work, check=True)
    archive = next(work.glob("squashfs-tools_*.orig.tar.*"))
    subprocess.run(["tar", "-xf", archive.name], cwd=work, check=True)
    folder = next(work.glob("squashfs-tools*/squashfs-tools"))
    without = [f"{name}_SUPPORT=0" for name in ("XZ", "LZO", "ZSTD")]
    make = ["make", f"-j{os.cpu_count()}", "LZ4_SUPPORT=1", *without, "LDFLAGS=-static", "mksquashfs"]
    subprocess.run(make, cwd=folder, check=True, capture_output=True)
    subprocess.run(["install", "-m", "755", "mksquashfs", str(MKSQUASHFS)], cwd=folder, check=True)

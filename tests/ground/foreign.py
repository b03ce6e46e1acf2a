"""Programs for arm64 on a machine of another architecture: where to get one, and a room in which they run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

MAGIC = "7f454c460201010000000000000000000200b700"
MASK = "ffffffffffffff00fffffffffffffffffeffffff"
"""The header of programs for arm64, as QEMU's own scripts register it with binfmt_misc."""

ENTER = r"""
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || exit 77
printf '%s' "$REGISTRATION" > /proc/sys/fs/binfmt_misc/register || exit 77
exec "$@"
"""


def with_emulation(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a user namespace where programs for arm64 run by QEMU; the machine's own table is not touched.

    `P` keeps a program's own name, by which busybox knows what to be. Exit code 77 where the kernel (before 6.7) has
    one table for all.
    """
    magic, mask = ("".join(f"\\x{text[at : at + 2]}" for at in range(0, len(text), 2)) for text in (MAGIC, MASK))
    qemu = os.path.realpath(shutil.which("qemu-aarch64-static") or "")
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", ENTER, "sh", *map(str, argv)],
        env={**os.environ, **(env or {}), "REGISTRATION": f":sealift-arm64:M::{magic}:{mask}:{qemu}:PF"},
        cwd=cwd,
        capture_output=True,
        check=False,
    )


def can_have_own_table() -> bool:
    return shutil.which("unshare") is not None and with_emulation(["true"]).returncode == 0


def fetch_busybox(target: Path) -> None:
    """Write Debian's static busybox for arm64 to `target`, by apt with folders of its own."""
    work = target.parent / f"{target.name}.work"
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    try:
        subprocess.run(["apt-get", "-qq", *options, "update"], check=True, capture_output=True)
        subprocess.run(["apt-get", "-qq", *options, "download", "busybox-static"], check=True, cwd=work)
        (package,) = work.glob("busybox-static_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(work / "files")], check=True)
        (found,) = (
            path for path in (work / "files").rglob("busybox") if path.is_file() and path.stat().st_size > 99999
        )
        os.replace(found, target)
    finally:
        shutil.rmtree(work)

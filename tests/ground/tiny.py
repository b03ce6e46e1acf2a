"""A root filesystem of a few megabytes, made of the host's own shell and some programs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

PROGRAMS = (
    *("sh", "bash", "cat", "chmod", "chown", "cp", "env", "grep", "head", "id", "ln", "ls", "mkdir", "mkfifo", "mknod"),
    *("mv", "printf", "readlink", "rm", "rmdir", "sed", "sort", "stat", "touch", "tr", "true", "wc"),
)


def make_tiny_root(root: Path, programs: tuple[str, ...] = PROGRAMS) -> Path:
    """Make it in the folder `root`, with what the programs are linked to."""
    for folder in ("usr/bin", "usr/lib", "usr/lib64", "etc", "opt"):
        (root / folder).mkdir(parents=True)
    for link in ("bin", "lib", "lib64"):
        (root / link).symlink_to(f"usr/{link}")
    for program in programs:
        found = shutil.which(program)
        assert found is not None, program
        shutil.copy(os.path.realpath(found), root / "usr/bin" / program)
        copy_libraries(found, root)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    return root


def copy_libraries(program: str | Path, root: Path) -> None:
    """Put what a program or library is linked to where the loader looks for it."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(/\S+) \(0x", said):
        target = root / ("usr/" + library.removeprefix("/usr").lstrip("/"))
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(library), target)

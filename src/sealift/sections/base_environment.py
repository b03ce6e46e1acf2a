"""What every image has before its sections run: some directories, the scripts of /.singularity.d, links to them."""

from __future__ import annotations

from importlib import resources

from sealift.sections.draft import Draft

HOME = "/.singularity.d"

DIRECTORIES = (
    "/.singularity.d/libs",
    "/.singularity.d/actions",
    "/.singularity.d/env",
    "/dev",
    "/proc",
    "/root",
    "/var/tmp",  # noqa: S108
    "/tmp",  # noqa: S108
    "/etc",
    "/sys",
    "/home",
)
LINKS = (
    ("/singularity", ".singularity.d/runscript"),
    ("/.run", ".singularity.d/actions/run"),
    ("/.exec", ".singularity.d/actions/exec"),
    ("/.test", ".singularity.d/actions/test"),
    ("/.shell", ".singularity.d/actions/shell"),
    ("/environment", ".singularity.d/env/90-environment.sh"),
)
SCRIPTS = (
    "actions/exec",
    "actions/run",
    "actions/shell",
    "actions/start",
    "actions/test",
    "env/01-base.sh",
    "env/90-environment.sh",
    "env/95-apps.sh",
    "env/99-base.sh",
    "env/99-runtimevars.sh",
    "runscript",
    "startscript",
)
EMPTIED = ("/etc/hosts", "/etc/resolv.conf")
"""The engine binds the host's over them."""


def read_script(name: str) -> bytes:
    """A script of the folder data/singularity.d of this package."""
    return resources.files("sealift").joinpath("data/singularity.d").joinpath(name).read_bytes()


def add_base_environment(draft: Draft, *, overwrite: bool) -> None:
    """With `overwrite` as above a new base; else as above a local image: what is there keeps its content."""
    for path in DIRECTORIES:
        draft.make_directory(path)
    for path, target in LINKS:
        draft.link(path, target)
    files = [(path, b"", 0o644) for path in EMPTIED]
    files += [(f"{HOME}/{name}", read_script(name), 0o755) for name in SCRIPTS]
    for path, content, mode in files:
        found = draft.look(path)
        if overwrite or found.kind is None:
            draft.write(path, content, mode)
        elif found.kind == "file" and found.mode != mode:
            draft.write(path, found.content, mode)

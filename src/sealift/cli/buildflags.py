"""The options of `build` that change what sections do and see, with Apptainer's names."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sealift.errors import UsageError

if TYPE_CHECKING:
    from sealift.flows.flags import BuildFlags


def add_section_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the sections do and see")
    group.add_argument(
        "--section", action="append", default=[], metavar="NAME,…", help="only these; %%post runs whatever is named"
    )
    group.add_argument("-B", "--bind", action="append", default=[], metavar="SRC[:DST[:ro]]", help="for %%post, %%test")
    group.add_argument("--mount", action="append", default=[], metavar="SPEC", help="type=bind,source=S,destination=D")
    group.add_argument("--nv", action="store_true", help="the host's NVIDIA driver for %%post and %%test")
    group.add_argument("--rocm", action="store_true", help="the host's AMD driver for %%post and %%test")
    group.add_argument("--writable-tmpfs", action="store_true", help="let %%test write; it is forgotten afterwards")
    group.add_argument("--fix-perms", action="store_true", help="owners may read and write all that a registry gave")
    group.add_argument(
        "-u", "--update", action="store_true", help="run SPEC over the directory IMAGE, without its header"
    )
    group.add_argument("--tmpdir", metavar="DIR", help="the folder to build in")
    group.add_argument("--no-cleanup", action="store_true", help="keep what a section that failed had made")


def section_flags(options: argparse.Namespace) -> BuildFlags:
    """The flags as typed; those of a command without these options are the defaults."""
    from sealift.flows.flags import BuildFlags

    return BuildFlags(
        sections=tuple(getattr(options, "section", ())),
        binds=tuple(getattr(options, "bind", ())),
        mounts=tuple(getattr(options, "mount", ())),
        nv=getattr(options, "nv", False),
        rocm=getattr(options, "rocm", False),
        writable_tmpfs=getattr(options, "writable_tmpfs", False),
        fix_perms=getattr(options, "fix_perms", False),
        update=getattr(options, "update", False),
        no_cleanup=getattr(options, "no_cleanup", False),
    )


def build_environment(options: argparse.Namespace, environment: Mapping[str, str]) -> Mapping[str, str]:
    """The caller's environment, with `--tmpdir` in it."""
    folder = getattr(options, "tmpdir", None)
    if folder is None:
        return environment
    if not os.path.isdir(folder):
        raise UsageError(f"`--tmpdir {folder}`: there is no such folder", hints=(f"mkdir -p {folder}",))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"`--tmpdir {folder}` cannot be written", hints=("name another: --tmpdir /var/tmp",))
    return {**environment, "SEALIFT_TMPDIR": os.path.abspath(folder)}

"""`sealift shim install|remove|list [DIR]`: commands for scripts that call `apptainer` or `singularity`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealift.flows.shim import Installed, Removed, Standing


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.description = (
        "Write the commands apptainer, singularity and run-singularity, so that scripts made for them run as they are. "
        "Only where no real one is installed, and a real one that comes later goes first."
    )
    parser.add_argument("what", choices=("install", "remove", "list"), help="write them, take them away, or show them")
    parser.add_argument(
        "folder", metavar="DIR", nargs="?", help="install: where to (default: ~/.local/bin); else: where to look"
    )


def execute(options: argparse.Namespace) -> int:
    from sealift.flows import shim
    from sealift.system.process import environment

    env = environment()
    given = (options.folder,) if options.folder else ()
    match options.what:
        case "install":
            return _show_installed(shim.install(options.folder or shim.default_folder(env), env))
        case "remove":
            return _show_removed(shim.remove(given, env))
        case _:
            return _show_standing(shim.standing(given, env))


def _show_installed(done: Installed) -> int:
    print("\n".join(done.written))
    if done.line:
        print(
            f"`{done.folder}` is not on your PATH; add this line to {done.shell_file}, and type it now:\n  {done.line}",
            file=sys.stderr,
        )
    else:
        print("try it: apptainer --version", file=sys.stderr)
    return 0


def _show_removed(done: Removed) -> int:
    for path in done.removed:
        print(path)
    for path in done.foreign:
        print(f"warning: `{path}` is not Sealift's, and stays", file=sys.stderr)
    if not done.removed:
        print("there was nothing of Sealift's to remove", file=sys.stderr)
    return 0


def _show_standing(found: tuple[Standing, ...]) -> int:
    for one in found:
        state = "works" if one.works else f"broken: there is no `{one.interpreter}`"
        print(f"{one.path}  {state}{'' if one.on_path else ', not on PATH'}")
    if not found:
        print("there are none; write them: sealift shim install", file=sys.stderr)
    return 0

"""The story of `shim install|remove|list`: commands named like Apptainer's, where there is no Apptainer.

What we wrote is known by its content. Nothing else is ever overwritten or removed, and nothing is written while a real
Apptainer or Singularity is on PATH; one that comes later is called by what we wrote (`cli.shimstart`).
"""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.errors import HostError, UsageError
from sealift.system.files import atomic_file
from sealift.system.home import home_folder
from sealift.system.standin import MARK, find_real, is_standin

NAMES = ("apptainer", "singularity", "run-singularity")
"""The last is what the first line of every SIF calls, so that `./image.sif` works."""
REAL = NAMES[:2]
_SHEBANG_LIMIT = 127
"""Linux before 5.1 cuts longer first lines off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """`line` is what puts the folder on PATH; empty where it is there. `shell_file` is where people keep such lines."""

    folder: str
    written: tuple[str, ...]
    line: str = ""
    shell_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A command of ours that is there. `interpreter` is what runs it; `on_path` says whether its name finds it."""

    path: str
    interpreter: str
    works: bool
    on_path: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    removed: tuple[str, ...]
    foreign: tuple[str, ...]
    """Files of these names that are not ours, and stay."""


def default_folder(env: Mapping[str, str]) -> str:
    """Where people's own programs lie (XDG base directories, `$HOME/.local/bin`)."""
    return os.path.join(home_folder(env), ".local", "bin")


def install(folder: str, env: Mapping[str, str]) -> Installed:
    """Write the commands into `folder`, all of them or none; again is the same as once.

    HostError where a real one is on PATH, UsageError where a file of such a name is in the folder and not ours.
    """
    folder = os.path.abspath(folder)
    path = env.get("PATH", os.defpath)
    real = find_real(REAL, os.pathsep.join((path, folder)))
    if real is not None:
        raise HostError(
            f"`{real}` is installed, and Sealift never stands in front of a real one",
            hints=(f"use it: {os.path.basename(real)} --version", "sealift run and exec use it by themselves"),
        )
    targets = [os.path.join(folder, name) for name in NAMES]
    for target in targets:
        if os.path.lexists(target) and (os.path.islink(target) or not is_standin(target)):
            raise UsageError(
                f"`{target}` is not Sealift's, and stays as it is",
                hints=("choose another folder: sealift shim install DIR", f"see what it is: ls -l {target}"),
            )
    os.makedirs(folder, exist_ok=True)
    new = [target for target in targets if not os.path.lexists(target)]
    try:
        for target in targets:
            with atomic_file(target, mode=0o777) as file:
                file.write(command_text(os.path.basename(target), folder).encode("utf-8", "surrogateescape"))
    except BaseException:
        for target in new:
            if os.path.lexists(target) and is_standin(target):
                os.unlink(target)
        raise
    line, shell_file = ("", "") if _is_on_path(folder, path) else _path_line(folder, env)
    return Installed(folder=folder, written=tuple(targets), line=line, shell_file=shell_file)


def remove(folders: tuple[str, ...], env: Mapping[str, str]) -> Removed:
    """Remove ours from `folders`; without any, from all on PATH and the default one."""
    removed, foreign = [], []
    for folder in folders or _usual(env):
        for name in NAMES:
            target = os.path.join(os.path.abspath(folder), name)
            if not os.path.lexists(target):
                continue
            if is_standin(target) and not os.path.islink(target):
                os.unlink(target)
                removed.append(target)
            elif folders:
                foreign.append(target)
    return Removed(removed=tuple(removed), foreign=tuple(foreign))


def standing(folders: tuple[str, ...], env: Mapping[str, str]) -> tuple[Standing, ...]:
    """What of ours is in `folders`; without any, on PATH and in the default one."""
    found = []
    for folder in folders or _usual(env):
        for name in NAMES:
            target = os.path.join(os.path.abspath(folder), name)
            if is_standin(target):
                interpreter = _interpreter(target)
                found.append(
                    Standing(
                        path=target,
                        interpreter=interpreter,
                        works=os.access(interpreter, os.X_OK) and os.access(target, os.X_OK),
                        on_path=_is_on_path(folder, env.get("PATH", os.defpath)),
                    )
                )
    return tuple(found)


def command_text(name: str, folder: str) -> str:
    """The program `name`: Python without site packages and the user's settings, which cost each rank its share."""
    python = sys.executable
    first = f"#!{python} -IS"
    if len(os.fsencode(first)) > _SHEBANG_LIMIT or any(c.isspace() for c in python):
        # Both a shell command and a Python string: what a first line cannot hold, the shell can.
        first = f"#!/bin/sh\n'''exec' {shlex.quote(python)} -IS \"$0\" \"$@\"\n' '''"
    again = f"sealift shim install {shlex.quote(folder)}"
    return f"""{first}
{MARK.decode()}; `sealift shim remove` takes it away. A real one on PATH is called instead.
import sys

sys.path += {_import_paths()!r}
try:
    from sealift.cli.shimstart import start
except ImportError as error:
    sys.exit(f"error: Sealift is not where it was: {{error}}\\nhint: install it, then: " + {again!r})
sys.exit(start({name!r}, __file__))
"""


def _import_paths() -> list[str]:
    """Where Sealift and what it imports lie; the standard library is found anyway."""
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    standard = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    others = [
        entry
        for entry in sys.path
        if entry
        and os.path.isdir(entry)
        and os.path.realpath(entry) not in standard
        and os.path.basename(entry) != "lib-dynload"
        and os.path.isabs(entry)
        and _holds_packages(entry)
    ]
    return list(dict.fromkeys([ours, *others]))


def _holds_packages(entry: str) -> bool:
    """A folder for installed packages, and not the one from which somebody happened to start Python."""
    return os.path.basename(entry) in ("site-packages", "dist-packages")


def _interpreter(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        first, second = file.readline(), file.readline()
    if first.startswith("#!/bin/sh"):
        return shlex.split(second.removeprefix("'''exec'"))[0]
    return first.removeprefix("#!").rpartition(" ")[0]


def _usual(env: Mapping[str, str]) -> tuple[str, ...]:
    folders = [folder for folder in env.get("PATH", os.defpath).split(os.pathsep) if folder]
    return tuple(dict.fromkeys(map(os.path.abspath, [*folders, default_folder(env)])))


def _is_on_path(folder: str, path: str) -> bool:
    return os.path.realpath(folder) in (os.path.realpath(one) for one in path.split(os.pathsep) if one)


def _path_line(folder: str, env: Mapping[str, str]) -> tuple[str, str]:
    home = home_folder(env)
    shown = shlex.quote(folder)
    if folder.startswith(home + os.sep) and shown == folder:
        shown = "$HOME" + folder.removeprefix(home)
    match os.path.basename(env.get("SHELL", "")):
        case "fish":
            return f"fish_add_path {shown}", "~/.config/fish/config.fish"
        case "csh" | "tcsh":
            return f"setenv PATH {shown}:$PATH", "~/.cshrc"
        case "zsh":
            return f'export PATH="{shown}:$PATH"', "~/.zshrc"
        case _:
            return f'export PATH="{shown}:$PATH"', "~/.bashrc"

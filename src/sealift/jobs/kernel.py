"""A Jupyter kernel in an image: the kernelspec that Jupyter reads, and the script that it starts. Text alone.

The script stands between the two because Jupyter tells a kernel three things when it starts it and not before: the
connection file, the notebook's folder, and its environment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sealift.core.jupyter import CONNECTION_FILE, Interrupt
from sealift.jobs.words import at_run_time, command, patterns, quoted

SCRIPT = "launch.sh"
SPEC = "kernel.json"
CONNECTION = at_run_time("connection", path=True)
"""The connection file, for the command of a plan."""
NOTEBOOKS = at_run_time("PWD")
"""The notebook's folder: what Jupyter starts the kernel in."""
DAEMONS = ("docker", "podman", "podman-hpc")
"""Engines whose containers outlive the program that started them."""

_MORE = at_run_time("sealift_more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """`argv` starts the kernel on the engine, `CONNECTION` and `NOTEBOOKS` in it; behind its first `more` words further
    options of the engine can stand. `shown` are folders that the container shows, `passed` and `kept_out` patterns of
    variables that enter or not (none of both where the engine itself knows), and `set` variables of the engine's own.
    """

    name: str
    display_name: str
    language: str
    image: str
    engine: str
    site: str = ""
    argv: tuple[str, ...]
    more: int
    shown: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    kept_out: tuple[str, ...] = ()
    set: Mapping[str, str] = field(default_factory=dict)
    interrupt: Interrupt = "message"
    metadata: Mapping[str, Any] = field(default_factory=dict)


def kernelspec(kernel: Kernel, folder: str) -> str:
    """The text of `kernel.json` in `folder`. By `metadata.sealift` Sealift knows its own kernels."""
    ours = {"image": kernel.image, "engine": kernel.engine} | ({"site": kernel.site} if kernel.site else {})
    spec = {
        "argv": ["/bin/sh", f"{folder}/{SCRIPT}", CONNECTION_FILE],
        "display_name": kernel.display_name,
        "language": kernel.language,
        "interrupt_mode": kernel.interrupt,
        "metadata": {**kernel.metadata, "sealift": ours},
    }
    return json.dumps(spec, indent=1, ensure_ascii=False) + "\n"


def script(kernel: Kernel) -> str:
    """The text of `launch.sh`, for any POSIX shell."""
    return "\n".join(_lines(kernel)) + "\n"


def _lines(kernel: Kernel) -> Iterator[str]:
    yield "#!/bin/sh"
    yield f"# Starts the Jupyter kernel {kernel.name} in {' '.join(kernel.image.split())} on {kernel.engine}."
    yield "# Made by `sealift kernel install`; make it again with -F. Jupyter gives it the connection file."
    yield "set -u"
    yield "connection=$1"
    yield 'folder=$(dirname -- "$connection")'
    yield "set --"
    yield from _folders(kernel)
    yield from _variables(kernel)
    yield from _watch(kernel)
    yield ""
    yield from (f"export {name}={quoted(value)}" for name, value in kernel.set.items())
    words = (*kernel.argv[: kernel.more], _MORE, *kernel.argv[kernel.more :])
    yield "exec " + command(words).replace(quoted(_MORE), '"$@"')


def _folders(kernel: Kernel) -> Iterator[str]:
    """The folders that are known now, where the container does not show them anyway: nothing can be mounted twice."""
    if kernel.engine == "shifter":  # shows what the site shows, and takes no more
        return
    inside = " | ".join(f"{quoted(folder)}/*" for folder in kernel.shown)
    yield ""
    yield "# The connection file's folder can be anywhere: VS Code has it in /run/user."
    yield "case $folder/ in"
    yield f"    {inside}) ;;"
    yield f'    *) set -- "$@" {_flag(kernel)} "$folder:$folder" ;;'
    yield "esac"
    if kernel.engine in DAEMONS:
        yield "# The notebook's folder."
        yield "case $PWD/ in"
        yield f'    {inside} | "$folder"/) ;;'
        yield '    *) set -- "$@" --volume "$PWD:$PWD" ;;'
        yield "esac"


def _flag(kernel: Kernel) -> str:
    return "--volume" if kernel.engine in DAEMONS else "--bind"


def _variables(kernel: Kernel) -> Iterator[str]:
    if not kernel.passed:
        return
    passing = {
        "shifter": 'set -- "$@" "--env=$variable=$(printenv "$variable")"',
        "apptainer": 'export "APPTAINERENV_$variable=$(printenv "$variable")"',
        "singularity": 'export "SINGULARITYENV_$variable=$(printenv "$variable")"',
    }.get(kernel.engine, 'set -- "$@" --env "$variable"')
    yield ""
    yield "# Variables that may enter; the container begins without any."
    yield "for variable in $(env | sed -n 's/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p'); do"
    yield "    case $variable in"
    if kernel.kept_out:
        yield f"        {patterns(kernel.kept_out, indent=8)}) ;;"
    yield f"        {patterns(kernel.passed, indent=8)})"
    yield f"            {passing}"
    yield "            ;;"
    yield "    esac"
    yield "done"


def _watch(kernel: Kernel) -> Iterator[str]:
    """A process in a session of its own: Jupyter ends a kernel that does not answer by killing its process group."""
    yield ""
    if kernel.engine in DAEMONS:
        program = command(kernel.argv[:1])
        yield "# A container outlives the program that starts it. One that Jupyter started before with this connection"
        yield "# file still has its ports, and goes first."
        yield "container=sealift-$(basename -- \"$connection\" .json | tr -cd 'A-Za-z0-9_.-')"
        yield "for try in 1 2 3 4 5 6 7 8 9 10; do"
        yield f'    old=$({program} ps --all --quiet --filter "name=^$container-")'
        yield '    [ -n "$old" ] || break'
        # `rm` alone would let Podman wait ten seconds; and another one may be at it already.
        yield f"    {program} kill $old >/dev/null 2>&1"
        yield f"    {program} rm --force $old >/dev/null 2>&1 || sleep 0.5"
        yield "done"
        yield 'set -- --name "$container-$$" "$@"'
        yield "# When this process or Jupyter is gone, in whatever way, so is the container."
        yield from _in_background(_WATCH_CONTAINER, f'{program} "$container-$$"')
        return
    yield "# When Jupyter is gone without having ended the kernel, the kernel ends. What mounts the image is no part of"
    yield "# its process group, and stays when that is killed: it ends, too."
    yield from _in_background(_WATCH_GROUP, "")


# One that ended and waits for its parent to notice is dead, too.
_LIVES = """\
    lives() { grep -qs "^State:.[^ZX]" "/proc/$1/status"; }
    both() { lives "$1" && { [ "$2" = 0 ] || lives "$2"; }; }"""
_WATCH_CONTAINER = f"""\
{_LIVES}
    while both "$1" "$2"; do sleep 1; done
    "$3" kill "$4"
    "$3" rm --force "$4\""""
_WATCH_GROUP = f"""\
{_LIVES}
    helpers=
    while both "$1" "$2"; do
        now=$(cat /proc/$1/task/*/children)
        helpers=${{now:-$helpers}}
        sleep 1
    done
    kill -s TERM -- "-$1" || kill -s TERM "$1"
    for second in 1 2 3 4 5; do lives "$1" && sleep 1; done
    kill -s KILL -- "-$1" || kill -s KILL "$1"
    for helper in $helpers; do [ "$helper" = "$$" ] || kill -s KILL "$helper"; done"""


def _in_background(text: str, arguments: str) -> Iterator[str]:
    """`$1` is this process, which becomes the engine, and `$2` Jupyter."""
    yield (
        f'setsid sh -c \'\n{text}\n\' sealift-kernel "$$" "$PPID" {arguments}'.rstrip()
        + " </dev/null >/dev/null 2>&1 &"
    )

"""An image as engines with a store of their own know it, and what is started in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sealift.core.launch import LaunchPlan
from sealift.engines.environment import is_name
from sealift.errors import UsageError

HOME = "/.singularity.d"
ACTIONS = f"{HOME}/actions"
LIBRARY_PATH = "LD_LIBRARY_PATH"

SETTLE = f"""\
sealift_path=${LIBRARY_PATH}
for script in {HOME}/env/*.sh; do [ ! -f "$script" ] || . "$script"; done
while [ "$#" -gt 0 ] && [ "$1" != - ]; do export "$1"; shift; done
shift
if [ -n "$sealift_path" ]; then
    sealift_path=$sealift_path:${LIBRARY_PATH}: {LIBRARY_PATH}=
    while [ -n "$sealift_path" ]; do
        sealift_folder=${{sealift_path%%:*}} sealift_path=${{sealift_path#*:}}
        [ -n "$sealift_folder" ] || continue
        case :${LIBRARY_PATH}: in
            *:"$sealift_folder":*) ;;
            *) {LIBRARY_PATH}=${LIBRARY_PATH}${{{LIBRARY_PATH}:+:}}$sealift_folder ;;
        esac
    done
    export {LIBRARY_PATH}
fi
unset sealift_path sealift_folder script
exec "$@"
"""
"""Does what the image's own script `exec` does, and lets the caller's orders win, as they do under Apptainer: they are
set behind the image's scripts, which may set the same variables; and the library path that the engine was given stays
in front of what the scripts make of it, with nothing twice.
"""
_SHELL = "[ ! -x /bin/bash ] || exec /bin/bash --norc; exec /bin/sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """`reference` is what the engine calls it. `prepared` says that it has Apptainer's scripts inside, as every image
    has that Sealift made. `library_path` is what the image itself sets, by its configuration and its scripts,
    `variables` are the names of all that it sets. `entrypoint` and `command` are what it runs by itself, None where
    that is not known. `shell` reads its scripts; empty where it has none. `users` are its /etc/passwd and /etc/group.
    """

    reference: str
    prepared: bool = True
    library_path: str = ""
    shell: str = "/bin/sh"
    variables: tuple[str, ...] = ()
    users: tuple[bytes, bytes] | None = None
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] = ()


def inner_command(
    plan: LaunchPlan, image: StoredImage, *, orders: Mapping[str, str] | None = None, settle: bool = False
) -> tuple[str, tuple[str, ...]]:
    """The program to start in the container and its arguments: the entrypoint and the command of OCI engines.

    A prepared image's environment is made by its own scripts. With `orders`, or where `settle` asks for it, `SETTLE`
    stands in their place. For an image that is not prepared, `run` is its own entrypoint, shown by an empty program.
    """
    if not image.prepared:
        return _foreign(plan, image)
    if not orders and not settle:
        match plan.action:
            case "shell":
                return (f"{ACTIONS}/exec", (plan.shell,)) if plan.shell else (f"{ACTIONS}/shell", plan.command)
            case "exec":
                return f"{ACTIONS}/exec", plan.command
            case "test" | "run":
                return f"{ACTIONS}/{plan.action}", plan.command
    # At another name a shell would end.
    given = tuple(f"{name}={value}" for name, value in (orders or {}).items() if is_name(name))
    return "/bin/sh", ("-c", SETTLE, "sh", *given, "-", *_program(plan))


def words_of(
    plan: LaunchPlan, image: StoredImage, *, orders: Mapping[str, str] | None = None, settle: bool = False
) -> tuple[str, ...]:
    """The same for engines that run words and no entrypoint; UsageError where what `run` means is not known."""
    entry, command = inner_command(plan, image, orders=orders, settle=settle)
    if entry:
        return (entry, *command)
    if image.entrypoint is None:
        raise UsageError(
            f"what `{image.reference}` runs by itself is not known",
            hints=("name the program: sealift exec … IMAGE PROGRAM",),
        )
    words = (*image.entrypoint, *(command or image.command))
    if not words:
        raise UsageError(
            f"`{image.reference}` names no program to run", hints=("name one: sealift exec … IMAGE PROGRAM",)
        )
    return words


def _foreign(plan: LaunchPlan, image: StoredImage) -> tuple[str, tuple[str, ...]]:
    match plan.action:
        case "shell":
            return plan.shell or "/bin/sh", ()
        case "exec":
            return plan.command[0], plan.command[1:]
        case "test":
            if image.entrypoint is None:
                return f"{ACTIONS}/test", plan.command
            raise UsageError(
                f"`{image.reference}` has no %test: Sealift did not make it",
                hints=("run a check of your own: sealift exec … IMAGE PROGRAM",),
            )
        case "run":
            return "", plan.command


def _program(plan: LaunchPlan) -> tuple[str, ...]:
    match plan.action:
        case "shell":
            return (plan.shell,) if plan.shell else ("/bin/sh", "-c", _SHELL)
        case "exec":
            return plan.command
        case "run":
            return f"{HOME}/runscript", *plan.command
        case "test":
            return f"{HOME}/test", *plan.command

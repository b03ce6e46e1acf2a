"""An image as engines with a store of their own know it."""

from __future__ import annotations

from dataclasses import dataclass

from sealift.core.launch import LaunchPlan

ACTIONS = "/.singularity.d/actions"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """`reference` is what the engine calls it. `prepared` says that it has Apptainer's scripts inside, as every image
    has that Sealift made; `library_path` is what its configuration sets, `variables` are the names of all that it sets.
    `shell` reads its scripts; empty where it has none. `users` are its /etc/passwd and /etc/group.
    """

    reference: str
    prepared: bool = True
    library_path: str = ""
    shell: str = "/bin/sh"
    variables: tuple[str, ...] = ()
    users: tuple[bytes, bytes] | None = None


def inner_command(plan: LaunchPlan, image: StoredImage) -> tuple[str, tuple[str, ...]]:
    """The program to start in the container and its arguments: the entrypoint and the command of OCI engines.

    A prepared image's environment is made by its own scripts. For another one, `run` is its own entrypoint, shown by
    an empty program.
    """
    match plan.action:
        case "shell":
            shell = plan.shell or "/bin/sh"
            return (f"{ACTIONS}/exec", (shell,)) if image.prepared else (shell, ())
        case "exec":
            return (f"{ACTIONS}/exec", plan.command) if image.prepared else (plan.command[0], plan.command[1:])
        case "test":
            return f"{ACTIONS}/test", plan.command
        case "run":
            return (f"{ACTIONS}/run" if image.prepared else "", plan.command)

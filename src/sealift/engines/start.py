"""The door for the command line and for library users: a launch plan becomes a running program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

from sealift.core.event import Events, Said, ignore
from sealift.engines.choose import Choice, choose, nowhere
from sealift.errors import UsageError

if TYPE_CHECKING:
    from sealift.core.launch import LaunchPlan
    from sealift.engines.embedded.rootfs import Unpack
    from sealift.sites.profile import Profile


def start(
    plan: LaunchPlan,
    *,
    engine: str = "auto",
    env: Mapping[str, str],
    unpack: Unpack | None = None,
    site: Callable[[], Profile | None] = nowhere,
    events: Events = ignore,
) -> int:
    """Run `plan`; this process becomes the engine or the program, so that most calls do not return.

    `env` is the caller's environment as it was handed to this process (`system.caller.started_with`). `unpack` is
    asked for a folder where the embedded engine cannot mount the image, `site` for the site where this runs, if that
    decides anything. What is handed over is said as an event of
    level `debug`. Raises what `choose` and `embedded.run.run` raise.
    """
    choice = choose(engine, env=env, site=site)
    events(Said(text=f"engine: {choice.engine} ({choice.why})", level="debug"))
    if plan.communication != "none":
        refuse_communication(plan, choice.engine)
    if choice.engine == "embedded":
        from sealift.engines.embedded.run import run
        from sealift.engines.variables import with_variables

        return run(with_variables(plan, env), env=env, unpack=unpack, events=events)
    _hand_over(plan, choice, env, events)
    return 0


def refuse_communication(plan: LaunchPlan, engine: str) -> NoReturn:
    """These engines have no words for it: what is bound and set for MPI stands in the plan itself."""
    raise UsageError(
        f"{engine} has no flags for MPI or NCCL: `--communication {plan.communication}`",
        hints=("leave out --communication; what to bind is shown by: sealift mpi show IMAGE --site NAME",),
    )


def _hand_over(plan: LaunchPlan, choice: Choice, env: Mapping[str, str], events: Events) -> None:
    from sealift.engines.apptainer import command_line
    from sealift.engines.started import hand_over

    started = command_line(
        plan, name="singularity" if choice.engine == "singularity" else "apptainer", program=choice.program, env=env
    )
    events(Said(text=started.line(), level="debug"))
    hand_over(started)

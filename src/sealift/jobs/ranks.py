"""What each rank runs: a few lines of bash that become the engine.

They are given to `srun` as a text, so that nothing has to lie where all nodes can read it. They end with `exec`: the
rank is the engine's own process, which gets the signals and the exit code, and whose parent is Slurm's daemon
(podman-hpc knows the ranks of a node by that parent).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.apptainer import Name
from sealift.engines.apptainer import command_line as apptainer
from sealift.engines.clean import podman_hpc, shifter
from sealift.engines.clean.communication import recipe
from sealift.engines.clean.docker import show_mount
from sealift.engines.clean.image import ACTIONS, LIBRARY_PATH
from sealift.engines.clean.surroundings import (
    Caller,
    Surroundings,
    compose,
    library_path,
    load_rules,
    ordered_plainly,
)
from sealift.errors import UsageError
from sealift.jobs import kinds
from sealift.jobs.image import stored
from sealift.jobs.job import FILE_ENGINES, Job
from sealift.jobs.parts import part
from sealift.jobs.words import ARGUMENTS, at_run_time, command, patterns, quoted, with_variables

LIBRARIES = "/.singularity.d/libs"
_HERE = at_run_time("PWD", path=True)
_KEPT = ("PATH", "HOME", "SHELL", "PWD", "TMPDIR", "XDG_*", "LD_LIBRARY_PATH", "SEALIFT_*")
"""What the engine itself needs of the host's variables; of these none is the program's business."""
_ENGINES_OWN: Mapping[str, tuple[str, ...]] = {
    "apptainer": ("APPTAINER_*", "APPTAINERENV_*"),
    "singularity": ("SINGULARITY_*", "SINGULARITYENV_*"),
    "podman-hpc": ("PODMAN*", "SQUASH_DIR", "REGISTRY_AUTH_FILE", "CONTAINERS_*", "STORAGE_*"),
    "shifter": ("SHIFTER*",),
    "embedded": (),
}


def rank(job: Job) -> tuple[str, ...]:
    """The lines of a rank's script."""
    return tuple(_rank(job))


def _rank(job: Job) -> Iterator[str]:
    yield "set -euo pipefail"
    yield from kinds.gpu_lines(job)
    yield from _environment(job)
    plan = complete(job)
    caller = _caller(job)
    match job.engine:
        case "apptainer" | "singularity":
            yield from _apptainer(job, plan, caller)
        case "embedded":
            yield from _embedded(job, plan, caller)
        case "podman-hpc":
            started = podman_hpc.command_line(plan, stored(job.image, engine=job.engine), caller, site=job.site)
            yield from _podman_hpc(job, _without_known(started.argv, caller))
        case "shifter":
            started = shifter.command_line(
                plan,
                stored(job.image, engine=job.engine),
                caller,
                site=job.site,
                is_folder=job.folders,
                in_job=True,
            )
            yield f"exec {command(started.argv)}"


def _without_known(argv: tuple[str, ...], caller: Caller) -> tuple[str, ...]:
    """A command line without variables that are passed on as they are in any case."""
    known = {f"{name}={value}" for name, value in caller.env.items()}
    words: list[str] = []
    for word in argv:
        if word in known and words[-1] == "--env":
            words.pop()
        else:
            words.append(word)
    return tuple(words)


def complete(job: Job) -> LaunchPlan:
    """The launch plan with everything that kind, site and MPI add; what the user ordered wins.

    Its command is what the rank's script is given.
    """
    plan, wireup = job.plan, job.wireup
    wired = {name: with_variables(value) for name, value in wireup.env.items()}
    env = {**wired, **kinds.variables(job), **plan.env}
    binds = [replace(bind, source=with_variables(bind.source, path=True)) for bind in wireup.binds]
    ours = library_path(env.get(LIBRARY_PATH, ""), with_variables(":".join(wireup.library_path)))
    # One value for all of them: what is ordered, the recipe's, the image's own.
    paths = library_path(ours, job.image.library_path) if ours else ""
    if job.engine in FILE_ENGINES:
        # These have no flags for it: the recipe is variables and binds.
        env = {**recipe(job.site, plan.communication), **env}
        if paths and job.engine == "embedded":
            # The driver's folder comes last; Apptainer puts it there by itself.
            paths = library_path(paths, LIBRARIES)
        if wireup.preload:
            env["LD_PRELOAD"] = with_variables(wireup.preload)
        plan = replace(plan, communication="none")
    if paths:
        env[LIBRARY_PATH] = paths
    command = ARGUMENTS if plan.action == "exec" else (at_run_time("@"),) if plan.command else ()
    return replace(plan, command=command, env=env, binds=(*binds, *plan.binds))


def _caller(job: Job) -> Caller:
    """Who starts a rank, as far as the script's text can know."""
    env = {name: at_run_time(name, path=True) for name in job.variables}
    return Caller(
        env={"SLURM_JOB_ID": at_run_time("SLURM_JOB_ID"), **env},
        cwd=_HERE,
        home=at_run_time("HOME", path=True),
        uid=0,
        gid=0,
    )


def _environment(job: Job) -> Iterator[str]:
    rules = load_rules()
    own = [*_KEPT, *_ENGINES_OWN[job.engine]]
    if job.engine == "shifter":
        # It hands on what it finds, and no host's libraries are inside.
        own.remove(LIBRARY_PATH)
    yield "# Of the variables that are set here only those go inside that do no harm. The engine itself needs a few."
    if job.engine == "podman-hpc":
        yield "pass=()"
    yield "while read -r name; do"
    yield "    case $name in"
    yield f"        {patterns(own)}) ;;"
    yield f'        {patterns(rules["kept_out"])}) unset -v "$name" ;;'
    if job.engine == "podman-hpc":
        yield "        # The descriptor that PMI talks through has this number inside."
        yield "        PMI_FD) pass+=(--env PMI_FD=3) ;;"
    inside = [*rules["passed"], *job.variables]
    given = 'pass+=(--env "$name") ' if job.engine == "podman-hpc" else ""
    yield f"        {patterns(inside)}) {given};;"
    yield '        *) unset -v "$name" ;;'
    yield "    esac"
    yield "done < <(compgen -e)"


def _apptainer(job: Job, plan: LaunchPlan, caller: Caller) -> Iterator[str]:
    # The environment is in order already, and what Slurm set for the rank has to go in.
    plan = replace(ordered_plainly(plan, caller, job.site), clean_env=plan.clean_env)
    env = {name: value for name, value in plan.env.items() if value != caller.env.get(name)}
    plan = replace(plan, env=env, image=at_run_time("SEALIFT_IMAGE"))
    name: Name = "singularity" if job.engine == "singularity" else "apptainer"
    started = apptainer(plan, name=name, program=name, env={})
    for added in started.added:
        yield f"export {added}={quoted(started.env[added])}"
    yield f"exec {command(started.argv)}"


def _podman_hpc(job: Job, argv: tuple[str, ...]) -> Iterator[str]:
    if podman_hpc.needs_srun(argv):
        if job.orders.signal:
            # It waits for `podman exec`, which hands no signal on, and ends by the signal itself.
            raise UsageError(
                "podman-hpc hands no signal on to ranks of MPI, which share a node's container",
                hints=("leave out --signal and --requeue", "or run it with Shifter: --engine shifter"),
            )
        wait = job.site.text("engines.podman-hpc.wait_variable", "PODMANHPC_WAIT_TIMEOUT")
        yield "# The first rank of a node starts its container, and the others wait for it: 10 s, were it not for this."
        yield f"export {wait}=${{{wait}:-90}}"
    # It mounts nothing twice at one place: the working folder comes only where nothing else shows it.
    here = ("--mount", show_mount(Bind(source=_HERE, destination=_HERE)))
    words = list(argv)
    if podman_hpc.IPC in words:
        words.remove(podman_hpc.IPC)
        yield "# One /dev/shm for all processes of the node; Podman refuses where the kernel has no message queues."
        yield f"[[ ! -d /dev/mqueue ]] || pass+=({podman_hpc.IPC})"
    if flags := job.site.texts("engines.podman-hpc.group_flags"):
        yield "# With one's further groups, to whom the folders of projects belong."
        yield f"[[ $(id -G) != *' '* ]] || pass+=({command(flags)})"
    place = next((number for number in range(len(words) - 1) if tuple(words[number : number + 2]) == here), None)
    if place is not None:
        del words[place : place + 2]
        shown = [bind.destination for bind in surroundings(job).binds if bind.destination != _HERE]
        yield "# The working folder, where none of these shows it: nothing is mounted twice at one place."
        yield "case $PWD/ in"
        yield f"    {patterns(f'{quoted(folder)}/*' for folder in shown)}) ;;"
        yield f"    *) pass+=({command(here)}) ;;"
        yield "esac"
    place = words.index("--rm") + 1
    yield f'exec {command(words[:place])} "${{pass[@]}}" \\\n    {command(words[place:])}'


def surroundings(job: Job) -> Surroundings:
    """Variables and folders of the embedded engine's containers."""
    return compose(complete(job), _caller(job), job.site)


def _embedded(job: Job, plan: LaunchPlan, caller: Caller) -> Iterator[str]:
    around = surroundings(job)
    env = {name: value for name, value in around.env.items() if value != caller.env.get(name) and name != "HOME"}
    env |= {LIBRARY_PATH: around.ordered_path} if around.ordered_path else {}
    env |= {"APPTAINER_CONTAINER": at_run_time("SEALIFT_IMAGE"), "SINGULARITY_CONTAINER": at_run_time("SEALIFT_IMAGE")}
    assignments = [f"{name}={value}" for name, value in env.items()]
    # What is ordered wins over the image's own scripts.
    words = ["env", *assignments, *plan.command]
    if job.image.prepared:
        script = f"{ACTIONS}/run" if plan.action == "run" else ""
        words = [f"{ACTIONS}/exec", "env", *assignments, *([script] if script else []), *plan.command]
    folder = quoted(around.pwd or "/")
    yield from part("join").replace("#@FOLDER@", folder).replace("#@COMMAND@", command(words, indent=4)).splitlines()

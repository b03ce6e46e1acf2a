"""What a stage does, as values in the order in which it happens: nothing runs here.

%pre (host) → bootstrap → /.singularity.d, apps → %files from STAGE → %setup (host) → %files → %post with %appinstall
→ metadata → %test
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from sealift.deffile.bodies import read_app_files
from sealift.deffile.characters import words
from sealift.deffile.values import Definition, FileCopy, Script, Stage
from sealift.errors import DefinitionError, Span
from sealift.sections.apps import app_root, install_script
from sealift.sections.labels import BUILD_LABELS

UMASK = 0o002
"""Apptainer sets it for the whole build, so every section has it."""

ENVIRONMENT_FILE = "/.singularity.d/env/91-environment.sh"
_CHOOSE_SHELL = (
    'if [ -x /bin/bash ]; then exec /bin/bash --norc --noprofile -c "$0" bash "$@"; fi; exec /bin/sh -c "$0" sh "$@"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScript:
    """A script to be run as `argv`, which ends in the script's path (or, with `-c`, holds it in its last word).

    Inside, the command stands behind a shell that first makes the image's environment; see `enter`.

    `where`: `host` has the host's files and environment, `inside` the image's, in a clean environment but for the
    image's own. `env` comes on top. `lines` are the file's line numbers of the lines of `text`.
    """

    section: Literal["pre", "setup", "post", "test"]
    where: Literal["host", "inside"]
    argv: tuple[str, ...]
    text: str
    env: Mapping[str, str]
    cwd: str | None
    """None: where the build was started."""
    umask: int = UMASK
    lines: tuple[int, ...] = ()
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """Bring the base's files."""

    agent: str
    header: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginMetadata:
    """Add what `metadata.begin` gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFromHost:
    """`%files`: `expansion.expand_host_copies`, then `inner.copy_from_host`. Sources count from where the build is."""

    copies: tuple[FileCopy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyAppFiles:
    """`%appfiles`: `expansion.plain_copies`, then `inner.copy_from_host`."""

    copies: tuple[FileCopy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFromStage:
    """`%files from`: `inner.copy_from_stage` with the root of an earlier stage, by its number."""

    stage: int
    copies: tuple[FileCopy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishMetadata:
    """Add what `metadata.finish` gives."""


Step = RunScript | Bootstrap | BeginMetadata | CopyAppFiles | CopyFromHost | CopyFromStage | FinishMetadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things lie while a stage is built. `root` is the root as %pre and %setup see it; scripts are files."""

    root: str
    pre_script: str = "/tmp/pre"  # noqa: S108 -- a default to show; a build gives its own
    setup_script: str = "/tmp/setup"  # noqa: S108
    post_script: str = "/.post.script"


def plan_stage(
    definition: Definition,
    number: int,
    places: Places,
    *,
    sections: frozenset[str] | None = None,
    run_tests: bool = True,
) -> tuple[Step, ...]:
    """The steps of the stage `number`. DefinitionError where `-c` names no interpreter or a stage does not exist.

    `sections` are those that `--section` chose, None is all. `%post`, `%test` and the apps' sections cannot be left out
    by it (internal/pkg/build/stage.go): `%test` then runs what the base has as its test.
    """
    stage = definition.stages[number]
    steps: list[Step] = []

    def chosen(name: str) -> bool:
        return sections is None or name in sections

    if chosen("pre"):
        steps += _host_script(stage.script("pre"), "pre", places.pre_script, places)
    steps += [Bootstrap(agent=stage.bootstrap, header=dict(stage.header or {})), BeginMetadata(), *_app_files(stage)]
    if chosen("files"):
        steps += _from_stages(definition, stage)
    if chosen("setup"):
        steps += _host_script(stage.script("setup"), "setup", places.setup_script, places)
    if chosen("files"):
        steps += _from_host(stage)
    steps += _post(stage, places)
    steps.append(FinishMetadata())
    if run_tests and stage.script("test").text:
        steps.append(_test(stage))
    return tuple(steps)


def script_argv(script: Script, path: str) -> tuple[str, ...]:
    """How `%pre`, `%setup` and `%post` are run: `/bin/sh -ex [arguments] PATH`.

    Arguments end at a `#`. All that follows `-c` is one word with the path at its end: a command line that the shell
    runs, by which `-c /bin/bash` chooses an interpreter. DefinitionError when nothing follows it.
    """
    given = words(script.arguments.split("#")[0])
    if "-c" not in given:
        return ("/bin/sh", "-ex", *given, path)
    at = given.index("-c")
    if at == len(given) - 1:
        raise DefinitionError(
            f"`%{script.name} -c` names no interpreter",
            where=script.spans[-1] if script.spans else None,
            hints=(f"write: %{script.name} -c /bin/bash",),
        )
    return ("/bin/sh", "-ex", *given[: at + 1], " ".join((*given[at + 1 :], path)))


def enter(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The same command in the environment that the image's own scripts make (data/sections/enter.sh)."""
    text = resources.files("sealift").joinpath("data/sections/enter.sh").read_text("utf-8")
    return ("/bin/sh", "-c", _CHOOSE_SHELL, text, *argv)


def _both(name: str, value: str) -> dict[str, str]:
    return {f"APPTAINER_{name}": value, f"SINGULARITY_{name}": value}


def _host_script(script: Script, section: Literal["pre", "setup"], path: str, places: Places) -> tuple[RunScript, ...]:
    # Templates leave comments alone in %setup; run, they would keep a build from ever being taken from the cache.
    if _says_nothing(script):
        return ()
    return (
        RunScript(
            section=section,
            where="host",
            argv=script_argv(script, path),
            text=script.text,
            env={**_both("ENVIRONMENT", ENVIRONMENT_FILE), **_both("ROOTFS", places.root)},
            cwd=None,
            lines=script.lines,
            span=script.spans[0],
        ),
    )


def _says_nothing(script: Script) -> bool:
    """No arguments, and no line but blank ones and comments, which do nothing in a shell."""
    if script.arguments.split("#")[0].strip():
        return not script.text
    return all(line.strip()[:1] in ("", "#") for line in script.text.splitlines())


def _post(stage: Stage, places: Places) -> tuple[RunScript, ...]:
    script = stage.script("post")
    text = script.text + install_script(stage)
    if not text:
        return ()
    span = script.spans[0] if script.spans else next(iter(stage.apps[0].spans.values()))
    return (
        RunScript(
            section="post",
            where="inside",
            argv=enter(script_argv(script, places.post_script)),
            text=text,
            env={
                **_both("ENVIRONMENT", ENVIRONMENT_FILE),
                **_both("LABELS", BUILD_LABELS),
                **_both("CONTAINER", "/"),
                **_both("NAME", "rootfs"),
                "APPTAINER_APPNAME": "",
                "APPTAINER_COMMAND": "exec",
            },
            cwd="/",
            lines=script.lines,
            span=span,
        ),
    )


def _test(stage: Stage) -> RunScript:
    script = stage.script("test")
    return RunScript(
        section="test",
        where="inside",
        argv=enter(("/.singularity.d/test",)),
        text=script.text,
        env={
            **_both("ENVIRONMENT", ENVIRONMENT_FILE),
            **_both("CONTAINER", "/"),
            **_both("NAME", "rootfs"),
            "APPTAINER_APPNAME": "",
            "APPTAINER_COMMAND": "test",
        },
        cwd="/",
        lines=script.lines,
        span=script.spans[0],
    )


def is_read(definition: Definition, number: int) -> bool:
    """Does the `%files from` of a later stage name the stage `number`?"""
    names = (group.from_stage for stage in definition.stages[number + 1 :] for group in stage.files)
    return any(name is not None and definition.find_stage(name) == number for name in names)


def _from_stages(definition: Definition, stage: Stage) -> list[Step]:
    steps: list[Step] = []
    for group in stage.files:
        name = group.from_stage
        copies = tuple(one for one in group.copies if one.source)
        if name is None or not copies:
            continue
        number = definition.find_stage(name)
        if number is None:
            raise DefinitionError(f"stage `{name}` was not found", where=group.span)
        steps.append(CopyFromStage(stage=number, copies=copies))
    return steps


def _from_host(stage: Stage) -> list[Step]:
    copies = tuple(one for group in stage.files if group.from_host for one in group.copies if one.source)
    return [CopyFromHost(copies=copies)] if copies else []


def _app_files(stage: Stage) -> list[Step]:
    copies = tuple(
        FileCopy(source=source, destination=f"{app_root(app)}/{destination}", span=app.spans["appfiles"])
        for app in stage.apps
        for source, destination in read_app_files(app.body("appfiles"))
    )
    return [CopyAppFiles(copies=copies)] if copies else []

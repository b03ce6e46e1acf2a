"""`%runscript` and `%startscript`: how the image starts its program."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.deffile.characters import short
from sealift.lint.calls import OF_SHELL, PRINTERS, Call
from sealift.lint.examples import UBUNTU, file
from sealift.lint.recipe import RUN_SCRIPTS, Recipe, ScriptView
from sealift.lint.tools import actions
from sealift.lint.values import Hit, Rule
from sealift.shell.follow import UNKNOWN
from sealift.shell.values import Parameter, Simple
from sealift.shell.walk import commands

LAUNCHERS = frozenset(("mpirun", "mpiexec", "orterun", "srun"))
"""What starts many, for which a rule of its own has the advice."""

_PREPARING = frozenset(("cd", "mkdir", "export", "conda", "module"))
_OF_APPS = {"apprun": {"make", "rm", "cp", "tee", "ls"}}


def _drops_arguments(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("runscript", "apprun"):
        if script.interpreter not in ("sh", "bash", "dash", "ash") or script.reading.faults:
            continue
        if re.search(r"\$(\{?[@*#1-9]|\{[#!]?[@*1-9])|\bshift\b|\bgetopts\b|BASH_ARGV", script.text):
            continue
        programs = [
            call for call in script.calls if call.name not in PRINTERS and not call.run.depth and not call.run.is_inner
        ]
        if script.name == "apprun" and len(programs) > 1:
            continue  # a small program of its own, which need not take any
        programs = [
            call
            for call in programs
            if call.name not in OF_SHELL | _PREPARING | _OF_APPS.get(script.name, set())
            or (call.name == "conda" and call.texts[:1] == ("run",))
        ]
        if programs:
            last = programs[-1]
            how = f"run --app {script.app}" if script.app else "run"
            yield last.hit(
                f"what people write behind `{how} IMAGE` goes nowhere",
                f'pass it on: exec {"PROGRAM" if last.name in LAUNCHERS else last.name} … "$@"',
            )


def _unquoted_arguments(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts(*RUN_SCRIPTS):
        for command in commands(script.reading.script):
            if (
                not isinstance(command, Simple)
                or not command.words
                or command.words[0].literal in ("echo", "printf", "set", "[", "test")
            ):
                continue
            for word in command.words[1:] or command.words:
                lone = word.parts[0] if len(word.parts) == 1 else None
                if isinstance(lone, Parameter) and lone.name in ("@", "*") and not lone.operator and not lone.quote:
                    yield script.hit(
                        lone.start,
                        lone.end,
                        f"`${lone.name}` breaks arguments with blanks into pieces",
                        'write: "$@"',
                        edits=script.edit(lone.start, lone.end, '"$@"'),
                    )


_NO_PROGRAMS = frozenset(
    ("cd", "mkdir", "rm", "cp", "wait", "service", "systemctl", "printenv", "env", "spack", "module", "conda", "mamba",
     *LAUNCHERS)
)  # fmt: skip


def _without_exec(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("runscript", "startscript"):
        found = _last_program(script)
        if any("exec" in call.wrappers and call.run.certain for call in script.calls):
            continue  # what comes behind it never runs
        if found is None or re.search(r"\btrap\b|\bset\s+-\w*x|\(\)\s*\{|&\s*$", script.text, re.MULTILINE):
            continue
        # What a sourced file defines may be a function, which cannot be executed.
        may_be_function = "/" not in found.program.text and any(
            call.name in (".", "source", "eval") for call in script.calls
        )
        start = found.run.command.start
        yield found.hit(
            f"a shell stays between the engine and `{found.name}`: signals, such as Slurm's before the time is up, do "
            "not reach it",
            f"write: exec {found.name} …",
            edits=() if may_be_function else script.edit(start, start, "exec "),
        )


def _last_program(script: ScriptView) -> Call | None:
    """The program that ends the script, where it stands on a line of its own."""
    lines = script.reading.script.lines
    if script.interpreter not in ("sh", "bash", "dash", "ash") or script.reading.faults or not lines:
        return None
    last = lines[-1]
    pipeline = last.pipelines[-1]
    command = pipeline.commands[-1]
    if len(last.pipelines) != 1 or len(pipeline.commands) != 1 or last.terminator == "&" or pipeline.negated:
        return None
    if not isinstance(command, Simple) or command.assignments or not command.words or command.words[0].literal is None:
        return None
    calls = [call for call in script.calls if call.run.command == command]
    if len(calls) != 1 or calls[0].wrappers or calls[0].name in PRINTERS | OF_SHELL | _NO_PROGRAMS:
        return None
    return None if calls[0].texts in (("--version",), ("--help",)) else calls[0]


_READ_ONLY = re.compile(r"/(?:opt|usr|etc|srv|app|bin|lib|lib64|sbin|var/(?!tmp\b|run\b|lock\b))[^\s]*")


def _writes_into_image(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts(*RUN_SCRIPTS):
        for run in script.runs:
            targets = [
                one.target.literal or ""
                for one in run.command.redirects
                if one.operator in (">", ">>", ">|", "&>", "&>>")
            ]
            if run.name in ("mkdir", "touch", "tee"):
                targets += [one.text for one in run.fields[1:] if not one.text.startswith("-")]
            target = next((one for one in targets if _READ_ONLY.match(one) and UNKNOWN not in one), None)
            if target is not None:
                yield script.hit(
                    run.start,
                    run.end,
                    f"`{short(target)}` is in the image, which cannot be written when it runs",
                    "write below the working folder, $TMPDIR or a bound folder",
                )


_INSTALL_ELSEWHERE = ("--user", "--target", "-t", "--prefix", "--root", "-e", "--editable")


def _installs_at_run_time(recipe: Recipe) -> Iterator[Hit]:
    built = recipe.last.build_text if recipe.last is not None else ""
    for script in recipe.image_scripts(*RUN_SCRIPTS):
        for one in actions(script.calls):
            if one.tool in ("apt", "yum", "zypper", "apk") and (one.installs or one.verb in ("update", "upgrade")):
                yield one.call.hit(
                    f"`{one.call.name} {one.verb}` each time that the image runs, as an ordinary user, in an image "
                    "that cannot be written: it fails",
                    "move it to `%post`",
                    level="error",
                )
            elif one.tool in ("pip", "uv") and one.installs and not one.call.has(*_INSTALL_ELSEWHERE):
                if one.call.program.text.startswith(("$", ".", "~")) or re.search(r"venv", script.text):
                    continue  # an environment that lies elsewhere
                yield one.call.hit(
                    f"`{one.call.name} install` each time that the image runs: in an image that cannot be written it "
                    "fails, or fills the user's ~/.local",
                    "move it to `%post`",
                )
        for call in script.calls:
            if call.name == "npx" and re.search(rf"npm\s[^\n]*\b{re.escape((*call.texts, '?')[0])}\b", built):
                continue  # it is there
            if call.name in ("uvx", "npx") or (call.name in ("uv", "pipx") and call.texts[:2] == ("tool", "run")):
                yield call.hit(
                    f"`{call.name}` downloads its program when the image runs: compute nodes may have no way out, and "
                    "every run may get another version",
                    "install it in `%post`, with its version",
                )


def _data_of_tmp(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    if stage is None:
        return
    made = {
        path
        for script in stage.scripts("post")
        for path in re.findall(r"(?<![\w/.])(?:/var)?/tmp/[\w.-]+", script.text)
    }
    for script in stage.scripts(*RUN_SCRIPTS):
        if re.search(r"mktemp|mkdir|touch|>\s*/(var/)?tmp|TMPDIR", script.text):
            continue
        for call in script.calls:
            for one in (call.program, *call.fields):
                found = re.search(r"(?<![\w/.])(?:/var)?/tmp/[\w.-]+", one.text)
                if found and found[0] in made:
                    yield call.hit_field(
                        one,
                        f"what `%post` left in `{found[0]}` is not in the image: the host's own /tmp lies over it",
                        "put it below /opt in `%post`, and name that place here",
                    )
                    break


RULES: tuple[Rule, ...] = (
    Rule(
        id="installs-at-run-time",
        family="portability",
        level="warning",
        title="`%runscript` installs something",
        reason="The image cannot be written when it runs, and who runs it is not root, so package managers fail. "
        "What installs into the user's home instead is done anew by each rank of a job, from nodes that may have no "
        "way to the internet, and brings another version every time.",
        remedy="Install in `%post`, with versions.",
        bad=file(UBUNTU, runscript='pip install numpy==2.1.3\nexec python3 /opt/app/main.py "$@"'),
        good=file(UBUNTU, runscript='exec python3 /opt/app/main.py "$@"'),
        look=_installs_at_run_time,
    ),
    Rule(
        id="data-below-tmp",
        family="portability",
        level="warning",
        title="`%runscript` needs a file that `%post` left below /tmp",
        reason="While the image is built and while it runs, the host's own /tmp lies over the image's. What `%post` "
        "wrote there is on the building machine, or gone, and not in the image.",
        remedy="Write it below /opt.",
        bad=file(
            UBUNTU,
            post="cp /usr/share/misc/table /tmp/table",
            runscript='exec /opt/app/main --table /tmp/table "$@"',
        ),
        good=file(
            UBUNTU,
            post="cp /usr/share/misc/table /opt/table",
            runscript='exec /opt/app/main --table /opt/table "$@"',
        ),
        look=_data_of_tmp,
    ),
    Rule(
        id="writes-into-image",
        family="portability",
        level="warning",
        title="`%runscript` writes into the image",
        reason="A SIF, and a squashed image under podman-hpc or Shifter, cannot be written: the line fails with "
        "`Read-only file system`. Where it does not, in a sandbox or with an overlay, what is written is "
        "lost or in everybody's way.",
        remedy="Write below the working folder, `$TMPDIR` or a folder that is bound; folders that must be there "
        "belong in `%post`.",
        bad=file(UBUNTU, runscript='mkdir -p /opt/app/output\nexec /opt/app/main "$@"'),
        good=file(UBUNTU, runscript='mkdir -p output\nexec /opt/app/main "$@"'),
        look=_writes_into_image,
    ),
    Rule(
        id="runscript-drops-arguments",
        family="shell",
        level="warning",
        title="`%runscript` does not pass its arguments on",
        reason="People type `run IMAGE --help` or `./IMAGE input.dat` and get the same run as without.",
        remedy='Write `"$@"` behind the program.',
        bad=file(UBUNTU, runscript="exec python3 /opt/app/main.py"),
        good=file(UBUNTU, runscript='exec python3 /opt/app/main.py "$@"'),
        look=_drops_arguments,
    ),
    Rule(
        id="runscript-unquoted-arguments",
        family="shell",
        level="warning",
        title="Arguments with blanks are broken into pieces",
        reason="`$@` without quotes, and `$*`, are split at blanks, and patterns in them are expanded: a file `my "
        "data.csv` becomes two.",
        remedy='Write `"$@"`, with the quotes.',
        bad=file(UBUNTU, runscript="exec python3 /opt/app/main.py $@"),
        good=file(UBUNTU, runscript='exec python3 /opt/app/main.py "$@"'),
        look=_unquoted_arguments,
        fixes=True,
    ),
    Rule(
        id="runscript-without-exec",
        family="shell",
        level="note",
        title="`%runscript` starts its program without `exec`",
        reason="A shell stays as its parent. A batch system's signal before the end of the time goes to that "
        "shell, and the program cannot save its work.",
        remedy="Write `exec` before the last command.",
        bad=file(UBUNTU, runscript='python3 /opt/app/main.py "$@"'),
        good=file(UBUNTU, runscript='exec python3 /opt/app/main.py "$@"'),
        look=_without_exec,
        fixes=True,
    ),
)

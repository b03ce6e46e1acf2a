"""Tested and told: what an image says of itself, and how it proves it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.deffile.characters import short
from sealift.lint.examples import UBUNTU, file
from sealift.lint.recipe import Recipe, ScriptView, StageView
from sealift.lint.values import Hit, Rule
from sealift.shell.values import If, Line, Simple


def _has(stage: StageView, *names: str) -> bool:
    return any(section.name in names and section.body.strip() for section in stage.stage.sections)


def _does_something(stage: StageView) -> bool:
    return _has(stage, "post", "files", "appinstall", "appfiles", "setup")


def _missing(recipe: Recipe, names: tuple[str, ...], message: str, *hints: str) -> Iterator[Hit]:
    stage = recipe.last
    if stage is None or not _does_something(stage) or _has(stage, *names):
        return
    if any(section.name == names[0] for section in stage.stage.sections):
        message = f"`%{names[0]}` is empty" + message[message.index(":") :]
    yield stage.hit_header("bootstrap", message, *hints)


def _no_test(recipe: Recipe) -> Iterator[Hit]:
    yield from _missing(
        recipe,
        ("test", "apptest"),
        "there is no `%test`: nothing says that the image works, today or at another site",
        "run the program on something small: %test, and below it: python3 -c 'import numpy'",
    )


def _no_help(recipe: Recipe) -> Iterator[Hit]:
    yield from _missing(
        recipe,
        ("help", "apphelp"),
        "there is no `%help`: who gets the image has nothing but its name",
        "say what it is for, and one command that works",
    )


def _no_labels(recipe: Recipe) -> Iterator[Hit]:
    yield from _missing(
        recipe,
        ("labels", "applabels"),
        "there are no `%labels`: nobody can tell which version an image is, and whom to ask",
        "write at least: Version 1.0, and on the next line: Author you@example.org",
    )


_SAYS = frozenset(("echo", "printf", "true", ":", "date", "export"))


def _weak_test(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("test"):
        lines = script.reading.script.lines
        if script.reading.faults or not lines or not _is_plain(script):
            continue
        names = {run.name for run in script.runs if run.fields}
        if names and names <= _SAYS:
            yield script.hit_heading(
                "this `%test` cannot fail: it runs nothing of the image",
                "run the program on something small, and compare what it says",
            )
        elif _only_says(lines[-1]) and not _stops(script):
            yield script.hit_heading(
                "this `%test` cannot fail: its last line only prints, and `%test` goes on where a command fails",
                "write as the first line of `%test`: set -e",
                "and where something is wrong: exit 1",
            )


def _is_plain(script: ScriptView) -> bool:
    return script.interpreter in ("sh", "bash", "dash", "ash")


_STOPS = re.compile(r"\bset\s+-\w*e|\bset\s+-o\s+errexit|\bexit\b|\btrap\b|\bfalse\b|\bexec\b")


def _stops(script: ScriptView) -> bool:
    """May it end before its last line?"""
    return re.match(r"\s*#!\S*sh\s+-\w*e", script.text) is not None or _STOPS.search(script.text) is not None


def _only_says(line: Line) -> bool:
    """Does it end well whatever was before?"""
    last = line.pipelines[-1]
    command = last.commands[-1]
    if isinstance(command, If):
        bodies = [body for _, body in command.branches] + ([command.otherwise] if command.otherwise else [])
        return all(body.lines and _only_says(body.lines[-1]) for body in bodies)
    alone = len(line.pipelines) == 1 or line.operators[-1] == "||"
    return alone and isinstance(command, Simple) and bool(command.words) and command.words[0].literal in _SAYS


_PREPARE = frozenset(
    ("echo", "printf", "export", "cd", "set", "true", ":", "exit", "return", ".", "source", "date", "mkdir", "cat",
     "unset", "local", "mktemp", "rm", "trap", "umask", "sleep", "kill", "wait", "ulimit", "module")
)  # fmt: skip


def _ignored_failures(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("test"):
        if not _is_plain(script) or script.reading.faults or _stops(script):
            continue
        lines = script.reading.script.lines
        if _only_says(lines[-1]):
            continue  # it cannot fail at all
        for line in lines[:-1]:
            command = line.pipelines[-1].commands[-1]
            calls = [call for call in script.calls if call.run.command == command]
            name = calls[0].name if calls else ""
            if calls and name not in _PREPARE and "||" not in line.operators and line.terminator != "&":
                last = lines[-1]
                yield script.hit(
                    line.start,
                    line.end,
                    f"where this fails, the test goes on, and passes if its last line does, "
                    f"`{short(script.text[last.start : last.end].strip().splitlines()[-1])}`",
                    "write as the first line of `%test`: set -e",
                )
                break


def _label_expansion(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for offset, line in stage.section_lines("labels"):
            key, _, value = line.partition(" ")
            found = re.search(r"\$\([^)]*\)|\$\{\w+\}|\$[A-Za-z_]\w*|`[^`]+`", value)
            if found:
                yield Hit(
                    start=offset,
                    end=offset + len(line),
                    message=f"labels are literal: the label `{key}` is the text `{found[0]}`",
                    hints=(
                        "take it from a build argument: {{ NAME }}, or write it in `%post`:",
                        f'echo "{key} {found[0]}" >> $APPTAINER_LABELS',
                    ),
                )


RULES: tuple[Rule, ...] = (
    Rule(
        id="no-test",
        family="tested",
        level="note",
        title="There is no `%test`",
        reason="A build that ends well says that the commands ended well. Whether the program starts, finds its "
        "libraries and computes is another question, and it comes back at each new driver and site.",
        remedy="Write a `%test` that runs the program on something small and fails where the answer is wrong. It "
        "runs after each build, and with `sealift test IMAGE` wherever the image goes.",
        bad=file(UBUNTU, post="mkdir -p /opt/app"),
        good=file(UBUNTU, post="mkdir -p /opt/app", test="test -d /opt/app"),
        look=_no_test,
    ),
    Rule(
        id="test-cannot-fail",
        family="tested",
        level="warning",
        title="The `%test` cannot fail",
        reason="It runs nothing of the image, or ends with a line that only prints. `%test` goes on where a command "
        "fails, and its last line decides: `echo OK` is always well.",
        remedy="Run the program on something small. Write `set -e` as the first line, so that the first command that "
        "fails ends the test.",
        bad=file(UBUNTU, test="echo it works"),
        good=file(UBUNTU, test='test "$(/opt/app/main 2 2)" = 4'),
        look=_weak_test,
    ),
    Rule(
        id="test-goes-on",
        family="tested",
        level="warning",
        title="Only the last line of `%test` decides",
        reason="`%post` stops at the first command that fails; `%test` does not. It passes where its last command ends "
        "well, whatever failed before.",
        remedy="Write `set -e` as the first line of `%test`, or join the commands with `&&`.",
        bad=file(UBUNTU, test="/opt/app/main --selftest\n/opt/app/main --version"),
        good=file(UBUNTU, test="set -e\n/opt/app/main --selftest\n/opt/app/main --version"),
        look=_ignored_failures,
    ),
    Rule(
        id="label-not-expanded",
        family="tested",
        level="warning",
        title="A label holds a variable or a command",
        reason="Labels are text: no shell reads them, so the image says `$(date)` for ever.",
        remedy="Take the value from a build argument, or append `KEY VALUE` to the file that `$APPTAINER_LABELS` "
        "names, in `%post`.",
        bad=file(UBUNTU, labels="Build-date $(date)"),
        good=file(UBUNTU, post='echo "Build-date 2025-03-01" >> $APPTAINER_LABELS'),
        look=_label_expansion,
    ),
    Rule(
        id="no-help",
        family="tested",
        level="note",
        title="There is no `%help`",
        reason="`run-help IMAGE` shows what `%help` says; without it, who gets the image reads the recipe or guesses.",
        remedy="Say what the image is for, and one command that works.",
        bad=file(UBUNTU, post="mkdir -p /opt/app"),
        good=file(UBUNTU, post="mkdir -p /opt/app", help="An empty folder. Try: sealift exec app.sif ls /opt/app"),
        look=_no_help,
    ),
    Rule(
        id="no-labels",
        family="tested",
        level="note",
        title="There are no `%labels`",
        reason="Images are copied and renamed. Labels say which version one is, and whom to ask.",
        remedy="Write at least a version and an author.",
        bad=file(UBUNTU, post="mkdir -p /opt/app"),
        good=file(UBUNTU, post="mkdir -p /opt/app", labels="Version 1.0\nAuthor you@example.org"),
        look=_no_labels,
    ),
)

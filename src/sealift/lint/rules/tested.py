"""Tested and told: what an image says of itself, and how it proves it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.lint.examples import UBUNTU, file
from sealift.lint.recipe import Recipe, StageView
from sealift.lint.values import Hit, Rule


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


def _weak_test(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("test"):
        names = {run.name for run in script.runs if run.fields}
        if names and names <= {"echo", "true", "printf", ":", "date", "export"} and not script.reading.faults:
            yield script.hit_heading(
                "this `%test` cannot fail: it runs nothing of the image",
                "run the program on something small, and compare what it says",
            )


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
        title="The `%test` tests nothing",
        reason="It prints, and ends well whatever the image holds.",
        remedy="Run the program on something small, and let the test end with an error where the answer is wrong.",
        bad=file(UBUNTU, test="echo it works"),
        good=file(UBUNTU, test='test "$(/opt/app/main 2 2)" = 4'),
        look=_weak_test,
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

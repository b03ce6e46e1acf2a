"""`sealift learn`: exercises in the terminal that check themselves."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sealift.errors import UsageError

if TYPE_CHECKING:
    from sealift.flows.learn import Anew, Checked, Hinted, LearnRequest, LookedAt, Overview, Place, Solved

INTERMIXED = True
"""Flags may stand between the words."""

EPILOG = """\
examples:
  sealift learn                    the course, how far you are, and what to type next
  sealift learn start ex01         copy the first exercise into this folder: its README.md says what to do
  sealift learn check              look at what you made; it ends with 1 while something is not right yet
  sealift learn watch              the same at every save, until Ctrl-C
  sealift learn hint               one more each time
  sealift learn solution           written beside your work, never over it
  sealift learn reset              begin anew; your work is kept aside

check, hint and solution take an exercise and a step, too: sealift learn hint ex01 3
A course of others: sealift learn list --course FOLDER (it brings no code; what it runs, runs inside your images)
"""
_VERBS = ("list", "start", "check", "hint", "solution", "reset", "watch")
_INTRODUCTION = """Each exercise is a folder with a README.md that says what to do: you write recipes, build images and
run them, here in your terminal. `sealift learn check` looks at what you made, and says what is right and what is not
yet."""
SECONDS = 0.5
"""Between two looks at the files."""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Learn by doing: exercises in your terminal, with a checker for what you built and ran."
    parser.epilog = EPILOG
    add = parser.add_argument
    add("words", nargs="*", metavar="WORD", help=f"{', '.join(_VERBS)}; then an exercise, a step")
    add("--course", default="", metavar="FOLDER", help="a course of others, in place of Sealift's own")
    add("--engine", default="auto", metavar="E", help="what runs images: auto, apptainer, singularity, embedded")
    add("--yes", action="store_true", help="with solution: show it although there are hints left")
    add("--json", action="store_true", help="print as JSON")


def execute(options: argparse.Namespace) -> int:
    verb, *rest = options.words or ["list"]
    if verb not in _VERBS:
        import difflib

        close = difflib.get_close_matches(verb, _VERBS, n=1)
        hint = f"did you mean `sealift learn {close[0]}`?" if close else f"one of {', '.join(_VERBS)}"
        raise UsageError(f"`sealift learn {verb}` is not known", hints=(hint,))
    if verb == "list":
        _refuse(rest, "list")
        return _list(options)
    if verb == "start":
        return _start(options, rest)
    return {"check": _check, "watch": _watch, "hint": _hint, "solution": _solution, "reset": _reset}[verb](
        options, rest
    )


def _request(options: argparse.Namespace, words: list[str]) -> LearnRequest:
    """`words` are an exercise (`ex01`), a step (a number, or another name), or both."""
    from sealift.cli.inspection import say
    from sealift.flows.learn import LearnRequest
    from sealift.system.process import environment

    exercise = step = ""
    match words:
        case [one] if re.match(r"ex\d", one):
            exercise = one
        case [one]:
            step = one
        case [exercise, step]:
            pass
        case [_, _, *further]:
            _refuse(further, options.words[0])
    return LearnRequest(
        environment=environment(),
        cwd=os.getcwd(),
        course=options.course,
        exercise=exercise,
        step=step,
        engine=options.engine,
        today=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        events=say,
    )


def _refuse(words: list[str], verb: str) -> None:
    if words:
        raise UsageError(f"`{' '.join(words)}` means nothing behind `{verb}`", hints=("sealift learn --help",))


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2))


def _say(lines: Iterable[str]) -> None:
    """Courses may be anybody's: nothing of them may speak to the terminal."""
    from sealift.cli.faults import use_colour
    from sealift.cli.findings import safe

    colour = use_colour(sys.stdout)
    shown = [safe(line, keep="\t") for line in lines]
    print("\n".join(_painted(line) if colour else line for line in shown), flush=True)


_COLOURS = {"✓": "\033[32m", "✗": "\033[1;31m", "·": "\033[2m"}


def _painted(line: str) -> str:
    start = _COLOURS.get(line.lstrip()[:1])
    return f"{start}{line}\033[0m" if start else line


# What there is, and how far one is


def _list(options: argparse.Namespace) -> int:
    from sealift.flows.learn import overview

    found = overview(_request(options, []))
    if options.json:
        _print(found.as_json())
        return 0
    _say(_list_lines(found, introduced=not options.words))
    return 0


def _list_lines(found: Overview, *, introduced: bool) -> Iterator[str]:
    course = found.opened.course
    yield course.title
    if introduced:
        yield ""
        yield from _wrapped(_INTRODUCTION)
    yield ""
    shorts, titles = [row.exercise.short for row in found.rows], [row.exercise.title for row in found.rows]
    for row in found.rows:
        mark = "✓" if row.progress.finished else "▸" if row.here else " "
        steps, done = len(row.exercise.steps), len(row.progress.done)
        state = "done" if row.progress.finished else f"{done} of {steps} steps" if row.progress.folder else ""
        short, title = row.exercise.short.ljust(max(map(len, shorts))), row.exercise.title.ljust(max(map(len, titles)))
        yield f"{mark} {short}  {title}  {row.exercise.minutes:3} min  {state}".rstrip()
    yield ""
    yield from (f"next: {line}" for line in _next_lines(found))


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 100)


def _next_lines(found: Overview) -> Iterator[str]:
    from sealift.flows.learn import start_line

    here = found.here
    if here is not None and not here.progress.finished:
        if os.path.realpath(here.progress.folder) != os.path.realpath(os.getcwd()):
            yield f"cd {shlex.quote(here.progress.folder)}"
        yield "sealift learn check"
        return
    fresh = next((row for row in found.rows if not row.progress.finished), None)
    if fresh is None:
        yield "nothing is left: build something of your own: sealift new"
    elif fresh.progress.folder:
        yield f"sealift learn check {fresh.exercise.short}"
    else:
        yield start_line(fresh.exercise, found.opened)


def _start(options: argparse.Namespace, words: list[str]) -> int:
    from sealift.flows.learn import begin

    _refuse(words[2:], "start")
    request = _request(options, [])
    place = begin(_named(request, words), words[1] if len(words) > 1 else "")
    if options.json:
        _print({"exercise": place.exercise.name, "folder": place.folder})
        return 0
    _say(_start_lines(place))
    return 0


def _named(request: LearnRequest, words: list[str]) -> LearnRequest:
    from dataclasses import replace

    return replace(request, exercise=words[0] if words else "")


def _start_lines(place: Place) -> Iterator[str]:
    exercise = place.exercise
    yield f"{exercise.short}: {exercise.title}  ({len(exercise.steps)} steps, about {exercise.minutes} minutes)"
    yield from _wrapped(exercise.about)
    yield ""
    yield f"next: cd {shlex.quote(os.path.relpath(place.folder))}"
    yield "next: read README.md, and after each step: sealift learn check"


# What is right, and what is not yet


def _check(options: argparse.Namespace, words: list[str]) -> int:
    from sealift.flows.learn import check

    checked = check(_request(options, words))
    _show(checked, as_json=options.json)
    return 0 if checked.right else 1


def _show(checked: Checked, *, as_json: bool) -> None:
    if as_json:
        _print(checked.as_json())
        return
    _say(_check_lines(checked))


def _check_lines(checked: Checked) -> Iterator[str]:
    *before, last = checked.steps
    for one in before:
        yield f"✓ {one.step.number}. {one.step.title}"
        yield from (f"    · {finding.what}" for finding in one.left_out)
    if last.right and len(checked.steps) > 1:
        yield f"✓ {last.step.number}. {last.step.title}"
        yield from (f"    · {finding.what}" for finding in last.left_out)
    else:
        yield from [""] if before else []
        yield f"{last.step.number}. {last.step.title}"
        yield ""
        yield from _finding_lines(last)
    yield ""
    yield from _after(checked, last)


def _finding_lines(one: LookedAt) -> Iterator[str]:
    from sealift.cli.findings import finding_lines

    for finding in one.findings:
        mark, *further = finding_lines(finding)
        yield mark.removesuffix(f"  [{finding.id}]")
        yield from further


def _after(checked: Checked, last: LookedAt) -> Iterator[str]:
    from sealift.flows.learn import start_line

    exercise = checked.place.exercise
    if not last.right:
        yield f"step {last.step.number} of {len(exercise.steps)}; a hint: sealift learn hint"
    elif checked.finished:
        yield f"{exercise.short} is done: all {len(exercise.steps)} steps are right"
        opened = checked.place.opened
        following = opened.course.exercises[opened.course.exercises.index(exercise) + 1 :]
        yield "next: cd ..; " + (start_line(following[0], opened) if following else "sealift learn")
    else:
        yield f"step {last.step.number} is right"


def _watch(options: argparse.Namespace, words: list[str]) -> int:
    import time

    from sealift.flows.learn import watch

    if options.json:
        raise UsageError("`watch` speaks to people", hints=("sealift learn check --json",))
    try:
        for checked in watch(_request(options, words), lambda: time.sleep(SECONDS)):
            if sys.stdout.isatty():
                print("\033[2J\033[H", end="")
            _show(checked, as_json=False)
            if checked.finished:
                return 0
            print("watching for changes; Ctrl-C ends it", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nended; go on at any time: sealift learn check", file=sys.stderr)
    return 0


# Help


def _hint(options: argparse.Namespace, words: list[str]) -> int:
    from sealift.flows.learn import hint

    hinted = hint(_request(options, words))
    if options.json:
        _print(hinted.as_json())
        return 0
    _say(_hint_lines(hinted))
    return 0


def _hint_lines(hinted: Hinted) -> Iterator[str]:
    yield f"{hinted.step.number}. {hinted.step.title}"
    yield ""
    for number, text in enumerate(hinted.shown, 1):
        yield f"hint {number} of {len(hinted.step.hints)}: {text}"
    if not hinted.left:
        yield ""
        yield "these are all; the solution: sealift learn solution"


def _solution(options: argparse.Namespace, words: list[str]) -> int:
    from sealift.flows.learn import solution

    solved = solution(_request(options, words), sure=options.yes)
    if options.json:
        _print(solved.as_json())
    elif not solved.files and solved.hints_left:
        count = f"{solved.hints_left} hint{'s' if solved.hints_left > 1 else ''}"
        print(f"step {solved.step.number} has {count} that you did not see: sealift learn hint", file=sys.stderr)
        print("the solution all the same: sealift learn solution --yes", file=sys.stderr)
    else:
        _show_solution(solved)
    return 0 if solved.files or not solved.hints_left else 1


def _show_solution(solved: Solved) -> None:
    print(f"{solved.step.number}. {solved.step.title}", file=sys.stderr)
    if not solved.files:
        print("this step asks for no file: its commands in README.md are the solution", file=sys.stderr)
        return
    from sealift.cli.findings import safe

    print(safe(solved.differences, keep="\n\t").rstrip("\n") or "your files are the same", flush=True)
    print(f"written beside your work: {' '.join(solved.files)}", file=sys.stderr)


def _reset(options: argparse.Namespace, words: list[str]) -> int:
    from sealift.flows.learn import reset

    _refuse(words[1:], "reset")
    anew = reset(_named(_request(options, []), words))
    if options.json:
        _print(anew.as_json())
        return 0
    _show_anew(anew)
    return 0


def _show_anew(anew: Anew) -> None:
    print(f"your work is kept in {anew.aside}")
    print(f"next: cd {shlex.quote(anew.place.folder)}")

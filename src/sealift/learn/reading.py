"""A course's files as values, with everything that is wrong with them said at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from sealift.errors import UsageError
from sealift.learn.course import Check, Course, Example, Exercise, Mistake, Step
from sealift.learn.readme import Readme, read_readme
from sealift.learn.vocabulary import CONDITIONS, KINDS, Field

SCHEMA = 1
COURSE_FILE = "course.toml"
EXERCISE_FILE = "exercise.toml"
README_FILE = "README.md"
SOLUTION_FOLDER = "solution"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_EXERCISE = re.compile(r"ex\d\d-[a-z0-9-]+")
_SIZE = re.compile(r"(\d+) (kB|MB|GB)")
_UNITS = {"kB": 1000, "MB": 1000**2, "GB": 1000**3}
_HINT = "how a course is written: docs/learning.md"


def read_course(data: bytes, exercises: Mapping[str, tuple[bytes, bytes]], *, file: str) -> Course:
    """`exercises` has for each folder the bytes of its exercise.toml and README.md. UsageError with all faults."""
    table = _toml(data, file)
    faults = list(_course_faults(table, exercises))
    _refuse(faults, file, "course")
    return Course(
        name=table["name"],
        title=table["title"],
        exercises=tuple(read_exercise(name, *exercises[name]) for name in table["exercises"]),
    )


def exercise_names(data: bytes, *, file: str) -> tuple[str, ...]:
    """The folders that a course names; UsageError where it names none."""
    names = _toml(data, file).get("exercises")
    if not _are_texts(names) or not names or not all(map(_EXERCISE.fullmatch, names)):
        why = "has to be a list of folders beside it, with names as `ex01-first-steps`"
        raise UsageError(f"`{file}`: `exercises` {why}", hints=(_HINT,))
    return tuple(names)


def _course_faults(table: Mapping[str, Any], exercises: Mapping[str, object]) -> Iterator[str]:
    yield from _unknown(table, ("schema", "name", "title", "exercises"), "")
    if table.get("schema") != SCHEMA:
        yield f"`schema = {SCHEMA}` is missing: this Sealift reads no other"
    if not _is_name(table.get("name")):
        yield "`name` has to be lower-case letters, digits and `-`"
    if not _is_text(table.get("title")):
        yield "`title` is missing"
    shorts = [name.partition("-")[0] for name in exercises]
    yield from (f"two exercises are called `{one}`" for one in sorted(set(shorts)) if shorts.count(one) > 1)


def read_exercise(name: str, data: bytes, readme: bytes) -> Exercise:
    """UsageError with everything that is wrong."""
    file = f"{name}/{EXERCISE_FILE}"
    table = _toml(data, file)
    told = read_readme(readme.decode("utf-8", "replace"))
    faults = list(_exercise_faults(table, told))
    steps = table.get("step")
    for number, step in enumerate(steps if isinstance(steps, list) else [], 1):
        where = f"step {number}"
        faults += _step_faults(step, where)
    _refuse(faults, file, "exercise")
    return Exercise(
        name=name,
        title=told.title,
        about=told.about,
        minutes=table["minutes"],
        steps=tuple(
            Step(
                id=step["id"],
                number=number,
                title=part.title,
                goal=part.goal,
                checks=tuple(_check(check) for check in step["check"]),
                hints=tuple(step["hints"]),
            )
            for number, (step, part) in enumerate(zip(table["step"], told.steps, strict=True), 1)
        ),
    )


def _exercise_faults(table: Mapping[str, Any], readme: Readme) -> Iterator[str]:
    yield from _unknown(table, ("schema", "minutes", "step"), "")
    if table.get("schema") != SCHEMA:
        yield f"`schema = {SCHEMA}` is missing: this Sealift reads no other"
    if not isinstance(table.get("minutes"), int):
        yield "`minutes` has to be a number: how long it takes"
    if not readme.title or not readme.about:
        yield f"{README_FILE} has to begin with `# Title` and a paragraph"
    steps = table.get("step")
    if not isinstance(steps, list) or not steps:
        yield "there is no `[[step]]`"
        return
    numbers = [part.number for part in readme.steps]
    if numbers != list(range(1, len(steps) + 1)):
        yield f"{README_FILE} has to have headings `## 1. Title` to `## {len(steps)}. Title`, and has {numbers}"
    yield from (f"{README_FILE}: step {part.number} has no goal" for part in readme.steps if not part.goal)
    ids = [step.get("id") for step in steps if isinstance(step, dict)]
    yield from (f"two steps are called `{one}`" for one in dict.fromkeys(ids) if ids.count(one) > 1)
    for part in readme.parts:
        for fence in part.fences:
            yield from (f"{README_FILE}:{fence.line}: `{clause}` means nothing" for clause in fence.unknown)


def _step_faults(step: Any, where: str) -> Iterator[str]:
    if not isinstance(step, dict):
        yield f"{where} is no table"
        return
    yield from _unknown(step, ("id", "hints", "check"), f"{where}: ")
    if not _is_name(step.get("id")) or re.match(r"(ex)?\d", step["id"]):
        yield f"{where}: `id` has to be lower-case letters, digits and `-`, and not as a number or an exercise"
    if not _are_texts(step.get("hints")) or not step["hints"]:
        yield f"{where}: `hints` has to be a list of at least one text"
    checks = step.get("check")
    if not isinstance(checks, list) or not checks:
        yield f"{where}: there is no `[[step.check]]`"
        return
    for number, check in enumerate(checks, 1):
        yield from _check_faults(check, f"{where}, check {number}")


def _check_faults(check: Any, where: str) -> Iterator[str]:
    if not isinstance(check, dict):
        yield f"{where} is no table"
        return
    kind = KINDS.get(str(check.get("kind")))
    if kind is None:
        yield f"{where}: `kind` is one of {', '.join(KINDS)}"
        return
    yield from _unknown(check, ("kind", "wants", "when", "mistake", *kind.fields), f"{where}: ")
    if not _is_text(check.get("wants")):
        yield f"{where}: `wants` is missing: a sentence that is true when it is right"
    if check.get("when", next(iter(CONDITIONS))) not in CONDITIONS:
        yield f"{where}: `when` is one of {', '.join(CONDITIONS)}"
    for name, field in kind.fields.items():
        if name not in check:
            if field.required:
                yield f"{where}: `{name}` is missing: {field.says}"
        elif wrong := _wrong(check[name], field):
            yield f"{where}: `{name}` {wrong}"
    if str(check.get("site", "")).startswith((".", "/")) and _outside(str(check["site"]).removeprefix("./")):
        yield f"{where}: `site` has to be a name, or `./FILE` beside {EXERCISE_FILE}"
    if check["kind"] == "run":
        yield from _run_faults(check, where)
    mistakes = check.get("mistake", [])
    for number, mistake in enumerate(mistakes if isinstance(mistakes, list) else [None], 1):
        yield from _mistake_faults(mistake, f"{where}, mistake {number}")


def _run_faults(check: Mapping[str, Any], where: str) -> Iterator[str]:
    if check.get("action") not in ("exec", "run", "test"):
        yield f"{where}: `action` is one of exec, run, test"
    if check.get("action") == "exec" and not check.get("command"):
        yield f"{where}: `exec` wants a `command`"
    for bind in check.get("binds", ()):
        source, colon, destination = str(bind).partition(":")
        if not colon or _outside(source) or not destination.startswith("/") or ":" in destination:
            yield f"{where}: `{bind}` is not SOURCE:DESTINATION with a source in the working folder"
    for pair in check.get("env", ()):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", str(pair), re.DOTALL):
            yield f"{where}: `{pair}` is not NAME=VALUE"


def _mistake_faults(mistake: Any, where: str) -> Iterator[str]:
    if not isinstance(mistake, dict):
        yield f"{where} is no table"
        return
    yield from _unknown(mistake, ("pattern", "hint", "example"), f"{where}: ")
    if wrong := _wrong(mistake.get("pattern"), Field(type="pattern", says="")):
        yield f"{where}: `pattern` {wrong}"
    if not _is_text(mistake.get("hint")):
        yield f"{where}: `hint` is missing"
    example = mistake.get("example")
    if not isinstance(example, dict):
        yield f"{where}: `example` is missing: a wrong solution that it is for"
        return
    yield from _unknown(example, ("file", "replace", "by", "run"), f"{where}: ")
    if not all(isinstance(example.get(name), str) for name in ("file", "replace", "by")):
        yield f"{where}: `example` wants `file`, `replace` and `by`"
    if not _are_texts(example.get("run", [])):
        yield f"{where}: `run` of the example has to be a list of commands"


def _wrong(value: Any, field: Field) -> str:
    """What is wrong with a value; empty where nothing is."""
    match field.type:
        case "text" if not isinstance(value, str):
            return "has to be a text"
        case "texts" if not _are_texts(value):
            return "has to be a list of texts"
        case "number" if not isinstance(value, int) or isinstance(value, bool):
            return "has to be a number"
        case "switch" if not isinstance(value, bool):
            return "has to be true or false"
        case "size" if not isinstance(value, str) or not _SIZE.fullmatch(value):
            return "has to be a size: `40 MB`"
        case "path" if not isinstance(value, str) or _outside(value):
            return "has to be a path in the working folder"
        case "pattern":
            try:
                re.compile(value)
            except (TypeError, re.error) as error:
                return f"is no regular expression: {error}"
    return ""


def _outside(path: str) -> bool:
    return not path or path.startswith(("/", "~")) or ".." in path.split("/") or ":" in path


def _check(table: Mapping[str, Any]) -> Check:
    kind = KINDS[table["kind"]]
    fields: dict[str, Any] = {}
    for name in kind.fields:
        if name in table:
            value = table[name]
            fields[name] = tuple(value) if isinstance(value, list) else value
            if kind.fields[name].type == "size":
                fields[name] = _bytes(value)
    return Check(
        kind=table["kind"],
        wants=table["wants"],
        fields=fields,
        when=table.get("when", ""),
        mistakes=tuple(
            Mistake(
                pattern=one["pattern"],
                hint=one["hint"],
                example=Example(
                    file=one["example"]["file"],
                    replace=one["example"]["replace"],
                    by=one["example"]["by"],
                    run=tuple(one["example"].get("run", ())),
                ),
            )
            for one in table.get("mistake", ())
        ),
    )


def _bytes(size: str) -> int:
    found = _SIZE.fullmatch(size)
    assert found is not None
    return int(found[1]) * _UNITS[found[2]]


def _toml(data: bytes, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"`{file}` is not TOML: {error}", hints=(_HINT,)) from error


def _unknown(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> Iterator[str]:
    for name in table:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            yield f"{where}`{name}` means nothing" + (f"; did you mean `{close[0]}`?" if close else "")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _refuse(faults: list[str], file: str, what: str) -> None:
    if faults:
        listed = "".join(f"\n  - {fault}" for fault in faults)
        raise UsageError(f"`{file}` is no {what}:{listed}", hints=(_HINT,))

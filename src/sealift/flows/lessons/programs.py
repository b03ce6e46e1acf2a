"""Checks that run something in the learner's image, by the engine that the learner has."""

from __future__ import annotations

import os
import re
import sys

from sealift.errors import SealiftError, ToolError
from sealift.flows.lessons.desk import Desk, Seen, quoted
from sealift.learn.course import Check

SECONDS = 60
_LINES, _WIDTH = 6, 160
_APPTAINERS = re.compile(r"(?m)^(\x1b\[\d*m)?INFO:.*\n?")
"""What Apptainer says of itself."""


def run_in_image(check: Check, desk: Desk) -> Seen:
    """Contained, so that what the course runs meets nothing of the learner's but what it binds, read-only."""
    from sealift.system.process import run

    words = command_words(check, desk)
    shown = _shown(check)
    try:
        # Without the working folder among the modules, so that a file there cannot stand in for one of them.
        done = run(
            (sys.executable, "-P", "-m", "sealift", *words),
            env=desk.environment,
            timeout=int(check.fields.get("seconds", SECONDS)),
            accept=range(-64, 256),
            cwd=desk.folder,
        )
    except ToolError:
        return Seen(right=False, seen="it did not end", remedy=(f"try it: {shown}",))
    except SealiftError as error:
        return Seen(right=False, seen=error.message, remedy=error.hints)
    out, err = done.out.decode("utf-8", "replace"), _APPTAINERS.sub("", done.err.decode("utf-8", "replace"))
    wrong = _wrong(check, done.code, out, err)
    if not wrong:
        return Seen(right=True)
    texts = (out, err, *_recipe_inside(check, desk))
    return Seen(right=False, seen=wrong, remedy=(f"see it yourself: {shown}",), texts=texts)


def command_words(check: Check, desk: Desk) -> tuple[str, ...]:
    """The words behind `sealift`, paths whole."""
    words = [check.text("action"), "--containall", "--engine", desk.engine]
    words += ["--nv"] if check.fields.get("nv") else []
    for bind in _binds(check):
        source, _, destination = bind.partition(":")
        words += ["-B", f"{desk.path(source)}:{destination}:ro"]
    for pair in check.texts("env"):
        words += ["--env", pair]
    words += ["--pwd", check.text("pwd")] if "pwd" in check.fields else []
    return (*words, desk.path(check.text("image")), *check.texts("command"))


def _shown(check: Check) -> str:
    """The same as a person types it in the working folder; Apptainer binds by whole paths alone."""
    words = ["sealift", check.text("action"), *(["--nv"] if check.fields.get("nv") else [])]
    words += [word for bind in _binds(check) for word in ("-B", f'"$PWD/{bind}"')]
    words += [word for pair in check.texts("env") for word in ("--env", quoted(pair))]
    words += ["--pwd", quoted(check.text("pwd"))] if "pwd" in check.fields else []
    return " ".join((*words, quoted(check.text("image"), *check.texts("command"))))


def _binds(check: Check) -> tuple[str, ...]:
    """With this host's processor, as `uname -m` has it, in the place of `{machine}`."""
    from sealift.system.process import machine

    return tuple(bind.replace("{machine}", machine()) for bind in check.texts("binds"))


def _wrong(check: Check, code: int, out: str, err: str) -> str:
    """What is not as it should be; empty where all is."""
    both = out + err
    if check.fields.get("fails"):
        if code == 0:
            return f"it ended with 0, as if all were well\n{_last(both)}".rstrip()
    elif code != int(check.fields.get("code", 0)):
        return f"it ended with {code}\n{_last(both)}".rstrip()
    right = (
        ("equals" not in check.fields or out.strip() == check.text("equals").strip())
        and ("contains" not in check.fields or any(re.search(check.text("contains"), one) for one in (out, err)))
        and ("lacks" not in check.fields or not any(re.search(check.text("lacks"), one) for one in (out, err)))
    )
    if right:
        return ""
    return f"it printed:\n{_last(both)}" if both.strip() else "it printed nothing"


def _last(text: str) -> str:
    lines = [line[:_WIDTH] for line in text.strip().splitlines()]
    return "\n".join([*(["…"] if len(lines) > _LINES else []), *lines[-_LINES:]])


def _recipe_inside(check: Check, desk: Desk) -> tuple[str, ...]:
    """What the image was built from: what is wrong at run time is most often seen there."""
    if not os.path.exists(desk.path(check.text("image"))):
        return ()
    return (str(desk.view(check.text("image")).inspection.attributes.get("deffile", "")),)

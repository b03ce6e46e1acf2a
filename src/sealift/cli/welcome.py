"""What `sealift` alone says, and `sealift --help`: one screen each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sealift import __version__
from sealift.cli.app import COMMANDS

if TYPE_CHECKING:
    from sealift.flows.firststeps import Surroundings

GROUPS = (
    ("begin", ("new", "learn", "doctor")),
    ("recipes", ("lint", "parse")),
    ("build and fetch", ("build", "pull")),
    ("run", ("run", "exec", "shell", "test")),
    ("look into images", ("inspect", "run-help", "size", "sif")),
    ("the supercomputer", ("check", "push", "job", "mpi", "kernel", "sites")),
    ("this installation", ("cache", "completion", "shim")),
)
"""The overview's groups in the order in which a newcomer needs them."""


def help_text() -> str:
    width = max(map(len, COMMANDS))
    lines = ["usage: sealift COMMAND …", "", "Builds, checks and runs containers for supercomputers, without root."]
    for title, names in GROUPS:
        lines += ["", f"{title}:", *(f"  {name:<{width}}  {COMMANDS[name][1]}" for name in names)]
    lines += [
        "",
        "sealift COMMAND --help shows a command's flags and examples; sealift alone, what to type first.",
        "sealift --version shows the version.",
    ]
    return "\n".join(lines)


def welcome() -> str:
    from sealift.flows.firststeps import look_around
    from sealift.system.process import environment

    return welcome_text(look_around(os.curdir, environment()))


def welcome_text(around: Surroundings) -> str:
    from sealift.flows.firststeps import Step, first_steps
    from sealift.system.platforms import what_works, works_on

    advice = first_steps(around)
    blocks = [(f"{advice.about}:", advice.steps)] if advice.steps else []
    always = (
        Step(line="sealift learn", why="learn by doing: exercises that check themselves"),
        Step(line="sealift doctor", why="what this machine can do"),
        Step(line="sealift --help", why="all commands"),
    )
    shown = tuple(step for step in always if step.line.endswith("--help") or works_on(around.platform, step.line[8:]))
    blocks.append(("at any time:", shown))
    width = max(len(step.line) for _, steps in blocks for step in steps)
    lines = [f"Sealift {__version__}: containers that run on the supercomputer"]
    lines += [sentence for sentence in (_place(around), what_works(around.platform, tuple(COMMANDS))) if sentence]
    for title, steps in blocks:
        lines += ["", title]
        for step in steps:
            lines.append(f"  {step.line:<{width}}  {step.why}")
    return "\n".join(lines)


def _place(around: Surroundings) -> str:
    if around.site:
        takes = "; its engines take images from a registry, not SIF files" if around.ships else ""
        return f"this is {around.title or around.site}{takes}"
    if around.apptainer:
        return f"{os.path.basename(around.apptainer).capitalize()} is here, too: both build and run the same files"
    return ""

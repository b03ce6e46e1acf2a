"""What the environment scripts of an image set, as far as that is certain before anybody runs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.engines.plainshell import NotPlain, Variables, run_plain
from sealift.sections.oci_environment import ENVIRONMENT_FILE, with_usual_folders

_MARK = "\x01"
_EXPORT = re.compile(r"""^[ \t]*export[ \t]+(\w+)=(["']?)([^\s"'$`;&|]*)\2[ \t]*$""", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainEnvironment:
    """`values` are all exported variables; `refused` the scripts that do more than a shell-less reader understands.

    `growing` are those that would get another value if the scripts were carried out on `values`, with the value before
    the scripts, None where there was none: `PATH=/opt/bin:$PATH`, for instance.
    """

    values: Mapping[str, str]
    refused: tuple[str, ...]
    growing: Mapping[str, str | None]


def plain_environment(scripts: Mapping[str, str], start: Mapping[str, str]) -> PlainEnvironment:
    """Carry out `scripts` (name → text) on `start`, in their order, without a shell and without a look at any file.

    A variable whose value hangs on what only a running container has (`$HOME`, `$SLURM_JOB_ID`) is left as it was: to
    find those, the scripts are carried out twice, with and without such variables. Of a script that takes a shell, what
    stands before the first such statement counts.
    """
    first, missed, refused = _carry_out(scripts, start, frozenset())
    from_outside = frozenset(missed - first.keys())
    second, _, _ = _carry_out(scripts, start, from_outside) if from_outside else (first, missed, refused)
    values = dict(start)
    values |= {name: value for name, value in first.items() if second.get(name) == value and _MARK not in value}
    for name in start:
        if name not in first and name not in second:
            del values[name]
    again, _, _ = _carry_out(scripts, values, frozenset())
    growing = {name: start.get(name) for name, value in values.items() if again.get(name) != value}
    return PlainEnvironment(values=values, refused=refused, growing=growing)


def default_environment(scripts: Mapping[str, str], start: Mapping[str, str]) -> dict[str, str]:
    """What `scripts` set for a caller who has set nothing: `${NAME:-value}` is the value. For judging, not for running.

    Of a script that takes a shell, plain lines behind the first other statement count, too, where nothing is expanded.
    """
    values, _, refused = _carry_out(scripts, start, frozenset())
    for name in refused:
        for variable, _, value in _EXPORT.findall(scripts[name]):
            values.setdefault(variable, value)
    return values


def _carry_out(
    scripts: Mapping[str, str], start: Mapping[str, str], marked: frozenset[str]
) -> tuple[dict[str, str], set[str], tuple[str, ...]]:
    variables = Variables(start)
    watched = _Watched(variables.values)
    watched.update({name: f"{_MARK}{name}{_MARK}" for name in marked})
    variables.values = watched
    refused = []
    for name, text in scripts.items():
        try:
            run_plain(text, variables, files=False)
        except (NotPlain, RecursionError):
            refused.append(name)
        if name == ENVIRONMENT_FILE:
            # Apptainer's own scripts leave it to the engine.
            variables.values["PATH"] = with_usual_folders(variables.values.get("PATH") or "")
            variables.exported.add("PATH")
    return variables.environment(), watched.missed, tuple(refused)


class _Watched(dict[str, str]):
    """Remembers which names were asked for and not there."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.missed: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        if name not in self:
            self.missed.add(name)
        return super().get(name, default)

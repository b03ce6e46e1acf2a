"""An engine's command line, ready to be executed and to be shown."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from sealift.engines.environment import is_name
from sealift.errors import HostError


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What is handed over. `added` are the variables of `env` that the caller's environment lacks or has otherwise."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    added: tuple[str, ...] = ()

    def line(self) -> str:
        """A line that does the same when it is pasted into the caller's shell."""
        if all(is_name(name) for name in self.added):
            return " ".join([*(f"{name}={shlex.quote(self.env[name])}" for name in self.added), shlex.join(self.argv)])
        # A shell reads `a-b=c` as a program.
        return shlex.join(["env", *(f"{name}={self.env[name]}" for name in self.added), *self.argv])


def hand_over(started: Started) -> NoReturn:
    """Become the engine: its exit code, signals and terminal are then the program's."""
    # Python ignores these two, and what is ignored stays so in the program.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(started.argv[0], list(started.argv), dict(started.env))  # noqa: S606 -- an argument list, in place of us
    except OSError as error:
        raise HostError(
            f"`{started.argv[0]}` cannot be started: {(error.strerror or str(error)).lower()}",
            hints=("run it without: --engine embedded",),
        ) from error

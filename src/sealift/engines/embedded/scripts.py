"""Runs the image's environment scripts in the image's own shell, and takes what they exported.

Apptainer interprets them with a shell of its own that speaks bash, so recipes use bash's words in `%environment`:
the image's bash is taken where it has one, its `/bin/sh` else. Without any shell, plain assignments are understood.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.engines import environment as rules
from sealift.engines import plainshell
from sealift.engines.embedded.exports import read_exports

LAST_LINE = b"# sealift: told\n"
SHELLS = ("/bin/bash", "/bin/sh")
SHELLS_OWN = frozenset(("BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"))
"""Variables that bash lets nobody unset; what the host has under these names goes on to the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the scripts said: the exported variables, host names they set, their umask; or how they ended the run."""

    exported: Mapping[str, str]
    known: frozenset[str]
    umask: int | None
    ended: int | None = None
    """The wait status of the shell where a script ended it early (`exit` in %environment)."""


def source(voices: rules.Voices, script: str) -> Said:
    """Run inside the container, in its working directory. `script` is the text of data/engines/environment.sh."""
    shell = next((each for each in SHELLS if os.access(each, os.X_OK)), None)
    if shell is None:
        return _without_shell(voices)
    begin = rules.scripts_begin_with(voices.host)
    begin["SEALIFT_NAMES"] = " ".join(
        key
        for key in voices.host
        if rules.is_name(key) and key not in rules.KEPT_DURING_SCRIPTS and key not in SHELLS_OWN
    )
    for number, line in enumerate(rules.order_lines(voices.orders), 1):
        begin[f"SEALIFT_ORDER_{number}"] = line
    options = ["--norc", "--noprofile"] if shell.endswith("bash") else []
    reading, writing = os.pipe()
    try:
        child = os.posix_spawn(
            shell,
            [shell, *options, "-c", script, "environment"],
            begin,
            file_actions=[(os.POSIX_SPAWN_DUP2, writing, 9)],
        )
    except OSError:
        # The file is there but cannot be executed here: another architecture, or a library is missing. A static
        # program may still run, as it does under Apptainer.
        os.close(writing)
        os.close(reading)
        return _without_shell(voices)
    os.close(writing)
    told = bytearray()
    # Not until the end of the pipe: a daemon that a script started may hold it open.
    while not told.endswith(LAST_LINE) and (part := os.read(reading, 1 << 16)):
        told += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if not told.endswith(LAST_LINE):
        return Said(exported={}, known=frozenset(), umask=None, ended=status)
    head, _, exports = told[: -len(LAST_LINE)].decode("utf-8", "surrogateescape").partition("\n\n")
    mask, *known = head.split("\n")
    exported = {
        key: value
        for key, value in read_exports(exports).items()
        # Of the shell's own making; the host's own `_` and SHLVL go on to the program untouched.
        if key not in ("_", "SHLVL")
    }
    return Said(exported=exported, known=frozenset(known), umask=int(mask, 8))


def _without_shell(voices: rules.Voices) -> Said:
    """What plain assignments say, for images that hold a program and no shell."""
    env = rules.scripts_begin_with(voices.host)
    folder = "/.singularity.d/env"
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".sh"))
    except OSError:
        names = []
    for name in names:
        if name in ("99-base.sh", "99-runtimevars.sh", "95-apps.sh"):
            continue
        with open(os.path.join(folder, name), encoding="utf-8", errors="surrogateescape") as file:
            env |= plainshell.assignments(file.read(), env)
    paths = env.get("PATH", "").split(":") if env.get("PATH") else []
    env["PATH"] = ":".join([*paths, *(each for each in rules.DEFAULT_PATH.split(":") if each not in paths)])
    env["LD_LIBRARY_PATH"] = ":".join(filter(None, (env.get("LD_LIBRARY_PATH"), rules.LIBRARIES)))
    for key, value in voices.orders.items():
        env[key] = plainshell.expand(value, env) + (f":{rules.LIBRARIES}" if key == "LD_LIBRARY_PATH" else "")
    prepended, appended, whole = (env.pop(f"SING_USER_DEFINED_{kind}PATH", "") for kind in ("PREPEND_", "APPEND_", ""))
    env["PATH"] = whole or ":".join(filter(None, (prepended, env["PATH"], appended)))
    return Said(exported=env, known=frozenset(), umask=None)

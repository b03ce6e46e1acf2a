"""What the image's environment scripts say: understood as they stand, else asked of the image's own shell.

Apptainer interprets them with a shell of its own that speaks bash, so recipes use bash's words in `%environment`:
where plain reading does not do, the image's bash is taken if it has one, its `/bin/sh` else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.engines import environment as rules
from sealift.engines.embedded.exports import read_exports
from sealift.engines.plainshell import NotPlain, Variables, run_plain

FOLDER = "/.singularity.d/env"
RUNTIME_VARIABLES = """
if [ -n "${SING_USER_DEFINED_PREPEND_PATH:-}" ]; then PATH="$SING_USER_DEFINED_PREPEND_PATH:$PATH"; fi
if [ -n "${SING_USER_DEFINED_APPEND_PATH:-}" ]; then PATH="$PATH:$SING_USER_DEFINED_APPEND_PATH"; fi
if [ -n "${SING_USER_DEFINED_PATH:-}" ]; then PATH="$SING_USER_DEFINED_PATH"; fi
unset SING_USER_DEFINED_PREPEND_PATH SING_USER_DEFINED_APPEND_PATH SING_USER_DEFINED_PATH
export PATH
"""
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
    try:
        return _read_plainly(voices, all_of_it=True)
    except NotPlain:
        pass
    shell = next((each for each in SHELLS if os.access(each, os.X_OK)), None)
    return _read_plainly(voices, all_of_it=False) if shell is None else _ask(shell, voices, script)


def _ask(shell: str, voices: rules.Voices, script: str) -> Said:
    begin = rules.scripts_begin_with(voices.host)
    begin["SEALIFT_NAMES"] = " ".join(
        key
        for key in voices.host
        if rules.is_name(key) and key not in rules.KEPT_DURING_SCRIPTS and key not in SHELLS_OWN
    )
    for number, line in enumerate(rules.order_lines(voices), 1):
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
        return _read_plainly(voices, all_of_it=False)
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


def _read_plainly(voices: rules.Voices, *, all_of_it: bool) -> Said:
    """The same as data/engines/environment.sh does, without a shell.

    NotPlain where a script takes one; unless `all_of_it` is wanted, such a script then counts up to there.
    """
    found = Variables(rules.scripts_begin_with(voices.host))

    def carry_out(text: str) -> None:
        try:
            run_plain(text, found)
        except NotPlain:
            if all_of_it:
                raise

    def fix_path() -> None:
        paths = found.values["PATH"].split(":") if found.values.get("PATH") else []
        more = (each for each in rules.DEFAULT_PATH.split(":") if each not in paths)
        found.values["PATH"] = ":".join((*paths, *more))
        found.exported.add("PATH")

    def carry_out_orders() -> None:
        if "PATH" not in found.values:
            fix_path()
        for line in rules.order_lines(voices):
            carry_out(line)

    names = _names()
    for name in names or ():
        if name == "90-environment.sh" and "PATH" not in found.values:
            fix_path()
        carry_out(_text(f"{FOLDER}/{name}"))
        if name in ("10-docker2singularity.sh", "10-docker.sh"):
            fix_path()
        elif name == "99-base.sh":
            carry_out_orders()
    if names is None:
        if os.path.isfile("/environment"):
            carry_out(_text("/environment"))
            fix_path()
        carry_out_orders()
    if "99-runtimevars.sh" not in (names or ()):
        carry_out(RUNTIME_VARIABLES)
    return Said(exported=found.environment(), known=frozenset(found.values) & voices.host.keys(), umask=None)


def _names() -> list[str] | None:
    """The scripts in the order of the shell's `*.sh`; None where the image has no folder of them."""
    try:
        names = os.listdir(FOLDER)
    except OSError:
        return None
    return sorted(
        name
        for name in names
        if name.endswith(".sh") and not name.startswith(".") and os.path.isfile(f"{FOLDER}/{name}")
    )


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        raise NotPlain(0) from error

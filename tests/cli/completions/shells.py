"""Real shells that are asked what they complete: with the script read in, in a folder, behind what was typed."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests import parts

# Readline puts all completions into the line, and the line's words become lines of a file. zsh, which finds the script
# itself, does so, too.
_BASH = r"""
PS1= PS2= HISTFILE=
source {script}
sealift() {{ if [[ $1 == kernel && $2 == list ]]; then {kernels}; else printf '%s\n' "${{@}}" > {out}/$n; fi; }}
bind '"\t": insert-completions'
bind 'set enable-bracketed-paste off'
"""
_ZSH = r"""
PS1= PS2= RPS1=
setopt no_beep
mkdir -p {out}/functions && cp {script} {out}/functions/_sealift
fpath=({out}/functions $fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:all-matches:*' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert yes
zstyle ':completion:*' list-colors ''
zle -C all-matches complete-word _generic
bindkey '^I' all-matches
sealift() {{ if [[ $1 == kernel && $2 == list ]]; then {kernels}; else print -rl -- "$@" > {out}/$n; fi }}
"""
_KERNELS = r"printf 'KERNEL   ENGINE\nanalysis docker\ntorch    embedded\n'"


def ask_by_hand(shell: str, script: Path, lines: Sequence[str], cwd: Path, work: Path) -> list[list[str]]:
    """The words of each line after TAB, typed into an interactive shell on a terminal."""
    start = work / "start"
    frame = _BASH if shell == "bash" else _ZSH
    start.write_text(frame.format(script=script, out=work, kernels=_KERNELS), encoding="utf-8")
    argv = [parts.program(shell) or shell, *(["--norc", "--noprofile", "-i"] if shell == "bash" else ["-f", "-i"])]
    env = {"PATH": os.environ["PATH"], "HOME": str(work), "TERM": "dumb", "LC_ALL": "C.UTF-8", "ZDOTDIR": str(work)}
    main, terminal = pty.openpty()
    running = subprocess.Popen(
        argv, stdin=terminal, stdout=terminal, stderr=terminal, cwd=cwd, env=env, start_new_session=True
    )
    os.close(terminal)
    typed = [f"source {start}", *(f"n={n}; sealift {line}\t" for n, line in enumerate(lines)), "exit"]
    try:
        for line in typed:
            _write(main, line.encode() + b"\n")
        _drain(main)
        running.wait(timeout=60)
    finally:
        running.kill()
        running.wait()
        os.close(main)
    return [(work / str(n)).read_text(encoding="utf-8").splitlines() for n in range(len(lines))]


def _write(terminal: int, data: bytes) -> None:
    """Type, and read what is echoed meanwhile: a terminal that nobody reads stops its programs."""
    while data:
        readable, writable, _ = select.select([terminal], [terminal], [])
        if readable:
            _read(terminal)
        if writable:
            data = data[os.write(terminal, data[:512]) :]


def _drain(terminal: int) -> None:
    while _read(terminal):
        pass


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the last program that had it open ended
        return b""


def ask_fish(script: Path, lines: Sequence[str], cwd: Path, work: Path) -> list[list[str]]:
    """The completions of each line, without what fish says of them."""
    kernels = f"function sealift; {_KERNELS}; end"
    asked = [f"echo '#'; complete -C {_quoted('sealift ' + line)}" for line in lines]
    text = "\n".join((f"source {script}", kernels, *asked, ""))
    env = {"PATH": os.environ["PATH"], "HOME": str(work), "LC_ALL": "C.UTF-8"}
    argv = [parts.program("fish") or "fish", "--no-config"]
    done = subprocess.run(argv, input=text, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    answers = done.stdout.split("#\n")[1:]
    return [[line.partition("\t")[0] for line in answer.splitlines()] for answer in answers]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

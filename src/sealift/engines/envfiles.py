"""`--env-file`: a shell script that sets variables, evaluated on the host with the caller's environment in sight.

As under Apptainer it runs no program and writes no file. Plain assignments need no shell; for the rest the host's
bash is asked, restricted (bash(1), restricted shell).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from sealift.engines.embedded.exports import read_exports
from sealift.engines.plainshell import NotPlain, Variables, read_env_file, run_plain
from sealift.errors import UsageError

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "data", "engines", "envfile.sh")
SHELLS = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash")
_FIRST_LINE, _LAST_LINE = "\n# sealift: tells\n", "# sealift: told\n"
_OURS = re.compile(r"\b(PATH|SHELL|ENV|BASH_ENV)\b")
"""Variables that a restricted shell lets nobody set; they have other names meanwhile."""
_GIVEN_BACK = re.compile(r"\bSEALIFT_(PATH|SHELL|ENV|BASH_ENV)\b")
_SHELLS_OWN = frozenset(
    ("_", "SHLVL", "OLDPWD", "PWD", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO", "PPID", "EUID", "UID", "OPTIND", "IFS")
)


def evaluate_files(paths: Iterable[str], env: Mapping[str, str], *, cwd: str) -> dict[str, str]:
    """The variables that the files set, a later one's over an earlier one's; UsageError for one that cannot be read."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            with open(os.path.join(cwd or "/", path), encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        except OSError as error:
            raise UsageError(
                f"`--env-file {path}` cannot be read: {(error.strerror or str(error)).lower()}",
                hints=("a file of lines NAME=VALUE",),
            ) from error
        found |= evaluate(text, env, name=path)
    return found


def evaluate(text: str, env: Mapping[str, str], *, name: str) -> dict[str, str]:
    """The variables that the file sets, exported or not; UsageError for what is no shell, or runs something."""
    text = text.replace("\0", "")
    try:
        run_plain(text, Variables(env))
    except NotPlain:
        shell = next((each for each in SHELLS if os.access(each, os.X_OK)), None)
        if shell is not None:
            return _ask(shell, text, env, name=name)
    return read_env_file(text, env, name=name)


def _ask(shell: str, text: str, env: Mapping[str, str], *, name: str) -> dict[str, str]:
    with open(SCRIPT, encoding="utf-8") as file:
        script = file.read()
    begin = {_OURS.sub(r"SEALIFT_\1", key): value for key, value in env.items()}
    told, complaints, status = _run(shell, script, _OURS.sub(r"SEALIFT_\1", text), {**begin, "LC_ALL": "C"})
    wrong = next((line for line in complaints.splitlines() if _refusal(line)), None)
    if wrong is not None or not told.endswith(_LAST_LINE):
        said = _GIVEN_BACK.sub(r"\1", wrong or (complaints.strip().splitlines() or [f"it ended with {status}"])[0])
        raise UsageError(
            f"`--env-file {name}`: {_WHERE.sub('', said)}",
            hints=('a file of assignments, quoted where they have blanks: NAME="a value"',),
        )
    printed, _, exports = told[: -len(_LAST_LINE)].rpartition(_FIRST_LINE)
    os.write(1, printed.encode("utf-8", "surrogateescape"))
    found = {_GIVEN_BACK.sub(r"\1", key): value for key, value in read_exports(exports).items()}
    return {
        key: _GIVEN_BACK.sub(r"\1", value)
        for key, value in found.items()
        if key not in _SHELLS_OWN and not (key == "LC_ALL" and value == "C") and env.get(key) != value
    }


_NAME = "apptainer"
"""`$0` of the file, as it is there."""
_WHERE = re.compile(rf"^({_NAME}: )?(eval: )?line [0-9]+: |^sealift: ")
"""What stands before a complaint; the lines are not the file's."""
_REFUSALS = (": restricted", ": syntax error", ": unexpected EOF")


def _refusal(line: str) -> bool:
    return line.startswith("sealift: cannot run") or any(each in line for each in _REFUSALS)


def _run(shell: str, script: str, text: str, env: Mapping[str, str]) -> tuple[str, str, int]:
    """What the script told, what the shell complained of, and its wait status."""
    answers, answer = os.pipe()
    complaints = os.memfd_create(_NAME)
    child = os.posix_spawn(
        shell,
        [shell, "--norc", "--noprofile", "-c", script, _NAME, text],
        env,
        file_actions=[(os.POSIX_SPAWN_DUP2, answer, 1), (os.POSIX_SPAWN_DUP2, complaints, 2)],
    )
    os.close(answer)
    with os.fdopen(answers, "rb") as file:
        told = file.read()
    _, status = os.waitpid(child, 0)
    with os.fdopen(complaints, "rb") as file:
        file.seek(0)
        said = file.read()
    code = os.waitstatus_to_exitcode(status)
    return told.decode("utf-8", "surrogateescape"), said.decode("utf-8", "surrogateescape"), code

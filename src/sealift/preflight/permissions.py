"""Who one is inside, and what may be read and written: closed files, /root, sudo, writing into the image."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator

from sealift.core.finding import Finding, Severity
from sealift.preflight.question import Question
from sealift.shell.follow import Run, follow
from sealift.shell.parse import parse

_ROOTS = frozenset(
    ("sudo", "su", "mount", "umount", "useradd", "groupadd", "chown", "systemctl", "service", "modprobe")
)
"""Programs that need root's rights, which a container's user has not got."""
_INSTALLERS = frozenset(("apt-get", "apt", "yum", "dnf", "zypper", "apk", "pacman", "dpkg", "rpm"))
_WRITERS = frozenset(("mkdir", "touch", "tee", "ln", "install", "truncate", "mktemp"))
_TO_LAST = frozenset(("cp", "mv", "rsync"))
_GOES_ON = frozenset(("true", ":", "echo", "printf"))
_WRAPPERS = frozenset(("exec", "command", "nohup", "env", "time"))
_OPENS = re.compile(r"cd|\.|source|(python|pypy|perl|ruby|lua)[\d.]*|(ba|da|z|k)?sh|Rscript|R|julia|java|node|octave")
"""What opens the files and folders that it is given before anything else."""
_OF_OCI = re.compile(r"""^OCI_(?:ENTRYPOINT|CMD)='"(/[^"]*)\"""", re.MULTILINE)
"""The program that a registry's image names, in the runscript that is made of it."""
_HOME = "/root"
_IMAGES_OWN = ("/opt/", "/usr/", "/etc/", "/var/", "/app/", "/apps/", "/srv/", "/lib/", "/bin/", "/code/", f"{_HOME}/")
_OPEN = ("/var/tmp/", "/var/run/")  # noqa: S108 -- these names are looked for, not used
_MODELS = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE")
"""Folders that may hold models to read."""
_SHOWN = 3


def closed_files(question: Question) -> Iterator[Finding]:
    """Files that others than their owner cannot read: inside, one seldom is the owner."""
    closed, where = question.image.closed, question.where(lambda engine: not engine.as_root)
    if not closed or not where:
        return
    top = sorted({"/".join(path.split("/")[:3]) for path in closed})
    yield Finding(
        id="permissions.closed",
        severity="warning",
        what=f"{_count(len(closed), 'path')} of the image cannot be read by others, and under {where} one is not root",
        evidence=_some(closed),
        remedy="at the end of %post: chmod -R a+rX " + " ".join(top[:_SHOWN]),
    )


def shut_folders(question: Question) -> Iterator[Finding]:
    """Programs and libraries below /root and the like cannot be reached."""
    where = question.where(lambda engine: not engine.as_root)
    shut = {**question.image.shut, **_shut_programs(question)}
    links = question.image.shut_links
    if not (shut or links) or not where:
        return
    first, target = next(iter((shut or links).items()))
    leads = target if isinstance(target, str) else target[0]
    yield Finding(
        id="permissions.path",
        severity=_severity(question, where),
        what=f"{first} leads to `{leads}`, closed to all but root: under {where} one is not root",
        evidence="\n".join(
            (
                *(f"{name}: {', '.join(each)}" for name, each in shut.items()),
                *(f"{name} -> {each}" for name, each in list(links.items())[:_SHOWN]),
            )
        ),
        remedy="install below /opt or /usr/local in %post, or: chmod a+rX /root, and what lies below it",
    )


def _shut_programs(question: Question) -> dict[str, tuple[str, ...]]:
    """What the runscript starts, or goes to, within a closed folder, by the script."""
    named = [(path, word) for path, text in question.image.scripts.items() for word in _OF_OCI.findall(text)]
    for path, run, _ in _runs(question):
        program, *rest = _words(run) or ("",)
        opens = _OPENS.fullmatch(posixpath.basename(program))
        named += [(path, word) for word in (program, *(rest if opens else ()))]
    found: dict[str, tuple[str, ...]] = {}
    for path, word in named:
        if any(f"{word}/".startswith(f"{folder}/") for folder in question.image.shut_folders):
            found.setdefault(path, (word,))
    return found


def roots_programs(question: Question) -> Iterator[Finding]:
    """A runscript that wants to be root, or to install something, when it is run."""
    where = question.where(lambda engine: not engine.as_root)
    if not where:
        return
    for path, run, line in _runs(question):
        name, rest = _program(run)
        if name in _ROOTS or (name in _INSTALLERS and rest[:1] and rest[0] in ("install", "update", "upgrade", "add")):
            yield Finding(
                id="permissions.root",
                severity=_severity(question, where),
                what=f"`{' '.join((name, *rest[:2]))}` of {path} needs root, which one is not under {where}",
                evidence=f"{path}: {line}",
                remedy="do it in %post, when the image is built",
            )
            return


def setuid(question: Question) -> Iterator[Finding]:
    """Containers are mounted so that nobody becomes another by a program's owner."""
    where = question.where(lambda engine: not engine.as_root)
    if not question.image.setuid or not where:
        return
    yield Finding(
        id="permissions.setuid",
        severity="warning",
        what=f"`{question.image.setuid[0]}` is made to run as its owner, which it does not under {where}",
        evidence=_some(question.image.setuid),
        remedy=f"it has to do without; then: chmod u-s {question.image.setuid[0]}",
    )


def writes(question: Question) -> Iterator[Finding]:
    """A runscript, or a variable for caches, that writes into the image, which cannot be written to."""
    where = question.where(lambda engine: not engine.writable)
    if not where:
        return
    here: dict[str, str] = {}
    for path, run, line in _runs(question):
        name, rest = _program(run)
        if name == "cd":
            here[path] = rest[0] if rest and rest[0].startswith("/") else ""
        named = (posixpath.join(here.get(path, ""), each) for each in _targets(run))
        target = next((each for each in named if _is_inside(each)), "")
        if target:
            yield Finding(
                id="permissions.writes",
                severity=_severity(question, where),
                what=f"{path} writes to `{target}`, and images cannot be written to under {where}",
                evidence=f"{path}: {line}",
                remedy=f"write below $SCRATCH or /tmp, or bind a folder: -B $SCRATCH/x:{posixpath.dirname(target)}",
            )
            break
    folders = {
        variable: folder
        for variable in question.image.folders
        if not (variable in _MODELS and question.image.environment.get("HF_HUB_OFFLINE"))
        if _is_inside((folder := question.image.environment[variable].partition(":")[0]) + "/")
    }
    if folders:
        variable, folder = next(iter(folders.items()))
        yield Finding(
            id="permissions.cache",
            severity="warning",
            what=f"{variable} is `{folder}` of the image, which cannot be written to under {where}",
            evidence="\n".join(f"{name}={each}" for name, each in folders.items()),
            remedy=_elsewhere(variable, question.image.environment[variable]),
        )


def _elsewhere(variable: str, value: str) -> str:
    if variable in _MODELS:
        return (
            f"in %environment: export {variable}=/tmp/$USER   (HF_HUB_OFFLINE=1, where the models that lie there are "
            "only read)"
        )
    if variable == "JULIA_DEPOT_PATH":
        return f"in %environment: export {variable}=/tmp/$USER/julia:{value}"
    return f"in %environment: export {variable}=/tmp/$USER"


def _severity(question: Question, where: str) -> Severity:
    """What bites under the chosen engine is an error; what only would under another, a warning."""
    return "error" if where == question.engine.name else "warning"


def _runs(question: Question) -> Iterator[tuple[str, Run, str]]:
    """The commands that run whenever the image is run: what stands behind a condition may have thought of it, and what
    has `|| true` behind it may fail.

    With each the script that has it, and how it is written there.
    """
    for path, text in question.image.scripts.items():
        try:
            runs = follow(parse(text).script, dialect="bash")
        except RecursionError:  # no script that people write
            continue
        for run, after in itertools.zip_longest(runs, runs[1:]):
            expected = after is not None and after.operator == "||" and after.name in _GOES_ON
            if run.certain and not expected:
                yield path, run, text[run.start : run.end].partition("\n")[0]


def _program(run: Run) -> tuple[str, tuple[str, ...]]:
    first, *rest = _words(run) or ("",)
    return posixpath.basename(first), tuple(rest)


def _words(run: Run) -> tuple[str, ...]:
    """The program and what it is given, without what only starts it."""
    texts = list(run.texts)
    while texts and posixpath.basename(texts[0]) in _WRAPPERS:
        texts.pop(0)
    return tuple(texts)


def _targets(run: Run) -> Iterator[str]:
    for redirect in run.command.redirects:
        if redirect.operator in (">", ">>", ">|", "&>", "&>>") and redirect.target.literal:
            yield redirect.target.literal
    name, rest = _program(run)
    operands = [each for each in rest if not each.startswith("-")]
    if name in _WRITERS:
        yield from operands
    elif name == "sed" and any(each.startswith(("-i", "--in-place")) for each in rest):
        yield from operands[1:]
    elif name in _TO_LAST:
        yield from operands[-1:]


def _is_inside(path: str) -> bool:
    return path.startswith(_IMAGES_OWN) and not path.startswith(_OPEN)


def _some(paths: tuple[str, ...]) -> str:
    rest = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number > 1 else "")

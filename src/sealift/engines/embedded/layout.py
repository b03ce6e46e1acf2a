"""What is mounted where in a container, as values in the order of mounting: Apptainer 1.4's defaults.

    /dev  /etc/localtime  /etc/hosts  /proc  /sys  home  /tmp  /var/tmp  cwd
    /etc/resolv.conf  /etc/passwd  /etc/group  the user's binds, shallow ones first

`--contain` gives an own, small /dev, empty home, /tmp and /var/tmp, and no working directory. Nothing here touches
the host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sealift.core.launch import Bind, LaunchPlan
from sealift.errors import UsageError

Kind = Literal["bind", "tmpfs", "folder", "proc", "devpts", "mqueue", "file", "link"]

DEVICES = ("tty", "null", "zero", "random", "urandom")
SYSTEM_FOLDERS = frozenset(("/", "/etc", "/bin", "/mnt", "/usr", "/var", "/opt", "/sbin", "/lib", "/lib64"))
VIRTUAL_FOLDERS = ("/sys", "/proc", "/dev")
ROOT_HOME = "/root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One mount. `source` is a path of the host, or what a link says; `content` is a file's.

    An `optional` step is passed over when it cannot be done, one with `unless_there` when the target shows the source
    already. `restrict` adds nosuid and nodev. `asked` are the binds that the user asked for. `made` is
    the mode of a folder that is made where it is not there: in memory, or on the host where there is a source.
    """

    kind: Kind
    target: str
    source: str = ""
    content: bytes = b""
    folder: bool = True
    read_only: bool = False
    restrict: bool = True
    optional: bool = False
    unless_there: bool = False
    asked: bool = False
    made: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """`source` is empty where the home folder is an empty one of the container's own."""

    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who runs the container, and from where; paths are absolute, `cwd` is empty where it is gone."""

    uid: int
    gid: int
    name: str
    home: str
    cwd: str


def choose_home(plan: LaunchPlan, caller: Caller) -> Home:
    """`--home SOURCE[:TARGET]`, else the caller's own at the same place; empty and new with `--contain`."""
    if plan.home is None:
        source = "" if plan.contain else caller.home
        return Home(source=source, target=ROOT_HOME if plan.fakeroot else caller.home)
    source, colon, target = plan.home.partition(":")
    target = target if colon else source
    if ":" in target or not target.startswith("/"):
        raise UsageError(f"`--home {plan.home}` is not SOURCE[:TARGET] with an absolute target")
    return Home(source=source, target=target)


def lay_out(plan: LaunchPlan, *, home: Home, terminal: str, workdir: str = "") -> tuple[Step, ...]:
    """The mounts of every container, up to /var/tmp; `terminal` is the path of the caller's, or empty.

    `workdir` is the folder of the host (`--workdir`) in which the empty ones lie, with `contain`; empty where there
    is none.
    """
    absent = frozenset(plan.no_mount)
    steps: list[Step] = []
    if "dev" not in absent:
        if plan.contain:
            steps += _small_dev(plan, terminal)
        else:
            steps.append(Step(kind="bind", target="/dev", source="/dev", restrict=False))
    steps += [
        Step(kind="bind", target=path, source=path, folder=False, optional=True)
        for path in ("/etc/localtime", "/etc/hosts")
        if not absent & {path, "bind-paths"}
    ]
    if "proc" not in absent:
        own = Step(kind="proc", target="/proc")
        steps.append(own if plan.pid else Step(kind="bind", target="/proc", source="/proc", restrict=False))
    if "sys" not in absent:
        steps.append(Step(kind="bind", target="/sys", source="/sys", restrict=False))
    if not plan.no_home and "home" not in absent and home.target != "/":
        own_one = _own_folder(home.target, workdir and f"{workdir}/home", 0o700 if workdir else 0o755)
        steps.append(Step(kind="bind", target=home.target, source=home.source) if home.source else own_one)
    if "tmp" not in absent:
        for path, name in (("/tmp", "tmp"), ("/var/tmp", "var_tmp")):  # noqa: S108 -- the container's
            own_one = _own_folder(path, workdir and f"{workdir}/{name}", 0o1777)
            steps.append(own_one if plan.contain else Step(kind="bind", target=path, source=path))
    return tuple(steps)


def scratch_steps(paths: Sequence[str], workdir: str) -> tuple[Step, ...]:
    """`--scratch`: folders that begin empty; below `workdir`/scratch of the host, else in memory."""
    return tuple(
        _own_folder(path, workdir and f"{workdir}/scratch{path}", 0o750 if workdir else 0o755) for path in paths
    )


def _own_folder(target: str, source: str, mode: int) -> Step:
    """An empty folder of the container's own, in memory or in a folder of the host that is made for it."""
    if source:
        return Step(kind="bind", target=target, source=source, made=mode)
    return Step(kind="folder", target=target, made=mode)


def _small_dev(plan: LaunchPlan, terminal: str) -> list[Step]:
    steps = [Step(kind="tmpfs", target="/dev", restrict=False), Step(kind="tmpfs", target="/dev/shm")]  # noqa: S108
    if plan.ipc:
        steps.append(Step(kind="mqueue", target="/dev/mqueue", optional=True))
    if "devpts" not in plan.no_mount:
        steps.append(Step(kind="devpts", target="/dev/pts", restrict=False))
        steps.append(Step(kind="link", target="/dev/ptmx", source="/dev/pts/ptmx"))
    if terminal:
        steps.append(
            Step(kind="bind", target="/dev/console", source=terminal, folder=False, restrict=False, optional=True)
        )
    steps += [
        Step(kind="bind", target=f"/dev/{name}", source=f"/dev/{name}", folder=False, restrict=False)
        for name in DEVICES
    ]
    steps.append(Step(kind="link", target="/dev/fd", source="/proc/self/fd"))
    steps += [
        Step(kind="link", target=f"/dev/std{name}", source=f"/proc/self/fd/{number}")
        for number, name in enumerate(("in", "out", "err"))
    ]
    return steps


def binds_as_steps(binds: Sequence[Bind], *, contain: bool) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The user's binds, shallow targets first, and what has to be said about those that are left out."""
    steps: list[Step] = []
    warnings: list[str] = []
    for bind in sorted(binds, key=lambda bind: bind.destination.rstrip("/").count("/")):
        if not bind.destination.startswith("/"):
            raise UsageError(
                f"the target of a bind must be an absolute path, not `{bind.destination}`",
                hints=(f"-B {bind.source}:/{bind.destination}",),
            )
        in_dev = _under(bind.destination, "/dev") and _under(bind.source, "/dev")
        if in_dev and bind.source != bind.destination:
            warnings.append(
                f"skipping the bind of `{bind.source}`: within /dev, source and target must be the same path"
            )
            continue
        steps.append(
            Step(
                kind="bind",
                target=bind.destination,
                source=bind.source,
                read_only=bind.read_only,
                restrict=not (in_dev and contain),
                asked=True,
            )
        )
    return tuple(steps), tuple(warnings)


def cwd_steps(cwd: str) -> tuple[Step, ...]:
    """The bind of the working directory, where it is not the system's."""
    if not cwd or cwd in SYSTEM_FOLDERS or any(_under(cwd, each) for each in VIRTUAL_FOLDERS):
        return ()
    return (Step(kind="bind", target=cwd, source=cwd, unless_there=True, optional=True),)


def file_steps(files: Mapping[str, bytes]) -> tuple[Step, ...]:
    """Files with a content of their own over the image's."""
    return tuple(
        Step(kind="file", target=path, content=data, folder=False, optional=True) for path, data in files.items()
    )


def _under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")

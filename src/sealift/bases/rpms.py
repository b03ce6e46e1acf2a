"""The bootstrap agents `dnf` (`yum`) and `zypper`: how a tree of RPM packages is made, as files and commands (pure).

Apptainer's agents leave their configuration in the image (/etc/bootstrap-yum.conf, /etc/zypp/zypp.conf), and sections
of definition files that exist look for it there; so it stands there here too, with the same text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.bases.commands import PRIVATE, ROOT, Command

YUM_CONFIGURATION = "/etc/bootstrap-yum.conf"
ZYPPER_CONFIGURATION = "/etc/zypp/zypp.conf"
DATABASES = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
"""Where distributions keep rpm's database; Debian's rpm, which is a guest there, has it in the user's home."""
SCRIPTS_FAILED = 107
"""zypper's code when all packages are there and a script of one failed."""

# What scripts of packages need and no package may own: it is mounted for this one command, below its own namespace.
# File by file, so that /dev itself gets the mode that its package says. No /proc and no /sys: rpm would give the
# mounted ones the owner that a package says, which a namespace may not.
WITH_DEVICES = (
    'root=$1 && shift && for each in null zero full random urandom; do : > "$root/dev/$each" && '
    'mount --bind "/dev/$each" "$root/dev/$each" || exit 1; done && exec "$@"'
)
_BARE_DEV = 'find "$1/dev" -mindepth 1 -delete'
_PLACE = 'mkdir -p -m 0775 "$1/dev" "$(dirname "$1$2")" && cp "$3" "$1$2" && chmod 0664 "$1$2"'


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmBootstrap:
    """What the header asks for, `%{OSVERSION}` replaced. `key` is the address of a key to check packages with.

    `foreign` is rpm's name of another architecture than the host's, else "". `epoch` is in seconds since 1970.
    """

    mirror: str
    update: str = ""
    others: tuple[str, ...] = ()
    version: str = ""
    include: tuple[str, ...] = ()
    setopt: str = ""
    key: str = ""
    foreign: str = ""
    epoch: int | None = None
    database: str = ""
    """Where rpm's database shall lie, "" for where this host's rpm has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmPlan:
    """`files` go into the private folder, by name."""

    files: Mapping[str, bytes]
    commands: tuple[Command, ...]


def with_version(url: str, version: str) -> str:
    """The address with `%{OSVERSION}` replaced, whatever its case."""
    return re.sub(r"%\{OSVERSION\}", lambda _: version, url, flags=re.IGNORECASE)


def plan_dnf(wanted: RpmBootstrap, *, program: str, rpm: str) -> RpmPlan:
    """`program` is the path of dnf or yum, `rpm` that of rpm."""
    env = _environment(wanted)
    commands = [_placing(YUM_CONFIGURATION, env)]
    if wanted.key:
        commands += [
            Command(argv=(rpm, "--root", ROOT, "--initdb"), inside=False, env=env),
            Command(argv=(rpm, "--root", ROOT, "--import", wanted.key), inside=False, env=env),
        ]
    install = (
        program,
        "--noplugins",
        *("-c", f"{ROOT}{YUM_CONFIGURATION}"),
        *("--installroot", ROOT),
        f"--releasever={wanted.version}",
        *((f"--forcearch={wanted.foreign}",) if wanted.foreign else ()),
        "-y",
        *(("--setopt", wanted.setopt) if wanted.setopt else ()),
        "install",
        *("/etc/redhat-release", "coreutils", *wanted.include),
    )
    commands += _with_devices(install, env)
    commands.append(Command(argv=("/bin/rm", "-rf", f"{ROOT}/var/cache/yum-bootstrap"), inside=False, env=env))
    return RpmPlan(files=_files(wanted, YUM_CONFIGURATION, _yum_configuration(wanted)), commands=tuple(commands))


def plan_zypper(wanted: RpmBootstrap, *, program: str) -> RpmPlan:
    env = _environment(wanted)
    zypper = (program, "--root", ROOT)
    repositories = [("repo", wanted.mirror, False)]
    repositories += [("update", wanted.update, True)] if wanted.update else []
    repositories += [(f"repo-{number}", url, True) for number, url in enumerate(wanted.others)]
    commands = [_placing(ZYPPER_CONFIGURATION, env)]
    for name, url, refreshing in repositories:
        add = ("ar", *(("-f",) if refreshing else ()), url, name)
        refresh = ("--non-interactive", "--gpg-auto-import-keys", "refresh", "-r", name)
        commands += [Command(argv=(*zypper, *each), inside=False, env=env) for each in (add, refresh)]
    install = (
        *(program, "--non-interactive"),
        *("-c", f"{ROOT}{ZYPPER_CONFIGURATION}"),
        *("--root", ROOT),
        f"--releasever={wanted.version}",
        *("-n", "install", "--auto-agree-with-licenses", "--download-in-advance"),
        *("aaa_base", *wanted.include),
    )
    commands += _with_devices(install, env, accept=(0, SCRIPTS_FAILED))
    return RpmPlan(files=_files(wanted, ZYPPER_CONFIGURATION, _zypper_configuration(wanted)), commands=tuple(commands))


def _environment(wanted: RpmBootstrap) -> dict[str, str]:
    # rpm takes the time of installation from SOURCE_DATE_EPOCH since 4.17, and its macros from the home.
    env = {"HOME": PRIVATE, "LC_ALL": "C.UTF-8"}
    return env if wanted.epoch is None else env | {"SOURCE_DATE_EPOCH": str(wanted.epoch)}


def _files(wanted: RpmBootstrap, path: str, text: str) -> dict[str, bytes]:
    files = {path.rpartition("/")[2]: text.encode()}
    if wanted.database:
        files[".rpmmacros"] = f"%_dbpath {wanted.database}\n".encode()
    return files


def _placing(path: str, env: Mapping[str, str]) -> Command:
    source = f"{PRIVATE}/{path.rpartition('/')[2]}"
    return Command(argv=("/bin/sh", "-c", _PLACE, "sh", ROOT, path, source), inside=False, env=env)


def _with_devices(
    argv: tuple[str, ...], env: Mapping[str, str], *, accept: tuple[int, ...] = (0,)
) -> tuple[Command, ...]:
    wrapped = ("/bin/sh", "-c", WITH_DEVICES, "sh", ROOT, *argv)
    return (
        Command(argv=wrapped, inside=False, env=env, accept=accept, name=argv[0].rpartition("/")[2]),
        Command(argv=("/bin/sh", "-c", _BARE_DEV, "sh", ROOT), inside=False, env=env),
    )


def _yum_configuration(wanted: RpmBootstrap) -> str:
    check = f"gpgcheck={int(bool(wanted.key))}"
    main = {
        "cachedir": "/var/cache/yum-bootstrap",
        "keepcache": 0,
        "debuglevel": 2,
        "logfile": "/var/log/yum.log",
        "syslog_device": "/dev/null",
        "exactarch": 1,
        "obsoletes": 1,
    }
    later = {"plugins": 1, "reposdir": 0, "deltarpm": 0}
    lines = ["[main]", *_settings(main), check, *_settings(later), ""]
    lines += ["[base]", "name=Linux $releasever - $basearch", f"baseurl={wanted.mirror}", "enabled=1", check]
    if wanted.update:
        lines += ["[updates]", "name=Linux $releasever - $basearch updates", f"baseurl={wanted.update}"]
        lines += ["enabled=1", check, ""]
    return "".join(f"{line}\n" for line in lines)


def _settings(values: Mapping[str, object]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]


def _zypper_configuration(wanted: RpmBootstrap) -> str:
    # `/val` is how Apptainer writes it; nothing lies there, for zypper keeps its cache below its root.
    forced = f"arch = {wanted.foreign}\n" if wanted.foreign else ""
    return f"[main]\ncachedir=/val/cache/zypp-bootstrap\n{forced}\n"


# The repository's own word for its state.


def revision(repomd: bytes) -> int | None:
    """The time, in seconds since 1970, that a repository's index (repodata/repomd.xml) names; None where none."""
    match = re.search(rb"<revision>\s*(\d{9,10})\s*</revision>", repomd)
    if match:
        return int(match[1])
    times = [int(each) for each in re.findall(rb"<timestamp>\s*(\d{9,10})(?:\.\d+)?\s*</timestamp>", repomd)]
    return max(times, default=None)

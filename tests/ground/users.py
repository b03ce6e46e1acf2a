"""Ordinary users for tests, with and without subuids, and running commands as them."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.ground import session

Kind = Literal["subuid", "plain"]
LETTERS: dict[Kind, str] = {"subuid": "a", "plain": "b"}
MADE = re.compile(r"sealift-test-[ab][0-9]+-([0-9]+)")
"""Names of users that tests made: the kind's letter, the worker's number, the session's number (its process id)."""

PASSED_ON = re.compile(
    r"(?i)((http|https|ftp|all|no)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|PIP_CERT)"
)
"""What of the session's environment a user's own login would have too: the way to the network."""


def way_to_network() -> dict[str, str]:
    """What of the session's environment a login on this machine has, too: proxies, and certificates."""
    return {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    name: str
    uid: int
    gid: int
    home: Path


def can_have(kind: Kind) -> bool:
    """Root can make any user; another invoker serves as the kind that it is itself."""
    if kind == "subuid" and shutil.which("newuidmap") is None:
        return False
    if os.geteuid() == 0:
        return shutil.which("useradd", path="/usr/sbin:/sbin") is not None
    return (kind == "subuid") == has_subuids(pwd.getpwuid(os.geteuid()).pw_name)


def has_subuids(name: str) -> bool:
    """Whether both /etc/subuid and /etc/subgid give the user a range."""

    def listed(path: str) -> bool:
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            return False
        return any(line.split(":", 1)[0] in (name, str(os.geteuid())) for line in lines)

    return listed("/etc/subuid") and listed("/etc/subgid")


def get(kind: Kind) -> User:
    """The user of that kind, made when it is first asked for; each worker has its own, with processes of its own."""
    if os.geteuid() != 0:
        return _look_up(pwd.getpwuid(os.geteuid()).pw_name)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    name = f"sealift-test-{LETTERS[kind]}{worker}-{_session_number(session.folder())}"
    with session.alone("users"):
        try:
            return _look_up(name)
        except KeyError:
            _make(name, subuids=kind == "subuid")
            return _look_up(name)


def _look_up(name: str) -> User:
    entry = pwd.getpwnam(name)
    return User(name=name, uid=entry.pw_uid, gid=entry.pw_gid, home=Path(entry.pw_dir))


def _make(name: str, *, subuids: bool) -> None:
    for path in ("/etc/subuid", "/etc/subgid"):  # useradd gives ranges only where the files are
        Path(path).touch()
    none = () if subuids else ("-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0")
    subprocess.run(["/usr/sbin/useradd", "-m", "-s", "/bin/sh", *none, name], check=True)
    assert has_subuids(name) == subuids


def _session_number(folder: Path) -> str:
    return folder.name.rpartition("-")[2]


def remove_made(folder: Path) -> list[str]:
    """Remove the users of this session and of sessions that were killed; a sentence for each process they left."""
    if os.geteuid() != 0:
        return []
    left = []
    for entry in pwd.getpwall():
        made = MADE.fullmatch(entry.pw_name)
        if made is None:
            continue
        mine = made[1] == _session_number(folder)
        if not mine and Path(f"/proc/{made[1]}").exists():
            continue
        for pid, line in _processes_of(entry.pw_uid):
            if mine:
                left.append(f"process of {entry.pw_name}: {pid} {line}")
            os.kill(pid, 9)
        subprocess.run(["/usr/sbin/userdel", "-r", entry.pw_name], check=False, capture_output=True)
    return left


def _processes_of(uid: int) -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if line:  # one that ended and waits to be noticed by its parent has none
                    found.append((int(entry.name), line))
        except OSError:
            continue  # it ended meanwhile
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AsUser:
    """Runs commands as an ordinary user: `as_user(["sealift", "--version"])`, `as_user([...], user="plain")`.

    `sealift` is on their PATH: a wheel of the checkout in an environment of its own. The working directory is a folder
    of the test that belongs to the user (`folder`), and so are TMPDIR and Sealift's cache.
    """

    bin: Path
    """Holds `sealift` and the `python` that can import it."""
    base: Path
    """A folder of this test alone, open to all."""

    def __call__(
        self,
        argv: Sequence[str | bytes | Path],
        *,
        user: Kind = "subuid",
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        input: bytes = b"",
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        who = get(user)
        root = os.geteuid() == 0
        return subprocess.run(
            [os.fspath(argument) for argument in argv],
            env=self.environment(user) | dict(env or {}),
            cwd=cwd or self.folder(user),
            input=input,
            timeout=timeout,
            capture_output=True,
            check=False,
            umask=0o022,
            user=who.uid if root else None,
            group=who.gid if root else None,
            extra_groups=[who.gid] if root else None,
        )

    def popen(
        self,
        argv: Sequence[str | Path],
        *,
        user: Kind = "subuid",
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """As calling, for a process that the test itself ends: its own process group, pipes on all three."""
        who = get(user)
        root = os.geteuid() == 0
        return subprocess.Popen(
            [os.fspath(argument) for argument in argv],
            env=self.environment(user) | dict(env or {}),
            cwd=cwd or self.folder(user),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            umask=0o022,
            user=who.uid if root else None,
            group=who.gid if root else None,
            extra_groups=[who.gid] if root else None,
        )

    def environment(self, user: Kind = "subuid") -> dict[str, str]:
        who = get(user)
        folder = self.folder(user)
        return {
            "HOME": str(who.home),
            "USER": who.name,
            "LOGNAME": who.name,
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "PATH": f"{self.bin}:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
            "TMPDIR": str(folder / "tmp"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "SEALIFT_CACHE_DIR": str(folder / "cache"),
            session.MARK: str(session.folder()),
        } | way_to_network()

    def folder(self, user: Kind = "subuid") -> Path:
        """The test's folder that belongs to the user; made at the first call."""
        who = get(user)
        top = self.base / user
        if not top.exists():
            for path, mode in ((top, 0o755), (top / "tmp", 0o700), (top / "run", 0o700)):
                path.mkdir()
                path.chmod(mode)
                os.chown(path, who.uid, who.gid)
        return top

    def give(self, path: Path, user: Kind = "subuid") -> Path:
        """Hand a file or tree that the test made over to the user."""
        who = get(user)
        subprocess.run(["chown", "-hR", f"{who.uid}:{who.gid}", str(path)], check=True)
        return path

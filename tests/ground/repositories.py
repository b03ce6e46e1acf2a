"""Tiny distributions whose packages are a busybox, a few files and one file of another owner: RPM's and pacman's form.

Each is a folder that a server on loopback can give, made by the formats' own tools.
"""

from __future__ import annotations

import functools
import http.server
import io
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BUILT = 1_700_000_000
"""When the packages say that they were built, and the repositories that they were made."""
NAMES = ("sh", "cat", "ls", "id", "env", "true", "chmod")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nmail:x:8:8:mail:/var/mail:/bin/sh\n"
GROUP = "root:x:0:\nmail:x:8:\n"

SPEC = """
%global debug_package %{nil}
%global _build_id_links none
%global __os_install_post %{nil}
Name: tiny-base
Version: 1
Release: 1
Summary: Folders and a shell
License: MIT
AutoReqProv: no
Provides: coreutils, aaa_base
%description
Folders and a shell.

%package -n tiny-release
Summary: What the system is called
AutoReqProv: no
Requires: tiny-base
%description -n tiny-release
What the system is called.

%package -n tiny-mail
Summary: A file of another owner, and a script
AutoReqProv: no
Requires(post): tiny-base
%description -n tiny-mail
A file of another owner, and a script.

%package -n tiny-rpm
Summary: What says where the image's own rpm has its database
AutoReqProv: no
%description -n tiny-rpm
What says where the image's own rpm has its database.

%install
for each in bin etc dev proc sys tmp var/lib var/tmp usr/bin usr/lib/rpm var/mail; do mkdir -p %{buildroot}/$each; done
cp @BUSYBOX@ %{buildroot}/bin/busybox
for each in @NAMES@; do ln -s busybox %{buildroot}/bin/$each; done
cp @FILES@/passwd @FILES@/group %{buildroot}/etc/
echo 'Tiny Linux 1' > %{buildroot}/etc/redhat-release
echo hello > %{buildroot}/var/mail/hello
echo '%%_dbpath %%{_usr}/lib/sysimage/rpm' > %{buildroot}/usr/lib/rpm/macros

%post -n tiny-mail -p /bin/sh
echo "installed $1" > /var/lib/tiny-mail
id > /dev/null

%files
%dir %attr(0555,root,root) /bin
%attr(0755,root,root) /bin/busybox
@LINKS@
%attr(1777,root,root) /tmp
%attr(1777,root,root) /var/tmp
/etc/passwd
/etc/group
/dev
/proc
/sys
/var/lib
/usr/bin

%files -n tiny-release
/etc/redhat-release

%files -n tiny-mail
%dir %attr(2770,root,mail) /var/mail
%attr(0640,mail,mail) /var/mail/hello

%files -n tiny-rpm
/usr/lib/rpm
"""


def make_rpm_repository(folder: Path) -> Path:
    """A signed repository of RPM packages; zypper wants the signature."""
    work = folder / "work"
    work.mkdir(parents=True)
    (work / "passwd").write_text(PASSWD)
    (work / "group").write_text(GROUP)
    text = SPEC.replace("@BUSYBOX@", _busybox()).replace("@NAMES@", " ".join(NAMES)).replace("@FILES@", str(work))
    (work / "tiny.spec").write_text(text.replace("@LINKS@", "\n".join(f"/bin/{name}" for name in NAMES)))
    target = folder / "repository"
    defines = {
        "_topdir": str(work / "top"),
        "_rpmdir": str(target),
        "_dbpath": str(work / "database"),
        "_buildhost": "localhost",
        "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1",
    }
    options = [word for name, value in defines.items() for word in ("--define", f"{name} {value}")]
    env = os.environ | {"HOME": str(work), "SOURCE_DATE_EPOCH": str(BUILT)}
    _run(["rpmbuild", "-bb", *options, str(work / "tiny.spec")], env)
    _run(["createrepo_c", "-q", "--revision", str(BUILT), "--set-timestamp-to-revision", str(target)], env)
    _sign(target / "repodata" / "repomd.xml", work, env)
    shutil.rmtree(work)
    return target


def _sign(index: Path, work: Path, env: dict[str, str]) -> None:
    home = work / "keys"
    home.mkdir(mode=0o700)
    env = env | {"GNUPGHOME": str(home)}
    try:
        new = ["--batch", "--passphrase", "", "--quick-gen-key", "Tiny <tiny@example.org>", "ed25519", "sign", "never"]
        _run(["gpg", *new], env)
        _run(["gpg", "--batch", "--yes", "--detach-sign", "--armor", str(index)], env)
        _run(["gpg", "--armor", "--output", f"{index}.key", "--export"], env)
    finally:
        _run(["gpgconf", "--kill", "all"], env)


def make_pacman_repository(folder: Path) -> Path:
    """A repository of pacman packages called `tiny`, without signatures."""
    folder.mkdir(parents=True)
    with open(_busybox(), "rb") as file:
        busybox = file.read()
    folders = ["usr", "usr/bin", "etc", "var", "var/lib", "var/tmp"]
    base = [Member(name=name) for name in folders]
    base += [Member(name="bin", link="usr/bin"), Member(name="usr/bin/busybox", data=busybox, mode=0o755)]
    base += [Member(name=f"usr/bin/{name}", link="busybox") for name in NAMES]
    base += [Member(name="etc/passwd", data=PASSWD.encode()), Member(name="etc/group", data=GROUP.encode())]
    mail = [
        Member(name="var"),
        Member(name="var/mail", mode=0o750, owner=8),
        Member(name="var/mail/hello", data=b"hello\n", mode=0o640, owner=8),
    ]
    script = "post_install() { echo installed > /var/lib/mail; id > /dev/null; }\n"
    packages = [
        _pacman_package(folder, "base", base),
        _pacman_package(folder, "mail", mail, needs="base", script=script),
    ]
    env = os.environ | {"SOURCE_DATE_EPOCH": str(BUILT)}
    _run(["repo-add", "-q", str(folder / "tiny.db.tar.gz"), *map(str, packages)], env)
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry of a package: a folder where it has neither data nor link."""

    name: str
    data: bytes | None = None
    mode: int = 0
    link: str = ""
    owner: int = 0


def _pacman_package(folder: Path, name: str, members: list[Member], *, needs: str = "", script: str = "") -> Path:
    path = folder / f"{name}-1-1-x86_64.pkg.tar.gz"
    info = f"pkgname = {name}\npkgver = 1-1\npkgdesc = tiny\nurl = http://tiny\nbuilddate = {BUILT}\n"
    info += "packager = tests\nsize = 100\narch = x86_64\n" + (f"depend = {needs}\n" if needs else "")
    first = [Member(name=".PKGINFO", data=info.encode())]
    first += [Member(name=".INSTALL", data=script.encode())] if script else []
    with tarfile.open(path, "w:gz") as tar:
        for each in (*first, *members):
            entry = tarfile.TarInfo(each.name)
            entry.mtime, entry.uid, entry.gid = BUILT, each.owner, each.owner
            entry.mode = each.mode or (0o755 if each.data is None else 0o644)
            entry.type = tarfile.SYMTYPE if each.link else tarfile.DIRTYPE if each.data is None else tarfile.REGTYPE
            entry.linkname, entry.size = each.link, len(each.data or b"")
            tar.addfile(entry, io.BytesIO(each.data or b""))
    return path


def _busybox() -> str:
    found = shutil.which("busybox")
    assert found is not None
    return os.path.realpath(found)


def _run(argv: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(argv, env=env, capture_output=True, check=False)
    assert done.returncode == 0, (argv, done.stderr.decode(errors="replace")[-3000:])


# The server.


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A folder behind a loopback address; `asked` are the paths in the order in which they were asked for."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Served(url=f"http://127.0.0.1:{server.server_address[1]}", asked=asked)
        finally:
            server.shutdown()
            thread.join()

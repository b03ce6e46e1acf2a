"""Which packages are in an image: each manager's records by hand, and beside what the real programs say."""

from __future__ import annotations

import json

import pytest

from sealift.core.tree import show_path
from sealift.evidence.packages import find_packages, owners

STATUS = b"""\
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2-1
Conffiles:
 /etc/bash.bashrc 0123
Description: a shell
 Package: not-a-package

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: dash
Status: install ok unpacked
Architecture: amd64
Version: 0.5
"""
DPKG = {
    "bin": "usr/bin",
    "usr/bin/bash": b"1234",
    "usr/bin/sh": "dash",
    "usr/bin/sh.distrib": b"12",
    "etc/bash.bashrc": b"1",
    "lib": "usr/lib",
    "usr/lib/libc.so.6": b"123456",
    "var/lib/dpkg/status": STATUS,
    "var/lib/dpkg/info/bash.list": b"/.\n/bin\n/bin/bash\n/bin/sh\n/etc/bash.bashrc\n/usr/share/doc/left-out\n",
    "var/lib/dpkg/info/libc6:amd64.list": b"/lib\n/lib/libc.so.6\n",
    "var/lib/dpkg/info/gone.list": b"/etc/bash.bashrc\n",
    "var/lib/dpkg/diversions": b"/bin/sh\n/bin/sh.distrib\ndash\n",
}
DISTROLESS = {
    "var/lib/dpkg/status.d/base-files": b"Package: base-files\nVersion: 12\nArchitecture: amd64\n",
    "var/lib/dpkg/status.d/base-files.md5sums": (
        b"0123456789abcdef0123456789abcdef  etc/host.conf\n0123456789abcdef0123456789abcdef  .profile\n"
    ),
    "etc/host.conf": b"123",
    ".profile": b"4",
}
APK = {
    "lib/apk/db/installed": (
        b"C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\nS:1\nI:2\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1\nF:\nR:top\n\n"
        b"C:Q1\nP:empty\nV:1\nA:noarch\n\n"
    ),
    "lib/ld-musl-x86_64.so.1": b"12345",
    "top": b"1",
}
PACMAN = {
    "var/lib/pacman/local/ALPM_DB_VERSION": b"9\n",
    "var/lib/pacman/local/bash-5.2-1/desc": b"%NAME%\nbash\n\n%VERSION%\n5.2-1\n\n%ARCH%\nx86_64\n\n",
    "var/lib/pacman/local/bash-5.2-1/files": b"%FILES%\nusr/\nusr/bin/\nusr/bin/bash\n\n%BACKUP%\netc/x\t0\n",
    "usr/bin/bash": b"123",
}
CONDA = {
    "opt/conda/conda-meta/history": b"",
    "opt/conda/conda-meta/zlib-1.3-0.json": json.dumps(
        {"name": "zlib", "version": "1.3", "subdir": "linux-64", "files": ["lib/libz.so", "lib/gone"]}
    ).encode(),
    "opt/conda/lib/libz.so": b"1234567",
    "opt/conda/conda-meta/broken-1-0.json": b"{",
    "opt/conda/conda-meta/deep-1-0.json": b"[" * 100_000,
    "opt/conda/conda-meta/list-1-0.json": b"[]",
}
SITE = "usr/lib/python3.12/site-packages"
PYTHON = {
    f"{SITE}/one/__init__.py": b"12",
    f"{SITE}/one/__pycache__/__init__.cpython-312.pyc": b"1234",
    f"{SITE}/one/__pycache__/__init__.cpython-312.opt-1.pyc": b"12345",
    f"{SITE}/one/__pycache__/other.cpython-312.pyc": b"not ours",
    "usr/bin/one": b"1",
    f"{SITE}/One-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: One\nVersion: 1.0\n\nName: no\n",
    f"{SITE}/One-1.0.dist-info/RECORD": b'one/__init__.py,sha256=x,2\n../../../bin/one,,\n"gone,x",,\n\n',
    f"{SITE}/One-1.0.dist-info/INSTALLER": b"pip\n",
    f"{SITE}/one/_vendor/two-2.dist-info/METADATA": b"Name: two\nVersion: 2\n",
    f"{SITE}/three-3.egg-info/PKG-INFO": b"Name: three\r\nVersion: 3\r\n\r\n",
    f"{SITE}/three-3.egg-info/installed-files.txt": b"../three.py\nPKG-INFO\n",
    f"{SITE}/three.py": b"123",
    "usr/lib/python3/dist-packages/four-4.egg-info": b"Name: four\nVersion: 4\n",
    "venv/lib/python3.12/site-packages/five-5.egg/EGG-INFO/PKG-INFO": b"Name: five\nVersion: 5\n",
    "venv/lib/python3.12/site-packages/five-5.egg/five.py": b"12345",
    f"{SITE}/nameless-1.dist-info/METADATA": b"Metadata-Version: 2.1\n",
    f"{SITE}/big-1.dist-info/METADATA": b"Name: big\nVersion: 1\n",
    f"{SITE}/big-1.dist-info/RECORD": b"x" * 200_000,
}
ONE = (
    *(f"One-1.0.dist-info/{name}" for name in ("INSTALLER", "METADATA", "RECORD")),
    "one/__init__.py",
    *(f"one/__pycache__/__init__.cpython-312.{name}" for name in ("opt-1.pyc", "pyc")),
)

CASES = {
    "dpkg": (
        DPKG,
        [
            ("dpkg bash 5.2-1 amd64", "/etc/bash.bashrc /usr/bin/bash /usr/bin/sh.distrib", 7),
            ("dpkg dash 0.5 amd64", "", 0),
            ("dpkg libc6 2.36-9 amd64", "/usr/lib/libc.so.6", 6),
        ],
        [],
    ),
    "distroless": (DISTROLESS, [("dpkg base-files 12 amd64", "/.profile /etc/host.conf", 4)], []),
    "apk": (
        APK,
        [("apk empty 1 noarch", "", 0), ("apk musl 1.2.5-r0 x86_64", "/lib/ld-musl-x86_64.so.1 /top", 6)],
        [],
    ),
    "pacman": (PACMAN, [("pacman bash 5.2-1 x86_64", "/usr/bin/bash", 3)], []),
    "conda": (
        CONDA,
        [("conda zlib 1.3 linux-64 /opt/conda", "/opt/conda/lib/libz.so", 7)],
        [
            "`opt/conda/conda-meta/broken-1-0.json` is no record of conda's",
            "`opt/conda/conda-meta/deep-1-0.json` is no record of conda's",
            "`opt/conda/conda-meta/list-1-0.json` is no record of conda's",
        ],
    ),
    "python": (
        PYTHON,
        [
            (
                f"python One 1.0 /{SITE}",
                f"/usr/bin/one {' '.join(f'/{SITE}/{name}' for name in ONE)}",
                12 + sum(len(PYTHON[f"{SITE}/One-1.0.dist-info/{n}"]) for n in ("INSTALLER", "METADATA", "RECORD")),
            ),
            (
                "python five 5 /venv/lib/python3.12/site-packages",
                " ".join(
                    f"/venv/lib/python3.12/site-packages/five-5.egg/{n}" for n in ("EGG-INFO/PKG-INFO", "five.py")
                ),
                27,
            ),
            ("python four 4 /usr/lib/python3/dist-packages", "/usr/lib/python3/dist-packages/four-4.egg-info", 22),
            (
                f"python three 3 /{SITE}",
                f"/{SITE}/three-3.egg-info/PKG-INFO /{SITE}/three-3.egg-info/installed-files.txt /{SITE}/three.py",
                51,
            ),
        ],
        [
            f"`/{SITE}/big-1.dist-info/RECORD` is damaged: field larger than field limit (131072)",
            f"`/{SITE}/nameless-1.dist-info/METADATA` names no package",
        ],
    ),
    "nothing": ({"etc": None}, [], []),
    "empty records": (
        {
            "var/lib/dpkg/status": b"",
            "lib/apk/db/installed": b"",
            "var/lib/pacman/local/x/desc": b"",
            "a/conda-meta/x.json": b"{}",
        },
        [],
        ["`a/conda-meta/x.json` is no record of conda's"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_records_of(case, image_files) -> None:
    content, packages, unread = CASES[case]
    files = image_files(content)
    found = find_packages(files)
    assert [
        (
            " ".join(filter(None, (one.manager, one.name, one.version, one.architecture, one.place))),
            " ".join(show_path(files.tree.paths[row]) for row in one.rows),
            one.size,
        )
        for one in found.packages
    ] == [(name, paths, size) for name, paths, size in packages]
    assert [*found.unread] == unread


def test_a_file_that_two_managers_know_belongs_to_the_first(image_files) -> None:
    """A distribution's Python package is a package of both, as each one's own program says."""
    home = "usr/lib/python3/dist-packages"
    files = image_files(
        {
            "var/lib/dpkg/status": b"Package: python3-six\nStatus: install ok installed\nVersion: 1-2\n",
            "var/lib/dpkg/info/python3-six.list": f"/{home}/six.py\n/{home}/six-1.egg-info\n".encode(),
            f"{home}/six.py": b"123",
            f"{home}/six-1.egg-info": b"Name: six\nVersion: 1\n",
        }
    )
    packages = find_packages(files).packages
    owned = {
        show_path(files.tree.paths[row]): packages[number].manager for row, number in owners(files, packages).items()
    }
    assert [one.manager for one in packages] == ["dpkg", "python"]
    assert owned == {f"/{home}/six-1.egg-info": "dpkg", f"/{home}/six.py": "dpkg"}

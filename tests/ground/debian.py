"""The machine's own Debian or Ubuntu mirror: installing packages from it, and making one small root filesystem."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    uri: str
    suite: str


@functools.cache
def mirror() -> Mirror | None:
    """The first distribution mirror among the apt sources; None where there is no apt or no such source."""
    if shutil.which("apt-get") is None:
        return None
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(ORIGIN)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    for line in listed.splitlines():
        uri, suite, origin = [*line.split(maxsplit=2), "", "", ""][:3]
        # Codenames of side suites hold a dash (`bookworm-security`); a tree is made from the plain one.
        if suite.isalpha() and (origin in ("Debian", "Ubuntu") or uri.rstrip("/").endswith(("/debian", "/ubuntu"))):
            return Mirror(uri=uri.rstrip("/"), suite=suite)
    return None


@functools.cache
def reachable() -> bool:
    found = mirror()
    if found is None:
        return False
    try:
        with urllib.request.urlopen(f"{found.uri}/dists/{found.suite}/InRelease", timeout=20) as answer:
            return bool(answer.read(1))
    except (urllib.error.URLError, OSError):
        return False


def is_bookworm_amd64() -> bool:
    found = mirror()
    return found is not None and found.suite == "bookworm" and os.uname().machine == "x86_64"


def python_version() -> str:
    """`3.11`: that of the release's python3, whatever is installed here."""
    found = mirror()
    assert found is not None, "the test that wants it must need the part `mirror`"
    with tempfile.TemporaryDirectory() as work:
        apt = apt_with(Path(work), f"deb {found.uri} {found.suite} main\n")
        said = subprocess.run([*apt, "--print-uris", "download", "python3"], check=True, capture_output=True, text=True)
    version = re.search(r" python3_(\d+\.\d+)", said.stdout)
    assert version is not None, said.stdout
    return version[1]


def apt_install(packages: Sequence[str]) -> None:
    """Install Debian packages as root; what apt says goes to stderr when it fails."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for argv in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.stderr.write(f"{' '.join(argv)}: {done.stderr[-2000:]}\n")


def apt_with(work: Path, source: str) -> list[str]:
    """The words that begin an `apt-get` which knows this line of sources alone; its lists are in the folder `work`."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "sources.list").write_text(source)
    apt = [
        *("apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={work}/sources.list", "-o", "Dir::Etc::sourceparts=-"),
        *("-o", f"Dir::State::Lists={work}/lists", "-o", f"Dir::Cache={work}/cache", "-o", "APT::Sandbox::User=root"),
    ]
    subprocess.run([*apt, "update"], check=True)
    return apt


def make_tree(target: Path, *, include: Sequence[str] = ()) -> None:
    """Write a tar of a small Debian tree (apt and the named packages in it) to `target`, atomically."""
    found = mirror()
    assert found is not None, "the test that wants a tree must need the part `mirror`"
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        made = Path(work) / "tree.tar"
        subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=apt",
                *(f"--include={package}" for package in include),
                "--aptopt=APT::Install-Recommends false",
                "--dpkgopt=path-exclude=/usr/share/doc/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*",
                "--dpkgopt=path-exclude=/usr/share/man/*",
                found.suite,
                str(made),
                found.uri,
            ],
            env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "TMPDIR": work},
            check=True,
        )
        os.replace(made, target)


def kept_tree(folder: Path, name: str, *, include: Sequence[str] = ()) -> Path:
    """Such a tar in `folder`, made when it is first asked for."""
    found = mirror()
    assert found is not None, "the test that wants a tree must need the part `mirror`"
    target = folder / f"{found.suite}-{name}.tar"
    if not target.exists():
        make_tree(target, include=include)
    return target

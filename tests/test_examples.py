"""The examples, built and run as a user would, and their images run by Apptainer too."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.ground import debian
from tests.ground.install import CHECKOUT
from tests.ground.users import AsUser


@pytest.fixture
def hello(as_user: AsUser) -> Path:
    """A copy of examples/hello in the user's folder, without what was built there."""
    target = as_user.folder("subuid") / "hello"
    shutil.copytree(CHECKOUT / "examples" / "hello", target, ignore=shutil.ignore_patterns("*.sif"))
    return as_user.give(target)


def release() -> list[str]:
    mirror = debian.mirror()
    assert mirror is not None
    return ["--build-arg", f"release={mirror.suite}"]


@pytest.mark.slow
@pytest.mark.needs("subuid-user", "squashfuse", "mmdebstrap", "mirror", "apptainer")
def test_hello_says_the_same_under_both_engines(as_user, apptainer, hello):
    built = as_user(["sealift", "build", "-F", *release(), "hello.sif", "hello.def"], cwd=hello)
    assert built.returncode == 0, built.stderr.decode()
    embedded = as_user(["sealift", "run", "--engine", "embedded", "hello.sif", "you", "and me"], cwd=hello)
    assert embedded.returncode == 0, embedded.stderr.decode()
    greeting = (hello / "greeting.txt").read_text()
    lines = embedded.stdout.decode().removeprefix(greeting).splitlines()
    name = as_user(["id", "-un"]).stdout.decode().strip()
    assert f", run by {name} in {hello}, and knows that pi is 3.14159265358979" in lines[0]
    assert lines[1:] == ["Hello, you!", "Hello, and me!"]

    reference = apptainer("run", hello / "hello.sif", "you", "and me", cwd=hello)
    assert (reference.stdout, reference.returncode) == (embedded.stdout, 0), reference.stderr.decode()
    assert apptainer("test", hello / "hello.sif", cwd=hello).returncode == 0
    assert as_user(["sealift", "test", "--engine", "embedded", "hello.sif"], cwd=hello).returncode == 0


@pytest.mark.slow
@pytest.mark.needs("root", "subuid-user", "plain-user", "squashfuse", "mmdebstrap", "mirror")
def test_hello_is_the_same_whoever_builds_it_from_nothing(as_user, open_folder):
    """Three builds, each with a cache of its own: the base, `apt-get install` and `useradd` included."""
    digests = {}
    for user in ("subuid", "plain", "root"):
        base = open_folder if user == "root" else as_user.folder(user)
        folder = base / "hello"
        shutil.copytree(CHECKOUT / "examples" / "hello", folder, ignore=shutil.ignore_patterns("*.sif"))
        if user != "root":
            as_user.give(folder, user)
        built = _call(as_user, user, folder, "build", "-F", *release(), "hello.sif", "hello.def")
        assert built.returncode == 0, built.stderr.decode()
        done = _call(as_user, user, folder, "run", "--engine", "embedded", "hello.sif", user)
        last = f"Hello, {user}!"
        assert (done.returncode, done.stdout.decode().splitlines()[-1]) == (0, last), done.stderr.decode()
        digests[user] = hashlib.sha256((folder / "hello.sif").read_bytes()).hexdigest()
    assert len(set(digests.values())) == 1, digests


def _call(as_user: Any, user: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    argv = [str(as_user.bin / "sealift"), *arguments]
    if user == "root":
        env = os.environ | {"SEALIFT_CACHE_DIR": str(folder.parent / "cache")}
        return subprocess.run(argv, cwd=folder, env=env, capture_output=True, check=False)
    done: subprocess.CompletedProcess[bytes] = as_user(argv, user=user, cwd=folder)
    return done

"""Killed with `kill -9` in each stage of a build: the target is what it was, nothing is left, the next run works."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sealift.sandbox.workfolder import stale_folders

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "mmdebstrap", "mirror", "squashfuse")]

DEFINITION = """\
Bootstrap: oci
From: {layout}

%files
    seed.txt /opt/seed.txt

%post
    echo post-begins
    head -c 30000000 /dev/urandom > /var/lib/noise
    echo post-middle
    sleep 0.2
    rm /var/lib/noise
    cp /opt/seed.txt /opt/copy.txt

%test
    echo test-begins
    sleep 0.2
    test -f /opt/copy.txt
"""

MOMENTS = [
    "layer 1/1",
    "%post …",
    "post-begins",
    "post-middle",
    "%post: done",
    "test-begins",
    "%test: done",
    "writing image.sif",
]


def _environment(folder: Path) -> dict[str, str]:
    (folder / "work").mkdir(exist_ok=True)
    return dict(os.environ) | {
        "SEALIFT_CACHE_DIR": str(folder / "cache"),
        "SEALIFT_TMPDIR": str(folder / "work"),
        "KILLED_TEST": str(folder),
    }


def _hear_signals() -> None:
    """Whoever runs the tests in the background has some signals ignored, which would be inherited."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sealift", "build", "-v", "-F", "image.sif", "image.def"],
        cwd=folder,
        env=_environment(folder),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hear_signals,  # noqa: PLW1509 -- no threads here
    )


def _others(folder: Path) -> list[str]:
    """Processes that carry this test's mark: the build's own, wherever they are."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if f"KILLED_TEST={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
            except OSError:
                continue
    return found


def _wait_until_gone(folder: Path) -> None:
    for _ in range(3000):
        if not _others(folder):
            return
        time.sleep(0.01)
    raise AssertionError(f"still alive: {_others(folder)}")


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


@pytest.fixture
def folder(tmp_path, debian_oci):
    (tmp_path / "image.def").write_text(DEFINITION.format(layout=debian_oci))
    (tmp_path / "seed.txt").write_text("seed\n")
    return tmp_path


@pytest.mark.parametrize(
    ("moment", "old"),
    [(moment, b"an image from before" if number % 2 else None) for number, moment in enumerate(MOMENTS)],
    ids=MOMENTS,
)
def test_a_killed_build_leaves_the_target(folder, moment, old):
    target = folder / "image.sif"
    if old is not None:
        target.write_bytes(old)
    before = _digest(target)
    files = sorted(os.listdir(folder))
    build = _start(folder)
    assert build.stderr is not None
    seen = []
    for line in build.stderr:
        seen.append(line)
        if moment in line:
            os.kill(build.pid, signal.SIGKILL)
            break
    else:
        pytest.fail(f"`{moment}` never came: {''.join(seen)}")
    build.stderr.close()
    assert build.wait() == -signal.SIGKILL
    _wait_until_gone(folder)
    assert _digest(target) == before
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    assert sorted(set(os.listdir(folder)) - {"cache", "work"}) == files

    again = _start(folder)
    _, said = again.communicate()
    assert again.returncode == 0, said
    if moment in MOMENTS[5:]:
        assert "%files and %post: cached" in said
    assert _digest(target) not in (None, before)
    assert stale_folders(str(folder / "work")) == ()
    assert os.listdir(folder / "work") == []


@pytest.mark.parametrize(
    ("moment", "number", "code", "last"),
    [
        ("post-begins", signal.SIGINT, 130, "interrupted\n"),
        ("test-begins", signal.SIGINT, 130, "interrupted\n"),
        ("post-begins", signal.SIGTERM, -signal.SIGTERM, "ended by SIGTERM\n"),
        ("post-middle", signal.SIGHUP, -signal.SIGHUP, "ended by SIGHUP\n"),
    ],
)
def test_an_interrupted_build_ends_at_once_and_cleans_up(folder, moment, number, code, last):
    files = sorted(os.listdir(folder))
    build = _start(folder)
    assert build.stderr is not None
    said = []
    for line in build.stderr:
        said.append(line)
        if moment in line:
            os.kill(build.pid, number)
    assert build.wait() == code, "".join(said)
    assert said[-1] == last
    _wait_until_gone(folder)
    assert sorted(set(os.listdir(folder)) - {"cache", "work"}) == files
    assert os.listdir(folder / "work") == []

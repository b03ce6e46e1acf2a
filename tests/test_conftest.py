"""The rules of tests/conftest.py, tried on small suites of their own: what is missing is named, what is left fails."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ground.install import CHECKOUT
from tests.ground.session import MARK

MISSING = """
import pytest

@pytest.mark.needs("umoci")
def test_that_needs_it(): pass
"""


def run_suite(tmp_path: Path, text: str, **env: str) -> subprocess.CompletedProcess[str]:
    suite = tmp_path / "test_suite.py"
    suite.write_text(text)
    argv = [*(sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-p", "tests.conftest")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SEALIFT_", MARK))}
    return subprocess.run(
        [*argv, "-c", os.devnull, "--rootdir", str(tmp_path), str(suite)],
        env=clean | {"PYTHONPATH": str(CHECKOUT), "SEALIFT_TEST_INSTALL": "no"} | env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_part_skips_and_is_named(tmp_path):
    done = run_suite(tmp_path, MISSING, PATH=str(tmp_path))
    assert done.returncode == 0, done.stdout
    assert "umoci: `umoci` is not installed (Debian: umoci)" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 skipped")


def test_a_missing_part_fails_where_all_are_required(tmp_path):
    done = run_suite(tmp_path, MISSING, PATH=str(tmp_path), SEALIFT_TEST_REQUIRE="all")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "umoci: `umoci` is not installed (Debian: umoci)" in done.stdout
    assert " skipped" not in done.stdout.splitlines()[-1]


def test_an_unknown_part_stops_the_run(tmp_path):
    done = run_suite(tmp_path, MISSING.replace("umoci", "no-such-part"))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "needs ['no-such-part'], which tests/parts.py does not know" in done.stdout + done.stderr


def test_a_file_left_behind_fails_the_run(tmp_path):
    done = run_suite(tmp_path, "import tempfile\ndef test(): tempfile.mkstemp(prefix='forgotten')\n")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert re.search(r"LEFT BEHIND by the tests: file: \S+/forgotten", done.stdout)


def test_a_process_left_behind_fails_the_run(tmp_path):
    text = """
import subprocess
def test():
    command = ["sh", "-c", "echo ready; exec sleep 600"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout.readline() == b"ready\\n"
"""
    done = run_suite(tmp_path, text)
    named = re.search(r"LEFT BEHIND by the tests: process: (\d+) (?:sleep 600|sh -c)", done.stdout)
    assert named, done.stdout
    os.kill(int(named[1]), signal.SIGKILL)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED


@pytest.mark.needs("root")
def test_a_mount_left_behind_fails_the_run_and_is_undone(tmp_path):
    text = """
import os, subprocess, tempfile
def test():
    target = os.path.join(os.environ["SEALIFT_TEST_SESSION"], "mounted")
    os.mkdir(target)
    subprocess.run(["mount", "-t", "tmpfs", "none", target], check=True)
"""
    done = run_suite(tmp_path, text)
    named = re.search(r"LEFT BEHIND by the tests: mount: (\S+/mounted)", done.stdout)
    assert named, done.stdout
    assert named[1] not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.needs("root", "subuid-user", "plain-user")
def test_users_go_with_the_session(tmp_path):
    text = """
import pytest
from tests.ground import users

@pytest.mark.parametrize("kind", ["subuid", "plain"])
def test(kind):
    print("made", users.get(kind).name)
"""
    done = run_suite(tmp_path, text)
    names = re.findall(r"^made (\S+)$", done.stdout, re.MULTILINE)
    assert (done.returncode, len(set(names))) == (0, 2), done.stdout
    left = Path("/etc/passwd").read_text() + Path("/etc/subuid").read_text()
    assert [name for name in names if f"{name}:" in left or Path("/home", name).exists()] == []

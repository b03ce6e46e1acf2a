"""A measured command: all its processes count, and its code and last words are kept."""

from __future__ import annotations

import pytest

from benchmarks import measure
from tests.ground import users
from tests.ground.install import everyones_python

HOLD = "import time; held = b'x' * 100_000_000; time.sleep(1)"


@pytest.mark.slow
@pytest.mark.needs("subuid-user")
def test_memory_and_time_of_children_count(as_user):
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}]); sys.exit('last words')"
    user = users.get("subuid")
    argv = (everyones_python(), "-c", f"{child}")
    done = measure.run(argv, user=user, env=as_user.environment(), cwd=as_user.folder())
    assert (done.argv, done.code, done.stderr) == (argv, 1, "last words\n")
    assert done.memory > 100_000_000
    assert done.wall > 1
    assert done.cpu > 0


@pytest.mark.needs("subuid-user")
def test_a_silent_success(as_user):
    done = measure.run(("true",), user=users.get("subuid"), env=as_user.environment(), cwd=as_user.folder())
    assert (done.code, done.stderr) == (0, "")

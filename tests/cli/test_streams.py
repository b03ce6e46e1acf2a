"""Programs started with standard streams closed, as batch systems and daemons start them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_a_closed_stream_is_taken_by_nothing_else(tmp_path, closed):
    def close() -> None:
        for number in closed:
            os.close(number)

    done = subprocess.run(
        [sys.executable, "-m", "sealift", "inspect", tmp_path],
        preexec_fn=close,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=None if 1 in closed else subprocess.PIPE,
        stderr=None if 2 in closed else subprocess.PIPE,
    )
    assert done.returncode == 0
    assert not done.stderr


@pytest.mark.slow
@pytest.mark.needs("root", "mmdebstrap", "mirror")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_the_embedded_engine_runs_with_closed_streams(as_user, debian_oci, open_folder, closed):
    script = (
        f"sealift build -q x.sif oci:{debian_oci} && "
        f"sealift exec --engine embedded x.sif sh -c 'echo ran > out' {closed}; echo $?; cat out"
    )
    os.chmod(debian_oci, 0o755)
    done = as_user(["sh", "-c", script])
    assert done.stdout == b"0\nran\n", done.stderr.decode()

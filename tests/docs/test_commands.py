"""Every command that README and docs show is run, as a person would type it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks

RUN = [block for block in blocks() if block.reason is None]


def test_what_is_not_run_says_why():
    assert all(block.reason is None or len(block.reason) > 10 for block in blocks())
    assert RUN


@pytest.mark.slow
@pytest.mark.needs("root", "registry", "skopeo", "mmdebstrap", "mirror", "squashfuse")
@pytest.mark.parametrize("block", RUN, ids=str)
def test_its_commands_work(block: Block, tmp_path, registry, debian_oci, session_folder):
    """In a folder that holds the example; public images come from the local registry by a mirror rule.

    All pages share a cache, as those of one reader do: most begin with building the example.
    """
    registry.push(debian_oci, "latest", "library/ubuntu:24.04")
    for path in (ROOT / "examples" / "hello").iterdir():
        if path.suffix != ".sif":
            shutil.copy(path, tmp_path)
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f'[[registry]]\nprefix = "docker.io"\nlocation = "{registry.host}"\ninsecure = true\n', encoding="utf-8"
    )
    env = dict(os.environ) | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SEALIFT_CACHE_DIR": str(session_folder / "docs-cache"),
        "CONTAINERS_REGISTRIES_CONF": str(conf),
        "REGISTRY": registry.host,
    }
    for command in block.commands:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout.decode()}\n{done.stderr.decode()}"

"""Every command that README and docs show is run, as a person would type it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, Block, Walk, blocks, walks

WALKS = [walk for page in PAGES for walk in walks(page)]


def test_what_is_not_run_says_why():
    reasons = [block.reason for page in PAGES for block in blocks(page) if block.reason is not None]
    assert all(len(reason) > 10 for reason in reasons)
    assert WALKS


@pytest.mark.slow
@pytest.mark.needs("root", "registry", "skopeo", "mmdebstrap", "mirror", "squashfuse")
@pytest.mark.parametrize("walk", WALKS, ids=str)
def test_its_commands_work(walk: Walk, tmp_path, registry, debian_oci, session_folder):
    """In a folder that holds the example; public images come from the local registry by a mirror rule.

    All pages share a cache, as those of one reader do: most begin with building the example.
    """
    registry.push(debian_oci, "latest", "library/ubuntu:24.04")
    (tmp_path / "home").mkdir()
    folder = tmp_path / "here"
    shutil.copytree(ROOT / "examples" / "hello", folder, ignore=shutil.ignore_patterns("*.sif"))
    for name, text in walk.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f'[[registry]]\nprefix = "docker.io"\nlocation = "{registry.host}"\ninsecure = true\n', encoding="utf-8"
    )
    env = dict(os.environ) | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SEALIFT_CACHE_DIR": str(session_folder / "docs-cache"),
        "CONTAINERS_REGISTRIES_CONF": str(conf),
        "REGISTRY": registry.host,
        "HOME": str(tmp_path / "home"),
    }
    for block in walk.blocks:
        said = run(block, folder, env)
        if len(walk.blocks) > 1:
            pattern = "".join(rf"(?:.*\n)*?{_line(line)}\n" for line in block.says.splitlines() if line.strip())
            assert re.match(pattern, said), f"{block.body}\n{block.says}\n--- said ---\n{said}"


def run(block: Block, folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-ec", block.body],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block.body}\n{done.stdout}"
    return done.stdout


def _line(shown: str) -> str:
    return ".*".join(map(re.escape, shown.rstrip().split("…")))

"""A wheel of the checkout, installed where every user of the machine can run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.ground import session

CHECKOUT = Path(__file__).resolve().parents[2]


def build_wheel(target: Path, sources: Path = CHECKOUT) -> Path:
    """Build the wheel of the checkout into `target`; needs nothing from the network but what `make setup` left."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--wheel-dir", str(target), str(sources)),
        ],
        check=True,
    )
    return next(target.glob("sealift-*.whl"))


def everyones_python() -> str:
    """The interpreter behind this one when all users can reach it, else the system's."""
    base = os.path.realpath(sys.executable)
    open_to_all = all(parent.stat().st_mode & 0o001 for parent in Path(base).parents)
    return base if open_to_all else "/usr/bin/python3"


def installed() -> Path:
    """The folder that holds `sealift` and `python` for every user; made once a session."""
    target = session.folder() / "installed"
    with session.alone("install"):
        done = target / "done"
        if not done.exists():
            target.mkdir(exist_ok=True)
            wheel = build_wheel(target)
            environment = target / "venv"
            subprocess.run([everyones_python(), "-m", "venv", "--without-pip", str(environment)], check=True)
            subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")),
                    *("install", "--quiet", "--no-warn-script-location", str(wheel)),
                ],
                check=True,
            )
            subprocess.run(["chmod", "-R", "a+rX", str(target)], check=True)
            done.touch()
    return target / "venv" / "bin"

"""A Docker daemon and a user's Podman for one comparison."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.parity.building import Place
from tests.ground import services


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """`place` is where the ordinary user finds all engines."""

    place: Place

    @property
    def at(self) -> Path:
        """Where the images lie, and where all programs run."""
        return self.place.folder / "sealift"

    def run(self, *argv: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return self.place.run(argv, at=self.at, given=given)

    def call(self, *argv: str) -> bytes:
        """What a program says to the user; RuntimeError when it fails."""
        done = self.run(*argv)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)} failed:\n{done.stderr.decode(errors='replace')}")
        return done.stdout


@contextmanager
def engines(place: Place, docker: services.Docker) -> Iterator[Ground]:
    """`place` with both; the user's Podman is emptied at the end. Needs root, for the daemon's sake."""
    # The user, whose ids and environment are compared, talks to the daemon too.
    os.chmod(docker.endpoint.removeprefix("unix://"), 0o666)
    with services.podman(place.folder, place.as_user) as env:
        yield Ground(place=replace(place, env={**env, "DOCKER_HOST": docker.endpoint}))

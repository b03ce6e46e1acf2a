"""Builds templates for real, by Sealift and by Apptainer, on bases that stand in for the official ones.

A registry on loopback has Debian under the official names, with this machine's own way to Python's packages; Sealift
comes there by a mirror rule, Apptainer, which knows no such rules, by the template's argument for its base.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.blocks import ROOT
from tests.flows.conftest import tar_of
from tests.ground import layouts, services, users

UBUNTU, CUDA = "ubuntu:24.04", "nvidia/cuda:12.6.3-base-ubuntu24.04"
NORMAL = {"bytecode", "headers", "static-libraries"}
"""What `sealift size` finds in Python's packages as their makers ship them; a template leaves nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    host: str
    conf: str
    """A registries.conf in which the official registry's images come from loopback."""


def make_ground(tree: Path, registry: services.Registry, folder: Path, *, find_links: str = "") -> Ground:
    """`find_links` is an address with further wheels."""
    config = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/bash"]}
    layout = layouts.write_layout(folder, [tree, _machine_layer(find_links)], config=config)
    for name in (f"library/{UBUNTU}", CUDA):
        registry.push(layout, "latest", name)
    rule = f'[[registry]]\nprefix = "docker.io"\nlocation = "{registry.host}"\ninsecure = true\n'
    return Ground(host=registry.host, conf=rule)


def _machine_layer(find_links: str) -> bytes:
    """What pip needs here: this machine's own certificates, where it has such, and where further wheels are."""
    lines = ["[global]", "disable-pip-version-check = true", *([f"find-links = {find_links}"] if find_links else [])]
    files: dict[str, bytes | None] = {"etc": None}
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if bundle:
        files["etc/machine.pem"] = Path(bundle).read_bytes()
        lines.append("cert = /etc/machine.pem")
    return tar_of({**files, "etc/pip.conf": ("\n".join(lines) + "\n").encode()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What an image says of itself: the last lines of its own test, and what `sealift size --json` says."""

    tested: str
    size: Mapping[str, object] = field(default_factory=dict)


def build_by_both(
    name: str,
    ground: Ground,
    as_user: users.AsUser,
    apptainer: Callable[..., subprocess.CompletedProcess[bytes]],
    *,
    base: str,
    arguments: Mapping[str, str] | None = None,
) -> dict[str, Made]:
    """The image by each builder, whose own %test ran at the end of the build and runs here again, under Apptainer."""
    folder = as_user.folder()
    (folder / "x.def").write_text((ROOT / "templates" / f"{name}.def").read_text("utf-8"), encoding="utf-8")
    (folder / "registries.conf").write_text(ground.conf)
    flags = [word for key, value in (arguments or {}).items() for word in ("--build-arg", f"{key}={value}")]
    env = {"CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf")}
    done = as_user(["sealift", "build", *flags, "sealift.sif", "x.def"], cwd=folder, env=env)
    assert done.returncode == 0, done.stderr.decode()
    flags += ["--build-arg", f"base={ground.host}/{base}"]
    done = apptainer("build", "--fakeroot", "--no-https", *flags, "apptainer.sif", "x.def", cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    return {builder: _made(f"{builder}.sif", folder, as_user, apptainer) for builder in ("sealift", "apptainer")}


def _made(
    image: str, folder: Path, as_user: users.AsUser, apptainer: Callable[..., subprocess.CompletedProcess[bytes]]
) -> Made:
    tested = apptainer("test", image, cwd=folder)
    assert tested.returncode == 0, tested.stderr.decode()
    size = as_user(["sealift", "size", "--json", image], cwd=folder)
    return Made(tested=tested.stdout.decode(), size=json.loads(size.stdout))


def leftovers(made: Made) -> set[str]:
    found = made.size["leftovers"]
    assert isinstance(found, list)
    return {one["id"] for one in found}

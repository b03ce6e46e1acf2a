"""Builds templates for real, by Sealift and by Apptainer, on bases that stand in for the official ones.

A registry on loopback has Debian under the official names, whose pip takes wheels from a folder that is served beside
it. Sealift comes there by a mirror rule; Apptainer, which knows no such rules, by the template's argument for its base.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import ROOT
from tests.flows.conftest import tar_of
from tests.ground import debian, layouts, services, users
from tests.templates.cases import CASES, CUDA, UBUNTU

NEEDS = ("root", "registry", "skopeo", "mmdebstrap", "mirror", "squashfuse", "apptainer", "subuid-user")
NORMAL = {"bytecode", "headers"}
"""What `sealift size` finds in Python's packages and is worth its room; a template leaves nothing else."""
VERDICTS = Path(__file__).parent / "verdicts"
"""What `sealift check` says of each image for Perlmutter's nodes with GPUs and for those without."""

Apptainer = Callable[..., subprocess.CompletedProcess[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    host: str
    conf: str
    """A registries.conf in which the official registry's images come from loopback."""


def make_ground(tree: Path, registry: services.Registry, folder: Path, *, wheels: str = "") -> Ground:
    """`wheels` is the address of all that pip may install; without, it comes to the package index as this machine."""
    config = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/bash"]}
    layout = layouts.write_layout(folder, [tree, _pip_layer(wheels)], config=config)
    for name in (UBUNTU, CUDA):
        registry.push(layout, "latest", name)
    rule = f'[[registry]]\nprefix = "docker.io"\nlocation = "{registry.host}"\ninsecure = true\n'
    return Ground(host=registry.host, conf=rule)


def _pip_layer(wheels: str) -> bytes:
    """pip's settings, and this machine's own certificates, where it has such and they are asked for."""
    files: dict[str, bytes | None] = {"etc": None}
    lines = ["[global]", "disable-pip-version-check = true"]
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if wheels:
        lines += ["no-index = true", f"find-links = {wheels}"]
    elif bundle:
        files["etc/machine.pem"] = Path(bundle).read_bytes()
        lines.append("cert = /etc/machine.pem")
    return tar_of({**files, "etc/pip.conf": ("\n".join(lines) + "\n").encode()})


def check_by_both(name: str, ground: Ground, as_user: users.AsUser, apptainer: Apptainer) -> dict[str, Path]:
    """Each builder makes the image and runs its own %test, the other one's engine runs that again; nothing is left in
    it that only building needs; and both images get the verdict that is expected. Gives the images by their builders.
    """
    images = {builder: as_user.folder() / builder / f"{name}.sif" for builder in ("sealift", "apptainer")}
    for image in images.values():
        image.parent.mkdir()
        as_user.give(image.parent)
    _build_by_both(name, ground, as_user, apptainer, images)
    tests = {
        "sealift": apptainer("test", images["sealift"]),
        "apptainer": as_user(["sealift", "test", images["apptainer"]]),
    }
    for builder, done in tests.items():
        assert done.returncode == 0, (builder, done.stderr.decode())
        assert done.stdout.decode().startswith(CASES[name].says), (builder, done.stdout.decode())
    for builder, image in images.items():
        size = json.loads(as_user(["sealift", "size", "--json", image]).stdout)
        left = {one["id"] for one in size["leftovers"]}
        assert left <= NORMAL, (builder, left)
    expected = VERDICTS / f"{name}.txt"
    for image in images.values():
        said = _verdict(image, as_user)
        if os.environ.get("SEALIFT_TEST_WRITE"):
            expected.write_text(said)
        wanted = expected.read_text()
        differ = "\n".join(difflib.unified_diff(wanted.splitlines(), said.splitlines(), lineterm=""))
        if debian.is_bookworm_amd64():
            assert said == wanted, differ
        assert _of_any_release(said) == _of_any_release(wanted), differ
    return images


def _build_by_both(
    name: str, ground: Ground, as_user: users.AsUser, apptainer: Apptainer, images: dict[str, Path]
) -> None:
    folder = as_user.folder()
    (folder / "x.def").write_text((ROOT / "templates" / f"{name}.def").read_text("utf-8"), encoding="utf-8")
    (folder / "registries.conf").write_text(ground.conf)
    case = CASES[name]
    flags = [word for key, value in case.arguments.items() for word in ("--build-arg", f"{key}={value}")]
    env = {"CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf")}
    done = as_user(["sealift", "build", *flags, images["sealift"], "x.def"], cwd=folder, env=env)
    assert done.returncode == 0, done.stderr.decode()
    flags += ["--build-arg", f"base={ground.host}/{case.base}"]
    quick = "-comp zstd -Xcompression-level 1"
    done = apptainer(
        *("build", "--fakeroot", "--no-https", "--mksquashfs-args", quick, *flags, images["apptainer"], "x.def"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr.decode()


def _verdict(image: Path, as_user: users.AsUser) -> str:
    texts = []
    for site in ("perlmutter", "perlmutter-cpu"):
        done = as_user(["sealift", "check", image.name, "--site", site], cwd=image.parent)
        texts.append(done.stdout.decode())
    # Each release of the distribution has its own Python.
    return re.sub(r"/lib/python3\.\d+/", "/lib/python3.11/", "\n".join(texts))


def _of_any_release(text: str) -> str:
    """Without what is said of the C library, which the verdicts have as it is of Debian 12."""
    text = re.sub(r"(?m)^.*\[libc\.old\]\n(?:.+\n)*\n", "", text)
    return re.sub(r"(?m)^✓ glibc .*\n", "", text)

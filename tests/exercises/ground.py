"""The world in which exercises are walked through: a registry on loopback has what they begin with.

Their bases are stood in for by Debian under the official names, whose pip takes wheels from a folder that is served
beside it, whatever index it is told. Sealift comes there by a mirror rule; for Apptainer, which knows no such rules,
the registry's own address is written before the base's name. The digest of a stand-in is another one than the official
image's, so it is put in that one's place.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.ground import services
from tests.templates.building import make_ground

BASES = ("ubuntu",)
"""Repositories of the official registry that exercises begin with; `make_ground` has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    host: str
    conf: Path
    digest: str
    apptainer: bool

    def adapted(self, text: str) -> str:
        """A learner's file, or a command, as it has to be in this world."""
        bases = "|".join(BASES)
        text = re.sub(rf"\b((?:{bases}):[\w.]+)@sha256:[0-9a-f]{{64}}", rf"\g<1>@{self.digest}", text)
        if self.apptainer:
            text = re.sub(rf"(?m)^(From: )(?={bases})", rf"\g<1>{self.host}/library/", text)
        return text

    def told(self, said: str) -> str:
        """What a learner is told, as it is told elsewhere."""
        return said.replace(f"{self.host}/library/", "")

    def translated(self, command: str, *, last: bool = False) -> str:
        """A command of a README as it is typed. With Apptainer's name where that has the same words; but it builds
        only in one step, the last with a build, for it is slow at that, and an image is an image.
        """
        # Its way to a mirror is a flag.
        command = self.adapted(command).replace("skopeo inspect ", f"skopeo --registries-conf {self.conf} inspect ")
        if not self.apptainer:
            return command
        if last:
            command = re.sub(r"^sealift build (?!.*--build-arg)", "apptainer build --fakeroot --no-https ", command)
        return re.sub(r"^sealift (run|exec|test|shell) ", r"apptainer \1 ", command)


def make(tree: Path, registry: services.Registry, folder: Path, *, apptainer: bool, wheels: str) -> Ground:
    """`wheels` is the address of all that pip may install."""
    folder.mkdir()
    made = make_ground(tree, registry, folder / "base", wheels=wheels)
    layout = folder / "base"
    registry.push(layout, "latest", "library/ubuntu:latest")
    conf = folder / "registries.conf"
    conf.write_text(made.conf)
    conf.chmod(0o644)
    asked = ("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}")
    done = subprocess.run([*asked, f"docker://{made.host}/library/ubuntu:24.04"], capture_output=True, check=True)
    return Ground(host=made.host, conf=conf, digest=done.stdout.decode().strip(), apptainer=apptainer)

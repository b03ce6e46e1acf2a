"""Values of an OCI image's environment that Apptainer 1.4.5 breaks: ours arrive as they are, whatever engine runs."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ground import layouts, tiny, users

Apptainer = Callable[..., "subprocess.CompletedProcess[bytes]"]

ODD = {
    "DOLLAR": "$HOME ${A} $(id) `id`",
    "QUOTES": "a \"b\" 'c'",
    "BACKSLASH": "a\\b\\\\c\\n",
    "BRACES": "a}b",
    "CONTROL": "tab\there\nand there",
}


def variables(done: subprocess.CompletedProcess[bytes]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr.decode()
    pairs = (item.partition("=") for item in done.stdout.decode().split("\0") if item)
    return {name: value for name, _, value in pairs}


@pytest.mark.slow
@pytest.mark.needs("root", "apptainer", "squashfuse")
def test_values_that_apptainer_cannot_quote(as_user: users.AsUser, apptainer: Apptainer, tmp_path: Path) -> None:
    root = tiny.make_tiny_root(tmp_path / "root")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name in sorted(os.listdir(root)):
            archive.add(root / name, name)
    folder = as_user.folder()
    env = ["A=1", *(f"{name}={value}" for name, value in ODD.items()), "not-a-name=1", "NOEQUALS"]
    as_user.give(layouts.write_layout(folder / "layout", [tar.getvalue()], config={"Env": env}))
    (folder / "x.def").write_text("Bootstrap: oci\nFrom: layout\n")
    built = as_user(["sealift", "build", "ours.sif", "x.def"])
    assert built.returncode == 0, built.stderr.decode()
    command = ("--cleanenv", "ours.sif", "/usr/bin/env", "-0")
    for done in (
        apptainer("exec", *command, cwd=folder),
        as_user(["sealift", "exec", "--engine", "embedded", *command]),
    ):
        found = variables(done)
        assert {name: found[name] for name in ODD} == ODD
        assert found["A"] == "1"
    assert apptainer("build", "--fakeroot", "theirs.sif", "x.def", cwd=folder).returncode == 0
    assert "A" not in variables(apptainer("exec", "--cleanenv", "theirs.sif", "/usr/bin/env", "-0", cwd=folder))

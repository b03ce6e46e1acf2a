"""An ordinary user of an empty Debian comes to the first own container by what the README says."""

from __future__ import annotations

import re

import pytest

from benchmarks.newcomer import FIRST, prepare, walk
from sealift import __version__
from tests import parts
from tests.docs.blocks import ROOT
from tests.ground import bare, debian, session


@pytest.mark.slow
@pytest.mark.needs("root", "registry", "skopeo", "mmdebstrap", "mirror")
def test_from_nothing_to_the_first_container(open_folder, debian_tree, registry):
    with session.alone("debian"):
        tree = debian.kept_tree(parts.cache_folder(), "pip", include=bare.PACKAGES)
    machine = prepare(open_folder, tree, debian_tree, registry)
    steps = {step.what: step for step in walk(machine, FIRST)}
    failed = [(step.line, step.err) for step in steps.values() if step.code]
    assert failed == []
    assert steps["a recipe"].err == "wrote first.def; build it: sealift build first.sif first.def\n"
    pi = "pi is 3.14159265358979323846264338327950288419716939937508"
    assert steps["run"].out == f"{pi}\nHello, you!\n"
    # The image is the user's, and nothing else is left in the folder.
    names = sorted(path.name for path in machine.home.iterdir() if not path.name.startswith("."))
    assert names == ["first.def", "first.sif", "sealift"]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in machine.home.iterdir()} == {(bare.NUMBER, bare.NUMBER)}
    # What the machine lacks is said, with the line for an administrator, and is no error.
    doctor = machine("~/sealift/bin/sealift doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert re.search("ask an administrator for: (apt-get install squashfuse|modprobe fuse)", doctor.stdout)
    assert machine("~/sealift/bin/sealift --version").stdout == f"sealift {__version__}\n"


def test_the_lines_are_those_of_the_readme():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [what for what, line in FIRST[1:] if f"{line}\n" not in re.sub(r" +#.*", "", readme)] == []

"""A law of `%files`: random trees and lines, from the host and from a stage, built by both, ten layouts to a build."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.parity import building, rules
from benchmarks.parity.cases import Case
from benchmarks.parity.comparing import compare
from sealift.sections.inner import copy_from_host, copy_from_stage
from tests.ground import users
from tests.sections.test_copying import Inside
from tests.sections.test_copying_properties import Node, paths, plant, trees

Lines = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Layout:
    """Lines of `%files` and of `%files from`, whose sources are in the one tree, and go to folders of their own."""

    tree: tuple[Node, ...]
    image: tuple[Node, ...]
    from_host: Lines
    from_stage: Lines


def lines() -> st.SearchStrategy[Lines]:
    return st.lists(st.tuples(paths("", "/", "/."), paths("", "/")), min_size=1, max_size=3).map(tuple)


LAYOUTS = st.lists(st.builds(Layout, tree=trees(), image=trees(), from_host=lines(), from_stage=lines()), min_size=10)
NUMBERS = itertools.count()


def definition(at: Path, layouts: list[Layout], trial: Path) -> str:
    """Plant the trees below `at`/given and write the lines that can be copied: what fails would end the whole build."""
    host, stage = [], []
    for number, layout in enumerate(layouts):
        given_ = at / "given" / str(number)
        given_.mkdir(parents=True)
        plant(given_ / "tree", layout.tree, "new")
        plant(given_ / "image", layout.image, "old")
        if any(node.kind == "link" and not (given_ / "image" / node.path).exists() for node in layout.image):
            continue  # what leads nowhere cannot be copied
        root = trial / str(number)
        (root / "host").mkdir(parents=True)
        (root / "stage").mkdir()
        begun = [f"given/{number}/image", f"/{number}"]
        inside = Inside(root=str(root / "host"), work=str(trial))
        if copy_from_host(inside, copies=[[str(at / begun[0]), begun[1], 0, True]], umask=0o002):
            continue
        host.append(begun)
        for source, destination in layout.from_host:
            line = [f"given/{number}/tree/{source}", f"/{number}/{destination}"]
            if os.path.exists(at / line[0]) and not copy_from_host(
                inside, copies=[[str(at / line[0]), line[1], 0, True]], umask=0o002
            ):
                host.append(line)
        inside = Inside(root=str(root / "stage"), work=str(trial))
        for source, destination in layout.from_stage:
            copies = [[source, f"/from/{number}/{destination}", 0]]
            if not copy_from_stage(inside, root=str(given_ / "tree"), copies=copies, umask=0o002):
                stage.append([f"/trees/{number}/{source}", f"/from/{number}/{destination}"])
    planted = "\n".join(
        f"  tar -C given/{number}/tree -cf - . | tar -C $APPTAINER_ROOTFS/trees/{number} -xpf -"
        for number in range(len(layouts))
    )
    made = " ".join(f"$APPTAINER_ROOTFS/trees/{number}" for number in range(len(layouts)))
    return (
        f"Bootstrap: scratch\nStage: one\n%setup\n  mkdir -p {made}\n{planted}\n\n"
        "Bootstrap: scratch\n"
        "%files from one\n" + "".join(f"  {source} {destination}\n" for source, destination in stage) +
        "%files\n" + "".join(f"  {source} {destination}\n" for source, destination in host)
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.needs("root", "apptainer", "squashfuse")
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(layouts=LAYOUTS)
def test_files_of_any_layout(as_user: users.AsUser, open_folder: Path, tmp_path: Path, layouts: list[Layout]) -> None:
    name = f"random-{next(NUMBERS)}"
    folder = open_folder / name
    folder.mkdir()
    case = Case(path=folder / f"{name}.def", covers="random trees")
    place = building.Place(folder=folder, as_user=as_user)
    outcomes = {}
    for builder in (building.APPTAINER, building.SEALIFT):
        at = folder / builder.name
        (at / "tmp").mkdir(parents=True)
        trial = tmp_path / f"{name}-{builder.name}"
        (at / case.path.name).write_text(definition(at, layouts, trial))
        shutil.rmtree(trial, ignore_errors=True)
        as_user.give(at)
        outcomes[builder.name] = building.build_all(place, [case], builder)[name]
    assert outcomes["apptainer"].code == 0, outcomes["apptainer"].log
    _, differences = compare(case, outcomes["apptainer"], outcomes["sealift"])
    assert rules.explain(differences, rules.load_rules(), "sealift")[1] == []

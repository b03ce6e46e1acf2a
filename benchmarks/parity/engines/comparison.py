"""The story: each image is given to every engine, asked there, and read back from there."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.parity.cases import Case
from benchmarks.parity.comparing import Difference, Outcome, differing_trees
from benchmarks.parity.engines import asking
from benchmarks.parity.engines.asking import Question, differing_answers
from benchmarks.parity.engines.ground import Ground
from benchmarks.parity.engines.trees import Tree, exported_tree, saved_trees
from benchmarks.parity.page import Row
from benchmarks.parity.rules import Rule, explain, load_rules
from sealift.core.reference import parse_source
from sealift.evidence.inspection import inspect_image
from sealift.evidence.opening import open_image
from sealift.flows.base import fetch_base
from sealift.flows.build import ready_of_image
from sealift.flows.finish import finished
from sealift.flows.requests import BuildRequest
from sealift.flows.workshop import open_workshop
from tests.ground.images import mounted
from tests.ground.listing import full_listing

RULES = Path(__file__).with_name("rules.toml")
STORES = ("docker", "podman")
EXEC = "/.singularity.d/actions/exec"
ENVIRONMENT = Question(verb="exec", words=("env", "-0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The SIF of a case and the tree that the kernel shows of it. `whole` says that all questions are asked."""

    case: Case
    tree: Tree
    whole: bool = True

    @property
    def sif(self) -> str:
        return f"{self.case.name}.sif"

    @property
    def has_shell(self) -> bool:
        return b"bin/sh" in self.tree or b"usr/bin/sh" in self.tree


@dataclass(slots=True, kw_only=True)
class Found:
    """What came of one image, engine by engine."""

    compared: int = 0
    differences: dict[str, list[Difference]] = field(default_factory=dict)

    def add(self, engine: str, count: int, differences: Iterable[Difference]) -> None:
        self.compared += count
        self.differences.setdefault(engine, []).extend(differences)


def compare_engines(ground: Ground, cases: Sequence[Case], *, whole: Collection[str] | None = None) -> list[Row]:
    """A row for each case, whose image lies in the ground, in their order: its answers and its tree in all engines.

    The images of the cases in `whole` are asked everything, and exported, too; None is all.
    """
    images = []
    for case in cases:
        # One after the other: a program started meanwhile would hold the mount.
        with mounted(ground.at / f"{case.name}.sif", below=ground.place.folder) as root:
            images.append(Image(case=case, tree=full_listing(root), whole=whole is None or case.name in whole))
    rules = load_rules(RULES)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = list(pool.map(lambda image: _behaviour(ground, image), images))
        for store in STORES:
            names = list(pool.map(lambda image, store=store: _name(ground, image, store), images))
            archive = ground.at / "tmp" / f"{store}.tar"
            several = ("--multi-image-archive",) if store == "podman" else ()
            ground.call(store, "save", *several, "--output", str(archive), *dict.fromkeys(names))
            with archive.open("rb") as file:
                saved = dict(saved_trees(file))
            for image, name, one in zip(images, names, found, strict=True):
                one.add(f"{store} save", len(image.tree), _differing(image.tree, saved[name]))
                one.add(f"{store} save", 1, _differing_digests(ground, image, archive, name))
            exported = [(image, name) for image, name in zip(images, names, strict=True) if image.whole]
            trees = pool.map(lambda pair, store=store: _exported(ground, store, *pair), exported)
            for (image, _), tree in zip(exported, trees, strict=True):
                one = found[images.index(image)]
                one.add(f"{store} export", len(image.tree), _differing(image.tree, tree))
    return [_row(image, one, rules) for image, one in zip(images, found, strict=True)]


def _row(image: Image, found: Found, rules: Sequence[Rule]) -> Row:
    explained, rest = set[str](), list[tuple[str, Difference]]()
    for engine, differences in found.differences.items():
        used, left = explain(differences, rules, engine, image.case.name)
        explained |= used.keys()
        rest += [(engine, difference) for difference in left]
    return Row(case=image.case, compared=found.compared, explained=tuple(sorted(explained)), rest=tuple(rest))


# Behaviour


def _behaviour(ground: Ground, image: Image) -> Found:
    found = Found()
    for question in asking.questions(image.case, whole=image.whole):
        theirs = asking.ask(ground, image.sif, question, asking.REFERENCE)
        for engine in asking.ENGINES:
            ours = asking.ask(ground, image.sif, question, engine)
            found.add(engine, 1, differing_answers(question, theirs, ours))
    if image.whole:
        _add_native(ground, image, found)
    return found


def _add_native(ground: Ground, image: Image, found: Found) -> None:
    """`docker run` and `podman run` without us beside `apptainer run`; and what the configuration alone sets."""
    names = {store: _name(ground, image, store) for store in STORES}
    config = _configuration(ground, names["docker"])
    directory = str(config.get("WorkingDir") or "/")
    for question in asking.native_questions(image.case):
        theirs = asking.ask_apptainer(ground, image.sif, question, directory)
        for store, name in names.items():
            ours = asking.ask_natively(ground, store, name, question)
            found.add(f"{store} run", 1, differing_answers(question, theirs, ours))
    if not image.has_shell:
        return
    theirs = asking.ask_apptainer(ground, image.sif, ENVIRONMENT, directory)
    start = list(config.get("Entrypoint") or [])
    settled = start[: start.index(EXEC) + 1] if EXEC in start else []
    for store, name in names.items():
        # As the runscript finds it: behind that part of the entrypoint which reads the image's scripts.
        inside = replace(ENVIRONMENT, words=(*settled, *ENVIRONMENT.words))
        ours = asking.ask_natively(ground, store, name, inside)
        found.add(f"{store} run", 1, differing_answers(ENVIRONMENT, theirs, ours))
        ours = asking.ask_natively(ground, store, name, ENVIRONMENT)
        found.add(f"{store} configuration", 1, differing_answers(ENVIRONMENT, theirs, ours))


def _configuration(ground: Ground, name: str) -> Mapping[str, Any]:
    shown = ground.call("docker", "image", "inspect", "--format", "{{json .Config}}", name)
    found: Mapping[str, Any] = json.loads(shown)
    return found


# Trees


def _name(ground: Ground, image: Image, store: str) -> str:
    """What `store` calls the image: it stands in the command line that runs it."""
    line = ground.call("sealift", "exec", "--print", "--engine", store, image.sif, "true").decode()
    (name,) = [word for word in shlex.split(line) if word.startswith("localhost/sealift:")]
    return name


def _exported(ground: Ground, store: str, image: Image, name: str) -> Tree:
    """The tree of a container that never ran."""
    target = ground.at / "tmp" / f"{store}-{image.case.name}.tar"
    container = ground.call(store, "create", "--network", "none", name, "/nothing").decode().strip()
    ground.call(store, "export", "--output", str(target), container)
    ground.call(store, "rm", container)
    tree = exported_tree(target)
    target.unlink()
    return tree


def _differing(theirs: Tree, ours: Tree) -> Iterator[Difference]:
    return differing_trees(Outcome(code=0, said=(), tree=theirs), Outcome(code=0, said=(), tree=ours))


def _differing_digests(ground: Ground, image: Image, archive: Path, name: str) -> Iterator[Difference]:
    """The tree digest that is noted in the SIF, and that of what `build` makes of the saved image."""
    with open_image(str(ground.at / image.sif)) as opened:
        theirs = inspect_image(opened).tree_digest
    spec = f"docker-archive:{archive}:{name}"
    environment = {"SEALIFT_CACHE_DIR": str(ground.place.folder / "read-back")}
    with open_workshop(BuildRequest(target="", spec=spec, environment=environment)) as shop:
        source = parse_source(spec)
        assert source is not None
        ready = ready_of_image(shop, "docker-archive", spec, fetch_base(shop, source))
        with finished(shop, ready) as again:
            ours = again.tree
    if theirs != ours:
        yield Difference(about="tree digest", name=image.case.name, theirs=theirs, ours=ours)

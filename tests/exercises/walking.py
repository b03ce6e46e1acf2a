"""Walks through an exercise as its README says, and looks whether each sentence that can be wrong is right.

For each step: what stands before the change runs, and the checker says what the README promises; each hint is there;
the solution is laid over the learner's files; what stands behind the change runs; the checker finds the step right; and
each wrong solution that the course knows of gets the hint that is meant for it. Hints and mistakes are the same on any
engine, and are looked at on one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift.flows.lessons.courses import OpenCourse
from sealift.learn.course import Exercise, Mistake, Step
from sealift.learn.readme import Fence, Part, read_readme
from sealift.learn.vocabulary import KINDS
from tests.exercises.ground import Ground

Run = Callable[[str], tuple[int, str]]
"""Types a command into the learner's shell; its exit code, and both streams in the order in which they were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    opened: OpenCourse
    exercise: Exercise
    ground: Ground
    folder: Path
    """Where the exercise was begun."""
    run: Run

    def go(self, until: str = "") -> None:
        """To the end, or to the step before `until`."""
        readme = read_readme(self.opened.read(self.exercise, "README.md").decode())
        for path in self.folder.rglob("*.def"):
            self._write(path, path.read_text("utf-8"))
        for step, part in zip(self.exercise.steps, readme.steps, strict=True):
            if step.id == until:
                return
            self._promised(step, part)
            if not self.ground.apptainer:
                self._hints(step)
            self._solve(step)
            self._changed(step)
            self._fences(part, before=False)
            assert self._findings(step)[0], f"{step.id} is not right when solved: {self._findings(step)[1]}"
            if not self.ground.apptainer:
                for check in step.checks:
                    # Mistakes that are seen in files alone: test_mistakes.py.
                    for mistake in check.mistakes if KINDS[check.kind].image else ():
                        self._mistake(step, mistake)
        code, said = self.run("sealift learn check --json")
        assert code == 0, said
        assert json.loads(said)["finished"], said

    def _promised(self, step: Step, part: Part) -> None:
        right, findings = self._findings(step)
        assert not right, f"{step.id} is right before anything was done: {findings}"
        self._fences(part, before=True)

    def _hints(self, step: Step) -> None:
        for number, text in enumerate(step.hints, 1):
            code, said = self.run(f"sealift learn hint --json {step.id}")
            told = json.loads(said)
            assert (code, told["hints"], told["new"]) == (0, list(step.hints[:number]), True), text

    def _solve(self, step: Step) -> None:
        for name in self.opened.solution(self.exercise, step.id):
            source = Path(self.opened.folder, self.exercise.name, "solution", step.id, name)
            self._write(self.folder / name, source.read_text("utf-8"))

    def _changed(self, step: Step) -> None:
        """What was changed for a step does not bring the learner back to those before it, whatever is not built yet."""
        _, said = self.run("sealift learn check --json")
        looked = [(one["id"], one["right"]) for one in json.loads(said)["steps"]]
        before = [(one.id, True) for one in self.exercise.steps[: step.number - 1]]
        assert looked[: step.number - 1] == before, said

    def _fences(self, part: Part, *, before: bool) -> None:
        for fence, told in told_by(part):
            if fence.before is not before:
                continue
            if fence.printer:
                assert self.run(self.ground.translated(fence.printer)) == (0, f"{self.ground.adapted(fence.body)}\n")
            if fence.reason or fence.printer:
                continue
            said = ""
            for number, command in enumerate(fence.commands, 1):
                last = not before and part.number == self._last_build()
                code, more = self.run(self.ground.translated(command, last=last))
                wanted = fence.code if number == len(fence.commands) else 0
                assert code == wanted, f"{command}\nended with {code}, not {wanted}\n{more}"
                said += self.ground.told(more)
            if told is not None:
                assert alike(told, said), f"{fence.commands}\nREADME:\n{told}\nis:\n{said}"

    def _last_build(self) -> int:
        """The last step that builds a recipe as it stands: those with arguments are for what is large."""
        readme = read_readme(self.opened.read(self.exercise, "README.md").decode())
        builds = re.compile(r"sealift build (?!.*--build-arg)")
        return max(
            (
                part.number
                for part in readme.steps
                for fence in part.fences
                if any(builds.match(command) for command in fence.commands)
            ),
            default=0,
        )

    def _mistake(self, step: Step, mistake: Mistake) -> None:
        """The hint is there, and everything is again as it was."""
        example = mistake.example
        path = self.folder / example.file
        right = path.read_text("utf-8")
        wrong = right.replace(self.ground.adapted(example.replace), self.ground.adapted(example.by))
        assert wrong != right, f"`{example.replace}` is not in {example.file} of the solved step"
        kept = self._keep_images() if example.run else {}
        self._write(path, wrong)
        for command in example.run:
            code, said = self.run(self.ground.translated(command))
            assert code == 0, said
        is_right, findings = self._findings(step)
        hinted = [finding["remedy"].splitlines()[0] for finding in findings if finding["remedy"]]
        assert (is_right, mistake.hint in hinted) == (False, True), f"{example.by!r} gets {findings}"
        self._write(path, right)
        for target, copy in kept.items():
            os.replace(copy, target)
            copy.unlink(missing_ok=True)  # it stays where both are names of one file

    def _keep_images(self) -> dict[Path, Path]:
        kept = {path: path.with_name(f".{path.name}.kept") for path in self.folder.glob("*.sif")}
        for path, copy in kept.items():
            os.link(path, copy)
        return kept

    def _findings(self, step: Step) -> tuple[bool, list[dict[str, Any]]]:
        code, said = self.run(f"sealift learn check --json {step.id}")
        told = json.loads(said)["steps"][0]
        assert code == (0 if told["right"] else 1), said
        return told["right"], told["findings"]

    def _write(self, path: Path, text: str) -> None:
        """As the learner's editor does: the same file, of the same owner."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        path.write_text(self.ground.adapted(text), encoding="utf-8")
        if new:
            shutil.chown(path, self.folder.stat().st_uid, self.folder.stat().st_gid)


def told_by(part: Part) -> Iterator[tuple[Fence, str | None]]:
    """Each fence of commands, with the text of the fence right behind it, which is what they print."""
    for number, fence in enumerate(part.fences):
        if fence.language == "sh":
            following = part.fences[number + 1 : number + 2]
            yield fence, following[0].body if following and following[0].language == "text" else None


def alike(told: str, said: str) -> bool:
    """`…` alone on a line is any lines, within one any characters; INFO is how Apptainer talks of itself."""
    lines = [line.rstrip() for line in said.splitlines() if not re.match(r"(\x1b\[\d+m)?(INFO|WARNING):", line)]
    pattern = ""
    for line in told.splitlines():
        pattern += r"(?:[^\n]*\n)*?" if line.strip() == "…" else _line(line) + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def _line(text: str) -> str:
    return r"[^\n]*".join(re.escape(part) for part in text.rstrip().split("…"))

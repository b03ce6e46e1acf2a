"""A root of a few megabytes, made of the host's own shell and some programs, and builds in it without any sandbox."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sealift.deffile.prepare import prepare
from sealift.oci.config import ImageConfig
from sealift.sections import inner, metadata
from sealift.sections.expansion import expand_host_copies, plain_copies
from sealift.sections.layer import write_added
from sealift.sections.metadata import Metadata
from sealift.sections.plan import (
    BeginMetadata,
    Bootstrap,
    CopyAppFiles,
    CopyFromHost,
    CopyFromStage,
    FinishMetadata,
    Places,
    RunScript,
    plan_stage,
)
from sealift.sections.root import recorded_from_json

PROGRAMS = (
    "sh",
    "bash",
    "cat",
    "env",
    "ls",
    "mkdir",
    "touch",
    "rm",
    "stat",
    "id",
    "ln",
    "printf",
    "sort",
    "grep",
    "chmod",
)


def make_tiny_root(root: Path) -> Path:
    for folder in ("usr/bin", "usr/lib", "usr/lib64", "etc", "opt"):
        (root / folder).mkdir(parents=True)
    for link in ("bin", "lib", "lib64"):
        (root / link).symlink_to(f"usr/{link}")
    for program in PROGRAMS:
        found = shutil.which(program)
        assert found is not None
        shutil.copy(os.path.realpath(found), root / "usr/bin" / program)
        said = subprocess.run(["ldd", found], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", said):
            target = root / ("usr/" + library.removeprefix("/usr").lstrip("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(library), target)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    return root


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    root: str
    work: str


def build(
    definition: Path,
    roots: list[Path],
    *,
    cwd: Path,
    work: Path,
    environment: Mapping[str, str],
    config: ImageConfig | None = None,
    force: bool = False,
) -> Metadata:
    """Do what the plan says, in `roots` (one a stage, holding its base already), by chroot. Needs root."""
    prepared = prepare(definition.read_bytes(), file=definition.name)
    result: Metadata | None = None
    for number, stage in enumerate(prepared.definition.stages):
        root = roots[number]
        inside = Inside(root=str(root), work=str(work))
        scripts = {name: str(work / name) for name in ("pre", "setup")}
        places = Places(root=str(root), pre_script=scripts["pre"], setup_script=scripts["setup"])
        for step in plan_stage(prepared.definition, number, places):
            match step:
                case Bootstrap():
                    pass
                case BeginMetadata():
                    seen = recorded_from_json(inner.look_at_metadata(inside))
                    added = metadata.begin(seen, stage, config=config)
                    inner.write_metadata(inside, added=inner.added_to_json(added))
                case CopyAppFiles():
                    copies = plain_copies(step.copies, cwd=str(cwd))
                    assert inner.copy_from_host(inside, copies=[one.to_json() for one in copies], umask=0o002) == []
                case CopyFromHost():
                    copies = expand_host_copies(step.copies, cwd=str(cwd), env=environment)
                    assert inner.copy_from_host(inside, copies=[one.to_json() for one in copies], umask=0o002) == []
                case CopyFromStage():
                    wanted = [[one.source, one.destination, row] for row, one in enumerate(step.copies)]
                    assert inner.copy_from_stage(inside, root=str(roots[step.stage]), copies=wanted, umask=0o002) == []
                case RunScript():
                    run_script(step, root, cwd, environment)
                case FinishMetadata():
                    seen = recorded_from_json(inner.look_at_metadata(inside))
                    result = metadata.finish(
                        seen,
                        stage,
                        definition_text=prepared.text,
                        architecture="amd64",
                        epoch=0,
                        added_labels=metadata.labels_written(seen),
                        force=force,
                    )
                    write_added(str(root), result.added)
    assert result is not None
    return result


def run_script(step: RunScript, root: Path, cwd: Path, environment: Mapping[str, str]) -> None:
    if step.where == "host":
        path = step.argv[-1].split(" ")[-1]
        Path(path).write_text(step.text)
        env = {**environment, **step.env}
        done = subprocess.run(step.argv, env=env, cwd=cwd, umask=step.umask, capture_output=True, check=False)
    else:
        script = root / ".post.script"
        if step.section == "post":
            script.write_text(step.text)
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **step.env}
        argv = ["/usr/sbin/chroot", str(root), *step.argv]
        done = subprocess.run(argv, env=env, umask=step.umask, capture_output=True, check=False)
        script.unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr.decode()

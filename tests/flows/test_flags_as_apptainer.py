"""The flags that change what sections do, with Apptainer and with Sealift: what ran, what it saw, the trees they left.

Left out of the comparison: the scripts of `/.singularity.d` that are Sealift's own (tests/sections compares what they
do), Sealift's tree file, and labels that tell when a build was.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift.packs.treefile import TREE_FILE
from sealift.sections.base_environment import SCRIPTS
from tests.ground import layouts, users

pytestmark = [pytest.mark.needs("root", "apptainer"), pytest.mark.slow]

OURS = {
    *(f".singularity.d/{name}" for name in (*SCRIPTS, "env/10-docker2singularity.sh", "env/94-appsbase.sh")),
    os.fsdecode(TREE_FILE).lstrip("/"),
}
SECTIONS = """\
%pre
echo "> pre"
%setup
echo "> setup"; echo s > $APPTAINER_ROOTFS/from-setup
%files
x.def /opt/copied
%post
echo "> post"; echo p > /from-post
%environment
export E=1
%runscript
echo run
%startscript
echo start
%test
echo "> test"
%labels
L one
%help
help me
%appinstall foo
echo "> app"
%apprun foo
echo foo
%applabels foo
X y
"""
BINDS = """\
%setup
mkdir $APPTAINER_ROOTFS/mnt $APPTAINER_ROOTFS/b; touch $APPTAINER_ROOTFS/file
%post
echo "> post $(ls /mnt /b | tr '\\n' ' ') $(wc -c < /file)"
touch /mnt/new && echo "> wrote"
%test
echo "> test $(ls /mnt /b | tr '\\n' ' ') $(wc -c < /file)"
"""

Both = Callable[..., tuple[Any, Any]]


class Ground:
    def __init__(self, as_user: users.AsUser, apptainer: Callable[..., Any], tar: bytes) -> None:
        self.as_user, self.apptainer = as_user, apptainer
        self.folder = as_user.folder()
        layouts.write_layout(self.folder / "layout", [tar], config={"Env": ["PATH=/usr/bin:/bin"]})
        for name in ("data", "data2"):
            (self.folder / name).mkdir()
            (self.folder / name / name).write_text(name)
        for name in ("layout", "data", "data2"):
            as_user.give(self.folder / name)

    def write(self, text: str, *, header: str = "Bootstrap: oci\nFrom: layout\n") -> None:
        (self.folder / "x.def").write_text(header + text)

    def theirs(self, *options: str, env: dict[str, str] | None = None) -> Any:
        return self.apptainer("build", "--fakeroot", "--sandbox", *options, "a", "x.def", cwd=self.folder, env=env)

    def ours(self, *options: str, env: dict[str, str] | None = None) -> Any:
        argv = ["sealift", "build", "--sandbox", *options, "b", "x.def"]
        return self.as_user(argv, cwd=self.folder, env=env)

    def both(self, *options: str, env: dict[str, str] | None = None) -> tuple[Any, Any]:
        """What the two said with `echo "> …"`, or None where they refused."""
        said = []
        for build in (self.theirs, self.ours):
            done = build(*options, env=env)
            lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()
            echoed = [line[2:] for line in lines if line.startswith("> ")]
            said.append((done.returncode == 0, echoed))
        return said[0], said[1]

    def trees(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return tree(self.folder / "a"), tree(self.folder / "b")


def tree(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            relative = str(path.relative_to(root))
            mode = path.lstat().st_mode
            if relative in OURS or relative.endswith("scif/env/01-base.sh"):
                continue
            content: Any = None
            if stat.S_ISLNK(mode):
                content = os.readlink(path)
            elif stat.S_ISREG(mode):
                content = path.read_bytes()
            if relative.endswith("labels.json"):
                labels = json.loads(content)
                content = {key: value for key, value in labels.items() if "build-date" not in key}
            found[relative] = (oct(mode), content)
    return found


@pytest.fixture
def ground(as_user: users.AsUser, apptainer: Callable[..., Any], shell_tar: bytes) -> Ground:
    return Ground(as_user, apptainer, shell_tar)


@pytest.mark.parametrize("chosen", ["none", "files,labels", "test", "pre,setup"])
def test_chosen_sections(ground: Ground, chosen: str) -> None:
    ground.write(SECTIONS)
    theirs, ours = ground.both("--section", chosen)
    assert theirs == ours
    assert theirs[0]
    trees = ground.trees()
    assert trees[0] == trees[1]


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (("-B", "HERE/data:/mnt:ro"), {}),
        (("-B", "HERE/data:/mnt,HERE/data2:/b", "-B", "HERE/data/data:/file"), {}),
        (("-B", "HERE/data:/mnt", "-B", "HERE/data2:/mnt"), {}),
        (("-B", "HERE/data2:/mnt"), {"APPTAINER_BIND": "HERE/data:/mnt"}),
        ((), {"APPTAINER_BIND": "HERE/data:/mnt", "APPTAINER_BINDPATH": "HERE/data2:/b"}),
        ((), {"APPTAINER_MOUNT": "type=bind,source=HERE/data,destination=/mnt"}),
        (("-B", "HERE/data:/file"), {}),
        (("-B", "HERE/none:/mnt"), {}),
    ],
)
def test_binds(ground: Ground, options: tuple[str, ...], variables: dict[str, str]) -> None:
    ground.write(BINDS)
    here = str(ground.folder)
    said = []
    for build in (ground.theirs, ground.ours):
        done = build(
            *(option.replace("HERE", here) for option in options),
            env={name: value.replace("HERE", here) for name, value in variables.items()},
        )
        lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()
        written = [name for name in ("data", "data2") if (ground.folder / name / "new").exists()]
        for name in written:
            (ground.folder / name / "new").unlink()
        said.append((done.returncode == 0, [line for line in lines if line.startswith("> ")], written))
    if not said[0][0] and "> wrote" not in said[0][1] and not said[1][1]:
        # Sealift looks at binds before it runs anything.
        said[0] = (False, [], [])
    assert said[0] == said[1]
    trees = ground.trees() if said[0][0] else ({}, {})
    assert trees[0] == trees[1]


@pytest.mark.parametrize("options", [(), ("--writable-tmpfs",)])
def test_what_a_test_may_write(ground: Ground, options: tuple[str, ...]) -> None:
    ground.write('%post\ntrue\n%test\nfor each in / /opt /usr/bin; do ! touch $each/new || echo "> $each"; done\n')
    theirs, ours = ground.both(*options)
    assert theirs == ours
    assert theirs[0]
    trees = ground.trees()
    assert trees[0] == trees[1]


def test_an_update(ground: Ground) -> None:
    ground.write(SECTIONS)
    assert ground.both()[0][0]
    for name in ("a", "b"):
        root = ground.folder / name
        (root / "mine").write_text("mine\n")
        os.chown(root / "mine", root.stat().st_uid, root.stat().st_gid)
        (root / "opt/copied").unlink()
    ground.write(
        '%setup\necho "> setup $(cat $APPTAINER_ROOTFS/mine)"\n'
        '%post\necho "> post $(cat /from-post)"; echo two > /two; rm /from-setup\n'
        "%labels\nL two\nM two\n%environment\nexport F=1\n%help\nnew\n%runscript\necho new\n%test\necho '> test'\n"
        "%apprun bar\necho bar\n",
        header="Bootstrap: oci\nFrom: nothing/there\n",
    )
    theirs, ours = ground.both("--update")
    assert theirs == ours
    assert theirs[0]
    trees = ground.trees()
    assert trees[0] == trees[1]


def test_owners_rights(ground: Ground) -> None:
    layouts.write_layout(ground.folder / "odd", [odd_tar()], config={})
    ground.as_user.give(ground.folder / "odd")
    ground.write("%files\nx.def /copied\n", header="Bootstrap: oci\nFrom: odd\n")
    assert [said[0] for said in ground.both("--fix-perms")] == [True, True]
    trees = ground.trees()
    modes = [{path: mode for path, (mode, _) in one.items() if "singularity" not in path} for one in trees]
    # A directory of a user's own is readable throughout; the pipe keeps its mode in the image.
    assert {**modes[0], "pipe": None} == {**modes[1], "pipe": None}
    assert modes[0]["closed/file"] == "0o100644"
    assert modes[0]["suid"] == "0o100755"


def odd_tar() -> bytes:
    import io
    import tarfile

    target = io.BytesIO()
    kinds = {"dir": tarfile.DIRTYPE, "file": tarfile.REGTYPE, "pipe": tarfile.FIFOTYPE}
    rows = [("closed", 0, "dir"), ("closed/file", 0o444, "file"), ("none", 0, "file"), ("suid", 0o4755, "file")]
    rows += [("sticky", 0o1777, "dir"), ("setgid", 0o2755, "dir"), ("run", 0o4111, "file"), ("pipe", 0, "pipe")]
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, mode, kind in rows:
            member = tarfile.TarInfo(name)
            member.mode, member.type = mode, kinds[kind]
            member.size = 2 if kind == "file" else 0
            tar.addfile(member, io.BytesIO(b"x\n"))
    return target.getvalue()

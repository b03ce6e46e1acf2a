"""Definition files made at random, read by us and built by the installed Apptainer: the same verdict, the same image.

All are built from scratch and run nothing, so a build takes a fraction of a second. Headers that came with Apptainer
1.5 are left out.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealift.deffile.prepare import Prepared, prepare
from sealift.errors import DefinitionError
from sealift.sections import metadata
from sealift.sections.base_environment import SCRIPTS
from sealift.sections.expansion import expand_host_copies
from sealift.sections.layer import write_added
from sealift.sections.root import EmptyRoot
from tests.ground import users

pytestmark = [pytest.mark.needs("apptainer"), pytest.mark.slow]

HEADS = (
    *("Bootstrap: scratch\n", "bootstrap: scratch # c\n", "BOOTSTRAP:scratch\r\n", "\n# c\n\nBootstrap: scratch\n"),
    *(
        "Bootstrap: scratch\nFrom: {{ A }}\n",
        "Bootstrap: scratch\nInclude: a \\\n  b:c \\\n d # e\n",
        "Bootstrap: \\\n",
    ),
    *(
        "  Bootstrap: scratch\n",
        "Bootstrap: scratch\nStage: one\n",
        "From: x\nBootstrap: scratch\n",
        "Bootstrap: Scratch\n",
    ),
    *("\ufeffBootstrap: scratch\n", "Bootstrap scratch\n", "Bootstrap: scratch\nOtherURL3: x\nOtherURL3: y\n", ""),
    *("Bootstrap: scratch\nFrom: a#b\n", "Bootstrap: scratch\nFrom1: x\n", "Bootstrap: scratch\nFrom: x \\\n"),
)
HEADINGS = st.sampled_from(
    [
        *(
            "%help\n",
            "%HELP x\n",
            "%%help\n",
            "%labels\n",
            "%labels x\n",
            "%environment\n",
            "%runscript\n",
            "%runscript -x # c\n",
        ),
        *("%startscript\n", "%arguments\n", "%files\n", "%files -x\n", "%files from nowhere\n", "%apprun foo\n"),
        *("%applabels foo bar\n", "%appenv  foo\n", "%apphelp b.c\n", "%apptest foo\n", "%AppRun foo\n", "%apprun\n"),
        *("  %help\n", "%help\t\n", "%oops\n", "%\n", "%appstart foo\n"),
    ]
)
LINES = st.sampled_from(
    [
        *(
            "",
            "  ",
            "A=1",
            "B = {{ A }}",
            " a",
            "# comment",
            "#!/bin/x -y",
            " K v",
            "K  v w ",
            "K\tv",
            "K=V",
            '"q" "r"',
        ),
        *(
            "{{ A }}",
            "x {{B}} y",
            "# {{ Z }}",
            '"#" {{ A }}',
            "{{ Z }}",
            "{{ a-b }}",
            "${A}",
            "\\",
            "a \\",
            "é <&> \u00a0",
        ),
        *(" true\r", "a%b", "echo 100 %", " bootstrap: x", "Bootstrap: scratch", "export X=1"),
    ]
)
SECTIONS = st.tuples(HEADINGS, st.lists(LINES, max_size=4)).map(
    lambda pair: pair[0] + "".join(f"{one}\n" for one in pair[1])
)
FILES = st.tuples(st.sampled_from(HEADS), st.lists(SECTIONS, max_size=5)).map(lambda pair: pair[0] + "".join(pair[1]))


def prepared_or_none(text: str, cwd: Path) -> Prepared | None:
    """What would be built: the file is right, and every file that it copies is there."""
    try:
        prepared = prepare(text.encode())
        for group in (group for stage in prepared.definition.stages for group in stage.files if group.from_host):
            expand_host_copies(group.copies, cwd=str(cwd), env={"PATH": os.defpath})
    except DefinitionError:
        return None
    return prepared


def listing(root: Path) -> dict[str, tuple[str, Any]]:
    """All that a build from scratch makes; of our own scripts only that they are there; no time of the build."""
    found: dict[str, tuple[str, Any]] = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            place = Path(folder, name)
            path, status = place.relative_to(root).as_posix(), place.lstat()
            content: Any = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(place)
            elif stat.S_ISREG(status.st_mode):
                content = place.read_bytes()
            if path.endswith("labels.json"):
                content = json.loads(content)
                content.pop("org.label-schema.build-date", None)
            elif path == ".singularity.d/env/90-environment.sh":
                content = content.partition(b"follow")[2].lstrip(b"s.")
            elif path in {f".singularity.d/{one}" for one in SCRIPTS} and path.rpartition("/")[2] not in _WRITTEN:
                content = "a script"
            elif path.endswith(("94-appsbase.sh", "scif/env/01-base.sh")):
                content = bool(content)
            found[path] = (stat.filemode(status.st_mode), content)
    return found


_WRITTEN = ("runscript",)


def test_the_same_verdict_and_the_same_image(
    as_user: users.AsUser, apptainer: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path
) -> None:
    folder = as_user.folder()

    @settings(
        max_examples=int(os.environ.get("SEALIFT_TEST_EXAMPLES", "60")),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(FILES)
    def compare(text: str) -> None:
        shutil.rmtree(folder / "theirs", ignore_errors=True)
        shutil.rmtree(tmp_path / "ours", ignore_errors=True)
        (folder / "x.def").write_bytes(text.encode())
        done = apptainer("build", "--fakeroot", "--sandbox", "theirs", "x.def", cwd=folder)
        prepared = prepared_or_none(text, folder)
        if prepared and any(stage.apps for stage in prepared.definition.stages):
            return  # apps want a shell in the image
        assert (prepared is not None) == (done.returncode == 0), (text, done.stderr.decode())
        if prepared is None:
            return
        stage = prepared.definition.stages[-1]
        found = metadata.whole(EmptyRoot(), stage, definition_text=prepared.text, architecture="amd64", epoch=0)
        (tmp_path / "ours").mkdir()
        write_added(str(tmp_path / "ours"), found.added)
        ours, theirs = listing(tmp_path / "ours"), listing(folder / "theirs")
        if not stage.script("startscript").text:
            del ours[".singularity.d/startscript"], theirs[".singularity.d/startscript"]
        assert ours == theirs, text
        shown = apptainer("inspect", "--all", "theirs", cwd=folder)
        said = json.loads(shown.stdout)["data"]["attributes"]
        mine = json.loads(found.inspect)["data"]["attributes"]
        for key in ("runscript", "helpfile", "deffile"):
            assert mine.get(key) == said.get(key), text

    compare()

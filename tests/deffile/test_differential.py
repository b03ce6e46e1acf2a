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

from sealift.deffile.arguments import BuildArguments
from sealift.deffile.characters import encode
from sealift.deffile.prepare import Prepared, prepare
from sealift.errors import DefinitionError
from sealift.sections import metadata
from sealift.sections.base_environment import SCRIPTS
from sealift.sections.expansion import expand_host_copies
from sealift.sections.layer import write_added
from sealift.sections.root import EmptyRoot
from tests.ground import users

pytestmark = [pytest.mark.needs("apptainer"), pytest.mark.slow]

SCRATCH = "Bootstrap: scratch\n"
HEADS = st.sampled_from(
    [
        SCRATCH,
        SCRATCH,
        "bootstrap: scratch # c\n",
        "BOOTSTRAP:scratch\r\n",
        "\n# c\n\nBootstrap: scratch\n",
        f"{SCRATCH}From: {{{{ A }}}}\n",
        f"{SCRATCH}Include: a \\\n  b:c \\\n d # e\n",
        f"{SCRATCH}Include: a \\\n\nStage: b\n",
        f"{SCRATCH}Include: \\\nStage: one\n",
        "Bootstrap: \\\n",
        "  Bootstrap: scratch\n",
        f"{SCRATCH}Stage: one\n",
        f"{SCRATCH}Stage: {{{{ A }}}}\n",
        f"From: x\n{SCRATCH}",
        "Bootstrap: Scratch\n",
        "Bootstrap: dokcer\n",
        "Bootstrap:\n",
        "Bootstrap: scratch\u00a0\u3000\n",
        "Bootstrap: scratch\x1c\n",
        "Boot\u017ftrap: scratch\n",
        "\ufeffBootstrap: scratch\n",
        "\u00a0Bootstrap: scratch\n",
        "Bootstrap scratch\n",
        f"{SCRATCH}OtherURL3: x\nOtherURL3: y\n",
        f"{SCRATCH}OtherURL\u0663: x\n",
        f"{SCRATCH}L\u0130brary: x\n",
        "",
        f"{SCRATCH}From: a#b\n",
        f"{SCRATCH}From1: x\n",
        f"{SCRATCH}From: x \\\n",
        f"{SCRATCH}U\u017fer: x\n",
    ]
)
HEADINGS = st.sampled_from(
    [
        *("%help\n", "%HELP x\n", "%%help\n", "%labels\n", "%labels x\n", "%environment\n", "%environment x\n"),
        *("%runscript\n", "%runscript -x # c\n", "%startscript\n", "%startscript  -x\n", "%arguments\n", "%test\n"),
        *("%files\n", "%files -x\n", "%files from nowhere\n", "%files # c\n", "%files \n", "%files from one two\n"),
        *("%apprun foo\n", "%applabels foo bar\n", "%appenv  foo\n", "%apphelp b.c\n", "%apptest foo\n"),
        *("%AppRun foo\n", "%apprun\n", "%appstart foo\n", "%appstart {{ A }}\n"),
        *("  %help\n", "%help\t\n", "%oops\n", "%\n", "%help\u00a0\n", "\u00a0%help\n", "\x1c%help\n", "%h\u0117lp\n"),
        *("%labels\r\n", "%runscript {{ A }}\n", "%te\u017ft\n", "%{{ A }}\n"),
    ]
)
LINES = st.sampled_from(
    [
        *("", "  ", "A=1", "B = {{ A }}", "A = {{ B }}{{ B }}", " a", "# comment", "#!/bin/x -y", "#!/bin/sh {{ A }}"),
        *(" K v", "K  v w ", "K\tv", "K=V", '"q" "r"', "K: v", "\u00a0K\u00a0v \u00a0w\u00a0", "\x1cK v", "K \u200bv"),
        *(
            "{{ A }}",
            "x {{B}} y",
            "# {{ Z }}",
            "#{{ A }}",
            '"#" {{ A }}',
            "{{ Z }}",
            "{{ a-b }}",
            "{{\u00a0A }}",
            "{{ \u00e9 }}",
        ),
        *(
            "${A}",
            "\\",
            "a \\",
            "é <&> \u00a0 \u2028",
            "\U0001f600",
            "\ufeff",
            "\udcff\udce2\udc82",
            "a\x00b",
            "a\x0bb",
            "a\rb",
        ),
        *(" true\r", "a%b", "echo 100 %", " bootstrap: x", "Bootstrap: scratch", "export X=1", "cat <<EOF", "EOF"),
    ]
)
SECTIONS = st.tuples(HEADINGS, st.lists(LINES, max_size=4)).map(
    lambda pair: pair[0] + "".join(f"{one}\n" for one in pair[1])
)
# Nothing of these runs: either nothing stands below them, or they are refused first, or the stage is unknown.
WHOLE = st.sampled_from(
    [
        *("%post\n", "%post -c\n", "%pre -c\n true\n", "%setup -c # sh\n true\n", "%post -c\n true\n"),
        *("%files from one\n", "%files form one\n # c\n", "%files from {{ A }}\n", "%files from\n /x\n"),
    ]
)
STAGES = st.tuples(HEADS, st.lists(SECTIONS | SECTIONS | SECTIONS | WHOLE, max_size=4)).map(
    lambda pair: pair[0] + "".join(pair[1])
)
FILES = st.tuples(
    STAGES, st.just("") | STAGES.map(lambda text: "\n" + text), st.sampled_from(["", "", "", "\r", " ", "%help", "x"])
).map("".join)
GIVEN = st.dictionaries(
    st.sampled_from(["A", "A", "Z"]),
    st.sampled_from(["1", "", "one", "x y", "# c", "\\", "{{ B }}", "%help", "a\nb", "é"]),
    max_size=1,
)


def prepared_or_none(text: str, given: dict[str, str], cwd: Path) -> Prepared | None:
    """What would be built: the file is right, and every file that it copies is there."""
    try:
        prepared = prepare(encode(text), given=BuildArguments(values=given))
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
        # The same files each time, so that a run says something about the code; more, and others, on request.
        max_examples=int(os.environ.get("SEALIFT_TEST_EXAMPLES", "60")),
        derandomize="SEALIFT_TEST_EXAMPLES" not in os.environ,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(FILES, GIVEN)
    def compare(text: str, values: dict[str, str]) -> None:
        shutil.rmtree(folder / "theirs", ignore_errors=True)
        shutil.rmtree(tmp_path / "ours", ignore_errors=True)
        (folder / "x.def").write_bytes(encode(text))
        arguments = [f"--build-arg={key}={value}" for key, value in values.items()]
        done = apptainer("build", "--fakeroot", "--notest", "--sandbox", *arguments, "theirs", "x.def", cwd=folder)
        prepared = prepared_or_none(text, values, folder)
        if prepared and any(stage.apps or stage.script("post").text for stage in prepared.definition.stages):
            return  # they want a shell in the image
        assert (prepared is not None) == (done.returncode == 0), (text, values, done.stderr.decode())
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
            # Apptainer's `inspect` has a shell print them, which drops NUL.
            assert mine.get(key, "").replace("\0", "") == said.get(key, ""), text

    compare()

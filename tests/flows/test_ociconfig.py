"""How an OCI image starts and what its environment is: tables of bases, scripts and what comes of them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from sealift.flows.environment import plain_environment
from sealift.flows.ociconfig import EXEC, RUNSCRIPT, has_environment, start_of
from sealift.oci.config import ImageConfig, parse_config
from sealift.sections.base_environment import SCRIPTS, read_script
from sealift.sections.oci_environment import runscript
from sealift.sections.root import Look, RecordedRoot

HOME = "/.singularity.d"


def config(**run: Any) -> ImageConfig:
    return parse_config(json.dumps({"os": "linux", "architecture": "amd64", "config": run}).encode())


def root(files: dict[str, bytes], *, shell: bool = True) -> RecordedRoot:
    """An image with the scripts that every image has, and `files` in their place or beside them."""
    whole = {f"{HOME}/{name}": read_script(name) for name in SCRIPTS} | files
    if shell:
        whole["/bin/sh"] = b""
    names = tuple(sorted(path.rpartition("/")[2] for path in whole if path.startswith(f"{HOME}/env/")))
    return RecordedRoot(
        looks={path: Look(real=path, kind="file", mode=0o755, content=data) for path, data in whole.items()},
        listings={f"{HOME}/env": names},
    )


OWN = {f"{HOME}/env/90-environment.sh": b"#!/bin/sh\n\nexport A=1\n"}
ENTRYPOINT, CMD = ["/tini", "--"], ["serve", "--all"]
DERIVED = {RUNSCRIPT: runscript(tuple(ENTRYPOINT), tuple(CMD))}
SCRIPT = b'#!/bin/bash -e\n\necho "$@"\n'
INLINE = ["/bin/bash", "-e", "-c", SCRIPT.decode(), RUNSCRIPT]


@pytest.mark.parametrize(
    ("files", "base", "expected"),
    [
        (DERIVED, config(Entrypoint=ENTRYPOINT, Cmd=CMD), (ENTRYPOINT, CMD)),
        (DERIVED | OWN, config(Entrypoint=ENTRYPOINT, Cmd=CMD), ([EXEC, *ENTRYPOINT], CMD)),
        (DERIVED | OWN, config(Entrypoint=[EXEC, *ENTRYPOINT], Cmd=CMD), ([EXEC, *ENTRYPOINT], CMD)),
        (
            DERIVED | OWN,
            config(Entrypoint=["/bin/sh", "-c", "…", "sh", EXEC, *ENTRYPOINT], Cmd=CMD),
            ([EXEC, *ENTRYPOINT], CMD),
        ),
        ({RUNSCRIPT: SCRIPT}, config(Entrypoint=ENTRYPOINT, Cmd=CMD), ([EXEC, *INLINE], [])),
        ({RUNSCRIPT: SCRIPT}, None, ([EXEC, *INLINE], [])),
        (
            {RUNSCRIPT: b"#!/usr/bin/env zsh\necho"},
            None,
            ([EXEC, "/usr/bin/env", "zsh", "-c", "#!/usr/bin/env zsh\necho", RUNSCRIPT], []),
        ),
        ({RUNSCRIPT: b"#!/usr/bin/python3\nprint()"}, None, ([EXEC, RUNSCRIPT], [])),
        ({RUNSCRIPT: b"#!/bin/sh\n# \xff"}, None, ([EXEC, RUNSCRIPT], [])),
        ({RUNSCRIPT: b"#!/bin/sh\n" + b"#" * 200_000}, None, ([EXEC, RUNSCRIPT], [])),
        ({RUNSCRIPT: b"echo without an interpreter line\n"}, None, ([EXEC, RUNSCRIPT], [])),
    ],
)
def test_entrypoint_and_command(files, base, expected):
    assert start_of(root(files), base) == expected


def test_an_image_without_a_shell_keeps_its_entrypoint():
    assert start_of(root({RUNSCRIPT: SCRIPT}, shell=False), config(Entrypoint=["/tool"])) == (["/tool"], [])
    assert start_of(root({RUNSCRIPT: SCRIPT}, shell=False), None) == ([], [])


def test_an_image_that_lost_its_scripts_starts_without_them():
    def without_exec(files: dict[str, bytes]) -> RecordedRoot:
        whole = root(files)
        return replace(whole, looks={path: look for path, look in whole.looks.items() if path != EXEC})

    assert start_of(without_exec({RUNSCRIPT: SCRIPT}), None) == (INLINE, [])
    assert start_of(without_exec(DERIVED | OWN), config(Entrypoint=ENTRYPOINT, Cmd=CMD)) == (ENTRYPOINT, CMD)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, False),
        ({f"{HOME}/env/10-docker2singularity.sh": b"export A=1"}, False),
        (OWN, True),
        ({f"{HOME}/env/50-more.sh": b"export A=1"}, True),
        ({f"{HOME}/env/notes.txt": b"A=1"}, False),
        ({f"{HOME}/env/99-base.sh": b"# another one"}, True),
    ],
)
def test_is_there_an_environment_of_its_own(files, expected):
    assert has_environment(root(files)) == expected


PATH = {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("text", "values", "growing"),
    [
        ("export A=1 B='two words'\n", {"A": "1", "B": "two words"}, {}),
        ("A=1\n", {}, {}),
        ("export PATH=/opt/bin:$PATH\n", {"PATH": "/opt/bin:/bin"}, {"PATH": "/bin"}),
        ("export L=/opt/lib:$L\n", {"L": "/opt/lib:"}, {"L": None}),
        ("export L=/opt/lib${L:+:$L}\n", {"L": "/opt/lib"}, {"L": None}),
        ("export N=${N:-4}\nexport M=$N/x\n", {"N": "4", "M": "4/x"}, {}),
        ("export P=$HOME/x\nexport Q=1\n", {"Q": "1"}, {}),
        ("export P=$HOME/x\nexport Q=$P/y\nexport R=$Q\n", {}, {}),
        ('if [ -n "$SLURM_JOB_ID" ]; then export A=job; else export A=none; fi\n', {}, {}),
        ("if [ -d /etc ]; then export A=1; fi\n", {}, {}),
        (". /etc/profile\nexport A=1\n", {}, {}),
        ("export A=1\nexport B=$(date)\n", {"A": "1"}, {}),
        ("unset PATH\n", {"PATH": None}, {}),
    ],
)
def test_what_scripts_set_before_anybody_runs_them(text, values, growing):
    found = plain_environment({"script": text}, PATH)
    expected = {name: value for name, value in (PATH | values).items() if value is not None}
    assert (dict(found.values), dict(found.growing)) == (expected, growing)


@pytest.mark.parametrize(
    ("text", "refused"),
    [("export A=1\n", ()), ("export A=$(date)\n", ("script",)), ("[ -f /x ] && A=1\n", ("script",))],
)
def test_scripts_that_take_a_shell_are_named(text, refused):
    assert plain_environment({"script": text, "other": "export B=1\n"}, PATH).refused == refused


@pytest.mark.parametrize(
    "text",
    [
        "export A=1 B='two  words' C=\"$A $B\"\n",
        "export PATH=/opt/bin:$PATH L=${L:+$L:}/x\n",
        "unset A\nexport A=${A-none} B=${PATH:+yes}\n",
    ],
)
def test_a_shell_sets_the_same(text):
    done = subprocess.run(["/bin/sh", "-c", f"{text}\n/usr/bin/env -0"], env=PATH, capture_output=True, check=True)
    said = dict(item.split("=", 1) for item in done.stdout.decode().split("\0") if item)
    found = plain_environment({"script": text}, PATH).values
    assert found == {name: value for name, value in said.items() if name not in ("PWD", "_")}

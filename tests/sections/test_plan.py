from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sealift.deffile.parse import parse
from sealift.deffile.values import FileCopy, Script
from sealift.errors import DefinitionError, Span
from sealift.sections.plan import (
    BeginMetadata,
    Bootstrap,
    CopyAppFiles,
    CopyFromHost,
    CopyFromStage,
    FinishMetadata,
    Places,
    RunScript,
    enter,
    is_read,
    plan_stage,
    script_argv,
)

TEXT = b"""Bootstrap: scratch
Stage: one

Bootstrap: docker
From: a
%test
 t
%post -c /bin/bash -e
 p
%files
 h /h
%files from one
 /s
%files -x
 ignored
%setup -u # why
 s
%pre
 1
%appinstall x
 i
%appfiles x
 f g
"""
PLACES = Places(root="/w/root", pre_script="/w/pre", setup_script="/w/setup", post_script="/dev/.p")


def span(line: int, column: int, text: str, length: int | None = None) -> Span:
    return Span(file="x.def", line=line, column=column, length=length or len(text) - column + 1, text=text)


def test_a_whole_plan() -> None:
    definition = parse(TEXT, file="x.def")
    host = {
        "APPTAINER_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
        "SINGULARITY_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
        "APPTAINER_ROOTFS": "/w/root",
        "SINGULARITY_ROOTFS": "/w/root",
    }
    inside = {
        "APPTAINER_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
        "SINGULARITY_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
        "APPTAINER_CONTAINER": "/",
        "SINGULARITY_CONTAINER": "/",
        "APPTAINER_NAME": "rootfs",
        "SINGULARITY_NAME": "rootfs",
        "APPTAINER_APPNAME": "",
    }
    assert plan_stage(definition, 1, PLACES) == (
        RunScript(
            section="pre",
            where="host",
            argv=("/bin/sh", "-ex", "/w/pre"),
            text=" 1\n",
            env=host,
            cwd=None,
            umask=0o002,
            lines=(19,),
            span=span(18, 1, "%pre"),
        ),
        Bootstrap(agent="docker", header={"bootstrap": "docker", "from": "a"}),
        BeginMetadata(),
        CopyAppFiles(copies=(FileCopy(source="f", destination="/scif/apps/x/g", span=span(22, 1, "%appfiles x")),)),
        CopyFromStage(stage=0, copies=(FileCopy(source="/s", destination="", span=span(13, 2, " /s")),)),
        RunScript(
            section="setup",
            where="host",
            argv=("/bin/sh", "-ex", "-u", "/w/setup"),
            text=" s\n",
            env=host,
            cwd=None,
            umask=0o002,
            lines=(17,),
            span=span(16, 1, "%setup -u # why"),
        ),
        CopyFromHost(copies=(FileCopy(source="h", destination="/h", span=span(11, 2, " h /h")),)),
        RunScript(
            section="post",
            where="inside",
            argv=enter(("/bin/sh", "-ex", "-c", "/bin/bash -e /dev/.p")),
            text=" p\n\ncd /\n. /scif/apps/x/scif/env/01-base.sh\n\ncd /scif/apps/x\n i\n\n\ncd /\n",
            env={
                **inside,
                "APPTAINER_COMMAND": "exec",
                "APPTAINER_LABELS": "/.build.labels",
                "SINGULARITY_LABELS": "/.build.labels",
            },
            cwd="/",
            umask=0o002,
            lines=(9,),
            span=span(8, 1, "%post -c /bin/bash -e"),
        ),
        FinishMetadata(),
        RunScript(
            section="test",
            where="inside",
            argv=enter(("/.singularity.d/test",)),
            text=" t\n",
            env={**inside, "APPTAINER_COMMAND": "test"},
            cwd="/",
            umask=0o002,
            lines=(7,),
            span=span(6, 1, "%test"),
        ),
    )


def test_a_stage_without_sections() -> None:
    definition = parse(TEXT, file="x.def")
    assert plan_stage(definition, 0, PLACES) == (
        Bootstrap(agent="scratch", header={"bootstrap": "scratch", "stage": "one"}),
        BeginMetadata(),
        FinishMetadata(),
    )


@pytest.mark.parametrize(
    ("sections", "run_tests", "kinds"),
    [
        (None, False, "pre Bootstrap BeginMetadata CopyAppFiles CopyFromStage setup CopyFromHost post FinishMetadata"),
        (frozenset({"post"}), True, "Bootstrap BeginMetadata CopyAppFiles post FinishMetadata test"),
        (frozenset(), True, "Bootstrap BeginMetadata CopyAppFiles post FinishMetadata test"),
        (frozenset({"setup"}), True, "Bootstrap BeginMetadata CopyAppFiles setup post FinishMetadata test"),
    ],
)
def test_chosen_sections(sections: frozenset[str] | None, run_tests: bool, kinds: str) -> None:
    steps = plan_stage(parse(TEXT), 1, PLACES, sections=sections, run_tests=run_tests)
    assert [step.section if isinstance(step, RunScript) else type(step).__name__ for step in steps] == kinds.split()


@pytest.mark.parametrize(
    ("arguments", "argv"),
    [
        ("", ("/bin/sh", "-ex", "/x")),
        (" -u  -o\tpipefail # -c /bin/bash", ("/bin/sh", "-ex", "-u", "-o", "pipefail", "/x")),
        ("-c /bin/bash", ("/bin/sh", "-ex", "-c", "/bin/bash /x")),
        ("-u -c python3  -W ignore", ("/bin/sh", "-ex", "-u", "-c", "python3 -W ignore /x")),
        ("-c a -c b", ("/bin/sh", "-ex", "-c", "a -c b /x")),
    ],
)
def test_arguments_of_scripts(arguments: str, argv: tuple[str, ...]) -> None:
    assert script_argv(Script(name="post", arguments=arguments), "/x") == argv


def test_an_interpreter_that_is_not_named() -> None:
    with pytest.raises(DefinitionError) as caught:
        script_argv(Script(name="setup", arguments="-u -c # bash"), "/x")
    assert caught.value.message == "`%setup -c` names no interpreter"
    assert caught.value.hints == ("write: %setup -c /bin/bash",)


def test_entering_makes_the_images_environment(tmp_path: Path) -> None:
    """The entry script, with its folder moved to where a test may write."""
    scripts = {"10-a.sh": "PATH=/x:/bin\nexport PATH A='1 2'\n", "90-b.sh": 'export B="$A-${LD_LIBRARY_PATH:-none}"\n'}
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
    argv = [part.replace("/.singularity.d/env", str(tmp_path)) for part in enter(("/usr/bin/env", "-0"))]
    env = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "/lib", "PS1": "$", "KEPT": "yes", "OLDPWD": "/"}
    builder = {"A": "the image's wins", "C": 'of the\n"builder" $X', "SHELL": "/bin/y"}
    env |= {"SEALIFT_BUILDER": " ".join(builder)} | {f"SEALIFT_BUILDER_{name}": builder[name] for name in builder}
    out = subprocess.run(argv, env=env, capture_output=True, check=True, cwd="/").stdout.decode()
    found = dict(item.split("=", 1) for item in out.split("\0") if item)
    for own in ("_", "SHLVL", "PWD"):
        found.pop(own, None)
    assert found == {
        "PATH": "/x:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin",
        "A": "1 2",
        "B": "1 2-none",
        "KEPT": "yes",
        "C": 'of the\n"builder" $X',
        "SHELL": "/bin/y",
    }


@pytest.mark.parametrize(
    ("heading", "body", "runs"),
    [
        ("%setup", "    # Runs from outside the container during Bootstrap\n\n", False),
        ("%setup # why", "\t#!/bin/sh\n", False),
        ("%pre", "\n \n", False),
        ("%setup", "# first\ntrue\n", True),
        ("%setup", "echo a # b\n", True),
        ("%setup -c /bin/bash", "# another program may read it\n", True),
        ("%post", "# it is what %appinstall adds to, and installs nothing\n", True),
    ],
)
def test_comments_alone_run_nothing_on_the_host(heading: str, body: str, runs: bool) -> None:
    definition = parse(f"Bootstrap: docker\nFrom: a\n{heading}\n{body}".encode(), file="x.def")
    steps = plan_stage(definition, 0, PLACES)
    assert [step.section for step in steps if isinstance(step, RunScript)] == [heading[1:].split(maxsplit=1)[0]] * runs


def test_stages_that_are_read() -> None:
    definition = parse(TEXT)
    assert [is_read(definition, number) for number in range(len(definition.stages))] == [True, False]

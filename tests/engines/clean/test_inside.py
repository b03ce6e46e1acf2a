"""What a shell does in the container before the program: its text, and what real shells make of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sealift.core.launch import Action
from sealift.engines.clean.inside import script
from sealift.engines.environment import Voices

GOLDEN = Path(__file__).with_name("golden")
SHELLS = [shell for shell in ("/bin/dash", "/bin/bash") if shutil.which(shell)]


@pytest.mark.parametrize(
    ("action", "app"), [("exec", ""), ("run", ""), ("test", ""), ("shell", ""), ("run", "my tool"), ("test", "tool")]
)
def test_the_text(action: Action, app: str) -> None:
    voices = Voices(host={"LANG": "C", "HOME": "/h", "not-a-name": "x"}, orders={"WHO": 'a "$HOME"', "PATH": "/p"})
    text = script(action, voices=voices, variables=("LANG", "A", "PATH", "1"), umask=0o27, app=app)
    path = GOLDEN / f"{action}{'-app' if app else ''}.sh"
    assert text == path.read_text()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The folder of an image's scripts, for a text in which it stands in the place of the image's own."""
    folder = tmp_path / "image"
    (folder / "env").mkdir(parents=True)
    for name, text in {
        "10-docker2singularity.sh": 'export PATH=/opt/x:/bin\nexport LANG="${LANG:-"image"}"\n',
        "90-environment.sh": ('export A="more $A" GONE= IFS=: WHO=image LIST="${LIST:+$LIST:}x"\numask 077\nset -eu\n'),
        "99-base.sh": 'export PS1="${PS1:-Apptainer> }"\n',
        "99-runtimevars.sh": 'PATH="${SING_USER_DEFINED_PREPEND_PATH:-}:$PATH"\nunset SING_USER_DEFINED_PREPEND_PATH\n',
    }.items():
        (folder / "env" / name).write_text(text)
    return folder


def run(shell: str, text: str, image: Path, *words: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    text = text.replace("/.singularity.d", str(image))
    argv = [shell, "-c", text, "exec", *words]
    return subprocess.run(argv, env=env, capture_output=True, check=False)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_shells_make_of_it(shell: str, image: Path) -> None:
    voices = Voices(
        host={"LANG": "host", "TZ": "host tz", "GONE": "host", "OMP": 'a  "b" $c'},
        orders={"WHO": 'caller of "$A"', "SING_USER_DEFINED_PREPEND_PATH": "/first"},
    )
    text = script("exec", voices=voices, variables=("PATH", "A", "LIST"), umask=0o27)
    given = {**voices.host, "PATH": "/bin", "A": "configured", "LIST": "x", "HOME": "/h", "WHO": "not me"}
    done = run(shell, text, image, "/usr/bin/env", "-0", **given)
    found = dict(item.split("=", 1) for item in done.stdout.decode().split("\0") if item)
    assert {name: value for name, value in found.items() if name not in ("_", "SHLVL", "PWD", "OLDPWD")} == {
        "A": "more ",
        "HOME": "/h",
        "LANG": "image",
        "LIST": "x",
        "OMP": 'a  "b" $c',
        "PATH": "/first:/opt/x:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin",
        "PS1": "Apptainer> ",
        "TZ": "host tz",
        "WHO": 'caller of "more "',
    }
    assert (done.returncode, done.stderr) == (0, b"")
    # As Apptainer does it: an umask of the image's own counts.
    assert run(shell, text, image, "/bin/sh", "-c", "umask", **given).stdout == b"0077\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_words_and_codes_are_the_programs(shell: str, image: Path) -> None:
    text = script("exec", voices=Voices(host={}, orders={}), variables=(), umask=0o22)
    words = ["", "two words", "it's", '"', "a\nb", "$HOME", "*", "-x"]
    done = run(shell, text, image, "/bin/sh", "-c", 'printf "<%s>" "$0" "$@"; exit 7', *words)
    assert (done.returncode, done.stdout.decode()) == (7, "".join(f"<{word}>" for word in words))
    assert run(shell, text, image, "/no/such").returncode == 127


@pytest.mark.parametrize("shell", SHELLS)
def test_runscripts_and_tests(shell: str, image: Path) -> None:
    voices = Voices(host={}, orders={})

    def start(action: Action) -> tuple[int, bytes, bytes]:
        text = script(action, voices=voices, variables=(), umask=0o22)
        done = run(shell, text, image, "a", "b c")
        return done.returncode, done.stdout, done.stderr

    assert start("run") == (1, b"", b"ERROR:   there is no runscript\n")
    assert start("test") == (0, b"No test found in container, executing /bin/sh -c true\n", b"")
    for name in ("runscript", "test"):
        (image / name).write_text(f'#!/bin/sh\nprintf "{name}<%s>" "$@"\nexit 3\n')
        (image / name).chmod(0o755)
    assert start("run") == (3, b"runscript<a>runscript<b c>", b"")
    assert start("test") == (3, b"test<a>test<b c>", b"")
    # Without `#!` it is /bin/sh that reads it, whichever shell came before.
    (image / "runscript").write_text("\nreadlink /proc/$$/exe\n")
    assert start("run") == (0, os.path.realpath("/bin/sh").encode() + b"\n", b"")

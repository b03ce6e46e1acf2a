"""What is started in an image, and what the caller's orders come to behind the image's scripts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sealift.engines.clean.image import HOME, SETTLE, StoredImage, inner_command, words_of
from sealift.errors import UsageError
from tests.engines.clean.world import EXEC, FOREIGN, IMAGE, plan, settled

UNKNOWN = StoredImage(reference="x", prepared=False)
BASH_OR_SH = "[ ! -x /bin/bash ] || exec /bin/bash --norc; exec /bin/sh"


@pytest.mark.parametrize(
    ("fields", "image", "expected"),
    [
        ({}, IMAGE, (EXEC, ("python", "train.py"))),
        ({}, FOREIGN, ("python", ("train.py",))),
        ({"action": "run", "command": ("a",)}, IMAGE, ("/.singularity.d/actions/run", ("a",))),
        ({"action": "run", "command": ("a",)}, FOREIGN, ("", ("a",))),
        ({"action": "test", "command": ()}, IMAGE, ("/.singularity.d/actions/test", ())),
        ({"action": "test", "command": ()}, UNKNOWN, ("/.singularity.d/actions/test", ())),
        ({"action": "shell", "command": ()}, IMAGE, ("/.singularity.d/actions/shell", ())),
        ({"action": "shell", "command": (), "shell": "/bin/zsh"}, IMAGE, (EXEC, ("/bin/zsh",))),
        ({"action": "shell", "command": (), "shell": "/bin/zsh"}, FOREIGN, ("/bin/zsh", ())),
        ({"action": "shell", "command": ()}, FOREIGN, ("/bin/sh", ())),
    ],
)
def test_what_is_started_inside(
    fields: dict[str, object], image: StoredImage, expected: tuple[str, tuple[str, ...]]
) -> None:
    assert inner_command(plan(**fields), image) == expected


@pytest.mark.parametrize(
    ("fields", "program"),
    [
        ({}, ("python", "train.py")),
        ({"action": "run", "command": ("a",)}, ("/.singularity.d/runscript", "a")),
        ({"action": "test", "command": ()}, ("/.singularity.d/test",)),
        ({"action": "shell", "command": ()}, ("/bin/sh", "-c", BASH_OR_SH)),
        ({"action": "shell", "command": (), "shell": "/bin/zsh"}, ("/bin/zsh",)),
    ],
)
def test_orders_are_set_behind_the_images_scripts(fields: dict[str, object], program: tuple[str, ...]) -> None:
    assert words_of(plan(**fields), IMAGE, orders={"A": "b c"}) == settled(*program, A="b c")
    assert words_of(plan(**fields), IMAGE, settle=True) == settled(*program)
    # A shell would end at the other one.
    assert words_of(plan(**fields), IMAGE, orders={"a-b": "c", "A": "b c"}) == settled(*program, A="b c")


@pytest.mark.parametrize(
    ("image", "command", "expected"),
    [
        (StoredImage(reference="x", prepared=False, entrypoint=("/e",), command=("c",)), (), ("/e", "c")),
        (StoredImage(reference="x", prepared=False, entrypoint=("/e",), command=("c",)), ("a",), ("/e", "a")),
        (StoredImage(reference="x", prepared=False, entrypoint=(), command=("c", "d")), (), ("c", "d")),
    ],
)
def test_the_words_of_an_entrypoint(image: StoredImage, command: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert words_of(plan(action="run", command=command), image) == expected


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (UNKNOWN, "what `x` runs by itself is not known"),
        (StoredImage(reference="x", prepared=False, entrypoint=()), "`x` names no program to run"),
    ],
)
def test_where_there_are_no_words_to_run(image: StoredImage, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        words_of(plan(action="run", command=()), image)
    assert caught.value.message == message


def test_a_foreign_image_has_no_test() -> None:
    with pytest.raises(UsageError, match="has no %test: Sealift did not make it"):
        inner_command(plan(action="test", command=()), StoredImage(reference="x", prepared=False, entrypoint=()))


@pytest.mark.parametrize(
    ("script", "before", "orders", "expected"),
    [
        ("", None, (), "<unset>|"),
        ("", "/mpi:/image", (), "/mpi:/image|"),
        ("export LD_LIBRARY_PATH=/app", None, (), "/app|"),
        ("export LD_LIBRARY_PATH=/app", "/mpi", (), "/mpi:/app|"),
        ("export LD_LIBRARY_PATH=/app:$LD_LIBRARY_PATH", "/mpi", (), "/mpi:/app|"),
        ("export LD_LIBRARY_PATH=$LD_LIBRARY_PATH:/app", "/mpi", (), "/mpi:/app|"),
        ("export LD_LIBRARY_PATH=/app:/more", "/mpi:/app", (), "/mpi:/app:/more|"),
        ("export LD_LIBRARY_PATH=/app/", "/mpi:/a b/*:/app", (), "/mpi:/a b/*:/app:/app/|"),
        ('export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-/app}"', "/mpi", (), "/mpi|"),
        ("unset LD_LIBRARY_PATH", "/mpi", (), "/mpi|"),
        ("export A=image", None, ("A=my own = one",), "<unset>|my own = one"),
    ],
)
@pytest.mark.parametrize("shell", ["/bin/sh", pytest.param("/bin/bash", marks=pytest.mark.needs("bash"))])
def test_the_order_and_the_sites_path_outlast_the_images_scripts(
    shell: str, script: str, before: str | None, orders: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "90-environment.sh").write_text(f"{script}\n")
    show = 'echo "${LD_LIBRARY_PATH-<unset>}|${A-}"'
    done = subprocess.run(
        [shell, "-c", SETTLE.replace(HOME, str(tmp_path)), "sh", *orders, "-", "/bin/sh", "-c", show],
        env={} if before is None else {"LD_LIBRARY_PATH": before},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")

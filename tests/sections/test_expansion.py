from __future__ import annotations

from pathlib import Path

import pytest

from sealift.deffile.parse import parse
from sealift.errors import DefinitionError
from sealift.sections.expansion import (
    Copy,
    brings_metadata,
    expand,
    expand_host_copies,
    expand_stage_copies,
    plain_copies,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "d/sub").mkdir(parents=True)
    for name in ("d/a.txt", "d/b.txt", "d/c d.txt", "d/[z]", "d/100%s", "d/.hidden"):
        (tmp_path / name).write_text("x")
    (tmp_path / "d/dangling").symlink_to("nowhere")
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder / "home"), "V": "d", "BLANK": "a b"}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("d/*.txt", ("d/a.txt", "d/b.txt", "d/c d.txt")),
        ("d/{a,b}.txt", ("d/a.txt", "d/b.txt")),
        ("d/c d*", ("d/c d.txt",)),
        ("d/c d.txt", ("d/c d.txt",)),
        ("$V/a.txt", ("d/a.txt",)),
        ("${V}/a.txt", ("d/a.txt",)),
        ("$NONE/x", ("/x",)),
        ("d/\\[z\\]", ("d/[z]",)),
        ("d/100%s", ("d/100%s",)),
        ("d/.*", ("d/.hidden",)),
        ("d/.", ("d/.",)),
        ("d/none*", ("d/none*",)),
        ("$BLANK", ("a", "b")),
    ],
)
def test_words(folder: Path, source: str, words: tuple[str, ...]) -> None:
    assert expand(source, cwd=str(folder), env=environment(folder)) == words


def test_a_command_without_blanks(folder: Path) -> None:
    assert expand("`pwd`/d", cwd=str(folder), env=environment(folder)) == (f"{folder}/d",)


def test_without_patterns(folder: Path) -> None:
    found = expand("/$V/*.{txt,md}", cwd=str(folder), env=environment(folder), patterns=False)
    assert found == ("/d/*.txt", "/d/*.md")


@pytest.mark.parametrize("source", ["a;b", "a&&b", "a(b)", "a|b", "a'b", "a`b", "$(a"])
def test_what_a_shell_cannot_read(folder: Path, source: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        expand(source, cwd=str(folder), env=environment(folder))
    assert caught.value.message.startswith(f"a shell cannot read the source `{source}`")
    assert caught.value.hints == (
        "put a backslash before each character that is meant as it is: ( ) & ; | < > ' ` $ \\",
    )


def test_lines_of_files(folder: Path) -> None:
    copies = parse(b"Bootstrap: a\n%files\n d/{a,b}.txt /x/\n ~/\n d/a.txt\n").stages[0].files[0].copies
    (folder / "home").mkdir()
    assert expand_host_copies(copies, cwd=str(folder), env=environment(folder)) == (
        Copy(source=f"{folder}/d/a.txt", destination="/x/", row=0),
        Copy(source=f"{folder}/d/b.txt", destination="/x/", row=0),
        Copy(source=f"{folder}/home/", destination=f"{folder}/home/", row=1),
        Copy(source=f"{folder}/d/a.txt", destination="d/a.txt", row=2),
    )


def test_every_missing_source_is_told(folder: Path) -> None:
    text = b"Bootstrap: a\n%files\n d/a.tx /x\n d/*.md /x\n $V/q/r /x\n /nowhere/at/all\n d/dangling /x\n a;b /x\n"
    copies = parse(text, file="x.def").stages[0].files[0].copies
    with pytest.raises(DefinitionError) as caught:
        expand_host_copies(copies, cwd=str(folder), env=environment(folder))
    found = (caught.value, *caught.value.others)
    started = f"relative sources count from where the build is started: {folder}"
    assert [(one.message, one.where.line if one.where else 0, one.hints) for one in found][:5] == [
        ("`d/a.tx` is not there to be copied", 3, ("did you mean `d/a.txt`?", started)),
        ("`d/*.md` is not there to be copied", 4, (started,)),
        ("`d/q/r` (from `$V/q/r`) is not there to be copied", 5, (started,)),
        ("`/nowhere/at/all` is not there to be copied", 6, ("see what is there: ls /nowhere/at",)),
        (
            "`d/dangling` is a symbolic link to `nowhere`, which is not there",
            7,
            ("give the link its target, or copy another file",),
        ),
    ]
    assert found[5].where is not None
    assert found[5].where.line == 8


def test_lines_of_appfiles() -> None:
    copies = parse(b"Bootstrap: a\n%files\n a* b\n").stages[0].files[0].copies
    assert plain_copies(copies, cwd="/here") == (Copy(source="/here/a*", destination="b", row=0, make_parents=False),)


def test_lines_of_files_from_a_stage(folder: Path) -> None:
    definition = parse(b"Bootstrap: a\n%files from x\n /{a,b}/*.txt /x/\n $V\n a(\n")
    copies = definition.stages[0].files[0].copies
    assert expand_stage_copies(copies[:2], cwd=str(folder), env=environment(folder)) == (
        Copy(source="/a/*.txt", destination="/x/", row=0),
        Copy(source="/b/*.txt", destination="/x/", row=0),
        Copy(source="d", destination="", row=1),
    )
    with pytest.raises(DefinitionError) as caught:
        expand_stage_copies(copies, cwd=str(folder), env=environment(folder))
    assert caught.value.where == copies[2].span


@pytest.mark.parametrize(
    ("source", "brings"),
    [
        *(
            ("/", True),
            ("/.", True),
            ("/a/..", True),
            ("*", True),
            ("/.[a-z]*/env", True),
            ("/.singularity.d/env", True),
        ),
        *(("singularity", True), ("/scif/apps", True), ("/opt/*", False), ("opt", False), ("/usr/../opt/x", False)),
    ],
)
def test_what_may_bring_metadata(source: str, brings: bool) -> None:
    assert brings_metadata([Copy(source=source, destination="/x", row=0)]) is brings

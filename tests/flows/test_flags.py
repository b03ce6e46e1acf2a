from __future__ import annotations

from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.flows.flags import SECTIONS, BuildFlags, asked_paths, checked_flags, chosen_sections
from sealift.sandbox.spec import HostPath


@pytest.mark.parametrize(
    ("typed", "chosen"),
    [
        ((), None),
        (("all",), None),
        (("none",), frozenset()),
        (("files",), {"files"}),
        (("files,post", "%labels"), {"files", "post", "labels"}),
        ((", ".join(SECTIONS),), set(SECTIONS)),
    ],
)
def test_sections_are_chosen_by_name(typed: tuple[str, ...], chosen: set[str] | None) -> None:
    assert chosen_sections(BuildFlags(sections=typed)) == chosen


@pytest.mark.parametrize(
    ("typed", "message", "hint"),
    [
        ("pots", "`--section pots`: there is no such section", "did you mean `post`?"),
        (
            "zzz",
            "`--section zzz`: there is no such section",
            f"sections to choose: {', '.join(SECTIONS)}, all, none",
        ),
        ("", "`--section `: there is no such section", None),
        (
            "appinstall",
            "`--section appinstall`: there is no such section",
            "apps belong to every build: their sections cannot be chosen",
        ),
        (
            "all,post",
            "`--section all` stands beside other sections",
            "name the sections alone: --section files,labels",
        ),
        (
            "post,none",
            "`--section none` stands beside other sections",
            "name the sections alone: --section files,labels",
        ),
    ],
)
def test_sections_that_cannot_be_chosen(typed: str, message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as refused:
        chosen_sections(BuildFlags(sections=(typed,)))
    assert refused.value.message == message
    if hint is not None:
        assert refused.value.hints[0] == hint


@pytest.mark.parametrize(
    ("flags", "env", "seen"),
    [
        (BuildFlags(), {}, BuildFlags()),
        (BuildFlags(), {"APPTAINER_SECTION": "files,post"}, BuildFlags(sections=("files,post",))),
        (
            BuildFlags(sections=("labels",)),
            {"APPTAINER_SECTION": "files"},
            BuildFlags(sections=("labels",)),
        ),
        (BuildFlags(), {"SINGULARITY_NV": "1", "APPTAINER_ROCM": "no"}, BuildFlags(nv=True)),
        (BuildFlags(), {"APPTAINER_NV": "false", "SINGULARITY_NV": "1"}, BuildFlags()),
        (
            BuildFlags(),
            {f"APPTAINER_{name}": "yes" for name in ("WRITABLE_TMPFS", "FIXPERMS", "UPDATE", "NO_CLEANUP")},
            BuildFlags(writable_tmpfs=True, fix_perms=True, update=True, no_cleanup=True),
        ),
        (
            BuildFlags(mounts=("src=/a,dst=/b",)),
            {"APPTAINER_MOUNT": "src=/c,dst=/d\nsrc=/e,dst=/f\n"},
            BuildFlags(mounts=("src=/a,dst=/b", "src=/c,dst=/d", "src=/e,dst=/f")),
        ),
    ],
)
def test_variables_say_what_was_not_typed(flags: BuildFlags, env: dict[str, str], seen: BuildFlags) -> None:
    assert checked_flags(flags, env) == seen


def bound(source: str, destination: str, *, read_only: bool = False) -> HostPath:
    return HostPath(source=source, destination=destination, read_only=read_only)


@pytest.mark.parametrize(
    ("flags", "env", "paths"),
    [
        (BuildFlags(), {}, []),
        (BuildFlags(binds=("/etc",)), {}, [bound("/etc", "/etc")]),
        (BuildFlags(binds=("data",)), {}, [bound("HERE/data", "HERE/data")]),
        (
            BuildFlags(binds=("data:/mnt:ro,/etc:/e",)),
            {},
            [bound("HERE/data", "/mnt", read_only=True), bound("/etc", "/e")],
        ),
        (BuildFlags(mounts=("type=bind,src=/etc,dst=/e,ro",)), {}, [bound("/etc", "/e", read_only=True)]),
        # The first that names a place has it: what is typed, then the variables.
        (BuildFlags(binds=("/etc:/a", "/usr:/a/")), {}, [bound("/etc", "/a")]),
        (
            BuildFlags(binds=("/etc:/a",)),
            {"APPTAINER_BIND": "/usr:/a,/usr:/b", "APPTAINER_BINDPATH": "/etc:/c", "SINGULARITY_BIND": "/usr:/d"},
            [bound("/etc", "/a"), bound("/usr", "/b"), bound("/etc", "/c")],
        ),
        (BuildFlags(), {"SINGULARITY_BINDPATH": "/usr:/d"}, [bound("/usr", "/d")]),
    ],
)
def test_paths_that_are_asked_for(
    tmp_path: Path, flags: BuildFlags, env: dict[str, str], paths: list[HostPath]
) -> None:
    (tmp_path / "data").mkdir()
    here = str(tmp_path)
    expected = [
        bound(each.source.replace("HERE", here), each.destination.replace("HERE", here), read_only=each.read_only)
        for each in paths
    ]
    assert list(asked_paths(flags, env, cwd=here)) == expected


@pytest.mark.parametrize(
    ("bind", "message", "hint"),
    [
        ("/none/such:/mnt", "`/none/such` is to be bound into the build, and is not there", "ls -d /none/such"),
        ("/etc:mnt", "`mnt` is no place in the image: it does not start with `/`", "-B /etc:/mnt"),
        ("/etc:/", "nothing can be bound over the root of the image", "-B /etc:/mnt"),
        ("/etc:/./", "nothing can be bound over the root of the image", "-B /etc:/mnt"),
        ("/etc:/mnt:wr", "`wr` is not an option of a bind; `ro` and `rw` are", "-B /etc:/mnt:ro"),
    ],
)
def test_paths_that_cannot_be_bound(bind: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        asked_paths(BuildFlags(binds=(bind,)), {}, cwd="/")
    assert (refused.value.message, refused.value.hints) == (message, (hint,))

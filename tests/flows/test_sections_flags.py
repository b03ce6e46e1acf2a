"""Flags that change what sections do, in whole builds; test_flags_as_apptainer.py has what Apptainer does with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift.engines import driver as drivers
from tests.ground import layouts
from tests.ground.driver import cache_of

pytestmark = [pytest.mark.needs("root"), pytest.mark.slow]

Build = Callable[..., Any]


@pytest.fixture
def build(sealift: Build, shell_tar: bytes, tmp_path: Path) -> Build:
    """`build(text, *options)` builds `text` on a root with a shell to the directory `out`."""
    layouts.write_layout(tmp_path / "here/layout", [shell_tar], config={"Env": ["PATH=/usr/bin:/bin"]})

    def call(text: str, *options: str | Path, target: str = "out") -> Any:
        Path("x.def").write_text(f"Bootstrap: oci\nFrom: layout\n{text}")
        return sealift("build", "-F", "--sandbox", *options, target, "x.def")

    return call


def echoed(err: str) -> list[str]:
    """What the sections said with `echo "> …"`."""
    return [line[2:] for line in err.splitlines() if line.startswith("> ")]


def test_binds_appear_for_post_and_test_and_leave_no_trace(build: Build) -> None:
    Path("data").mkdir()
    Path("data/f").write_text("given\n")
    text = """\
%setup
[ ! -e $APPTAINER_ROOTFS/data/deep ] && mkdir $APPTAINER_ROOTFS/mnt
%post
echo "> post $(cat /data/deep/er/f /dev/here /tmp/here /etc/token /mnt/f | tr '\\n' ' ')"
echo written > /mnt/w
echo new > /data/deep/beside
%test
echo "> test $(cat /data/deep/er/f /mnt/w | tr '\\n' ' ')"
"""
    outcome = build(
        text,
        *("-B", "data:/data/deep/er:ro", "-B", "data:/mnt"),
        *("-B", "data/f:/dev/here,data/f:/tmp/here"),
        *("--mount", "type=bind,source=data/f,destination=/etc/token,ro"),
    )
    assert outcome.code == 0, outcome.err
    assert echoed(outcome.err) == ["post given given given given given ", "test given written "]
    assert Path("data/w").read_text() == "written\n"
    # The places that %setup and %post made stay, those that were made for the binds do not.
    found = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*") if "singularity" not in str(path))
    assert [path for path in found if path.split("/")[0] in ("data", "mnt", "tmp") or "token" in path] == [
        "data",
        "data/deep",
        "data/deep/beside",
        "mnt",
        "tmp",
    ]


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ("data:/usr/bin/cat", "`{here}/data` is a folder, and `/usr/bin/cat` in the image is a file"),
        ("data/f:/opt", "`{here}/data/f` is a file, and `/opt` in the image is a folder"),
        ("data:/usr/bin/cat/x", "`/usr/bin/cat/x` cannot be bound to: `/usr/bin/cat` in the image is no folder"),
        ("data:/mnt,data:/mnt/sub", "`/mnt/sub` cannot be bound to: what is bound above it has no such entry"),
    ],
)
def test_binds_that_do_not_fit(build: Build, bind: str, message: str) -> None:
    Path("data").mkdir()
    Path("data/f").write_text("given\n")
    outcome = build("%post\necho '> ran'\n", "-B", bind)
    assert (outcome.code, echoed(outcome.err)) == (2, [])
    assert f"error: {message.format(here=os.getcwd())}\n" in outcome.err
    assert not Path("out").exists()


def test_what_a_section_made_of_a_bind_is_kept_as_long_as_the_bind_is_the_same(build: Build) -> None:
    Path("data").mkdir()
    text = "%post\necho '> post'; cat /mnt/f > /got\n%test\necho '> test'\n"

    def run(content: str, *options: str) -> list[str]:
        Path("data/f").write_text(content)
        os.utime("data/f", (1, 1))
        outcome = build(text, *(options or ("-B", "data:/mnt")))
        assert outcome.code == 0, outcome.err
        assert Path("out/got").read_text() == content
        return echoed(outcome.err)

    assert run("one\n") == ["post", "test"]
    assert run("one\n") == []
    assert run("two\n") == ["post", "test"]
    assert run("one\n") == []
    assert run("one\n", "-B", "data:/mnt:ro") == ["post", "test"]


def test_nothing_is_kept_of_a_section_that_wrote_to_a_bind(build: Build) -> None:
    Path("data").mkdir()
    text = "%post\necho '> post'; echo $$ >> /mnt/log\n"
    for count in (1, 2, 3):
        outcome = build(text, "-B", "data:/mnt")
        assert echoed(outcome.err) == ["post"]
        assert "%post is not kept for the next build: what is bound into it changed meanwhile" in outcome.err
        assert len(Path("data/log").read_text().splitlines()) == count


def test_nothing_is_kept_where_too_much_is_bound(build: Build) -> None:
    Path("data").mkdir()
    with open("data/huge", "wb") as file:
        file.truncate(1 << 40)
    for _ in range(2):
        outcome = build("%post\necho '> post'\n%test\necho '> test'\n", "-B", "data:/mnt:ro")
        assert (outcome.code, echoed(outcome.err)) == (0, ["post", "test"])
        assert "%post is not kept for the next build: what is bound into it is too much to compare" in outcome.err


def test_a_stage_that_is_not_kept_keeps_no_later_one(build: Build) -> None:
    Path("given").write_text("one\n")
    text = """\
Stage: first
%setup
cp given $APPTAINER_ROOTFS/from-setup
%post
true

Bootstrap: scratch
%files from first
/from-setup /got
"""
    for content in ("one\n", "two\n"):
        Path("given").write_text(content)
        outcome = build(text)
        assert outcome.code == 0, outcome.err
        assert Path("out/got").read_text() == content


@pytest.mark.parametrize(
    ("options", "can_write"), [((), False), (("--writable-tmpfs",), True)], ids=["plain", "writable-tmpfs"]
)
def test_a_test_writes_where_it_is_allowed(build: Build, options: tuple[str, ...], can_write: bool) -> None:
    text = """\
%post
true
%test
for folder in / /opt /etc /usr/bin; do ! touch $folder/new 2>/dev/null || echo "> $folder"; done
for folder in /tmp /var/tmp /dev/shm; do touch $folder/new && echo "> $folder"; done
"""
    outcome = build(text, *options)
    assert outcome.code == 0, outcome.err
    everywhere = ["/", "/opt", "/etc", "/usr/bin"] if can_write else []
    assert echoed(outcome.err) == [*everywhere, "/tmp", "/var/tmp", "/dev/shm"]
    assert list(Path("out").rglob("new")) == []


def test_the_hosts_driver_is_there_for_post_and_test(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "driver"
    (driver / "bin").mkdir(parents=True)
    for name in ("libcuda.so.1", "libnvidia-ml.so.1", "libc.so.6"):
        (driver / name).write_text(f"{name} of the host\n")
    (driver / "bin/nvidia-smi").write_text("#!/bin/sh\necho '> smi'\n")
    (driver / "bin/nvidia-smi").chmod(0o755)
    marks = {"x86_64": 0x303, "aarch64": 0xA03}
    mark = marks.get(os.uname().machine)
    if mark is None:
        pytest.skip(f"the mark of libraries for {os.uname().machine} is not known here")
    names = ("libcuda.so.1", "libnvidia-ml.so.1", "libc.so.6")
    (driver / "cache").write_bytes(cache_of([(mark, name, str(driver / name)) for name in names]))
    monkeypatch.setattr(drivers, "CACHE", str(driver / "cache"))
    monkeypatch.setenv("PATH", f"{driver}/bin:{os.environ['PATH']}")
    text = """\
%post
echo "> post $LD_LIBRARY_PATH $(ls /.singularity.d/libs | tr '\\n' ' ')"
cat /.singularity.d/libs/libcuda.so.1 > /copied
nvidia-smi
%test
echo "> test $LD_LIBRARY_PATH $(ls /.singularity.d/libs | tr '\\n' ' ')"
"""
    outcome = build(text, "--nv")
    assert outcome.code == 0, outcome.err
    libs = "/.singularity.d/libs libcuda.so.1 libnvidia-ml.so.1 "
    assert echoed(outcome.err) == [f"post {libs}", "smi", f"test {libs}"]
    assert Path("out/copied").read_text() == "libcuda.so.1 of the host\n"
    assert os.listdir("out/.singularity.d/libs") == []
    assert not Path("out/usr/bin/nvidia-smi").exists()
    # Kept as long as the driver is the same one.
    assert echoed(build(text, "--nv").err) == []
    os.utime(driver / "libcuda.so.1", (1, 1))
    assert len(echoed(build(text, "--nv").err)) == 3


def test_without_a_driver_the_sections_run_and_it_is_said(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "CACHE", "/nonexistent")
    outcome = build('%post\necho "> $(ls /.singularity.d/libs)"\n', "--nv", "--rocm")
    assert (outcome.code, echoed(outcome.err)) == (0, [""])
    for flag in ("--nv", "--rocm"):
        assert f"warning: `{flag}`: this host has no libraries of such a driver in /etc/ld.so.cache" in outcome.err


def test_an_update_runs_over_the_directory(build: Build, sealift: Build) -> None:
    first = "%post\necho one > /one\n%labels\nA first\n%environment\nexport E=1\n%runscript\necho first\n"
    assert build(first).code == 0
    Path("out/mine").write_text("mine\n")
    Path("out/opt").rmdir()
    Path("second.def").write_text(
        "Bootstrap: oci\nFrom: nothing/there\n"
        '%setup\necho "> setup $(cat $APPTAINER_ROOTFS/mine)"\n'
        '%post\necho "> post $(cat /one)"; echo two > /two; rm /one\n'
        "%labels\nA second\nB second\n%environment\nexport F=2\n%test\necho '> test'\n"
    )
    outcome = sealift("build", "--update", "--sandbox", "out", "second.def")
    assert outcome.code == 0, outcome.err
    assert echoed(outcome.err) == ["setup mine", "post one", "test"]
    assert "the base has the label `A`, which stays `first`" in outcome.err
    out = Path("out")
    names = ("mine", "two", "one", "opt")
    assert [name for name in names if (out / name).exists()] == ["mine", "two"]
    labels = json.loads((out / ".singularity.d/labels.json").read_text())
    assert (labels["A"], labels["B"]) == ("first", "second")
    assert labels["org.label-schema.usage.singularity.deffile.from"] == "layout"
    assert (out / ".singularity.d/env/90-environment.sh").read_text().count("export") == 2
    assert (out / ".singularity.d/runscript").read_text() == "#!/bin/sh\n\necho first\n\n"
    assert sorted(os.listdir(out / ".singularity.d/bootstrap_history")) == ["Apptainer0"]
    assert (out / ".singularity.d/Singularity").read_text() == Path("second.def").read_text()


@pytest.mark.parametrize("how", ["section", "test"])
def test_an_update_that_fails_changes_nothing(build: Build, sealift: Build, how: str) -> None:
    assert build("%post\necho one > /one\n").code == 0
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in Path("out").rglob("*"))
    text = {"section": "%post\nrm /one; false\n", "test": "%post\nrm /one\n%test\nfalse\n"}[how]
    Path("second.def").write_text(f"Bootstrap: scratch\n{text}")
    assert sealift("build", "--update", "--sandbox", "out", "second.def").code != 0
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in Path("out").rglob("*")) == before
    assert [name for name in os.listdir(".") if name.startswith((".", "out."))] == []


def test_force_makes_of_an_update_a_new_build(build: Build) -> None:
    assert build("%post\necho one > /one\n").code == 0
    Path("out/mine").write_text("mine\n")
    assert build("%post\necho two > /two\n", "--update").code == 0
    names = ("one", "two", "mine")
    assert [name for name in names if Path("out", name).exists()] == ["two"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("out.sif", "x.def"), "`--update` changes a directory, and `out.sif` is to be none"),
        (("--sandbox", "none", "x.def"), "`none` is not there, so that there is nothing to update"),
        (("--sandbox", "x.def", "x.def"), "`x.def` is no directory, so that there is nothing to update"),
        (
            ("--sandbox", "out", "oci:layout"),
            "`--update` runs a definition file over the directory, and `oci:layout` is an image",
        ),
        (("--sandbox", "out", "out"), "`--update` runs a definition file over the directory, and `out` is an image"),
    ],
)
def test_what_cannot_be_updated(build: Build, sealift: Build, arguments: tuple[str, ...], message: str) -> None:
    assert build("%post\ntrue\n").code == 0
    outcome = sealift("build", "--update", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"error: {message}\n" in outcome.err


def test_what_a_failed_section_made_is_kept_on_request(build: Build, sealift: Build, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    text = "%post\necho half > /half\nrm /etc/passwd\nfalse\n"
    assert build(text, "--tmpdir", place).code == 3
    assert os.listdir(place) == []
    outcome = build(text, "--tmpdir", place, "--no-cleanup")
    assert outcome.code == 3
    (image,) = place.iterdir()
    assert f"warning: what the sections had made is kept in {image}\nhint: sealift shell {image}\n" in outcome.err
    assert sealift("build", "--sandbox", "kept", image).code == 0
    assert Path("kept/half").read_text() == "half\n"
    assert not Path("kept/etc/passwd").exists()
    image.unlink()


def test_a_folder_to_build_in_that_is_none(build: Build) -> None:
    outcome = build("%post\ntrue\n", "--tmpdir", "/none/such")
    assert (outcome.code, outcome.err) == (
        2,
        "error: `--tmpdir /none/such`: there is no such folder\nhint: mkdir -p /none/such\n",
    )


def test_what_the_builder_orders_reaches_post_and_test(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """\
%environment
export A=image
export PATH=/of/image:$PATH
%post
echo "> post ${A-none} ${B-none} $PATH"
%test
echo "> test ${A-none} ${B-none} ${PATH%%:/usr*}"
"""
    usual = "/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"
    assert echoed(build(text).err) == [f"post none none {usual}", "test image none /of/image"]
    monkeypatch.setenv("APPTAINERENV_A", "ordered")
    monkeypatch.setenv("SINGULARITYENV_B", "$HOME too")
    monkeypatch.setenv("APPTAINERENV_PREPEND_PATH", "/first")
    said = [f"post ordered /root too /first:{usual}", "test ordered /root too /first:/of/image"]
    assert echoed(build(text).err) == said
    assert echoed(build(text).err) == []

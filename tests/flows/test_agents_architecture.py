"""`--arch`: refused before any work where programs of the image could not run, done where they can."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from sealift.flows import agents
from tests import parts
from tests.ground import foreign, images, layouts, repositories, session

from .conftest import tar_of

POST = """Bootstrap: oci
From: none

%files
    one /one
%post
    echo hello
%test
    true
"""


@pytest.fixture
def alone(monkeypatch) -> None:
    """A Debian machine for amd64 with no emulation."""
    monkeypatch.setattr(agents, "can_run", lambda _architecture: False)
    monkeypatch.setattr(agents, "registration", lambda _architecture: None)
    monkeypatch.setattr(agents, "own_families", lambda: ("debian",))
    monkeypatch.setattr(agents, "machine", lambda: "x86_64")


HINTS = """\
hint: on Debian and Ubuntu: apt-get install qemu-user-static binfmt-support
hint: then this must work: qemu-aarch64-static --version, and see: ls /proc/sys/fs/binfmt_misc
hint: or build on a machine for arm64, or {}
"""


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            POST,
            (),
            "error: `%post` would run programs for arm64, which this host (amd64) cannot\n"
            " --> x.def:6:1\n6 | %post\n  | ^^^^^\n" + HINTS.format("convert the base without it"),
        ),
        (
            POST.replace("%post", "%help"),
            (),
            "error: `%test` would run programs for arm64, which this host (amd64) cannot\n"
            " --> x.def:8:1\n8 | %test\n  | ^^^^^\n" + HINTS.format("leave it out: --notest"),
        ),
        (
            "Bootstrap: busybox\nMirrorURL: http://127.0.0.1:1/\n",
            (),
            "error: `Bootstrap: busybox` would run programs for arm64, which this host (amd64) cannot\n"
            " --> x.def:1:1\n1 | Bootstrap: busybox\n  | ^^^^^^^^^^^^^^^^^^\n"
            + HINTS.format("begin with an image: Bootstrap: docker"),
        ),
        (
            "Bootstrap: oci\nFrom: none\n%appinstall one\n    true\n",
            (),
            "error: `%appinstall` would run programs for arm64, which this host (amd64) cannot\n"
            " --> x.def:3:1\n3 | %appinstall one\n  | ^^^^^^^^^^^^^^^\n" + HINTS.format("convert the base without it"),
        ),
    ],
)
def test_what_would_run_is_refused_before_any_work(sealift, alone, text, options, message):
    """`From: none` does not exist: nothing of it was looked for."""
    Path("x.def").write_text(text)
    outcome = sealift("build", "--arch", "arm64", *options, "x.sif", "x.def")
    assert (outcome.code, outcome.err) == (6, message)
    assert not Path("x.sif").exists()


def test_an_emulator_that_no_image_has(sealift, alone, monkeypatch):
    from sealift.system.emulation import Registration

    found = Registration(name="qemu-aarch64", interpreter="/usr/bin/qemu-aarch64", flags="OC")
    monkeypatch.setattr(agents, "can_run", lambda _architecture: True)
    monkeypatch.setattr(agents, "registration", lambda _architecture: found)
    Path("x.def").write_text(POST)
    outcome = sealift("build", "--arch", "arm64", "x.sif", "x.def")
    message = (
        "error: `%post` would run programs for arm64 by `/usr/bin/qemu-aarch64`, which no image has\n"
        " --> x.def:6:1\n6 | %post\n  | ^^^^^\n"
        "hint: let it be registered with the flag F (fix binary): apt-get install --reinstall qemu-user-static\n"
        "hint: see: cat /proc/sys/fs/binfmt_misc/qemu-aarch64\n"
    )
    assert (outcome.code, outcome.err) == (6, message)


@pytest.fixture
def two_platforms(tmp_path) -> Path:
    layout = tmp_path / "layout"
    layouts.write_layout(layout, [tar_of({"etc": None, "etc/machine": b"arm64\n"})], architecture="arm64", tag="arm")
    return layouts.write_layout(layout, [tar_of({"etc": None, "etc/machine": b"amd64\n"})], tag="amd")


def test_a_conversion_works_on_any_host(sealift, alone, two_platforms):
    outcome = sealift("build", "--arch", "aarch64", "x.sif", f"oci:{two_platforms}:arm")
    assert outcome.code == 0, outcome.err
    # The header's `arch`: SIF's own code of arm64.
    assert Path("x.sif").read_bytes()[45:48] == b"04\0"
    Path("x.def").write_text(
        f"Bootstrap: oci\nFrom: {two_platforms}:arm\n%environment\n    export A=1\n%labels\n    A b\n"
    )
    assert sealift("build", "--arch", "arm64", "y.sif", "x.def").code == 0
    Path("z.def").write_text(f"Bootstrap: oci\nFrom: {two_platforms}:arm\n%test\n    true\n")
    assert sealift("build", "--arch", "arm64", "--notest", "z.sif", "z.def").code == 0


def test_an_image_that_lacks_the_platform(sealift, two_platforms):
    outcome = sealift("build", "--arch", "riscv64", "x.sif", f"oci:{two_platforms}:arm")
    assert (outcome.code, outcome.err) == (
        4,
        f"error: `oci:{two_platforms}:arm` is an image for linux/arm64, not for linux/riscv64\nhint: --arch arm64\n",
    )


@pytest.mark.parametrize(
    ("name", "hints"),
    [("arn64", ["hint: did you mean --arch arm64"]), ("AMD64", ["hint: did you mean --arch amd64"]), ("vax", [])],
)
def test_a_name_that_nobody_knows(sealift, name, hints):
    known = "amd64, 386, arm64, arm, ppc64, ppc64le, mips, mipsle, mips64, mips64le, s390x, riscv64"
    outcome = sealift("build", "--arch", name, "x.sif", "docker://ubuntu")
    assert (outcome.code, outcome.err.splitlines()) == (
        2,
        [f"error: there is no architecture `{name}`", *hints, f"hint: there are: {known}"],
    )


@pytest.mark.slow
@pytest.mark.needs("root", "own-binfmt", "mirror")
def test_with_an_emulator_the_sections_run(tmp_path):
    """A real userland for arm64: busybox is asked for its names, and `%post` and `%test` run, all by QEMU."""
    busybox = parts.cache_folder() / "busybox-arm64"
    with session.alone("busybox-arm64"):
        if not busybox.exists():
            foreign.fetch_busybox(busybox)
    (tmp_path / "www").mkdir()
    shutil.copy(busybox, tmp_path / "www")
    script = "\n%post\n    uname -m > /machine\n%test\n    grep -x aarch64 /machine\n"
    with repositories.served(tmp_path / "www") as served:
        text = f"Bootstrap: busybox\nMirrorURL: {served.url}/busybox-arm64\n{script}"
        (tmp_path / "x.def").write_text(text)
        done = foreign.with_emulation(
            [sys.executable, "-m", "sealift", "build", "--arch", "arm64", "x.sif", "x.def"],
            env={"SEALIFT_CACHE_DIR": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)},
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr.decode()
    with images.mounted(tmp_path / "x.sif", below=tmp_path) as root:
        assert (root / "machine").read_text() == "aarch64\n"
        assert (root / "bin/ls").stat().st_nlink > 200

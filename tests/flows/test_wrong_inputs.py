"""Each wrong input: one message with a hint, the right exit code, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.flows.conftest import tar_of
from tests.ground import layouts

DEFINITIONS = {
    "unknown-section.def": "Bootstrap: scratch\n\n%pots\n    true\n",
    "no-from.def": "Bootstrap: docker\n",
    "no-bootstrap.def": "From: x\n",
    "not-there.def": "Bootstrap: oci\nFrom: nowhere:latest\n",
    "agent.def": "Bootstrap: shub\nFrom: a/b\n",
    "local.def": "Bootstrap: localimage\nFrom: missing.sif\n",
    "files.def": "Bootstrap: scratch\n\n%files\n    missing.txt /x\n",
    "empty.def": "",
    "args.def": "Bootstrap: scratch\n\n%help\n    {{ who }}\n",
    "docker.def": "Bootstrap: docker\nFrom: 127.0.0.1:1/nobody/listens:1\n",
    "Dockerfile": "FROM ubuntu:24.04\nRUN true\n",
    "program": "\x7fELF\x02\x01\x01",
}

CASES = [
    # arguments, exit code, what the message begins with, a word of its hint
    (("build", "x.sif", "missing.def"), 2, "there is no definition file or image `missing.def`", None),
    (("build", "x.sif", "unknown-section.def"), 3, "unknown section `%pots`", "%post"),
    (("build", "x.sif", "no-from.def"), 3, "", "From"),
    (("build", "x.sif", "no-bootstrap.def"), 3, "the header has no `Bootstrap:`", "Bootstrap"),
    (("build", "x.sif", "not-there.def"), 4, "", None),
    (("build", "x.sif", "agent.def"), 3, "Sealift has no bootstrap agent `shub`", "apptainer pull"),
    (("build", "x.sif", "local.def"), 5, "there is no image `missing.sif`", "sealift build"),
    (("build", "x.sif", "files.def"), 3, "`missing.txt` is not there to be copied", None),
    (("build", "x.sif", "empty.def"), 3, "", "Bootstrap"),
    (("build", "x.sif", "args.def"), 3, "", "--build-arg"),
    (("build", "--build-arg", "nobody=1", "x.sif", "files.def"), 3, "", "nobody"),
    (("build", "--build-arg", "novalue", "x.sif", "files.def"), 2, "`novalue` is not K=V", "--build-arg"),
    (("build", "x.sif", "Dockerfile"), 3, "`Dockerfile` is a Dockerfile", "docker"),
    (("build", "x.sif", "program"), 3, "`program` is a program", "see what it is: file program"),
    (("build", "x.sif", "docker.def"), 4, "", None),
    (("build", "no/such/folder/x.sif", "files.def"), 6, "there is no folder", "mkdir -p"),
    (("build", "there.sif", "files.def"), 2, "`there.sif` exists", "-F"),
    (("build", ".", "files.def"), 2, "`.` is a folder", "image.sif"),
    (("build", "--compression", "lzo", "x.sif", "files.def"), 2, "`lzo` is not a compression", "zstd"),
    (("build", "--block-size", "100K", "x.sif", "files.def"), 2, "", "power of two"),
    (("build", "--arch", "vax", "x.sif", "files.def"), 2, "there is no architecture `vax`", "amd64"),
    (("build", "x.sif", "docker://Ubuntu:24.04"), 2, "", "docker://ubuntu"),
    (("build", "x.sif", "library://ubuntu"), 2, "", "apptainer pull"),
    (("pull", "x.sif", "docker://127.0.0.1:1/a/b"), 4, "", None),
    (("pull", "ubuntu"), 2, "`ubuntu`", "docker://ubuntu"),
    (("exec", "missing.sif", "true"), 5, "there is no image `missing.sif`", "sealift build"),
    (("exec", "Dockerfile", "true"), 5, "`Dockerfile` is not an image", "file Dockerfile"),
    (("inspect", "missing.sif"), 5, "there is no image `missing.sif`", "sealift build"),
    (("inspect", "program"), 5, "`program` is no image", "file program"),
    (
        ("check", "local.def", "--site", "polaris"),
        5,
        "`local.def` is a definition file",
        "sealift build local.sif local.def",
    ),
    (("check", "Dockerfile", "--site", "polaris"), 5, "`Dockerfile` is a Dockerfile", "docker"),
    (("check", "program", "--site", "polaris"), 5, "`program` is no image", "file program"),
    (("check", "missing.sif"), 5, "there is no image `missing.sif`", "sealift build"),
    (("check", "program", "--site", "perlmuter"), 2, "there is no site `perlmuter`", "perlmutter"),
    (("check", "program", "--engine", "podmanhpc"), 2, "there is no engine `podmanhpc`", "podman-hpc"),
    (("exec", "x.sif"), 2, "exec takes a command", "sealift exec"),
    (("cache", "prune", "--max-size", "lots"), 2, "`lots` is not a size", "20G"),
]


@pytest.mark.parametrize(("arguments", "code", "begins", "hint"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_it_is_refused(sealift, arguments, code, begins, hint):
    for name, text in DEFINITIONS.items():
        with open(name, "w", encoding="latin-1") as file:
            file.write(text)
    with open("there.sif", "wb") as file:
        file.write(b"old")
    before = sorted(os.listdir("."))
    outcome = sealift(*arguments)
    assert (outcome.code, outcome.out) == (code, "")
    # What is not reached is tried again before it is an error; each try is a warning.
    said = "".join(line for line in outcome.err.splitlines(keepends=True) if not line.startswith("warning: "))
    message, _, hints = said.partition("\nhint: ")
    assert message.startswith(f"error: {begins}"), outcome.err
    assert hints, outcome.err
    if hint:
        assert hint in outcome.err
    assert sorted(os.listdir(".")) == before
    with open("there.sif", "rb") as file:
        assert file.read() == b"old"


def test_an_image_of_another_architecture_is_refused(sealift, tmp_path):
    layout = layouts.write_layout(tmp_path / "arm", [tar_of({"a": b"1"})], architecture="arm64")
    outcome = sealift("build", "x.sif", f"oci:{layout}")
    assert outcome.code == 4
    assert "linux/arm64" in outcome.err
    assert "hint: --arch arm64" in outcome.err
    assert os.listdir(".") == []
    assert sealift("build", "--arch", "arm64", "x.sif", f"oci:{layout}").code == 0
    run = sealift("exec", "--engine", "embedded", "x.sif", "true")
    assert run.code in (5, 6)
    assert "arm64" in run.err


def test_a_layer_that_is_not_its_digest_is_refused(sealift, small_layout):
    blobs = small_layout / "blobs" / "sha256"
    largest = max(blobs.iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    outcome = sealift("build", "x.sif", f"oci:{small_layout}")
    assert outcome.code in (4, 5)
    assert outcome.err.count("error: ") == 1
    assert os.listdir(".") == []


@pytest.mark.parametrize("length", [0, 20, 100, 5_000, 40_000, 200_000])
def test_a_truncated_sif_is_refused(sealift, small_layout, length):
    assert sealift("build", "x.sif", f"oci:{small_layout}").code == 0
    with open("x.sif", "r+b") as file:
        file.truncate(length)
    for arguments in (
        ("inspect", "x.sif"),
        ("exec", "--engine", "embedded", "x.sif", "true"),
        ("build", "y.sif", "x.sif"),
    ):
        outcome = sealift(*arguments)
        assert outcome.code in (3, 5), outcome.err
        assert outcome.err.startswith("error: ")
        assert "Traceback" not in outcome.err
    assert os.listdir(".") == ["x.sif"]


@pytest.mark.needs("root")
@pytest.mark.parametrize("full", ["target", "cache"])
def test_a_full_disk_is_said_and_nothing_stays(sealift, small_layout, tmp_path, monkeypatch, full):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", small], check=True)
    try:
        target = "x.sif"
        if full == "target":
            target = f"{small}/x.sif"
        elif full == "cache":
            monkeypatch.setenv("SEALIFT_CACHE_DIR", str(small / "cache"))
        outcome = sealift("build", target, f"oci:{small_layout}")
        assert outcome.code == 6, outcome.err
        assert "full" in outcome.err
        assert "hint: " in outcome.err
        assert not os.path.exists(target)
        left = [os.path.join(here, name) for here, _, names in os.walk(small) for name in names]
        assert not [path for path in left if path.endswith(".sif") or ".part" in path], left
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.needs("plain-user")
def test_a_folder_that_cannot_be_written_is_said(as_user, open_folder, small_layout):
    shutil.copytree(small_layout, open_folder / "layout")
    done = as_user(["sealift", "build", "/etc/x.sif", f"oci:{open_folder}/layout"], user="plain")
    assert done.returncode == 6
    assert done.stderr.startswith(b"error: `/etc` cannot be written")

"""Apptainer's command lines in Sealift's words."""

from __future__ import annotations

import os

import pytest

from sealift.cli.shimwords import sealift_words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("build x.sif x.def", "build x.sif x.def"),
        ("build -F --fakeroot x.sif x.def --notest", "build --force --fakeroot --notest x.sif x.def"),
        ("build --build-arg A=1,B=2 --build-arg C=3 x y", "build --build-arg=A=1 --build-arg=B=2 --build-arg=C=3 x y"),
        ("build --section post,test -B /a,/b x x.def", "build --section=post,test --bind=/a,/b x x.def"),
        ("build --disable-cache --userns --nv x x.def", "build --no-cache --nv x x.def"),
        ("build --sandbox=false -s x x.def", "build --sandbox x x.def"),
        ("build -- -x.sif x.def", "build -- -x.sif x.def"),
        ("build --help", "build --help"),
        ("pull docker://ubuntu:24.04", "pull docker://ubuntu:24.04"),
        ("pull -F -U u.sif docker://ubuntu", "pull --force u.sif docker://ubuntu"),
        ("pull --dir /d docker://ubuntu:24.04", "pull /d/ubuntu_24.04.sif docker://ubuntu:24.04"),
        ("pull --dir d u.sif docker://ubuntu", "pull d/u.sif docker://ubuntu"),
        ("pull --name u.sif docker://ubuntu", "pull u.sif docker://ubuntu"),
        ("pull --sandbox u docker://ubuntu", "build --sandbox u docker://ubuntu"),
        ("push -U --no-https x.sif oras://h/n:1", "push --no-https x.sif oras://h/n:1"),
        ("push -D words x.sif oras://h/n:1", "push x.sif oras://h/n:1"),
        ("pull --platform linux/arm64 docker://ubuntu", "pull --arch=arm64 docker://ubuntu"),
        ("pull --arch arm64 --disable-cache docker://ubuntu", "pull --arch=arm64 docker://ubuntu"),
        ("build --arch arm --arch-variant 6 x.sif x.def", "build --arch=arm --arch-variant=6 x.sif x.def"),
        ("inspect -j -d x.sif", "inspect --json --deffile x.sif"),
        ("inspect x.sif --app a", "inspect --app=a x.sif"),
        ("run-help --app a x.sif", "run-help --app=a x.sif"),
        ("cache list -v", "cache list"),
        ("cache clean -f", "cache clean --force"),
        ("cache clean -T all -f", "cache clean --force"),
        ("cache clean --dry-run -f", "cache show"),
        ("cache -h list", "cache list --help"),
        ("sif list x.sif", "sif list x.sif"),
        ("sif dump 1 x.sif", "sif dump 1 x.sif"),
    ],
)  # fmt: skip
def test_words(line, words):
    verb, *rest = line.split()
    assert sealift_words("singularity", verb, rest) == words.split()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-comp zstd -Xcompression-level 3", ["--compression=zstd:3"]),
        ("-comp gzip", ["--compression=gzip:9"]),
        ("-b 128k", ["--block-size=128K"]),
        ("-processors 4 -mem 2G", []),
    ],
)
def test_arguments_for_mksquashfs(arguments, words):
    line = ["--mksquashfs-args", arguments, "x.sif", "x.def"]
    assert sealift_words("apptainer", "build", line) == ["build", *words, "x.sif", "x.def"]


def test_quiet_and_verbose_go_where_they_mean_something():
    assert sealift_words("apptainer", "build", ["x", "y"], quiet=True) == ["build", "--quiet", "x", "y"]
    assert sealift_words("apptainer", "pull", ["docker://x"], verbose=True) == ["pull", "--verbose", "docker://x"]
    assert sealift_words("apptainer", "sif", ["list", "x"], quiet=True) == ["sif", "list", "x"]


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("build --authfile f x y", "REGISTRY_AUTH_FILE", "f"),
        ("pull --docker-host unix:///s docker-daemon:x", "DOCKER_HOST", "unix:///s"),
        ("build --tmpdir /scratch x y", "SEALIFT_TMPDIR", "/scratch"),
        ("pull --docker-username me docker://x", "APPTAINER_DOCKER_USERNAME", "me"),
    ],
)
def test_what_is_said_in_variables(line, name, value, monkeypatch):
    monkeypatch.setenv(name, "before")
    verb, *rest = line.split()
    assert sealift_words("apptainer", verb, rest) == [verb, *rest[2:]]
    assert os.environ[name] == value

"""Apptainer's options about images and registries: understood, what happens anyway, or refused by name."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sealift.cli import build, pull
from sealift.cli.imageflags import asked_architecture, asked_packing, registry_environment
from sealift.errors import UsageError


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    build.configure(parser, "build")
    return parser.parse_args([*words, "x.sif", "x.def"])


@pytest.mark.parametrize(
    ("words", "packing"),
    [
        ((), (None, None)),
        (("--mksquashfs-args", ""), (None, None)),
        (("--mksquashfs-args", "-comp gzip"), ("gzip:9", None)),
        (("--mksquashfs-args", "-comp zstd"), ("zstd:15", None)),
        (("--mksquashfs-args", "-Xcompression-level 4"), ("gzip:4", None)),
        (("--mksquashfs-args", "-comp zstd -Xcompression-level 3 -b 1M"), ("zstd:3", "1M")),
        (("--mksquashfs-args", "-b 131072 -processors 4 -mem 2G -no-progress"), (None, "131072")),
        (("--mksquashfs-args", "-b 64K", "--block-size", "128K"), (None, "128K")),
        (("--mksquashfs-args", "-comp zstd", "--compression", "gzip:1"), ("gzip:1", None)),
    ],
)
def test_what_mksquashfs_was_told(words: tuple[str, ...], packing: tuple[str | None, str | None]) -> None:
    assert asked_packing(parsed(*words)) == packing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-comp lz4", "`--mksquashfs-args`: Sealift does not compress with `lz4`"),
        ("-comp", "`--mksquashfs-args`: `-comp` wants a value"),
        ("-Xcompression-level 10", "`--mksquashfs-args`: `10` is not a level of gzip"),
        ("-comp zstd -Xcompression-level fast", "`--mksquashfs-args`: `fast` is not a level of zstd"),
        ("-all-root", "`--mksquashfs-args`: Sealift packs without mksquashfs and has no `-all-root`"),
        ("'-comp", "`--mksquashfs-args '-comp`: No closing quotation"),
    ],
)
def test_what_mksquashfs_cannot_be_told(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked_packing(parsed(f"--mksquashfs-args={text}"))
    assert caught.value.message == message
    assert caught.value.hints


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ((), None),
        (("--arch", "arm64"), "arm64"),
        (("--arch", "arm", "--arch-variant", "6"), "arm32v6"),
        (("--arch", "arm", "--arch-variant", "v7"), "arm32v7"),
        (("--arch", "arm64", "--arch-variant", "8"), "arm64"),
    ],
)
def test_architectures(words: tuple[str, ...], name: str | None) -> None:
    assert asked_architecture(parsed(*words)) == name


def test_a_variant_that_is_none() -> None:
    with pytest.raises(UsageError, match="there is no variant `9` of `amd64`"):
        asked_architecture(parsed("--arch", "amd64", "--arch-variant", "9"))


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--encrypt",), "--encrypt"),
        (("-e",), "--encrypt"),
        (("--passphrase",), "--passphrase"),
        (("--pem-path", "k.pem"), "--pem-path"),
        (("--library", "https://x"), "--library"),
    ],
)
def test_what_is_refused_by_name(words: tuple[str, ...], option: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*words)
    assert caught.value.message.startswith(f"`{option}`: Sealift ")
    assert caught.value.hints


def test_what_happens_anyway_is_accepted() -> None:
    options = parsed("--fakeroot", "--userns", "--reproducible", "--disable-cache", "--no-cleanup", "--fix-perms")
    assert options.no_cache is True


def test_logins(tmp_path: Path) -> None:
    given = {"HOME": "/home/me"}
    file = tmp_path / "auth.json"
    file.write_text("{}")
    assert registry_environment(parsed(), given) == given
    assert registry_environment(parsed("--authfile", str(file)), given) == {**given, "REGISTRY_AUTH_FILE": str(file)}
    assert registry_environment(parsed("--docker-username", "me", "--docker-password", "secret"), given) == {
        **given,
        "APPTAINER_DOCKER_USERNAME": "me",
        "APPTAINER_DOCKER_PASSWORD": "secret",
    }
    kept = {"APPTAINER_DOCKER_PASSWORD": "secret"}
    assert registry_environment(parsed("--docker-username", "me"), kept)["APPTAINER_DOCKER_USERNAME"] == "me"
    assert registry_environment(parsed("--docker-host", "tcp://x"), {}) == {"APPTAINER_DOCKER_HOST": "tcp://x"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--authfile", "/no/such"), "there is no file `/no/such` with logins"),
        (("--docker-username", "me"), "`--docker-password` is missing"),
        (("--docker-password", "x"), "`--docker-username` is missing"),
        (("--docker-login",), "`--docker-login` asks for a name and a password, and there is nobody to ask"),
    ],
)
def test_logins_that_are_wrong(words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(UsageError) as caught:
        registry_environment(parsed(*words), {})
    assert caught.value.message == message


PULLS = [
    (("docker://ubuntu:24.04",), ("ubuntu_24.04.sif", "docker://ubuntu:24.04", False)),
    (("x.sif", "docker://ubuntu"), ("x.sif", "docker://ubuntu", False)),
    (("--dir", "images", "docker://ubuntu:24.04"), ("images/ubuntu_24.04.sif", "docker://ubuntu:24.04", False)),
    (("--dir", "images", "x.sif", "docker://ubuntu"), ("images/x.sif", "docker://ubuntu", False)),
    (("--name", "x.simg", "docker://ubuntu"), ("x.simg", "docker://ubuntu", False)),
    (("--sandbox", "x/", "docker://ubuntu"), ("x/", "docker://ubuntu", True)),
    (("oci:x:1", "docker://ubuntu"), ("oci:x:1", "docker://ubuntu", False)),
]


def pulled(monkeypatch: pytest.MonkeyPatch, *words: str) -> argparse.Namespace:
    asked: list[argparse.Namespace] = []
    monkeypatch.setattr(build, "execute", asked.append)
    parser = argparse.ArgumentParser()
    pull.configure(parser, "pull")
    pull.execute(parser.parse_args(words))
    return asked[0]


@pytest.mark.parametrize(("words", "expected"), PULLS)
def test_pull(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], expected: tuple[str, str, bool]) -> None:
    options = pulled(monkeypatch, *words)
    assert (options.image, options.spec, options.sandbox) == expected
    assert options.as_it_is is True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--name", "a.sif", "b.sif", "docker://x"), "the image has two names: `b.sif` and `a.sif`"),
        (("--dir", "d", "oci:x", "docker://x"), "`--dir` holds files, and `oci:x` says itself where it lies"),
        (("x.sif", "ubuntu"), "`ubuntu` is not a registry's image"),
        (("a", "b", "docker://x"), "pull takes an image and a source"),
    ],
)
def test_pull_refuses(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        pulled(monkeypatch, *words)
    assert caught.value.message == message

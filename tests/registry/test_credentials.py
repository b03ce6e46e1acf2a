from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import HostError
from sealift.registry.credentials import (
    Credentials,
    Login,
    auth_paths,
    load_credentials,
    login_from_variables,
    normalise_key,
    parse_auth_file,
)
from sealift.system.process import Completed


def auth(name: str, secret: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:{secret}".encode()).decode()}


def credentials(value: object, **options: Any) -> Credentials:
    return Credentials([parse_auth_file(json.dumps(value).encode(), "f")], **options)


def login(name: str, secret: str, source: str = "f") -> Login:
    return Login(username=name, password=secret, source=source)


@pytest.mark.parametrize(
    ("key", "registry", "repository"),
    [
        ("quay.io", "quay.io", "org/app"),
        ("https://quay.io", "quay.io", "org/app"),
        ("https://quay.io/v2/", "quay.io", "org/app"),
        ("quay.io/org", "quay.io", "org/app"),
        ("quay.io/org/app", "quay.io", "org/app"),
        ("localhost:5000", "localhost:5000", "app"),
        ("https://index.docker.io/v1/", "docker.io", "library/ubuntu"),
        ("docker.io", "docker.io", "library/ubuntu"),
        ("registry-1.docker.io", "docker.io", "org/app"),
    ],
)
def test_keys_of_files(key: str, registry: str, repository: str) -> None:
    assert credentials({"auths": {key: auth("me", "a:b")}}).find(registry, repository) == login("me", "a:b")


@pytest.mark.parametrize(
    ("key", "registry"), [("quay.io/other", "quay.io"), ("quay.io", "quay.io:443"), ("uay.io", "quay.io")]
)
def test_keys_that_do_not_fit(key: str, registry: str) -> None:
    assert credentials({"auths": {key: auth("me", "x")}}).find(registry, "org/app") is None


def test_the_longest_key_wins() -> None:
    found = credentials({"auths": {"quay.io": auth("all", "1"), "quay.io/org": auth("org", "2")}})
    assert found.find("quay.io", "org/app") == login("org", "2")
    assert found.find("quay.io", "org2/app") == login("all", "1")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "me", "password": "x"}, login("me", "x")),
        ({"identitytoken": "t", **auth("me", "")}, Login(identity_token="t", source="f")),
        ({}, None),
        ({"auth": ""}, None),
    ],
)
def test_entries(entry: dict[str, str], expected: Login | None) -> None:
    assert credentials({"auths": {"quay.io": entry}}).find("quay.io") == expected


@pytest.mark.parametrize("entry", [{"auth": "no colon here"}, {"auth": "bm9jb2xvbg=="}, {"auth": "/w=="}, 1])
def test_damaged_entries_are_told_later(entry: object) -> None:
    found = credentials({"auths": {"quay.io": entry, "ghcr.io": auth("me", "x")}})
    assert (found.find("quay.io"), found.find("ghcr.io")) == (None, login("me", "x"))
    assert found.problems == ["the login for `quay.io` in `f` cannot be read"]


@pytest.mark.parametrize(("data", "problem"), [(b"{", "`f` is not JSON"), (b"[]", "`f` is not a JSON object")])
def test_damaged_files_are_told_later(data: bytes, problem: str) -> None:
    assert parse_auth_file(data, "f").problem.startswith(problem)


class Helper:
    """A credential helper as a function; keeps what it was asked."""

    def __init__(self, out: bytes, code: int = 0) -> None:
        self.asked: list[tuple[Sequence[str], bytes]] = []
        self._answer = Completed(code=code, out=out, err=b"")

    def __call__(self, argv: Sequence[str], *, stdin: bytes, **_: object) -> Completed:
        self.asked.append((argv, stdin))
        return self._answer


ANSWER = b'{"ServerURL":"x","Username":"me","Secret":"s"}'


class TestHelpers:
    def test_the_registry_s_own(self) -> None:
        helper = Helper(ANSWER)
        found = credentials(
            {"credHelpers": {"quay.io": "pass"}, "auths": {"quay.io": auth("no", "x")}}, run_helper=helper
        )
        for _ in range(3):
            assert found.find("quay.io", "a") == login("me", "s", "docker-credential-pass")
        assert helper.asked == [(("docker-credential-pass", "get"), b"quay.io")]

    def test_the_store_for_all(self) -> None:
        helper = Helper(ANSWER)
        found = credentials({"credsStore": "desktop", "auths": {"quay.io": {}}}, run_helper=helper)
        assert found.find("docker.io") == login("me", "s", "docker-credential-desktop")
        assert helper.asked == [(("docker-credential-desktop", "get"), b"https://index.docker.io/v1/")]

    def test_an_identity_token(self) -> None:
        helper = Helper(b'{"Username":"<token>","Secret":"t"}')
        found = credentials({"credsStore": "x"}, run_helper=helper)
        assert found.find("quay.io") == Login(identity_token="t", source="docker-credential-x")

    @pytest.mark.parametrize(
        ("out", "code", "problems"),
        [
            (b"credentials not found in native keychain\n", 1, []),
            (b"no display", 1, ["`docker-credential-x get` said: no display"]),
            (b"hello", 0, ["`docker-credential-x get` did not answer with JSON of `Username` and `Secret`"]),
            (b"[]", 0, ["`docker-credential-x get` did not answer with JSON of `Username` and `Secret`"]),
        ],
    )
    def test_no_answer(self, out: bytes, code: int, problems: list[str]) -> None:
        found = credentials({"credsStore": "x"}, run_helper=Helper(out, code))
        assert (found.find("quay.io"), found.problems) == (None, problems)

    def test_a_missing_one(self) -> None:
        """A config shared with a laptop names helpers that a login node does not have: images without login work."""

        def run(*_: object, **__: object) -> Completed:
            raise HostError("`docker-credential-desktop` is not installed")

        found = credentials({"credsStore": "desktop"}, run_helper=run)
        assert (found.find("quay.io"), found.problems) == (None, ["`docker-credential-desktop` is not installed"])

    def test_a_real_program(self, tmp_path: Path) -> None:
        program = tmp_path / "docker-credential-mine"
        program.write_text('#!/bin/sh\nread server\necho "{\\"Username\\":\\"$USER\\",\\"Secret\\":\\"$server\\"}"\n')
        program.chmod(0o755)
        (tmp_path / "config.json").write_text('{"credsStore":"mine"}')
        env = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/bin:/usr/bin", "USER": "me", "HOME": str(tmp_path)}
        assert load_credentials(env).find("quay.io") == login("me", "quay.io", "docker-credential-mine")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (
            {"APPTAINER_DOCKER_USERNAME": "a", "APPTAINER_DOCKER_PASSWORD": "b"},
            login("a", "b", "$APPTAINER_DOCKER_USERNAME"),
        ),
        (
            {"SINGULARITY_DOCKER_USERNAME": "a", "SINGULARITY_DOCKER_PASSWORD": "b"},
            login("a", "b", "$SINGULARITY_DOCKER_USERNAME"),
        ),
        ({"APPTAINER_DOCKER_USERNAME": "a"}, None),
        ({}, None),
    ],
)
def test_variables(env: dict[str, str], expected: Login | None) -> None:
    assert login_from_variables(env) == expected


def test_variables_win_but_not_for_mirrors() -> None:
    found = credentials({"auths": {"quay.io": auth("me", "x")}}, login=login("env", "y", "e"))
    assert found.find("quay.io") == login("env", "y", "e")
    assert found.find("quay.io", mirror=True) == login("me", "x")


def test_where_files_are_looked_for() -> None:
    assert auth_paths({"REGISTRY_AUTH_FILE": "/r", "HOME": "/h"}) == ("/r",)
    assert auth_paths({"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/1"}) == (
        "/h/.apptainer/docker-config.json",
        "/h/.singularity/docker-config.json",
        "/run/user/1/containers/auth.json",
        "/h/.config/containers/auth.json",
        "/h/.docker/config.json",
    )
    assert auth_paths({"HOME": "/h", "DOCKER_CONFIG": "/d", "XDG_CONFIG_HOME": "/c", "APPTAINER_CONFIGDIR": "/a"}) == (
        "/a/docker-config.json",
        "/h/.singularity/docker-config.json",
        "/c/containers/auth.json",
        "/d/config.json",
    )


def test_the_first_file_that_knows_wins(tmp_path: Path) -> None:
    for folder, name, user in ((".apptainer", "docker-config.json", "one"), (".docker", "config.json", "two")):
        os.mkdir(tmp_path / folder)
        (tmp_path / folder / name).write_text(json.dumps({"auths": {"quay.io": auth(user, "x")}}))
    found = load_credentials({"HOME": str(tmp_path)})
    assert found.find("quay.io") == login("one", "x", str(tmp_path / ".apptainer/docker-config.json"))


@pytest.mark.parametrize(
    ("key", "normal"),
    [
        ("https://index.docker.io/v1/", "index.docker.io"),
        ("http://h:5000", "h:5000"),
        ("h/v1x", "h/v1x"),
        ("h/org/", "h/org"),
    ],
)
def test_keys_are_normalised(key: str, normal: str) -> None:
    assert normalise_key(key) == normal


def test_secrets_do_not_show() -> None:
    assert "s3cret" not in repr(Login(username="me", password="s3cret", identity_token="s3cret"))

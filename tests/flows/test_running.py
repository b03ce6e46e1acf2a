"""What is said besides the exit code when a section's script fails."""

from __future__ import annotations

import pytest

from sealift.flows.running import section_hints

LISTS = "the package lists of the image may be empty or old: apt-get update && apt-get install -y PACKAGE"
NUMBERS = "without root a build has no user and group numbers above those of /etc/subuid: groupadd -g 6000 NAME"
PROXY = "a host was not found; behind a proxy: export http_proxy=http://HOST:PORT https_proxy=$http_proxy"
ANSWER = "nobody can answer during a build: apt-get install -y PACKAGE"


@pytest.mark.parametrize(
    ("lines", "code", "expected"),
    [
        ("", 1, ()),
        ("+ apt-get install -y bc\nE: Unable to locate package bc\n", 100, (LISTS,)),
        ("+ apt-get install -y bc\nE: Package 'bc' has no installation candidate\n", 100, (LISTS,)),
        ("+ apt-get install bc\nDo you want to continue? [Y/n] Abort.\n", 1, (ANSWER,)),
        ("+ apt-get update\nErr:1 http://a.example x InRelease\n  Could not resolve 'a.example'\n", 100, (PROXY,)),
        ("+ curl a.example\ncurl: (6) Could not resolve host: a.example\n", 6, (PROXY,)),
        ("+ chown -R a /b\nchown: changing ownership of '/b': Invalid argument\n", 1, (NUMBERS,)),
        ("+ mount /b\nmount: Invalid argument\n", 32, ()),
        (
            "+ nonsense\n/bin/sh: 3: nonsense: not found\n",
            127,
            ("127 means that a command was not found in the image",),
        ),
        (
            "+ pip install six\nssl: certificate verify failed\n",
            1,
            ("name your site's CA bundle: export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",),
        ),
    ],
)
def test_hints_of_a_failed_script(lines: str, code: int, expected: tuple[str, ...]) -> None:
    commands = tuple(f"the last command was: {line[2:]}" for line in lines.splitlines() if line.startswith("+ "))
    assert section_hints(lines.encode().splitlines(keepends=True), code) == (*commands, *expected)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.errors import FetchError
from sealift.registry.challenge import Challenge, Token, parse_challenges, parse_token


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ('Basic realm="Registry"', [("basic", {"realm": "Registry"})]),
        ("Basic", [("basic", {})]),
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        ("BEARER Realm=x , Service = y", [("bearer", {"realm": "x", "service": "y"})]),
        (r'Bearer realm="a\"b\\c"', [("bearer", {"realm": 'a"b\\c'})]),
        ('Basic realm="a", Bearer realm="b"', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        (
            'Bearer realm="b",error="x", Basic realm="a"',
            [("bearer", {"realm": "b", "error": "x"}), ("basic", {"realm": "a"})],
        ),
        ('Negotiate, Basic realm="a"', [("negotiate", {}), ("basic", {"realm": "a"})]),
        ('Negotiate abc==, Bearer realm="a"', [("negotiate", {}), ("bearer", {"realm": "a"})]),
        (", ,", []),
    ],
)
def test_challenges(header: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges(header) == tuple(Challenge(scheme=s, parameters=p) for s, p in challenges)


@given(st.text(alphabet='Basicrealm="x", \\=;\t-', max_size=60) | st.text(max_size=30))
def test_any_header_is_read(header: str) -> None:
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower() != ""


@pytest.mark.parametrize(
    ("data", "token"),
    [
        (b'{"token":"t"}', Token(text="t", life=60.0)),
        (b'{"access_token":"t","expires_in":300}', Token(text="t", life=300.0)),
        (b'{"token":"t","access_token":"u","expires_in":0}', Token(text="t", life=60.0)),
        (b'{"token":"t","expires_in":"soon"}', Token(text="t", life=60.0)),
    ],
)
def test_tokens(data: bytes, token: Token) -> None:
    assert parse_token(data, realm="r") == token


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"[]", b"{}", b'{"token":""}', b'{"token":1}', b'{"token":"a\\r\\nHost: b"}']
)
def test_no_token(data: bytes) -> None:
    with pytest.raises(FetchError, match="the token server `r` answered without a token"):
        parse_token(data, realm="r")


def test_a_token_does_not_show() -> None:
    assert "secret" not in repr(Token(text="secret", life=1.0))

from __future__ import annotations

import pytest

from sealift.system.proxies import choose_proxy, is_exempt


@pytest.mark.parametrize(
    ("env", "scheme", "proxy"),
    [
        ({}, "https", None),
        ({"https_proxy": "http://p:1"}, "https", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "http", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https", "http://p:1"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "https", "http://low:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://up:1"}, "https", "http://up:1"),
        ({"http_proxy": "p:1"}, "http", "http://p:1"),
        ({"all_proxy": "http://a:1"}, "https", "http://a:1"),
        ({"all_proxy": "http://a:1", "https_proxy": "http://p:1"}, "https", "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "host.example"}, "https", None),
    ],
)
def test_choice(env: dict[str, str], scheme: str, proxy: str | None) -> None:
    assert choose_proxy(env, scheme, "host.example", 443) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt"),
    [
        ("", "a.example", False),
        ("*", "a.example", True),
        ("a.example", "a.example", True),
        ("A.Example", "a.example.", True),
        ("example", "a.example", True),
        (".example", "a.example", True),
        ("*.example", "a.example", True),
        ("ample", "a.example", False),
        ("x, a.example ,y", "a.example", True),
        ("a.example:443", "a.example", True),
        ("a.example:80", "a.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("::1", "[::1]", True),
        ("fe80::/10", "[fe80::1]", True),
        (",,", "a.example", False),
    ],
)
def test_exemptions(no_proxy: str, host: str, exempt: bool) -> None:
    assert is_exempt(no_proxy, host, 443) is exempt

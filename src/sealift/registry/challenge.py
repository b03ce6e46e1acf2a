"""`WWW-Authenticate` (RFC 9110, 11.6.1) and bearer tokens (distribution.github.io/distribution/spec/auth/token). Pure.

challenge = scheme [ 1*SP ( token68 / #auth-param ) ]      auth-param = token "=" ( token / quoted-string )
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.errors import FetchError

_ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
"""What stands between commas that are not quoted: a parameter, or a scheme with its first one."""
_PARAMETER = re.compile(r'([\w!#$%&\'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"=]+))', re.ASCII)
_SCHEME = re.compile(r"([A-Za-z0-9-]+)(?:\s+(.*))?", re.DOTALL)
DEFAULT_LIFE = 60.0
"""Seconds that a token lives when its server does not say: the specification's own number."""
TOKEN_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One way in which a server wants to be convinced; `scheme` and the parameters' names are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`life` in seconds from when it was asked for."""

    text: str = field(repr=False)
    life: float


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Read a `WWW-Authenticate` header, several in one line included; what cannot be read is left out."""
    found: list[tuple[str, dict[str, str]]] = []
    for match in _ITEM.finditer(header):
        item = match[0].strip()
        parameter = _PARAMETER.fullmatch(item)
        if parameter is None:
            scheme = _SCHEME.fullmatch(item)
            if scheme is None:
                continue
            found.append((scheme[1].lower(), {}))
            parameter = _PARAMETER.fullmatch((scheme[2] or "").strip())
        if parameter is not None and found:
            quoted = parameter[2]
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else parameter[3]
            found[-1][1][parameter[1].lower()] = value
    return tuple(Challenge(scheme=scheme, parameters=parameters) for scheme, parameters in found)


def parse_token(data: bytes, *, realm: str) -> Token:
    """Read a token server's answer."""
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if isinstance(value, dict):
        text = value.get("token") or value.get("access_token")
        life = value.get("expires_in")
        if isinstance(text, str) and text and not re.search(r"[\x00-\x20\x7f]", text):
            usable = isinstance(life, int | float) and not isinstance(life, bool) and life > 0
            return Token(text=text, life=float(life) if usable else DEFAULT_LIFE)  # type: ignore[arg-type]
    raise FetchError(f"the token server `{realm}` answered without a token")

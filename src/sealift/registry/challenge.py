"""`WWW-Authenticate` (RFC 9110, 11.6.1) and bearer tokens (distribution.github.io/distribution/spec/auth/token). Pure.

challenge = scheme [ 1*SP ( token68 / #auth-param ) ]      auth-param = token "=" ( token / quoted-string )
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.errors import FetchError

_PARAMETER = re.compile(r'\s*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*')
_SCHEME = re.compile(r"\s*([A-Za-z0-9-]+)(?:\s+|$)")
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
    found: list[Challenge] = []
    position = 0
    while position < len(header):
        scheme = _SCHEME.match(header, position)
        if not scheme:
            break
        position = scheme.end()
        parameters: dict[str, str] = {}
        while match := _PARAMETER.match(header, position):
            quoted, bare = match[2], match[3]
            parameters[match[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
            position = match.end()
            comma = re.match(r"\s*,\s*", header[position:])
            if not comma:
                break
            # Behind a comma stands a further parameter, or the next challenge.
            position += comma.end()
            if not _PARAMETER.match(header, position):
                break
        found.append(Challenge(scheme=scheme[1].lower(), parameters=parameters))
        rest = re.match(r"[^,]*,\s*", header[position:]) if not _SCHEME.match(header, position) else None
        position += rest.end() if rest else 0
        if not parameters and not rest and position >= len(header):
            break
    return tuple(found)


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

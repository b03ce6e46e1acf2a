"""The builder's variables that `%test` sees, as `apptainer test` gives them: all but those that the image decides."""

from __future__ import annotations

from collections.abc import Mapping

from sealift.engines.environment import is_name, voices
from sealift.sandbox.environment import PROXIES

_READ_ONLY = frozenset(("UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO"))
"""What a shell can neither unset nor set."""

_SET_BY_SANDBOX = frozenset(("HOME", "PATH", "LANG", "TERM", *PROXIES, *(name.upper() for name in PROXIES)))


def builders_variables(caller: Mapping[str, str]) -> dict[str, str]:
    """As `data/sections/enter.sh` takes them: kept from the image's scripts, set behind them."""
    host = voices(caller, ordered={}, clean=False, home="/root", own={}).host
    seen = {name: value for name, value in host.items() if is_name(name) and name not in _SET_BY_SANDBOX | _READ_ONLY}
    found = {f"SEALIFT_BUILDER_{name}": value for name, value in seen.items()}
    if "LANG" in host:
        found["LANG"] = host["LANG"]
    return {**found, "SEALIFT_BUILDER": " ".join(sorted(seen))}

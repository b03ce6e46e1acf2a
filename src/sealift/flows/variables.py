"""The builder's variables that sections see beside the image's own.

What is ordered with `APPTAINERENV_NAME` reaches `%post` and `%test`; all others reach `%test`, as `apptainer test`
gives them: all but those that the image decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from sealift.engines.environment import is_name, order_lines, voices
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


def ordered_variables(caller: Mapping[str, str]) -> dict[str, str]:
    """What `APPTAINERENV_NAME` orders, as `data/sections/enter.sh` takes it: statements that run behind the image's
    scripts, and the paths that the last of these scripts looks at. Empty where nothing is ordered.
    """
    spoken = voices(caller, ordered={}, clean=True, home="/root", own={})
    paths = {name: value for name, value in spoken.orders.items() if name.startswith("SING_USER_DEFINED_")}
    others = {name: value for name, value in spoken.orders.items() if name not in paths}
    lines = order_lines(replace(spoken, orders=others))
    return paths | ({"SEALIFT_ORDERS": "\n".join(lines)} if lines else {})


_PASSING = re.compile(
    r"PWD|OLDPWD|SHLVL|_|TERM.*|COLORTERM|COLUMNS|LINES|WINDOWID|DISPLAY|WAYLAND.*|TMUX.*|STY|SSH_.*|XDG_.*|DBUS_.*"
    r"|LS_COLORS|SLURM_.*|SEALIFT_.*|LANG"
)
"""What differs from one terminal or job to the next: a `%test` that passed in one is not run again in another."""


def lasting(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of `builders_variables` that a person set on purpose, as far as names can tell."""
    prefix = "SEALIFT_BUILDER_"
    named = {name.removeprefix(prefix): value for name, value in variables.items() if name.startswith(prefix)}
    return {name: value for name, value in named.items() if not _PASSING.fullmatch(name)}

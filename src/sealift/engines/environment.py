"""Apptainer 1.4's rules for the environment inside: what the host gives, what is injected, what the image decides.

Three voices, the later one wins:

1. the **host**: the caller's variables (none with `--cleanenv`, but for those in `ALWAYS_PASSED`);
2. the **image**: the scripts of `/.singularity.d/env`, which run with the host's variables out of sight;
3. the **caller's orders**: `--env`, `--env-file`, `APPTAINERENV_X`, put in behind the image's `99-base.sh` and
   expanded there by a shell as if they stood in double quotes.

A host variable that the image sets to the empty string is unset. Everything here is pure; the image's scripts are run
by `embedded/scripts.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MORE_PATHS = ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
LIBRARIES = "/.singularity.d/libs"
ENVIRONMENT_FILE = "/.singularity.d/env/91-environment.sh"
PROMPT = "Apptainer> "

FAMILIES = ("APPTAINER", "SINGULARITY")
"""Both names of everything, the preferred one first."""

ALWAYS_PASSED = frozenset(
    (
        "TERM",
        *(f"{kind}_proxy" for kind in ("http", "https", "no", "all", "ftp")),
        *(f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "NO", "ALL", "FTP")),
    )
)
NEVER_PASSED = frozenset(
    ("HOME", "PATH", "LD_LIBRARY_PATH", *(f"{f}_{w}" for f in FAMILIES for w in ("SHELL", "APPNAME")))
)
NOT_TO_ORDER = NEVER_PASSED - {"LD_LIBRARY_PATH"}
"""What `--env` and `APPTAINERENV_` cannot set; PATH is not among them because it has a way of its own."""

READ_ONLY = ("APPTAINER_NAME", "APPTAINER_CONTAINER", "APPTAINER_INSTANCE")
KEPT_DURING_SCRIPTS = frozenset(
    (*READ_ONLY, "PWD", "HOME", "OPTIND", "UID", "GID", "SINGULARITY_APPNAME", "SINGULARITY_SHELL")
)
"""Host variables that the image's scripts see."""

_PATHS = {"PATH": "", "PREPEND_PATH": "PREPEND_", "APPEND_PATH": "APPEND_"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Voices:
    """The host's variables and the caller's orders, and what has to be said about them.

    Unless `expand`, the orders' values are taken as they stand (`--no-eval`).
    """

    host: Mapping[str, str]
    orders: Mapping[str, str]
    expand: bool = True
    warnings: tuple[str, ...] = ()


def is_name(text: str) -> bool:
    """Whether a shell can hold a variable of this name."""
    return _NAME.fullmatch(text) is not None


def voices(
    caller: Mapping[str, str],
    *,
    ordered: Mapping[str, str],
    clean: bool,
    home: str,
    own: Mapping[str, str],
    expand: bool = True,
) -> Voices:
    """Part the caller's environment in what the host gives and what it orders.

    `ordered` is what `--env` and `--env-file` gave. `own` are Apptainer's variables without their family (`NAME`,
    `CONTAINER`, `BIND`, …), which appear under both.
    """
    host: dict[str, str] = {}
    orders: dict[str, str] = {}
    warnings: list[str] = []
    for key, value in _orders(caller, ordered).items():
        if key in _PATHS:
            orders[f"SING_USER_DEFINED_{_PATHS[key]}PATH"] = value
        elif key in NOT_TO_ORDER:
            warnings.append(f"`{key}` cannot be set with `--env` or `APPTAINERENV_{key}`")
        elif key:
            orders[key] = value
    for key, value in caller.items():
        if key in orders or any(key.startswith((f"{family}_", f"{family}ENV_")) for family in FAMILIES):
            continue
        if key in ALWAYS_PASSED or not (clean or key in NEVER_PASSED):
            host[key] = value
    if clean and "LANG" not in orders:
        host["LANG"] = "C"
    for key, value in own.items():
        for family in FAMILIES:
            host[f"{family}_{key}"] = value
    if not clean:
        # Under this name Apptainer keeps the caller's PATH, with what it puts behind it.
        host["USER_PATH"] = ":".join((caller.get("PATH", ""), *MORE_PATHS))
    host["HOME"] = home
    host["PATH"] = DEFAULT_PATH
    return Voices(host=host, orders=orders, expand=expand, warnings=tuple(warnings))


def _orders(caller: Mapping[str, str], ordered: Mapping[str, str]) -> dict[str, str]:
    """`--env` before `APPTAINERENV_` before `SINGULARITYENV_`."""
    found: dict[str, str] = {}
    for family in reversed(FAMILIES):
        prefix = f"{family}ENV_"
        found.update({key[len(prefix) :]: value for key, value in caller.items() if key.startswith(prefix)})
    return found | dict(ordered)


def order_lines(voices: Voices) -> list[str]:
    """The shell statements that carry out the orders; values are expanded, only double quotes are taken literally."""
    lines = []
    for key, value in voices.orders.items():
        if key in ("UID", "GID") or not is_name(key):
            continue
        if key == "LD_LIBRARY_PATH":
            if value:
                lines.append(f"export {key}={_quoted(f'{value}:{LIBRARIES}', voices.expand)}")
        else:
            lines.append(f"export {key}={_quoted(value, voices.expand)}")
    return lines


def _quoted(value: str, expand: bool) -> str:
    if expand:
        return '"' + value.replace('"', '\\"') + '"'
    return "'" + value.replace("'", "'\\''") + "'"


def scripts_begin_with(host: Mapping[str, str]) -> dict[str, str]:
    """The environment in which the image's scripts start."""
    return {key: value for key, value in host.items() if key in KEPT_DURING_SCRIPTS}


def settle(
    *, host: Mapping[str, str], exported: Mapping[str, str], known: frozenset[str], command: str
) -> dict[str, str]:
    """The program's environment, from what the image's scripts exported.

    `known` are the names of host variables that the scripts set, exported or not: these are the image's to decide.
    """
    env = dict(exported)
    for key, value in host.items():
        if not is_name(key) or key in READ_ONLY or (key not in env and key not in known):
            env[key] = value
        elif env.get(key) == "":
            del env[key]
    if not env.get("PS1"):
        env["PS1"] = PROMPT
    prompt = f'PS1="{env["PS1"]}"'
    before = env.get("PROMPT_COMMAND")
    if before:
        env["PROMPT_COMMAND"] = f'{before}; PROMPT_COMMAND="${{PROMPT_COMMAND%%; PROMPT_COMMAND=*}}"; {prompt}'
    else:
        env["PROMPT_COMMAND"] = f"{prompt}; unset PROMPT_COMMAND"
    env["APPTAINER_COMMAND"] = command
    env["APPTAINER_ENVIRONMENT"] = env.get("APPTAINER_ENVIRONMENT") or ENVIRONMENT_FILE
    env["SINGULARITY_ENVIRONMENT"] = env["APPTAINER_ENVIRONMENT"]
    return dict(sorted(env.items()))

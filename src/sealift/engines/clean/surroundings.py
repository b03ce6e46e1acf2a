"""What a program finds around it where nothing comes by itself: variables, folders, the working folder.

The rules are data (data/engines/surroundings.toml). Everything here is pure.
"""

from __future__ import annotations

import fnmatch
import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.clean.image import LIBRARY_PATH
from sealift.sites.profile import Profile

SHARED = ("/tmp", "/var/tmp")  # noqa: S108 -- the folders that Apptainer shows of the host
PASSED_TOO = "SEALIFT_PASS"
"""Names further variables of the host that enter, parted by commas, as `--pass` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, and from where. `real` are links of `binds` and of `cwd` resolved: path → path without links."""

    env: Mapping[str, str]
    cwd: str
    home: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    terminal: bool = False
    umask: int = 0o022
    passthrough: bool = False
    """Can the program have the standard descriptors themselves? Under Podman since 4.0, where none is a terminal."""
    podman_init: bool = True
    """Has Podman a program that it can make process 1? Docker brings its own."""
    real: Mapping[str, str] | None = None
    message_queues: bool = True
    """Is /dev/mqueue there? Podman cannot share the host's IPC namespace without it."""

    def resolved(self, path: str) -> str:
        return path if self.real is None else self.real.get(path, path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`env` in the order in which it was decided, all but the library path; `binds` from the outermost folder inwards;
    `pwd` inside. `orders` are those of `env` that the plan itself names, `ordered_path` the library path that it names.
    """

    env: Mapping[str, str]
    orders: Mapping[str, str]
    ordered_path: str
    binds: tuple[Bind, ...]
    pwd: str | None

    def library_path(self, site: str, image: str) -> str:
        """The one value of LD_LIBRARY_PATH: what the plan orders, the site's recipe, the image itself, in this order.

        Empty where neither of the first two wants anything: then the image's own value stands, and needs no word.
        """
        return library_path(self.ordered_path, site, image) if self.ordered_path or site else ""


@functools.cache
def load_rules() -> Mapping[str, Any]:
    text = resources.files("sealift").joinpath("data/engines/surroundings.toml").read_text("utf-8")
    return tomllib.loads(text)


def passes(name: str, named: Sequence[str] = ()) -> bool:
    """Does this variable of the host enter? Those `named` by the user do, whatever the rules say."""
    rules = load_rules()
    return _matches(name, named) or (_matches(name, rules["passed"]) and not _matches(name, rules["kept_out"]))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, each) for each in patterns)


def harmful() -> tuple[str, ...]:
    """Variables that must not enter, for engines that cannot be told to begin with nothing."""
    return tuple(load_rules()["harmful"])


def named_variables(plan: LaunchPlan, caller: Mapping[str, str]) -> tuple[str, ...]:
    """The further variables that the user names, as patterns."""
    return (*plan.passed, *(name.strip() for name in caller.get(PASSED_TOO, "").split(",") if name.strip()))


def env_words(variables: Mapping[str, str], plan: LaunchPlan, caller: Caller) -> list[str]:
    """`--env` for each of them, as Docker and Podman have it.

    Everybody on the machine can read a command line. What the user names of the host's is often a secret: it stands
    there by its name alone, and the engine takes the value from its own environment, which is the caller's.
    """
    named = named_variables(plan, caller.env)
    words = []
    for name, value in variables.items():
        alone = value == caller.env.get(name) and _matches(name, named) and name not in _CHANGED
        words += ["--env", name if alone else f"{name}={value}"]
    return words


_CHANGED = frozenset(("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"))
"""What podman-hpc gives Podman with other values than it has itself."""


def compose(plan: LaunchPlan, caller: Caller, site: Profile | None) -> Surroundings:
    """The surroundings of `plan` when `caller` starts it on `site`; what the plan orders wins over every rule."""
    named = named_variables(plan, caller.env)
    apart = plan.contain or plan.contain_all
    env = {name: value for name, value in sorted(caller.env.items()) if passes(name, named) and name != LIBRARY_PATH}
    if not apart:
        env |= {name: caller.env[name] for name in _site_variables(site) if caller.env.get(name)}
    env |= {name: rule["value"] for name, rule in load_rules()["set"].items()}
    env |= _caches(caller)
    if not plan.no_home:
        env["HOME"] = caller.home
    orders = {name: value for name, value in plan.env.items() if name != LIBRARY_PATH}
    path = plan.env.get(LIBRARY_PATH) or (caller.env.get(LIBRARY_PATH, "") if LIBRARY_PATH in named else "")
    return Surroundings(
        env=env | orders,
        orders=orders,
        ordered_path=path,
        binds=_binds(plan, caller, site),
        pwd=_pwd(plan, caller),
    )


def _caches(caller: Caller) -> dict[str, str]:
    job = caller.env.get("SLURM_JOB_ID") or caller.env.get("PBS_JOBID") or str(caller.uid)
    node = f"/tmp/sealift-cache-{job}"  # noqa: S108 -- of this node and job
    scratch = caller.env.get("SCRATCH", "")
    places = {"node": node, "scratch": f"{scratch}/.cache" if scratch else node}
    return {
        name: caller.env.get(name) or f"{places[rule['place']]}/{rule['folder']}"
        for name, rule in load_rules()["cache"].items()
    }


def _binds(plan: LaunchPlan, caller: Caller, site: Profile | None) -> tuple[Bind, ...]:
    """Home, /tmp, the site's file systems and the working folder as they are on the host, then the plan's own."""
    wanted: list[str] = []
    if not (plan.contain or plan.contain_all):
        wanted += SHARED
        if not plan.no_home:
            wanted.append(caller.home)
        wanted += dict.fromkeys(caller.env[name] for name in _site_variables(site) if caller.env.get(name))
        wanted.append(caller.cwd)
    found: dict[str, Bind] = {}
    for path in wanted:
        if not path.startswith("/") or path == "/" or _is_shown(path, found):
            continue
        found[path] = Bind(source=caller.resolved(path), destination=path)
    for bind in plan.binds:
        found[bind.destination] = replace(bind, source=caller.resolved(bind.source))
    # A bind is made on top of those before it: the outer folder has to come first.
    return tuple(sorted(found.values(), key=lambda bind: bind.destination.rstrip("/").count("/")))


def _site_variables(site: Profile | None) -> tuple[str, ...]:
    """The names of the variables that name the site's file systems."""
    return tuple(dict.fromkeys(("SCRATCH", *(site.folder_variables() if site is not None else ()))))


def _is_shown(path: str, found: Mapping[str, Bind]) -> bool:
    return any(path == shown or path.startswith(shown.rstrip("/") + "/") for shown in found)


def _pwd(plan: LaunchPlan, caller: Caller) -> str | None:
    if plan.pwd is not None:
        return plan.pwd
    return None if plan.contain or plan.contain_all else caller.cwd


def library_path(*parts: str) -> str:
    """One value of LD_LIBRARY_PATH from what several recipes want, the first in front, nothing twice."""
    folders = [folder for part in parts for folder in part.split(":") if folder]
    return ":".join(dict.fromkeys(folders))


def ordered_plainly(plan: LaunchPlan, caller: Caller, site: Profile | None) -> LaunchPlan:
    """The same plan for engines that pass the host's environment on (`--safe-env`): clean, with these surroundings.

    Under Apptainer an order replaces the image's value; the library path is written so that the image's own follows it.
    """
    made = compose(plan, caller, site)
    orders = {name: value for name, value in made.env.items() if name not in ("HOME", "TERM", "USER", "LOGNAME")}
    if made.ordered_path:
        orders[LIBRARY_PATH] = made.ordered_path + ("" if plan.no_eval else _AND_THE_IMAGES)
    shown = {bind.destination for bind in plan.binds}
    skipped = {*SHARED, caller.home, caller.cwd, *shown}
    more = tuple(bind for bind in made.binds if bind.destination not in skipped)
    return replace(plan, clean_env=True, env=orders, passed=(), binds=(*plan.binds, *more))


_AND_THE_IMAGES = f"${{{LIBRARY_PATH}:+:${LIBRARY_PATH}}}"

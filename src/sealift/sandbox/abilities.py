"""What this host lets this user do, found by trial; and how a sandbox will stand on it."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sealift.errors import HostError
from sealift.sandbox.spec import Footing, OverlayBy, SquashfsBy
from sealift.sandbox.workfolder import WorkPlace
from sealift.system.namespaces import UserMaps, identity_maps, single_maps, subordinate_maps, subordinate_ranges
from sealift.system.process import find_program

ABILITIES = ("root", "userns", "subuid", "overlay", "fuse", "squashfuse", "fuse-overlayfs", "proc", "notify")
"""What can be taken away for a trial: `SEALIFT_WITHOUT=overlay,fuse sealift build …`."""

_CAP_SYS_ADMIN = 21
_CAP_SETUID = 7
_CAP_SETGID = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What works in one kind of namespace; an empty text is success, else it is the kernel's reason."""

    enter: str = "not tried"
    overlay: str = "not tried"
    fuse: str = "not tried"
    proc: str = "not tried"
    notify: str = "not tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAbilities:
    """`root`, `many` and `single` are the trials without a user namespace, with many ids, with one.

    `maps` are the maps of `many` (None where there is nothing to map), `no_many` why there are none. `programs` are
    absolute paths by name, for those that are there.
    """

    uid: int
    gid: int
    name: str
    capabilities: int
    root: Trial = field(default_factory=Trial)
    many: Trial = field(default_factory=Trial)
    single: Trial = field(default_factory=Trial)
    maps: UserMaps | None = None
    no_many: str = ""
    programs: Mapping[str, str] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def can(self, capability: int) -> bool:
        return bool(self.capabilities >> capability & 1)


_PROGRAMS = ("newuidmap", "newgidmap", "squashfuse", "squashfuse_ll", "fuse-overlayfs")
_SYSCTLS = (
    "user/max_user_namespaces",
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
)


def probe(
    environment: Mapping[str, str],
    *,
    subuid_file: str | None = None,
    subgid_file: str | None = None,
    sysctl_folder: str = "/proc/sys",
) -> HostAbilities:
    """Find out what works here, by trial in namespaces that are gone afterwards (about 0.1 s).

    `PATH` of `environment` is where programs are looked for; `SEALIFT_WITHOUT` names abilities to do without. The
    file arguments let doctor's tests show it another host.
    """
    path = environment.get("PATH")
    without = tuple(each for each in environment.get("SEALIFT_WITHOUT", "").replace(",", " ").split() if each)
    uid, gid = os.geteuid(), os.getegid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""
    programs = {each: found for each in _PROGRAMS if (found := find_program(each, path=path))}
    if "squashfuse" in without:
        programs = {each: found for each, found in programs.items() if not each.startswith("squashfuse")}
    if "fuse-overlayfs" in without:
        programs.pop("fuse-overlayfs", None)
    host = HostAbilities(
        uid=uid,
        gid=gid,
        name=name,
        capabilities=_effective_capabilities(),
        programs=programs,
        sysctls=_read_sysctls(sysctl_folder),
        without=without,
    )
    maps, no_many = _many_maps(host, path, subuid_file, subgid_file)
    if "subuid" in without:
        maps, no_many = None, "SEALIFT_WITHOUT says so"
    wanted: dict[str, Any] = {"single": asdict(single_maps(uid, gid))}
    if host.can(_CAP_SYS_ADMIN):
        wanted["root"] = None
    if maps is not None:
        wanted["many"] = asdict(maps)
    trials = {each: _without(Trial(**found), without) for each, found in _try(wanted, environment).items()}
    if "root" in without:
        trials.pop("root", None)
    if "userns" in without:
        trials = {each: trial for each, trial in trials.items() if each == "root"}
    return replace(
        host,
        root=trials.get("root", Trial()),
        many=trials.get("many", Trial()),
        single=trials.get("single", Trial(enter="SEALIFT_WITHOUT says so")),
        maps=maps,
        no_many=no_many,
    )


def _without(trial: Trial, without: tuple[str, ...]) -> Trial:
    taken = {each: "SEALIFT_WITHOUT says so" for each in ("overlay", "fuse", "proc", "notify") if each in without}
    return replace(trial, **taken)


def _many_maps(
    host: HostAbilities, path: str | None, subuid_file: str | None, subgid_file: str | None
) -> tuple[UserMaps | None, str]:
    """The maps with many ids that this process could enter, or why there are none."""
    if host.can(_CAP_SETUID) and host.can(_CAP_SETGID):
        with open("/proc/self/uid_map", encoding="ascii") as uids, open("/proc/self/gid_map", encoding="ascii") as gids:
            maps = identity_maps(uids.read(), gids.read())
        if maps.many:
            return maps, ""
    uid_ranges = subordinate_ranges("uid", name=host.name, uid=host.uid, file=subuid_file, path=path)
    gid_ranges = subordinate_ranges("gid", name=host.name, uid=host.uid, file=subgid_file, path=path)
    if not uid_ranges or not gid_ranges:
        which = "/etc/subuid" if not uid_ranges else "/etc/subgid"
        return None, f"{which} has no line for `{host.name or host.uid}`"
    missing = [each for each in ("newuidmap", "newgidmap") if each not in host.programs]
    if missing:
        return None, f"`{missing[0]}` is not installed"
    return subordinate_maps(host.uid, host.gid, uid_ranges, gid_ranges), ""


def _try(wanted: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    code = (
        f"import sys; sys.path[:] = {[os.path.abspath(each) for each in sys.path]!r}; "
        "from sealift.sandbox.trial import main; sys.exit(main(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, json.dumps(wanted)],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    if done.returncode != 0:
        raise HostError(f"the trial of namespaces failed: {done.stderr.decode(errors='replace')[-2000:].strip()}")
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def _effective_capabilities() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0


def _read_sysctls(folder: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _SYSCTLS:
        try:
            with open(os.path.join(folder, name), encoding="ascii", errors="replace") as file:
                found[name.replace("/", ".")] = file.read().strip()
        except OSError:
            continue
    return found


def choose_footing(host: HostAbilities, place: WorkPlace) -> Footing:
    """The best way that a sandbox can stand on this host with its work in `place`; HostError when there is none."""
    if not host.root.enter and owns_every_id(host):
        return _footing("root", None, host.root, host, place, "this is root")
    if not host.many.enter and host.maps is not None:
        return _footing(
            "subuid",
            host.maps,
            host.many,
            host,
            place,
            "root without all its rights, in a namespace of its own"
            if host.uid == 0
            else "this user has subordinate ids",
        )
    if not host.single.enter:
        why = host.no_many or host.many.enter
        return _footing("single", single_maps(host.uid, host.gid), host.single, host, place, why)
    from sealift.sandbox.findings import no_namespace

    finding = no_namespace(host)
    raise HostError(
        f"sections cannot run here: {finding.what}",
        hints=(finding.remedy, "see what this host can do: sealift doctor"),
    )


def owns_every_id(host: HostAbilities) -> bool:
    # Within another user namespace that has one id, its root can chown as little as the user outside could.
    with open("/proc/self/uid_map", encoding="ascii") as uids, open("/proc/self/gid_map", encoding="ascii") as gids:
        maps = identity_maps(uids.read(), gids.read())
    return host.uid == 0 and sum(line.count for line in maps.uids) >= 2**32 - 1


def _footing(
    mode: Any, maps: UserMaps | None, trial: Trial, host: HostAbilities, place: WorkPlace, reason: str
) -> Footing:
    overlay: OverlayBy
    fuse = not trial.fuse
    if place.upper and not trial.overlay:
        overlay = "kernel"
    elif place.upper and fuse and "fuse-overlayfs" in host.programs:
        overlay = "fuse"
    else:
        overlay = "copy"
    squashfs: SquashfsBy
    if mode == "root" and "fuse" not in host.without:
        squashfs = "any"
    elif fuse and ("squashfuse" in host.programs or "squashfuse_ll" in host.programs):
        squashfs = "fuse"
    else:
        squashfs = "unpack"
    return Footing(
        mode=mode,
        maps=maps,
        overlay=overlay,
        squashfs=squashfs,
        notify=not trial.notify,
        own_proc=not trial.proc,
        reason=reason,
    )

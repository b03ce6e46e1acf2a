"""What this host can do for a sandbox, and what to ask for, as findings of `sealift doctor`."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from sealift.core.finding import Finding
from sealift.errors import HostError
from sealift.sandbox import syscalls
from sealift.sandbox.abilities import HostAbilities, Trial, owns_every_id, probe
from sealift.sandbox.workfolder import WorkPlace, choose_work_place


def host_findings(environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """Probe this host and say what was found."""
    try:
        place = choose_work_place(environment)
    except HostError:
        place = None
    return findings(probe(environment), place)


def findings(host: HostAbilities, place: WorkPlace | None) -> tuple[Finding, ...]:
    """Everything that bears on sandboxes, good news included; `place` is None where no folder can be written."""
    mode, trial = _mode(host)
    return (
        _mode_finding(host, mode),
        *_subordinate(host, mode),
        *([_overlay(host, trial), _squashfs(host, mode, trial), _proc(trial)] if trial is not None else []),
        *([_recording(trial)] if mode == "single" and trial is not None else []),
        *_work(place),
    )


def _mode(host: HostAbilities) -> tuple[str, Trial | None]:
    if not host.root.enter and owns_every_id(host):
        return "root", host.root
    if not host.many.enter and host.maps is not None:
        return "subuid", host.many
    if not host.single.enter:
        return "single", host.single
    return "", None


def _mode_finding(host: HostAbilities, mode: str) -> Finding:
    match mode:
        case "root":
            return Finding(id="sandbox.mode", severity="ok", what="sections run as this machine's root")
        case "subuid":
            if host.uid == 0:
                return Finding(
                    id="sandbox.mode",
                    severity="ok",
                    what="sections run as root in a user namespace, with all ids of this container",
                    evidence=host.root.enter if host.root.enter != "not tried" else "CAP_SYS_ADMIN is missing",
                )
            count = sum(line.count for line in host.maps.uids) if host.maps else 0
            return Finding(
                id="sandbox.mode",
                severity="ok",
                what="sections run as root in a user namespace, with subordinate ids",
                evidence=f"{count} ids",
            )
        case "single":
            return Finding(
                id="sandbox.mode",
                severity="note",
                what="sections run as root in a user namespace with one id; owners that they ask for are recorded",
                evidence=host.no_many or host.many.enter,
            )
        case _:
            return no_namespace(host)


def _subordinate(host: HostAbilities, mode: str) -> tuple[Finding, ...]:
    if mode != "single":
        return ()
    if host.maps is None and "not installed" in host.no_many:
        return (
            Finding(
                id="sandbox.subuid.programs",
                severity="warning",
                what="this user has subordinate ids, but the programs that map them are missing",
                evidence=host.no_many,
                remedy="ask an administrator for: apt-get install uidmap   (RHEL: dnf install shadow-utils)",
            ),
        )
    if host.maps is None:
        name = host.name or str(host.uid)
        return (
            Finding(
                id="sandbox.subuid.none",
                severity="note",
                what="this user has no subordinate ids; programs that look at owners see only root inside",
                evidence=host.no_many,
                remedy="ask an administrator for: "
                f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}",
            ),
        )
    return (
        Finding(
            id="sandbox.subuid.refused",
            severity="warning",
            what="this user has subordinate ids, but they could not be mapped",
            evidence=host.many.enter,
            remedy="ask an administrator for: chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap",
        ),
    )


def _overlay(host: HostAbilities, trial: Trial) -> Finding:
    if not trial.overlay:
        return Finding(id="sandbox.overlay", severity="ok", what="the kernel mounts overlays here")
    if not trial.fuse and "fuse-overlayfs" in host.programs:
        return Finding(
            id="sandbox.overlay",
            severity="note",
            what="the kernel mounts no overlay here; fuse-overlayfs does, more slowly",
            evidence=f"overlay: {trial.overlay}",
        )
    return Finding(
        id="sandbox.overlay",
        severity="warning",
        what="no overlay can be mounted here: every build unpacks its base to disk",
        evidence=f"overlay: {trial.overlay}",
        remedy="ask an administrator for: apt-get install fuse-overlayfs   (or Linux 5.11 and later)",
    )


def _squashfs(host: HostAbilities, mode: str, trial: Trial) -> Finding:
    programs = [each for each in ("squashfuse_ll", "squashfuse") if each in host.programs]
    if mode == "root" or (not trial.fuse and programs):
        by = "the kernel" if mode == "root" else programs[0]
        return Finding(id="sandbox.squashfs", severity="ok", what=f"images are mounted by {by}, not unpacked")
    if trial.fuse:
        line = "modprobe fuse" if trial.fuse == os.strerror(errno.ENOENT) else "chmod 666 /dev/fuse"
        return Finding(
            id="sandbox.fuse",
            severity="warning",
            what="FUSE cannot be used here: images are unpacked to disk before they are used",
            evidence=f"/dev/fuse: {trial.fuse}",
            remedy=f"ask an administrator for: {line}   (in a container: --device /dev/fuse)",
        )
    return Finding(
        id="sandbox.squashfuse",
        severity="warning",
        what="squashfuse is not installed: images are unpacked to disk before they are used",
        remedy="ask an administrator for: apt-get install squashfuse   (RHEL with EPEL: dnf install squashfuse)",
    )


def _proc(trial: Trial) -> Finding:
    if not trial.proc:
        return Finding(id="sandbox.proc", severity="ok", what="sections get a /proc of their own")
    return Finding(
        id="sandbox.proc",
        severity="warning",
        what="sections cannot get a /proc of their own: they see the host's, in which their process numbers are others",
        evidence=f"proc: {trial.proc}",
        remedy="in a container, start it with: --security-opt systempaths=unconfined",
    )


def _recording(trial: Trial) -> Finding:
    if syscalls.this_machine() not in syscalls.NUMBERS:
        why = f"the system calls of {syscalls.this_machine()} are not known"
    elif trial.notify or trial.proc:
        why = f"seccomp notification: {trial.notify}" if trial.notify else f"proc: {trial.proc}"
    else:
        return Finding(id="sandbox.owners", severity="ok", what="owners are recorded by seccomp notification")
    return Finding(
        id="sandbox.owners",
        severity="warning",
        what="owners that sections ask for are lost: everything in the image will be root's",
        evidence=why,
        remedy="ask an administrator for subordinate ids, or use Linux 5.9 or later on x86_64 or aarch64",
    )


def _work(place: WorkPlace | None) -> tuple[Finding, ...]:
    if place is None:
        return (
            Finding(
                id="sandbox.work.none",
                severity="error",
                what="there is no folder to build in",
                remedy="export SEALIFT_TMPDIR=/path/on/a/local/disk",
            ),
        )
    passed = tuple(
        Finding(
            id="sandbox.work.passed",
            severity="note",
            what=f"`{each.folder}` is not used for building",
            evidence=each.why or f"{each.free >> 20} MiB free",
        )
        for each in place.passed
    )
    if place.upper:
        chosen = Finding(
            id="sandbox.work",
            severity="ok",
            what=f"builds work in `{place.folder}`",
            evidence=f"{place.verdict.file_system}, {place.verdict.free >> 20} MiB free",
        )
    else:
        chosen = Finding(
            id="sandbox.work.upper",
            severity="warning",
            what=f"builds work in `{place.folder}`, which cannot hold an overlay: every build unpacks its base",
            evidence=place.verdict.why,
            remedy="export SEALIFT_TMPDIR=/path/on/a/local/disk",
        )
    return (*passed, chosen)


def no_namespace(host: HostAbilities) -> Finding:
    """Why neither root's rights nor a user namespace are to be had."""
    sysctls = host.sysctls
    if sysctls.get("user.max_user_namespaces") == "0":
        return Finding(
            id="sandbox.userns.off",
            severity="error",
            what="user namespaces are switched off",
            evidence="user.max_user_namespaces = 0",
            remedy="ask an administrator for: sysctl -w user.max_user_namespaces=15000",
        )
    if sysctls.get("kernel.unprivileged_userns_clone") == "0":
        return Finding(
            id="sandbox.userns.off",
            severity="error",
            what="user namespaces are switched off for ordinary users",
            evidence="kernel.unprivileged_userns_clone = 0",
            remedy="ask an administrator for: sysctl -w kernel.unprivileged_userns_clone=1",
        )
    if sysctls.get("kernel.apparmor_restrict_unprivileged_userns") == "1":
        return Finding(
            id="sandbox.userns.apparmor",
            severity="error",
            what="AppArmor restricts user namespaces of ordinary users",
            evidence=f"kernel.apparmor_restrict_unprivileged_userns = 1; {host.single.enter}",
            remedy="ask an administrator for: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        )
    if host.uid == 0:
        return Finding(
            id="sandbox.root.capability",
            severity="error",
            what="this container's root may make no namespaces",
            evidence=host.single.enter,
            remedy="start the container with: --security-opt seccomp=unconfined --cap-add SYS_ADMIN",
        )
    return Finding(
        id="sandbox.userns.refused",
        severity="error",
        what="this host lets this user make no user namespace",
        evidence=host.single.enter,
        remedy="in a container, start it with: --security-opt seccomp=unconfined; else ask an administrator why",
    )

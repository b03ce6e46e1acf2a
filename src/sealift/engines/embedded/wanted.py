"""What a launch plan means in the end: options that others imply, lists taken apart, and what is refused by name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace

from sealift.core.launch import LaunchPlan
from sealift.errors import UsageError

MOUNTS = ("proc", "sys", "dev", "devpts", "home", "tmp", "hostfs", "cwd", "bind-paths")
"""Names that `--no-mount` takes besides absolute paths."""

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
"""Names by number, without CAP_ (linux/capability.h)."""


def settle(plan: LaunchPlan) -> tuple[LaunchPlan, tuple[str, ...]]:
    """The plan with everything that its options imply, and what has to be said about it.

    UsageError for what the embedded engine does not do, and for options that exclude each other.
    """
    _refuse(plan)
    warnings: list[str] = []
    if plan.compat:
        plan = replace(plan, contain_all=True, no_init=True, no_umask=True, no_eval=True, writable_tmpfs=True)
    if plan.contain_all:
        plan = replace(plan, contain=True, clean_env=True, pid=True, ipc=True)
    if plan.writable and plan.writable_tmpfs:
        if not plan.compat:
            warnings.append("`--writable-tmpfs` is left out: `--writable` excludes it")
        plan = replace(plan, writable_tmpfs=False)
    if plan.writable and plan.overlays:
        raise UsageError(
            "`--writable` and `--overlay` exclude each other",
            hints=("changes go to the overlay: leave --writable out",),
        )
    network = plan.network
    if plan.net and network is None:
        if not plan.fakeroot:
            raise UsageError("an ordinary user can have the network `none` only", hints=("--net --network none",))
        warnings.append("the container has no network: `--fakeroot --net` is `--network none` here")
        network = "none"
    if network not in (None, "", "none"):
        raise UsageError(
            f"this engine has no network `{network}`; `none` is one", hints=("--network none", "--engine apptainer")
        )
    plan = replace(
        plan,
        net=plan.net or bool(network),
        uts=plan.uts or bool(plan.hostname),
        overlays=_items(plan.overlays),
        scratch=_items(plan.scratch),
        no_mount=_items(plan.no_mount),
    )
    for name in plan.no_mount:
        if name not in MOUNTS and not name.startswith("/"):
            warnings.append(f"`--no-mount {name}`: there is no mount of that name")
    for path in plan.scratch:
        if not path.startswith("/"):
            raise UsageError(f"`--scratch {path}` is not an absolute path", hints=(f"--scratch /{path}",))
    return plan, tuple(warnings)


def dns_servers(text: str) -> bytes:
    """The content of /etc/resolv.conf for `--dns`; UsageError for what is not an address."""
    lines = []
    for each in text.split(","):
        server = each.strip()
        try:
            ipaddress.ip_address(server)
        except ValueError as error:
            raise UsageError(f"`--dns {text}`: `{server}` is not an IP address", hints=("--dns 9.9.9.9",)) from error
        lines.append(f"nameserver {server}\n")
    return "".join(lines).encode()


def dropped_capabilities(text: str) -> frozenset[int]:
    """The numbers of `--drop-caps`: names parted by commas, or `all`; UsageError for one that there is not."""
    found: set[int] = set()
    for each in filter(None, (name.strip().upper() for name in text.split(","))):
        name = each.removeprefix("CAP_")
        if name == "ALL":
            found.update(range(64))
        elif name in CAPABILITIES:
            found.add(CAPABILITIES.index(name))
        else:
            raise UsageError(f"there is no capability `{each}` to drop", hints=("--drop-caps CAP_NET_RAW",))
    return frozenset(found)


def _items(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(part for text in texts for part in text.split(",") if part)


def _refuse(plan: LaunchPlan) -> None:
    for option, asked in (
        ("--add-caps", plan.add_caps),
        ("--keep-privs", plan.keep_privs),
        ("--security", plan.security),
    ):
        if asked:
            raise _not_here(option)
    if plan.engine_options:
        raise _not_here(plan.engine_options[0].partition("=")[0])


def _not_here(option: str) -> UsageError:
    return UsageError(f"the embedded engine has no `{option}`", hints=("where it is installed: --engine apptainer",))

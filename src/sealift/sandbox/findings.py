"""What this host can do for a sandbox, and what to ask for, as findings of `sealift doctor`."""

from __future__ import annotations

from sealift.core.finding import Finding
from sealift.sandbox.abilities import HostAbilities


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

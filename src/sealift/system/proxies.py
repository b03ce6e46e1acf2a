"""Which proxy a request goes through, from the variables that curl and wget read. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping


def choose_proxy(env: Mapping[str, str], scheme: str, host: str, port: int) -> str | None:
    """The address of the proxy for a host, or None.

    `https_proxy`, `http_proxy`, `all_proxy`, and their upper-case twins; the lower-case ones win, as in curl.
    `no_proxy` is a comma list of host names (which cover their subdomains), HOST:PORT, addresses, networks and `*`.
    """
    address = _first(env, f"{scheme}_proxy", "all_proxy")
    if not address or is_exempt(_first(env, "no_proxy"), host, port):
        return None
    return address if "://" in address else f"http://{address}"


def is_exempt(no_proxy: str, host: str, port: int) -> bool:
    """Whether `no_proxy` names the host."""
    host = host.strip("[]").lower().rstrip(".")
    for entry in no_proxy.split(","):
        name = entry.strip().lower()
        if name == "*":
            return True
        head, colon, tail = name.rpartition(":")
        if colon and tail.isdigit() and ":" not in head:
            if int(tail) != port:
                continue
            name = head
        name = name.strip("[]").removeprefix("*").lstrip(".").rstrip(".")
        if name and (host == name or host.endswith(f".{name}") or _in_network(host, name)):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _first(env: Mapping[str, str], *names: str) -> str:
    for name in names:
        value = env.get(name) or env.get(name.upper())
        if value:
            return value.strip()
    return ""

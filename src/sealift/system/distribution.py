"""Which Linux distribution this host runs, and how a package is installed on it."""

from __future__ import annotations

from collections.abc import Mapping

_COMMANDS = {
    "debian": ("Debian and Ubuntu", "apt-get install"),
    "fedora": ("Fedora and RHEL", "dnf install"),
    "suse": ("openSUSE and SLE", "zypper install"),
    "arch": ("Arch Linux", "pacman -S"),
    "alpine": ("Alpine Linux", "apk add"),
}
_FAMILIES = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora", "opensuse": "suse", "sles": "suse"}


def parse_os_release(text: str) -> tuple[str, ...]:
    """The families that os-release(5) names, the nearest first: `debian`, `fedora`, `suse`, `arch`, `alpine`."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            values[name.strip()] = value.strip().strip("\"'")
    found: list[str] = []
    for word in (values.get("ID", ""), *values.get("ID_LIKE", "").split()):
        family = _FAMILIES.get(word.partition("-")[0], word)
        if family in _COMMANDS and family not in found:
            found.append(family)
    return tuple(found)


def own_families() -> tuple[str, ...]:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return parse_os_release(file.read())
        except OSError:
            continue
    return ()


def install_hints(packages: Mapping[str, str], families: tuple[str, ...]) -> tuple[str, ...]:
    """What to type to get a program, whose packages are given by family; for every family where this one is unknown."""
    known = [family for family in families if family in packages][:1] or [f for f in _COMMANDS if f in packages]
    return tuple(f"on {_COMMANDS[family][0]}: {_COMMANDS[family][1]} {packages[family]}" for family in known)

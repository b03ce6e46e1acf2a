from __future__ import annotations

import pytest

from sealift.system.distribution import install_hints, parse_os_release

PACKAGES = {"debian": "pacman-package-manager", "arch": "pacman"}


@pytest.mark.parametrize(
    ("text", "families"),
    [
        ('ID=debian\nNAME="Debian GNU/Linux"\n', ("debian",)),
        ("ID=ubuntu\nID_LIKE=debian\n", ("debian",)),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', ("fedora",)),
        ("ID='opensuse-leap'\nID_LIKE='suse opensuse'\n", ("suse",)),
        ("ID=sles\nID_LIKE=suse\n", ("suse",)),
        ("ID=manjaro\nID_LIKE=arch\n", ("arch",)),
        ("ID=nixos\n", ()),
        ("", ()),
    ],
)
def test_families(text: str, families: tuple[str, ...]) -> None:
    assert parse_os_release(text) == families


def test_a_hint_for_this_distribution_or_for_all() -> None:
    debian = "on Debian and Ubuntu: apt-get install pacman-package-manager"
    arch = "on Arch Linux: pacman -S pacman"
    assert install_hints(PACKAGES, ("debian",)) == (debian,)
    assert install_hints(PACKAGES, ("fedora", "arch")) == (arch,)
    assert install_hints(PACKAGES, ()) == install_hints(PACKAGES, ("suse",)) == (debian, arch)

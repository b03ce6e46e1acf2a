from __future__ import annotations

import pytest

from sealift.core.architecture import ARCHITECTURES, by_sif_code, find_architecture, known_architectures


@pytest.mark.parametrize(
    ("name", "oci", "variant"),
    [
        ("amd64", "amd64", ""),
        ("x86_64", "amd64", ""),
        ("aarch64", "arm64", ""),
        ("arm64v8", "arm64", ""),
        ("armhf", "arm", "v7"),
        ("arm32v7", "arm", "v7"),
        ("arm32v6", "arm", "v6"),
        ("arm32v5", "arm", "v5"),
        ("i386", "386", ""),
        ("ppc64el", "ppc64le", ""),
        ("mipsel", "mipsle", ""),
        ("riscv64", "riscv64", ""),
    ],
)
def test_every_name_of_the_field(name: str, oci: str, variant: str) -> None:
    found = find_architecture(name)
    assert found is not None
    assert (found.oci, found.variant) == (oci, variant)


def test_unknown_names() -> None:
    assert [find_architecture(name) for name in ("", "amd65", "AMD64")] == [None, None, None]


def test_each_is_found_by_its_own_names() -> None:
    for one in ARCHITECTURES:
        assert find_architecture(one.oci) == find_architecture(one.machine) == find_architecture(one.debian) == one
        assert by_sif_code(one.sif) == one
    assert known_architectures().split(", ") == [one.oci for one in ARCHITECTURES]

from __future__ import annotations

import pytest

from sealift.core.architecture import find_architecture
from sealift.core.digest import sha256
from sealift.errors import ImageError, NotFoundError
from sealift.oci import mediatypes
from sealift.oci.manifest import Descriptor, Index, Platform
from sealift.oci.platforms import check_architecture, choose_manifest, platform_of


def index(*platforms: str) -> Index:
    """An index of one manifest a platform; the digest is that of the text, `-` has no platform."""
    items = []
    for text in platforms:
        os, _, rest = text.partition("/")
        architecture, _, variant = rest.partition("/")
        items.append(
            Descriptor(
                media_type=mediatypes.OCI_MANIFEST,
                digest=sha256(text.encode()),
                size=1,
                annotations={"vnd.docker.reference.type": "attestation-manifest"} if os == "unknown" else {},
                platform=None if text == "-" else Platform(os=os, architecture=architecture, variant=variant),
            )
        )
    return Index(media_type=mediatypes.OCI_INDEX, manifests=tuple(items))


def platform(text: str) -> Platform:
    architecture, _, variant = text.partition("/")
    return Platform(architecture=architecture, variant=variant)


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        (["linux/amd64", "linux/arm64/v8"], "amd64", "linux/amd64"),
        (["linux/amd64", "linux/arm64/v8"], "arm64", "linux/arm64/v8"),
        (["linux/arm64"], "arm64/v8", "linux/arm64"),
        (["windows/amd64", "linux/amd64"], "amd64", "linux/amd64"),
        (["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "arm/v7", "linux/arm/v7"),
        (["linux/arm/v5", "linux/arm/v6"], "arm/v7", "linux/arm/v6"),
        (["linux/arm/v5", "linux/arm/v7"], "arm", "linux/arm/v7"),
        (["linux/arm/v6", "linux/arm/v8"], "arm/v6", "linux/arm/v6"),
        (["linux/amd64/v3", "linux/amd64", "linux/amd64/v2"], "amd64", "linux/amd64"),
        (["linux/amd64/v3", "linux/amd64", "linux/amd64/v2"], "amd64/v2", "linux/amd64/v2"),
        (["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "amd64/v3", "linux/amd64/v2"),
        (["unknown/unknown", "linux/amd64"], "amd64", "linux/amd64"),
        (["linux/ppc64le"], "ppc64le", "linux/ppc64le"),
        (["-"], "amd64", "-"),
    ],
)
def test_the_best_one_is_chosen(there: list[str], wanted: str, chosen: str) -> None:
    assert choose_manifest(index(*there), platform(wanted), name="app").digest == sha256(chosen.encode())


@pytest.mark.parametrize(
    ("there", "wanted", "message", "hints"),
    [
        (
            ["linux/s390x", "linux/arm64/v8", "unknown/unknown"],
            "amd64",
            "`app` has no image for linux/amd64; there are: linux/arm64/v8, linux/s390x",
            ("--arch arm64",),
        ),
        (["linux/arm/v7"], "arm/v6", "`app` has no image for linux/arm/v6; there are: linux/arm/v7", ("--arch arm",)),
        (
            ["linux/amd64/v3"],
            "amd64",
            "`app` has no image for linux/amd64; there are: linux/amd64/v3",
            ("--arch amd64",),
        ),
        (["windows/amd64"], "amd64", "`app` has no image for linux/amd64; there are: windows/amd64", ()),
        (["-", "-"], "amd64", "`app` has no image for linux/amd64; there are: none with a platform", ()),
    ],
)
def test_what_there_is_stands_in_the_error(there: list[str], wanted: str, message: str, hints: tuple[str, ...]) -> None:
    with pytest.raises(NotFoundError) as caught:
        choose_manifest(index(*there), platform(wanted), name="app")
    assert (caught.value.message, caught.value.hints) == (message, hints)


def test_an_index_without_images() -> None:
    with pytest.raises(ImageError, match="names no image"):
        choose_manifest(index("unknown/unknown"), platform("amd64"), name="app")


@pytest.mark.parametrize(("found", "fits"), [("linux/amd64", True), ("linux/arm64", False), ("windows/amd64", False)])
def test_the_config_must_agree(found: str, fits: bool) -> None:
    os, _, architecture = found.partition("/")
    value = Platform(os=os, architecture=architecture)
    if fits:
        check_architecture(value, platform("amd64"), name="app")
        return
    with pytest.raises(NotFoundError, match=f"`app` is an image for {found}, not for linux/amd64"):
        check_architecture(value, platform("amd64"), name="app")


def test_a_config_may_be_silent() -> None:
    check_architecture(Platform(os="", architecture=""), platform("amd64"), name="app")


@pytest.mark.parametrize(
    ("name", "text"), [("x86_64", "linux/amd64"), ("aarch64", "linux/arm64"), ("armhf", "linux/arm/v7")]
)
def test_platforms_of_architectures(name: str, text: str) -> None:
    architecture = find_architecture(name)
    assert architecture is not None
    assert str(platform_of(architecture)) == text

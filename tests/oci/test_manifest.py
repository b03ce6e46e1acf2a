from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.core.digest import Digest
from sealift.errors import ImageError
from sealift.oci import mediatypes
from sealift.oci.manifest import Descriptor, Index, Manifest, Platform, check_layers, parse_manifest

A = Digest("sha256:" + "a" * 64)
B = Digest("sha256:" + "b" * 64)


def manifest(**changes: Any) -> dict[str, Any]:
    value = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": {"mediaType": mediatypes.OCI_CONFIG, "digest": A, "size": 7},
        "layers": [{"mediaType": f"{mediatypes.OCI_LAYER}+gzip", "digest": B, "size": 9}],
    } | changes
    return {key: item for key, item in value.items() if item is not None}


def parse(value: object, media_type: str = "") -> Manifest | Index:
    return parse_manifest(json.dumps(value).encode(), media_type)


def expected(media_type: str) -> Manifest:
    return Manifest(
        media_type=media_type,
        config=Descriptor(media_type=mediatypes.OCI_CONFIG, digest=A, size=7),
        layers=(Descriptor(media_type=f"{mediatypes.OCI_LAYER}+gzip", digest=B, size=9),),
    )


@pytest.mark.parametrize(
    ("value", "transport", "kind"),
    [
        (manifest(), "", mediatypes.OCI_MANIFEST),
        (manifest(), "text/plain", mediatypes.OCI_MANIFEST),
        (manifest(mediaType=mediatypes.DOCKER_MANIFEST), "", mediatypes.DOCKER_MANIFEST),
        (manifest(mediaType=None), f"{mediatypes.DOCKER_MANIFEST}; charset=utf-8", mediatypes.DOCKER_MANIFEST),
        (manifest(mediaType=None), "", mediatypes.OCI_MANIFEST),
        (manifest(mediaType=None), "application/octet-stream", mediatypes.OCI_MANIFEST),
    ],
)
def test_a_manifest_is_known_by_its_type_or_its_fields(value: object, transport: str, kind: str) -> None:
    assert parse(value, transport) == expected(kind)


def test_an_index() -> None:
    entry = {
        "mediaType": mediatypes.OCI_MANIFEST,
        "digest": A,
        "size": 3,
        "annotations": {"k": "v"},
        "platform": {"os": "linux", "architecture": "arm64", "variant": "v8", "os.version": "1"},
    }
    assert parse({"schemaVersion": 2, "manifests": [entry]}) == Index(
        media_type=mediatypes.OCI_INDEX,
        manifests=(
            Descriptor(
                media_type=mediatypes.OCI_MANIFEST,
                digest=A,
                size=3,
                annotations={"k": "v"},
                platform=Platform(os="linux", architecture="arm64", variant="v8", os_version="1"),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (manifest(schemaVersion=1), "the image has Docker's manifest of schema 1, which was retired in 2019"),
        (
            manifest(mediaType=mediatypes.SCHEMA_1_SIGNED),
            "the image has Docker's manifest of schema 1, which was retired in 2019",
        ),
        (manifest(schemaVersion=3), "the manifest has `schemaVersion` 3, where 2 is known"),
        (manifest(schemaVersion=True), "`schemaVersion` must be a whole number of 0 or more, not a boolean"),
        (
            manifest(manifests=[]),
            "the manifest has both `layers` and `manifests`, so it could be read in two ways",
        ),
        (manifest(config=None), f"the manifest (`{mediatypes.OCI_MANIFEST}`) has no `config`"),
        (manifest(config=[]), "`config` must be an object, not a list"),
        (manifest(layers=[{"digest": "x"}]), "`layers[0].digest` is not a digest: `x`"),
        (
            manifest(layers=[{"mediaType": "m", "digest": B, "size": -1}]),
            "`layers[0].size` must be a whole number of 0 or more, not the number -1",
        ),
        (
            manifest(layers=[{"mediaType": "m", "digest": B}]),
            "`layers[0].size` must be a whole number of 0 or more, not nothing",
        ),
        (manifest(layers={}), "`layers` must be a list, not an object"),
        (manifest(layers=[1]), "`layers[0]` must be an object, not the number 1"),
        (manifest(annotations={"a": 1}), "`annotations.a` must be a string, not the number 1"),
        (manifest(layers=[{"digest": B, "size": 1}] * 4097), "the manifest has 4097 layers, more than 4096"),
        ({"schemaVersion": 2}, "this is not the manifest of an image: `no media type`"),
        ({"mediaType": mediatypes.OCI_INDEX}, f"the index (`{mediatypes.OCI_INDEX}`) has no `manifests`"),
        ([], "the manifest must be a JSON object, not a list"),
    ],
)
def test_damaged_manifests(value: object, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        parse(value)
    assert caught.value.message == message


def test_no_json_and_too_much() -> None:
    with pytest.raises(ImageError, match="the manifest is not JSON"):
        parse_manifest(b"<html>")
    with pytest.raises(ImageError, match="larger than 4 MiB"):
        parse_manifest(b" " * (4 << 20) + b"{}")
    with pytest.raises(ImageError, match="the manifest is not JSON"):
        parse_manifest(b"[" * 100_000)


@pytest.mark.parametrize(
    ("media_type", "message"),
    [
        (f"{mediatypes.OCI_LAYER}+gzip+encrypted", "is encrypted"),
        ("application/vnd.sylabs.sif.layer.v1.sif", "the registry holds a SIF file under this name"),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "is not a layer of a container image"),
    ],
)
def test_what_is_stored_like_an_image_but_is_none(media_type: str, message: str) -> None:
    found = parse(manifest(layers=[{"mediaType": media_type, "digest": B, "size": 1}]))
    assert isinstance(found, Manifest)
    with pytest.raises(ImageError, match=message):
        check_layers(found)


@pytest.mark.parametrize(
    ("media_type", "compression", "foreign"),
    [
        ("application/vnd.oci.image.layer.v1.tar", "", False),
        ("application/vnd.oci.image.layer.v1.tar+gzip", "gzip", False),
        ("application/vnd.oci.image.layer.v1.tar+zstd", "zstd", False),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "gzip", True),
        ("application/vnd.docker.image.rootfs.diff.tar", "", False),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip", False),
        ("application/vnd.docker.image.rootfs.diff.tar.zstd", "zstd", False),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "gzip", True),
        ("application/vnd.oci.image.layer.v1.tar+xz", None, False),
        ("application/vnd.oci.empty.v1+json", None, False),
    ],
)
def test_layer_types(media_type: str, compression: str | None, foreign: bool) -> None:
    assert (mediatypes.layer_compression(media_type), mediatypes.is_foreign(media_type)) == (compression, foreign)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(manifest())), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_manifest_or_an_image_error(value: object) -> None:
    try:
        found = parse(value)
    except ImageError:
        return
    assert isinstance(found, Manifest | Index)

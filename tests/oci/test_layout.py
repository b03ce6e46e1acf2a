from __future__ import annotations

import json
from typing import Any

import pytest

from sealift.core.digest import Digest, sha256
from sealift.errors import ImageError, NotFoundError
from sealift.oci import layout
from sealift.oci.manifest import Index, Platform

AMD64 = Platform(architecture="amd64")


def index(*entries: tuple[str, str] | str) -> Index:
    """Entries as names, or (name, architecture); the digest is that of the position."""
    manifests: list[dict[str, Any]] = []
    for position, entry in enumerate(entries):
        name, architecture = entry if isinstance(entry, tuple) else (entry, "")
        item: dict[str, Any] = {"mediaType": "m", "digest": sha256(b"%d" % position), "size": 1}
        if name:
            item["annotations"] = {layout.REF_NAME: name}
        if architecture:
            item["platform"] = {"os": "linux", "architecture": architecture}
        manifests.append(item)
    return layout.parse_index(json.dumps({"schemaVersion": 2, "manifests": manifests}).encode())


@pytest.mark.parametrize(
    ("entries", "name", "position"),
    [
        (["v1"], "", 0),
        ([""], "", 0),
        (["v1", "v2"], "v2", 1),
        (["v1", ""], "@1", 1),
        ([("v1", "arm64"), ("v1", "amd64")], "v1", 1),
        ([("v1", "arm64"), ("v1", "amd64")], "", 1),
        ([("", "arm64"), ("", "amd64")], "", 1),
        (["a:1", "a:2"], "a:2", 1),
    ],
)
def test_choice(entries: list[tuple[str, str] | str], name: str, position: int) -> None:
    chosen = layout.choose_by_name(index(*entries), name, AMD64, where="oci:d")
    assert chosen.digest == sha256(b"%d" % position)


@pytest.mark.parametrize(
    ("entries", "name", "message", "hints"),
    [
        ([], "", "`oci:d` holds no image", ()),
        (["v1", "v2"], "", "`oci:d` holds 2 images, so one must be named; there are: v1, v2", ("oci:d:v1", "oci:d:v2")),
        (["", ""], "", "`oci:d` holds 2 images, so one must be named; there are: no names", ("oci:d:@0", "oci:d:@1")),
        (["v1"], "v2", "`oci:d` has no image called `v2`; there are: v1", ("oci:d:v1",)),
        ([""], "v2", "`oci:d` has no image called `v2`; there are: no names", ()),
        (["v1"], "@1", "`oci:d` has no image @1; it holds 1", ()),
    ],
)
def test_the_error_lists_the_names(entries: list[str], name: str, message: str, hints: tuple[str, ...]) -> None:
    with pytest.raises(NotFoundError) as caught:
        layout.choose_by_name(index(*entries), name, AMD64, where="oci:d")
    assert (caught.value.message, caught.value.hints) == (message, hints)


def test_containerd_s_names_count() -> None:
    entry = {
        "mediaType": "m",
        "digest": sha256(b""),
        "size": 1,
        "annotations": {layout.CONTAINERD_NAME: "docker.io/a:1"},
    }
    found = layout.parse_index(
        json.dumps({"schemaVersion": 2, "manifests": [entry, entry | {"annotations": {}}]}).encode()
    )
    assert layout.choose_by_name(found, "docker.io/a:1", AMD64, where="oci:d") == found.manifests[0]


def test_versions() -> None:
    layout.check_version(b'{"imageLayoutVersion": "1.0.0"}')
    with pytest.raises(ImageError, match=r"the OCI layout has version `2\.0\.0`, where 1\.0\.0 is known"):
        layout.check_version(b'{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(ImageError, match="`oci-layout` is not JSON"):
        layout.check_version(b"")


def test_an_index_is_no_manifest() -> None:
    with pytest.raises(ImageError, match=r"`index\.json` of the OCI layout is not an index"):
        layout.parse_index(b'{"schemaVersion": 2, "config": {"digest": "sha256:%s", "size": 1}}' % (b"a" * 64))


def test_paths() -> None:
    assert layout.blob_path(Digest("sha512:" + "0" * 128)) == "blobs/sha512/" + "0" * 128

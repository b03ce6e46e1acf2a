"""An OCI image layout (image spec 1.1, image-layout.md): which image of its `index.json` is meant.

oci-layout                     {"imageLayoutVersion": "1.0.0"}
index.json                     an index; names stand in annotations
blobs/sha256/<64 hex digits>   everything else
"""

from __future__ import annotations

from dataclasses import replace

from sealift.core.digest import Digest, hex_part
from sealift.errors import ImageError, NotFoundError
from sealift.oci.jsonvalue import parse_object
from sealift.oci.manifest import Descriptor, Index, Platform, parse_manifest
from sealift.oci.platforms import choose_manifest

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"


def blob_path(digest: Digest) -> str:
    """Where a blob lies in the layout."""
    return f"blobs/{digest.partition(':')[0]}/{hex_part(digest)}"


def check_version(data: bytes) -> None:
    """Read the file `oci-layout`; ImageError unless it is of version 1."""
    version = parse_object(data, "`oci-layout`").text("imageLayoutVersion")
    if version.partition(".")[0] != "1":
        raise ImageError(f"the OCI layout has version `{version}`, where 1.0.0 is known")


def parse_index(data: bytes) -> Index:
    try:
        found = parse_manifest(data)
    except ImageError as error:
        raise ImageError(f"`index.json` of the OCI layout: {error.message}", hints=error.hints) from error
    if not isinstance(found, Index):
        raise ImageError("`index.json` of the OCI layout is not an index")
    return found


def names(index: Index) -> tuple[str, ...]:
    """The names in the order of the index."""
    found = (item.annotations.get(REF_NAME, "") for item in index.manifests)
    return tuple(dict.fromkeys(name for name in found if name))


def choose_by_name(index: Index, name: str, platform: Platform, *, where: str) -> Descriptor:
    """The image called `name`; without a name the only one (skopeo's rule). The error lists the names there are.

    Of several entries of one name, as some builders write for several platforms, the one for `platform`. `where` is how
    messages call the layout. `@N` means the N-th entry, as in skopeo.
    """
    items = index.manifests
    if not items:
        raise NotFoundError(f"`{where}` holds no image")
    if name.startswith("@") and name[1:].isdigit() and name.isascii():
        position = int(name[1:])
        if position < len(items):
            return items[position]
        raise NotFoundError(f"`{where}` has no image {name}; it holds {len(items)}")
    there = names(index)
    hint = tuple(f"{where}:{found}" for found in there[:8])
    if not name:
        if len(items) == 1:
            return items[0]
        if len(there) <= 1 and all(item.platform for item in items):
            return choose_manifest(index, platform, name=where)
        raise NotFoundError(
            f"`{where}` holds {len(items)} images, so one must be named; there are: {', '.join(there) or 'no names'}",
            hints=hint or tuple(f"{where}:@{i}" for i in range(min(len(items), 8))),
        )
    for key in (REF_NAME, CONTAINERD_NAME):
        named = tuple(item for item in items if item.annotations.get(key) == name)
        if len(named) == 1:
            return named[0]
        if named:
            return choose_manifest(replace(index, manifests=named), platform, name=f"{where}:{name}")
    raise NotFoundError(
        f"`{where}` has no image called `{name}`; there are: {', '.join(there) or 'no names'}", hints=hint
    )

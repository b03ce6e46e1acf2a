"""A SIF into a registry as it is, in the form in which Apptainer pushes it (`oras://`), byte for byte.

manifest   config   application/vnd.sylabs.sif.config.v1+json, `{}`
           layers   one: application/vnd.sylabs.sif.layer.v1.sif, the file's own bytes, titled with its name
"""

from __future__ import annotations

import json
import os
import shlex
from typing import BinaryIO

from sealift.core.digest import Digest, sha256
from sealift.core.reference import OrasSource, parse_source
from sealift.errors import UsageError
from sealift.evidence.inspection import noted_tree
from sealift.evidence.opening import open_image
from sealift.flows.registryout import Blob, send
from sealift.flows.requests import Pushed
from sealift.flows.workshop import Workshop
from sealift.oci import mediatypes
from sealift.oci.encode import Document
from sealift.registry import Content
from sealift.store.hashing import digest_file

TITLE = "org.opencontainers.image.title"


def push_sif(shop: Workshop, image: str, target: OrasSource) -> Pushed:
    """Push the SIF; one of another form that names its source is made first, and kept. UsageError for other forms."""
    path = _sif(shop, image)
    with open_image(path) as found:
        if found.sif is None:
            raise UsageError(
                f"`oras://` holds SIFs, and `{image}` is a {found.form}",
                hints=(
                    f"make one: sealift build image.sif {shlex.quote(image)}",
                    f"or push it as layers: docker://{target.reference}",
                ),
            )
        tree = noted_tree(found)
    size = os.stat(path).st_size
    with shop.watch.measure("hash"):
        digest = digest_file(path, "sha256")

    def open_file() -> BinaryIO:
        # The registry compares the digest once more, so that a file that changes meanwhile is noticed there.
        return open(path, "rb")

    config = Document(media_type=mediatypes.SIF_CONFIG, data=b"{}")
    manifest = sif_manifest(config, digest, size, title=os.path.basename(path) if path == image else _title(image))
    blob = Blob(label=f"push {image}", content=Content(digest=digest, size=size, opener=open_file))
    sent = send(shop, target.reference, (blob,), config, manifest)
    known = sha256(manifest.data)
    return Pushed(
        image=image,
        target="",
        reference=f"oras://{target.reference.name}@{known}",
        digest=known,
        tree_digest=tree,
        size=size,
        unchanged=all(each.how == "there" for each in sent),
        sent=sent,
    )


def sif_manifest(config: Document, digest: Digest, size: int, *, title: str) -> Document:
    """The manifest in Apptainer's order of fields: the same file and name give the same digest as there."""
    value = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": {
            "mediaType": config.media_type,
            "size": len(config.data),
            "digest": sha256(config.data),
        },
        "layers": [{"mediaType": mediatypes.SIF_LAYER, "size": size, "digest": digest, "annotations": {TITLE: title}}],
    }
    data = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":  # Go's way with them
        data = data.replace(character, f"\\u{ord(character):04x}")
    return Document(media_type=mediatypes.OCI_MANIFEST, data=data.encode("utf-8", "replace"))


def _sif(shop: Workshop, image: str) -> str:
    if parse_source(image) is None:
        return image
    from sealift.flows.images import prepared_image

    request = shop.request
    return prepared_image(image, request.environment, request.events, insecure=request.insecure)


def _title(image: str) -> str:
    from sealift.core.reference import default_image_name

    return default_image_name(image)

"""An image of layers as one value: its manifest and config as bytes, its layers as bytes that can be had.

What writes it (a layout, an archive, a registry) needs nothing else, and what makes it knows nothing of where it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from sealift.core.digest import Digest
from sealift.core.reference import Reference
from sealift.oci.encode import Document
from sealift.oci.manifest import Descriptor

TREE_LABEL = "sealift.tree-digest"
"""Label and annotation: the digest of the image's tree, by which an image of ours is known when it comes back."""
DEFINITION_LABEL = "sealift.definition-digest"
"""Label and annotation: the SHA-256 of the definition file."""
OWN_LABELS = frozenset({TREE_LABEL, DEFINITION_LABEL})
"""What is said of one image, and is not handed on to those that are built on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayer:
    """`open()` gives the bytes of `descriptor`'s digest; a reader who reaches the end got those and no others.

    `found_in` is an image of a registry that has this layer, None where that is not known.
    """

    descriptor: Descriptor
    diff_id: Digest
    opener: Callable[[], BinaryIO] = field(repr=False, compare=False)
    found_in: Reference | None = None

    def open(self) -> BinaryIO:
        return self.opener()


@dataclass(frozen=True, slots=True, kw_only=True)
class OciImage:
    """One image for one platform; `architecture` and `variant` are OCI's words."""

    manifest: Document
    config: Document
    layers: tuple[ImageLayer, ...]
    architecture: str
    variant: str = ""

    @property
    def size(self) -> int:
        """Bytes of all blobs, each once."""
        blobs = {layer.descriptor.digest: layer.descriptor.size for layer in self.layers}
        return sum(blobs.values()) + len(self.manifest.data) + len(self.config.data)

    @property
    def documents(self) -> tuple[Document, Document]:
        return self.config, self.manifest

    def distinct_layers(self) -> Iterator[ImageLayer]:
        """Each blob once: an image may have one layer twice."""
        seen: set[Digest] = set()
        for layer in self.layers:
            if layer.descriptor.digest not in seen:
                seen.add(layer.descriptor.digest)
                yield layer

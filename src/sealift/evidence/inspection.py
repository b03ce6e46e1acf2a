"""What an image says of itself under /.singularity.d, in Apptainer's shape, and what Sealift noted beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sealift.evidence.opening import OpenImage
from sealift.sections.draft import Draft
from sealift.sections.inspection import attributes
from sealift.sif.layout import DataType

LAYERS_OBJECT = "sealift.json"
"""The SIF object in which Sealift notes the layers and digests of an image that it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """`attributes` as `apptainer inspect --json --all` gives them; `layers` and `tree_digest` of images of ours."""

    path: str
    form: str
    architecture: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[Mapping[str, Any], ...] = ()
    tree_digest: str = ""

    def as_json(self, wanted: tuple[str, ...]) -> dict[str, Any]:
        """Apptainer's JSON with the attributes in `wanted`; `layers` are ours and stand beside them."""
        kept = {key: value for key, value in self.attributes.items() if key in wanted}
        answer: dict[str, Any] = {"data": {"attributes": kept}, "type": "container"}
        if "layers" in wanted and self.layers:
            answer |= {"layers": [dict(layer) for layer in self.layers], "tree_digest": self.tree_digest}
        return answer


def inspect_image(image: OpenImage) -> Inspection:
    """Read an image's metadata; what is missing or is not what it should be counts as empty."""
    notes = notes_of(image)
    layers = notes.get("layers")
    architecture = image.sif.architecture if image.sif is not None else None
    return Inspection(
        path=image.path,
        form=image.form,
        architecture=architecture.oci if architecture else "",
        attributes=attributes(Draft(root=image.root)),
        layers=tuple(each for each in layers if isinstance(each, dict)) if isinstance(layers, list) else (),
        tree_digest=str(notes.get("tree_digest", "")),
    )


def notes_of(image: OpenImage) -> dict[str, Any]:
    """What Sealift noted beside the files when it wrote this SIF; nothing for others and for other forms."""
    if image.sif is None:
        return {}
    found = image.sif.find(DataType.GENERIC_JSON, LAYERS_OBJECT)
    if found is None:
        return {}
    try:
        value = json.loads(image.sif.data(found))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

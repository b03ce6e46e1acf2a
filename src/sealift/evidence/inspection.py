"""What is written under /.singularity.d of an image, in Apptainer's shape (`apptainer inspect --json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.evidence.opening import OpenImage
from sealift.sif.layout import DataType

LAYERS_OBJECT = "sealift.json"
"""The SIF object in which Sealift notes the layers and digests of an image that it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Texts are empty where the image has none. `environment` maps a script's path to its text."""

    path: str
    form: str
    architecture: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    deffile: str = ""
    runscript: str = ""
    startscript: str = ""
    test: str = ""
    helpfile: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[Mapping[str, object], ...] = ()
    tree_digest: str = ""

    def as_apptainer(self) -> dict[str, object]:
        """The JSON that `apptainer inspect --json` prints: what is empty is left out."""
        texts = {
            "deffile": self.deffile,
            "environment": dict(self.environment),
            "helpfile": self.helpfile,
            "labels": dict(self.labels),
            "runscript": self.runscript,
            "startscript": self.startscript,
            "test": self.test,
        }
        return {"data": {"attributes": {k: v for k, v in texts.items() if v}}, "type": "container"}


def inspect_image(image: OpenImage) -> Inspection:
    """Read an image's metadata; what is missing or is not what it should be counts as empty."""
    notes = _notes(image)
    architecture = image.sif.architecture if image.sif is not None else None
    return Inspection(
        path=image.path,
        form=image.form,
        architecture=architecture.oci if architecture else "",
        labels=_labels(image.read("/.singularity.d/labels.json")),
        deffile=_text(image, "/.singularity.d/Singularity"),
        runscript=_text(image, "/.singularity.d/runscript"),
        startscript=_text(image, "/.singularity.d/startscript"),
        test=_text(image, "/.singularity.d/test"),
        helpfile=_text(image, "/.singularity.d/runscript.help"),
        environment={
            f"/.singularity.d/env/{name}": _text(image, f"/.singularity.d/env/{name}")
            for name in image.names("/.singularity.d/env")
            if name.startswith(("10-", "9")) and name.endswith("environment.sh") or name == "10-docker2singularity.sh"
        },
        layers=tuple(layer for layer in _list(notes.get("layers")) if isinstance(layer, dict)),
        tree_digest=str(notes.get("tree_digest", "")),
    )


def _text(image: OpenImage, path: str) -> str:
    return (image.read(path) or b"").decode("utf-8", "replace")


def _labels(data: bytes | None) -> dict[str, str]:
    try:
        value = json.loads(data or b"{}")
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _notes(image: OpenImage) -> dict[str, object]:
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


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []

"""What an image says of itself under /.singularity.d, in Apptainer's shape, and what Sealift noted beside it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sealift.evidence.opening import OpenImage
from sealift.sections.draft import Draft
from sealift.sections.inspection import attributes
from sealift.sif.layout import INSPECT_METADATA, DataType

LAYERS_OBJECT = "sealift.json"
"""The SIF object in which Sealift notes the layers and digests of an image that it wrote."""


ATTRIBUTES = ("apps", "environment", "labels", "runscript", "test", "helpfile", "deffile", "startscript")
"""In the order of Apptainer's own structure (pkg/inspect), which is that of its JSON."""
OF_APPS = ("environment", "labels", "runscript", "test", "helpfile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """`attributes` as `apptainer inspect --all` gives them; `layers` and `tree_digest` of images of ours.

    `described` says that they come from the SIF's own description, which was written at the build, not from its files.
    """

    form: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    described: bool = False
    layers: tuple[Mapping[str, Any], ...] = ()
    tree_digest: str = ""

    def chosen(self, wanted: Collection[str], *, app: str = "", list_apps: bool = False) -> dict[str, Any]:
        """The attributes in `wanted`, of the container or of `app`, as Apptainer chooses them.

        The definition file belongs to the container; a SIF, which keeps it beside the files, gives it for an app, too.
        """
        apps: Mapping[str, Any] = self.attributes.get("apps", {})
        found = {name: self.attributes[name] for name in ATTRIBUTES if name in wanted and name in self.attributes}
        if app:
            found = {name: value for name, value in found.items() if name == "deffile" and self.form == "sif"}
        shown: dict[str, Any] = {}
        if list_apps:
            shown = {name: values if self.described else {} for name, values in apps.items()}
        if app in apps and not (list_apps and self.described):
            shown[app] = {name: apps[app][name] for name in OF_APPS if name in wanted and name in apps[app]}
        return {"apps": shown, **found} if shown else found

    def everything(self) -> dict[str, Any]:
        return {name: self.attributes[name] for name in ATTRIBUTES if name in self.attributes}


def as_json(attributes: Mapping[str, Any], *, notes: Mapping[str, Any]) -> str:
    """Apptainer's JSON, in the way in which Go writes it; `notes` are ours and stand beside it."""
    value = {"data": {"attributes": attributes}, "type": "container", **notes}
    text = json.dumps(value, indent="\t", ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def inspect_image(image: OpenImage) -> Inspection:
    """Read an image's metadata; what is missing or is not what it should be counts as empty."""
    described = _description(image)
    told = _told_by_files(image) if described is None else described
    return Inspection(
        form=image.form,
        attributes=told,
        described=described is not None,
        layers=noted_layers(image),
        tree_digest=noted_tree(image),
    )


def help_text(image: OpenImage, app: str = "") -> str:
    """The image's help, or the app's; empty where there is none."""
    folder = f"/scif/apps/{app}/scif" if app else "/.singularity.d"
    content = Draft(root=image.root).read(f"{folder}/runscript.help") or b""
    return content.decode("utf-8", "surrogateescape").rstrip("\n")


def _told_by_files(image: OpenImage) -> dict[str, Any]:
    """What the image's files say; but the definition file is the SIF's own, where it has one."""
    told = attributes(Draft(root=image.root))
    found = image.sif.find(DataType.DEFINITION_FILE) if image.sif is not None else None
    if image.sif is not None and found is not None:
        told["deffile"] = image.sif.data(found).decode("utf-8", "surrogateescape")
    return told


def _description(image: OpenImage) -> dict[str, Any] | None:
    """What the SIF says of itself; None where it says nothing, or nothing that can be read."""
    found = image.sif.find(DataType.GENERIC_JSON, INSPECT_METADATA) if image.sif is not None else None
    if image.sif is None or found is None:
        return None
    try:
        return _checked(json.loads(image.sif.data(found))["data"]["attributes"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _checked(told: Mapping[str, Any]) -> dict[str, Any]:
    """The known attributes with the right types, tables sorted; ValueError for another type."""
    found: dict[str, Any] = {}
    for name in ATTRIBUTES:
        value = told.get(name)
        if not value:
            continue
        if name == "apps":
            found[name] = {app: _checked(value[app]) for app in sorted(value)}
        elif name in ("environment", "labels"):
            if not all(isinstance(each, str) for each in value.values()):
                raise ValueError(name)
            found[name] = {key: value[key] for key in sorted(value)}
        elif isinstance(value, str):
            found[name] = value
        else:
            raise ValueError(name)
    return found


def noted_layers(image: OpenImage) -> tuple[Mapping[str, Any], ...]:
    """The layers of an image of ours, each with its `name`, `entries`, `size` in bytes and `digest`."""
    layers = notes_of(image).get("layers")
    return tuple(each for each in layers if _is_layer(each)) if isinstance(layers, list) else ()


def _is_layer(value: object) -> bool:
    types = {"name": str, "entries": int, "size": int, "digest": str}
    return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in types.items())


def noted_tree(image: OpenImage) -> str:
    """The tree digest of an image of ours; empty for others."""
    return str(notes_of(image).get("tree_digest", ""))


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

"""The JSON object that `apptainer inspect` reads instead of looking into the container.

Apptainer computes it at the end of a build, by printing files of `/.singularity.d` in the container; a SIF that holds
it is inspected without being run. Source: apptainer/apptainer, pkg/inspect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.sif.layout import INSPECT_METADATA, DataType, SifObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """Contents of the files that describe a container; None and empty for what is not there.

    `environment` maps the paths of the scripts below `/.singularity.d/env` that the image's maker wrote to their
    contents. `help` is `runscript.help`, `definition_file` the file `Singularity`.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    runscript: str | None = None
    test: str | None = None
    help: str | None = None
    definition_file: str | None = None
    startscript: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What is said of the container, and of each of its SCIF apps."""

    container: Inspected
    apps: Mapping[str, Inspected] = field(default_factory=dict)

    def as_object(self) -> SifObject:
        """The object as Apptainer writes it: the same order of keys, Go's escapes, no newlines at the ends."""
        attributes: dict[str, object] = {}
        if self.apps:
            attributes["apps"] = {name: _attributes(self.apps[name]) for name in sorted(self.apps)}
        attributes |= _attributes(self.container)
        text = json.dumps(
            {"data": {"attributes": attributes}, "type": "container"}, ensure_ascii=False, separators=(",", ":")
        )
        for character in "<>&\u2028\u2029":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return SifObject(data_type=DataType.GENERIC_JSON, name=INSPECT_METADATA, data=text.encode("utf-8", "replace"))


def _attributes(one: Inspected) -> dict[str, object]:
    found = {
        "environment": {path: one.environment[path].rstrip("\n") for path in sorted(one.environment)},
        "labels": {name: one.labels[name] for name in sorted(one.labels)},
        "runscript": _trimmed(one.runscript),
        "test": _trimmed(one.test),
        "helpfile": _trimmed(one.help),
        "deffile": _trimmed(one.definition_file),
        "startscript": _trimmed(one.startscript),
    }
    return {name: value for name, value in found.items() if value}


def _trimmed(text: str | None) -> str:
    return (text or "").rstrip("\n")

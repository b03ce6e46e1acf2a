"""What `apptainer inspect` shows of an image, in the form in which a SIF carries it (`inspect-metadata.json`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from sealift.deffile.characters import decode, show
from sealift.sections.base_environment import HOME
from sealift.sections.draft import Draft
from sealift.sections.labels import LABELS_FILE, to_compact_json

NAME = "inspect-metadata.json"


def inspect_json(draft: Draft) -> bytes:
    """The bytes of the descriptor: `{"data":{"attributes":{…}},"type":"container"}`, empty attributes left out."""
    return to_compact_json({"data": {"attributes": attributes(draft)}, "type": "container"})


def attributes(draft: Draft) -> dict[str, Any]:
    """In the order of Apptainer's own structure (pkg/inspect)."""

    def text(path: str) -> str:
        return show(decode(draft.read(path) or b"")).rstrip("\n")

    apps = {}
    for name in draft.names("/scif/apps"):
        meta = f"/scif/apps/{name}/scif"
        if draft.look(meta).kind == "directory":
            apps[show(name)] = _filled(
                environment=_environment(draft, meta, text, ("9*-environment.sh",)),
                labels=_labels(draft, f"{meta}/labels.json"),
                runscript=text(f"{meta}/runscript"),
                test=text(f"{meta}/test"),
                helpfile=text(f"{meta}/runscript.help"),
                startscript=text(f"{meta}/startscript"),
            )
    return _filled(
        apps=apps,
        environment=_environment(draft, HOME, text, ("10-docker*.sh", "9*-environment.sh")),
        labels=_labels(draft, LABELS_FILE),
        runscript=text(f"{HOME}/runscript"),
        test=text(f"{HOME}/test"),
        helpfile=text(f"{HOME}/runscript.help"),
        deffile=text(f"{HOME}/Singularity"),
        startscript=text(f"{HOME}/startscript"),
    )


def _environment(draft: Draft, home: str, text: Callable[[str], str], patterns: tuple[str, ...]) -> dict[str, str]:
    names = draft.names(f"{home}/env")
    paths = [f"{home}/env/{name}" for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    return {show(path): text(path) for path in paths if draft.look(path).kind == "file"}


def _labels(draft: Draft, path: str) -> dict[str, str]:
    try:
        value = json.loads(draft.read(path) or b"null")
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    return {key: value[key] for key in sorted(value) if isinstance(value[key], str)}


def _filled(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}

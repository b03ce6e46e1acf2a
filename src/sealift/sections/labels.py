"""The labels of an image: labels.json, and what a build adds to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from sealift.deffile.characters import show
from sealift.errors import ImageError
from sealift.sections.base_environment import HOME
from sealift.sections.draft import Draft

LABELS_FILE = f"{HOME}/labels.json"
BUILD_LABELS = "/.build.labels"
"""The file that `$APPTAINER_LABELS` names in `%post`; taken away after it."""

FOLLOWED_VERSION = "1.4.5"
"""The version of Apptainer whose metadata these are; it stands where Apptainer writes its own."""

HELP_FILE = f"{HOME}/runscript.help"

_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()  # noqa: SIM905


def to_json(value: object) -> bytes:
    """JSON as Go's `MarshalIndent` writes it: tabs, sorted keys, `<`, `>` and `&` escaped, no newline at the end."""
    return _escaped(json.dumps(value, ensure_ascii=False, indent="\t", sort_keys=True)).encode()


def to_compact_json(value: object) -> bytes:
    """JSON as Go's `Marshal` writes it, with the keys in the order given."""
    return _escaped(json.dumps(value, ensure_ascii=False, separators=(",", ":"))).encode()


def write_labels(draft: Draft, labels: Mapping[str, str]) -> None:
    draft.write(LABELS_FILE, to_json({show(key): show(value) for key, value in labels.items()}), 0o644)


def read_label_file(draft: Draft) -> dict[str, str]:
    """The labels that are there already; ImageError when the file is no table of texts."""
    content = draft.read(LABELS_FILE)
    if content is None:
        return {}
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ImageError(f"`{LABELS_FILE}` of the base is no JSON: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ImageError(f"`{LABELS_FILE}` of the base is no table of texts")
    return value


def build_labels(header: Mapping[str, str], *, architecture: str, epoch: int, has_help: bool) -> dict[str, str]:
    """What Apptainer 1.4 adds in every build, with the time `epoch` and no other trace of when or by whom."""
    labels = {
        "org.label-schema.schema-version": "1.0",
        "org.label-schema.build-date": build_date(epoch),
        "org.label-schema.build-arch": architecture,
        "org.label-schema.usage.apptainer.version": FOLLOWED_VERSION,
    }
    if has_help:
        labels["org.label-schema.usage"] = HELP_FILE
        labels["org.label-schema.usage.apptainer.runscript.help"] = HELP_FILE
    for key, value in header.items():
        labels[f"org.label-schema.usage.singularity.deffile.{key}"] = value
    return labels


def build_date(epoch: int) -> str:
    """For instance `Sunday_22_November_2026_21:5:7_UTC`: no leading zeros."""
    time = datetime.fromtimestamp(epoch, UTC)
    date = f"{time.day}_{_MONTHS[time.month - 1]}_{time.year}"
    return f"{_DAYS[time.weekday()]}_{date}_{time.hour}:{time.minute}:{time.second}_UTC"


def _escaped(text: str) -> str:
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text

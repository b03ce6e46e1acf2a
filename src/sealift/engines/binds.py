"""Binds as people write them: `-B SOURCE[:TARGET[:OPTIONS]],…`, and the variables that say the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sealift.core.launch import Bind, LaunchPlan
from sealift.errors import UsageError

VARIABLES = (("APPTAINER_BIND", "APPTAINER_BINDPATH"), ("SINGULARITY_BIND", "SINGULARITY_BINDPATH"))
"""The first family of which a variable is set counts; the other is not looked at."""

# A backslash takes the meaning of a separator away.
_COMMA = re.compile(r"(?<!\\),")
_COLON = re.compile(r"(?<!\\):")
_MOUNT_KEYS = {
    "type": "type",
    **dict.fromkeys(("source", "src"), "source"),
    **dict.fromkeys(("destination", "dst", "target"), "destination"),
    **dict.fromkeys(("ro", "readonly"), "read_only"),
    **{key: key for key in ("image-src", "id")},
}


def parse_binds(text: str) -> tuple[Bind, ...]:
    """Read the argument of `-B`: binds parted by commas, options by further ones (`src:dst:ro`, `src:dst:rw`).

    UsageError for an option that is not known.
    """
    binds: list[Bind] = []
    for part in _COMMA.split(text):
        if not part:
            continue
        source, *rest = (_plain(field) for field in _COLON.split(part))
        if len(rest) > 2 or not source:
            raise UsageError(f"`{part}` is not SOURCE[:TARGET[:ro|rw]]", hints=("-B /scratch/data:/data:ro",))
        option = rest[1] if len(rest) == 2 else "rw"
        if option not in ("ro", "rw"):
            raise UsageError(
                f"`{option}` is not an option of a bind; `ro` and `rw` are", hints=(f"-B {source}:{rest[0]}:ro",)
            )
        binds.append(Bind(source=source, destination=rest[0] if rest and rest[0] else source, read_only=option == "ro"))
    return tuple(binds)


def parse_mount(text: str) -> Bind:
    """Read the argument of `--mount`: one line of comma-separated values (RFC 4180), `key=value` or a key alone.

    UsageError for what Apptainer does not take either: other types than `bind`, unknown keys, no source or target.
    """
    import csv

    hint = "--mount type=bind,source=/scratch/data,destination=/data,ro"
    fields: dict[str, str] = {}
    for part in next(csv.reader([text]), []):
        key, _, value = part.partition("=")
        name = _MOUNT_KEYS.get(key.strip().lower())
        if name is None:
            raise UsageError(f"`--mount {text}`: there is no key `{key}`", hints=(hint,))
        fields[name] = value
    if fields.get("type", "bind") != "bind":
        raise UsageError(f"`--mount {text}`: `{fields['type']}` is not a type; `bind` is", hints=(hint,))
    if image := fields.keys() & {"image-src", "id"}:
        raise UsageError(
            f"`--mount {text}`: this engine does not mount images (`{min(image)}`)", hints=("--engine apptainer",)
        )
    if not fields.get("source") or not fields.get("destination"):
        raise UsageError(f"`--mount {text}`: a mount has a source and a destination", hints=(hint,))
    return Bind(source=fields["source"], destination=fields["destination"], read_only="read_only" in fields)


def binds_of(plan: LaunchPlan, env: Mapping[str, str]) -> tuple[Bind, ...]:
    """The plan's binds, then those of the environment, then the plan's mounts."""
    binds = list(plan.binds)
    for family in VARIABLES:
        texts = [env[name] for name in family if env.get(name)]
        if texts:
            binds += [bind for text in texts for bind in parse_binds(text)]
            break
    return (*binds, *(parse_mount(text) for text in plan.mounts))


def show_bind(bind: Bind) -> str:
    """The text of which `parse_binds` makes this bind."""
    fields = [re.sub(r"([,:])", r"\\\1", field) for field in (bind.source, bind.destination)]
    return ":".join([*fields, "ro"] if bind.read_only else fields)


def _plain(field: str) -> str:
    return re.sub(r"\\([,:])", r"\1", field)

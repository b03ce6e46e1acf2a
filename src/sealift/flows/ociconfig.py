"""The config of an OCI image of ours: engines that know nothing of Apptainer start it as `apptainer run` would.

Env            the base's, and what the plain assignments of %environment make of it: Shifter, `podman exec` and others
               look at nothing else
Entrypoint     the base's own where there is no %runscript, behind a script that reads the environment where the image
               has a %environment; with a %runscript, that script's text
Labels         the base's and the image's own, and the digests of the tree and of the definition file

The runscript's text stands in the entrypoint rather than its path: when Apptainer fetches an image, it writes
`/.singularity.d/runscript` anew so that it starts the entrypoint, and a path would lead back to itself for ever.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sealift.core.digest import Digest, sha256
from sealift.flows.environment import PlainEnvironment, plain_environment
from sealift.flows.ready import Finished
from sealift.flows.workshop import Workshop
from sealift.oci.config import ImageConfig
from sealift.oci.encode import Document, config_document
from sealift.oci.image import DEFINITION_LABEL, TREE_LABEL
from sealift.packs.merge import Merged
from sealift.sections.base_environment import HOME, SCRIPTS, read_script
from sealift.sections.draft import Draft
from sealift.sections.labels import read_label_file
from sealift.sections.oci_environment import ENVIRONMENT_FILE, quoted, runscript
from sealift.sections.root import CONTENT_LIMIT, Root, TreeRoot

EXEC = f"{HOME}/actions/exec"
RUNSCRIPT = f"{HOME}/runscript"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What Apptainer and Docker give where an image names none."""
SCRIPT_LIMIT = 100_000
"""Bytes; Linux hands no longer argument than 128 KiB to a program."""
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
_NOT_KEPT = frozenset({"OnBuild", "Image", "ArgsEscaped", "Hostname", "Domainname"})
"""What Docker wrote for its own builds."""


def configure(
    shop: Workshop,
    finished: Finished,
    base: ImageConfig | None,
    diff_ids: Sequence[Digest],
    names: Sequence[str] = ("",),
) -> Document:
    """The config as a document, made of that of the `base`; says so where the environment takes a shell.

    `names` are those of the layers on top that are ours, `""` for one that holds all.
    """
    ready = finished.ready
    raw = _object(json.loads(base.raw)) if base is not None and base.raw else {}
    root = tree_root(finished.merged)
    created = datetime.fromtimestamp(ready.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    env = image_environment(root, base)
    if env.refused:
        scripts = ", ".join(env.refused)
        shop.say(f"{scripts} does more than set variables: engines that read only the image's Env miss the rest")
    entrypoint, command = start_of(root, base)
    run = {key: value for key, value in _object(raw.get("config")).items() if key not in _NOT_KEPT}
    run |= {
        "Env": [f"{name}={value}" for name, value in env.values.items()],
        "Entrypoint": [*_undoing(env), *entrypoint] if entrypoint[:1] == [EXEC] else entrypoint,
        "Cmd": command,
        "Labels": {
            **(base.labels if base is not None else {}),
            **read_label_file(Draft(root=root)),
            TREE_LABEL: finished.tree,
            **({DEFINITION_LABEL: sha256(ready.definition)} if ready.definition else {}),
        },
    }
    return config_document(
        base=raw,
        architecture=shop.architecture.oci,
        variant=shop.architecture.variant,
        run=run,
        created=created,
        diff_ids=diff_ids,
        history=_history(raw, len(diff_ids) - len(names), created, names),
    )


def tree_root(merged: Merged) -> TreeRoot:
    """The files of a merged tree, for reading."""

    def read(row: int) -> bytes:
        return b"".join(merged.packs[merged.pack_of[row]].read(merged.row_of[row]))[:CONTENT_LIMIT]

    return TreeRoot(tree=merged.tree, read=read)


def start_of(root: Root, base: ImageConfig | None) -> tuple[list[str], list[str]]:
    """Entrypoint and Cmd, see above."""
    entrypoint = list(base.entrypoint) if base is not None else []
    command = list(base.cmd) if base is not None else []
    if root.look("/bin/sh").kind != "file" or root.look(RUNSCRIPT).kind != "file":
        return entrypoint, command
    script = root.look(RUNSCRIPT).content
    # Of an image of ours, what stands behind EXEC is what was there at first.
    own = entrypoint[entrypoint.index(EXEC) + 1 :] if EXEC in entrypoint else entrypoint
    settled = [EXEC] if root.look(EXEC).kind == "file" else []
    if any(script == runscript(tuple(words), tuple(command)) for words in (entrypoint, own)):
        return ([*settled, *own] if has_environment(root) else own), command
    return [*settled, *_words_of_script(script)], []


def _words_of_script(script: bytes) -> list[str]:
    """The words that run a script by its text; by its path, where it is not a shell's or too long."""
    line = script.partition(b"\n")[0].decode("utf-8", "replace")
    match = re.fullmatch(r"#!\s*(\S+)(?:\s+(.*?))?\s*", line)
    try:
        text = script.decode("utf-8")
    except UnicodeDecodeError:
        return [RUNSCRIPT]
    if match is None or "\0" in text or len(script) > SCRIPT_LIMIT:
        return [RUNSCRIPT]
    words = [word for word in match.groups() if word]
    name = os.path.basename(words[0])
    shell = words[1] if name == "env" and len(words) == 2 else name
    return [*words, "-c", text, RUNSCRIPT] if shell in _SHELLS else [RUNSCRIPT]


def has_environment(root: Root) -> bool:
    """Whether a script of the image's own sets variables, beside those that every image has."""
    for name in root.names(f"{HOME}/env"):
        path = f"{HOME}/env/{name}"
        known = f"env/{name}" in SCRIPTS and root.look(path).content == read_script(f"env/{name}")
        if name.endswith(".sh") and path != ENVIRONMENT_FILE and not known:
            return True
    return False


def _undoing(env: PlainEnvironment) -> list[str]:
    """What gives variables that grow with each run of the scripts their first value, unless the caller set them."""
    if not env.growing:
        return []
    lines = []
    for name, before in env.growing.items():
        back = f"unset {name}" if before is None else f"{name}={quoted(before)}"
        lines.append(f'[ "${{{name}-}}" != {quoted(env.values[name])} ] || {back}\n')
    return ["/bin/sh", "-c", "".join(lines) + 'exec "$@"', "sh"]


def image_environment(root: Root, base: ImageConfig | None) -> PlainEnvironment:
    """What is certain before a container starts."""
    start: dict[str, str] = {}
    for item in base.env if base is not None else ():
        name, _, value = item.partition("=")
        start[name] = value
    start.setdefault("PATH", DEFAULT_PATH)
    return plain_environment(environment_scripts(root), start)


def environment_scripts(root: Root) -> dict[str, str]:
    """The scripts of the image's own that set its environment, in their order."""
    scripts = {}
    for name in root.names(f"{HOME}/env"):
        engines_own = f"env/{name}" in SCRIPTS and name != "90-environment.sh"
        if name.endswith(".sh") and not engines_own:
            scripts[f"{HOME}/env/{name}"] = root.look(f"{HOME}/env/{name}").content.decode("utf-8", "surrogateescape")
    return scripts


def _history(raw: Mapping[str, Any], below: int, created: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """The base's history where it fits its layers, else a line for each: engines count one against the other."""
    listed = raw.get("history")
    history = [_object(item) for item in listed] if isinstance(listed, list) else []
    if sum(1 for item in history if not item.get("empty_layer")) != below:
        history = [{"created": created, "created_by": "a layer of the base"} for _ in range(below)]
    ours = [name or "all that is above the base" for name in names]
    return [*history, *({"created": created, "created_by": "sealift build", "comment": comment} for comment in ours)]


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

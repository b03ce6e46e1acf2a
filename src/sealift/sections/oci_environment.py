"""An OCI config as Apptainer's files: environment, runscript and labels.

env/10-docker2singularity.sh    export NAME="${NAME:-"value"}"; PATH is set whatever it was
runscript                       ENTRYPOINT and CMD; the caller's arguments replace CMD
labels.json                     the config's labels
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from sealift.oci.config import ImageConfig
from sealift.oci.image import OWN_LABELS
from sealift.sections.base_environment import HOME, read_script
from sealift.sections.draft import Draft
from sealift.sections.labels import to_compact_json, write_labels

ENVIRONMENT_FILE = f"{HOME}/env/10-docker2singularity.sh"

USUAL_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"""[^"\\$`'}\x00-\x1f\x7f]*""")


def add_oci_config(draft: Draft, config: ImageConfig) -> None:
    draft.write(f"{HOME}/runscript", runscript(config.entrypoint, config.cmd), 0o755)
    draft.write(ENVIRONMENT_FILE, environment_script(config.env), 0o755)
    write_labels(draft, {name: text for name, text in config.labels.items() if name not in OWN_LABELS})


def oci_config_json(config: ImageConfig) -> bytes:
    """The bytes of the SIF's `oci-config.json`: the config's own `config` object."""
    value = json.loads(config.raw or b"{}").get("config") or {}
    return to_compact_json({key: value[key] for key in sorted(value) if value[key] not in (None, "", [], {}, False)})


def environment_script(env: Iterable[str]) -> bytes:
    """The script that gives `env` (`NAME=value` each) to a shell.

    Apptainer writes values that hold quotes, backslashes, dollars or control characters in a way that no shell reads
    back; here every value arrives as the config has it. Names that no shell can hold become comments. What PATH lacks
    of the usual folders comes behind it: Apptainer adds it at every start, and other engines do not.
    """
    lines = ["#!/bin/sh"]
    for item in env:
        name, equals, value = item.partition("=")
        if not _NAME.fullmatch(name):
            lines.append("# not a name that a shell can hold: " + quoted(name).replace("\n", " "))
        elif not equals:
            lines.append(f'export {name}="${{{name}:-}}"')
        elif name == "PATH":
            value = with_usual_folders(value)
            lines.append(f'export PATH="{value}"' if _PLAIN.fullmatch(value) else f"export PATH={quoted(value)}")
        elif _PLAIN.fullmatch(value):
            lines.append(f'export {name}="${{{name}:-"{value}"}}"')
        else:
            lines += [f'[ -n "${{{name}:-}}" ] || {name}={quoted(value)}', f"export {name}"]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def with_usual_folders(path: str) -> str:
    """A value of PATH as Apptainer completes it."""
    folders = path.split(":") if path else []
    return ":".join((*folders, *(each for each in USUAL_FOLDERS if each not in folders)))


def runscript(entrypoint: tuple[str, ...], cmd: tuple[str, ...]) -> bytes:
    """The script that starts the image's program. As in Apptainer words are evaluated once more, unless told not to."""
    head = f"#!/bin/sh\nOCI_ENTRYPOINT={quoted(_evaluated(entrypoint))}\nOCI_CMD={quoted(_evaluated(cmd))}\n"
    body = read_script("oci-runscript").decode()
    body = body.replace("@CMD@", " ".join(map(quoted, cmd))).replace(
        "set -- @ENTRYPOINT@", " ".join(("set --", *map(quoted, entrypoint)))
    )
    return (head + body).encode("utf-8", "surrogateescape")


def quoted(text: str) -> str:
    """One word for any shell, whatever is in it."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _evaluated(words: tuple[str, ...]) -> str:
    """The words for a second reading by the shell, each in double quotes, nothing in them expanded."""
    return " ".join('"' + re.sub(r'([\\"$`])', r"\\\1", word) + '"' for word in words)

"""What was typed behind `sealift` and is no command: what was meant, or what to do instead."""

from __future__ import annotations

import difflib
import os
import shlex

from sealift.cli.app import COMMANDS
from sealift.errors import UsageError

_OTHERS = {
    "images": "images are files: ls -lh *.sif",
    "ls": "images are files: ls -lh *.sif",
    "rmi": "images are files: rm NAME.sif",
    "login": "the logins of Podman and Docker are read: podman login HOST",
    "save": "an archive that Docker loads: sealift build docker-archive:NAME.tar NAME.sif",
    "load": "an archive of Docker's: sealift build NAME.sif docker-archive:NAME.tar",
    "init": "sealift new",
    "create": "sealift new",
    "start": "sealift run IMAGE",
    "convert": "sealift build NAME.sif SPEC",
    "info": "sealift doctor",
    "validate": "sealift lint FILE.def",
    "recipe": "sealift new",
    "submit": "sealift job IMAGE --submit -- PROGRAM",
    "clean": "sealift cache clean",
    "update": "pip install --upgrade sealift",
    "upgrade": "pip install --upgrade sealift",
}
"""Commands of other tools, and what does the same here."""


def unknown_command(name: str) -> UsageError:
    """The error for a word that is no command of ours."""
    if hint := _of_a_file(name):
        return UsageError(f"`{name}` is no command", hints=(hint,))
    why, instead = _of_apptainer(name)
    close = difflib.get_close_matches(name.lower(), COMMANDS, n=1, cutoff=0.7)
    if why and name not in close:
        return UsageError(f"there is no command `{name}`: {why}", hints=(instead,))
    if name.lower() in _OTHERS:
        return UsageError(f"there is no command `{name}`", hints=(_OTHERS[name.lower()],))
    if close:
        return UsageError(f"there is no command `{name}`", hints=(f"did you mean `sealift {close[0]}`?",))
    return UsageError(f"there is no command `{name}`", hints=("all commands: sealift --help",))


def _of_a_file(name: str) -> str:
    """Someone names a recipe or an image and leaves the command out."""
    if name.startswith(("docker://", "oras://", "oci:", "oci-archive:", "docker-archive:")):
        return shlex.join(("sealift", "pull", name))
    stem, ending = os.path.splitext(name)
    if ending == ".def":
        return shlex.join(("sealift", "build", f"{stem}.sif", name))
    if ending in (".sif", ".sqfs", ".squashfs", ".sqsh") or (os.path.isdir(name) and os.sep in name):
        return shlex.join(("sealift", "run", name))
    return ""


def _of_apptainer(name: str) -> tuple[str, str]:
    """Why Sealift has not this verb of Apptainer's, and what to type; empty texts where it is none."""
    from sealift.cli.shimverbs import REFUSED

    why, instead = REFUSED.get((name,), ("", ""))
    return why, instead.replace("apptainer ", "sealift ")

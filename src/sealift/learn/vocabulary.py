"""What a course can ask: the kinds of checks with their fields. docs/learning.md shows this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Type = Literal["text", "texts", "pattern", "number", "switch", "size", "path"]
"""`path`: of a file in the working folder, from there. `size`: `40 MB`. `pattern`: a regular expression, searched."""

CONDITIONS: Mapping[str, str] = {
    "gpu": "this host has no GPU",
    "no-gpu": "this host has a GPU",
    "slurm": "this host has no Slurm",
    "no-slurm": "this host has Slurm",
}
"""What `when` may say, and why a check is left out where it does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    type: Type
    says: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`image` kinds look at an image: they wait until the `first` kinds above them in the step are right."""

    says: str
    fields: Mapping[str, Field]
    first: bool = False
    image: bool = False


_FILE = Field(type="path", says="a file of the learner", required=True)
_RECIPE = Field(type="path", says="a definition file of the learner", required=True)
_IMAGE = Field(type="path", says="an image of the learner", required=True)
_CONTAINS = Field(type="pattern", says="what has to be in it")
_LACKS = Field(type="pattern", says="what must not be in it")

KINDS: Mapping[str, Kind] = {
    "file": Kind(
        says="a file is there, and says what it should",
        fields={
            "file": _FILE,
            "equals": Field(type="text", says="its text, but for blanks at its ends"),
            "contains": _CONTAINS,
            "lacks": _LACKS,
        },
        first=True,
    ),
    "recipe": Kind(
        says="a definition file can be read, and has what it should; comments do not count",
        fields={
            "file": _RECIPE,
            "sections": Field(type="texts", says="sections that have to be there and not empty: `post`, `test`, …"),
            "section": Field(type="text", says="the section that `contains` and `lacks` mean"),
            "key": Field(type="text", says="the header's key that they mean, in place of a section: `from`"),
            "contains": _CONTAINS,
            "lacks": _LACKS,
        },
        first=True,
    ),
    "lint": Kind(
        says="`sealift lint` does not find these; what is ignored by a comment is found",
        fields={
            "file": _RECIPE,
            "without": Field(type="texts", says="rules and families", required=True),
            "site": Field(type="text", says="with the rules of this site"),
        },
        first=True,
    ),
    "built": Kind(
        says="the image is there, and the recipe in it is the learner's as it is now",
        fields={"image": _IMAGE, "recipe": _RECIPE},
        first=True,
        image=True,
    ),
    "size": Kind(
        says="the image takes less than this",
        fields={"image": _IMAGE, "below": Field(type="size", says="`40 MB`", required=True)},
        image=True,
    ),
    "holds": Kind(
        says="a file or folder is in the image, or is not",
        fields={
            "image": _IMAGE,
            "path": Field(type="text", says="its path in the image", required=True),
            "absent": Field(type="switch", says="it must not be there"),
        },
        image=True,
    ),
    "package": Kind(
        says="a package is installed in the image, or is not",
        fields={
            "image": _IMAGE,
            "name": Field(type="text", says="its name, with `*` for any characters", required=True),
            "manager": Field(type="text", says="whose package: `dpkg`, `python`, …; any when left out"),
            "version": Field(type="pattern", says="its version"),
            "absent": Field(type="switch", says="it must not be there"),
        },
        image=True,
    ),
    "label": Kind(
        says="the image has a label",
        fields={"image": _IMAGE, "name": Field(type="text", says="its name", required=True), "contains": _CONTAINS},
        image=True,
    ),
    "leftovers": Kind(
        says="`sealift size` finds nothing that builds leave",
        fields={"image": _IMAGE, "without": Field(type="texts", says="these alone, by their ids")},
        image=True,
    ),
    "site": Kind(
        says="`sealift check` says what it should of the image on a site",
        fields={
            "image": _IMAGE,
            "site": Field(type="text", says="a site, or `./FILE`: a profile beside exercise.toml", required=True),
            "engine": Field(type="text", says="the engine there"),
            "runs": Field(type="switch", says="the verdict; not asked when left out"),
            "finds": Field(type="texts", says="ids of findings that have to be there: `gpu.driver`, …"),
            "without": Field(type="texts", says="ids of findings of which none may be an error or a warning"),
        },
        image=True,
    ),
    "run": Kind(
        says="something runs in the image, shut off from the home folder, the environment and all files but its binds",
        fields={
            "image": _IMAGE,
            "action": Field(type="text", says="`exec`, `run` or `test`", required=True),
            "command": Field(type="texts", says="the program with its arguments, or the runscript's arguments"),
            "binds": Field(
                type="texts",
                says="`SOURCE:DESTINATION`, the source in the working folder, `{machine}` for `uname -m`; read-only",
            ),
            "env": Field(type="texts", says="`NAME=VALUE` for the container"),
            "pwd": Field(type="text", says="the working directory inside"),
            "nv": Field(type="switch", says="with `--nv`"),
            "code": Field(type="number", says="its exit code; 0 when left out"),
            "fails": Field(type="switch", says="any exit code but 0"),
            "equals": Field(type="text", says="what it prints on stdout, but for blanks at its ends"),
            "contains": Field(type="pattern", says="what is in its output, on either stream"),
            "lacks": Field(type="pattern", says="what is on neither"),
            "seconds": Field(type="number", says="when it is given up; 60 when left out"),
        },
        image=True,
    ),
}

"""`sealift inspect IMAGE`, with Apptainer's flags and its JSON."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealift.flows.inspection import Inspection

_PARTS = ("deffile", "runscript", "startscript", "test", "helpfile", "environment", "labels", "layers")


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    add = parser.add_argument
    add("image", metavar="IMAGE", help="x.sif, x.sqfs or a folder")
    add("-j", "--json", action="store_true", help="print JSON in Apptainer's shape")
    add("-d", "--deffile", action="store_true", help="the definition file it was built from")
    add("-r", "--runscript", action="store_true", help="what `run` does")
    add("-s", "--startscript", action="store_true", help="what an instance does")
    add("-t", "--test", action="store_true", help="what `test` does")
    add("-H", "--helpfile", action="store_true", help="its help text")
    add("-e", "--environment", action="store_true", help="the variables it sets")
    add("-l", "--labels", action="store_true", help="its labels (default)")
    add("--layers", action="store_true", help="the layers it was made of, with their sizes")
    add("--all", action="store_true", help="everything, as JSON")


def execute(options: argparse.Namespace) -> int:
    from sealift.flows.inspection import inspect

    found = inspect(options.image)
    wanted = [part for part in _PARTS if getattr(options, part)] or ["labels"]
    if options.all:
        wanted = list(_PARTS)
    if options.json or options.all:
        print(json.dumps(found.as_json(tuple(wanted)), indent="\t", ensure_ascii=False))
    else:
        print("\n".join(_as_text(found, part) for part in wanted).rstrip("\n"))
    return 0


def _as_text(found: Inspection, part: str) -> str:
    if part == "layers":
        return _layers(found)
    value = found.attributes.get(part, "")
    if part == "environment":
        return "\n".join(f"=== {path} ===\n{text}\n" for path, text in sorted(dict(value or {}).items()))
    if part == "labels":
        return "\n".join(f"{key}: {text}" for key, text in sorted(dict(value or {}).items()))
    return str(value)


def _layers(found: Inspection) -> str:
    from sealift.cli.summary import size_text

    if not found.layers:
        return "this image does not say which layers it was made of"
    width = max(len(str(layer["name"])) for layer in found.layers)
    lines = [
        f"{layer['name']!s:<{width}}  {size_text(float(str(layer['size']))):>9}  {layer['entries']!s:>9} entries  "
        f"{layer.get('digest', '')}"
        for layer in found.layers
    ]
    return "\n".join([*lines, f"tree {found.tree_digest}"])

"""`sealift inspect IMAGE` and `sealift run-help IMAGE`, with Apptainer's flags, text and JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealift.core.event import Event, Said

if TYPE_CHECKING:
    from sealift.flows.inspection import Inspection

PARTS = ("deffile", "runscript", "startscript", "test", "helpfile", "environment", "labels")
"""In the order in which Apptainer prints them."""
NO_HELP = "No help sections were defined for this image"
_FORMS = "x.sif, x.sqfs, a folder, docker://…, oras://…, oci:DIR[:TAG] or oci-archive:FILE[:TAG]"


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    add = parser.add_argument
    add("image", metavar="IMAGE", help=_FORMS)
    add("--app", metavar="NAME", default="", help="of an app of the image (SCIF)")
    add("--no-https", action="store_true", help="talk plain HTTP to the registry")
    if name == "run-help":
        return
    add("-j", "--json", action="store_true", help="print JSON in Apptainer's shape")
    add("-d", "--deffile", action="store_true", help="the definition file it was built from")
    add("-r", "--runscript", action="store_true", help="what `run` does")
    add("-s", "--startscript", action="store_true", help="what an instance does")
    add("-t", "--test", action="store_true", help="what `test` does")
    add("-H", "--helpfile", action="store_true", help="its help text")
    add("-e", "--environment", action="store_true", help="the variables it sets")
    add("-l", "--labels", action="store_true", help="its labels (default)")
    add("--list-apps", action="store_true", help="the apps in it")
    add("--layers", action="store_true", help="the layers it was made of, with their sizes")
    add("--packages", action="store_true", help="the packages in it, of dpkg, RPM, apk, pacman, conda and Python")
    add("-a", "--all", action="store_true", help="everything that Apptainer shows, as JSON")


def execute(options: argparse.Namespace) -> int:
    if options.verb == "run-help":
        return _run_help(options)
    from sealift.flows.inspection import as_json, inspect
    from sealift.system.process import environment

    found = inspect(options.image, environment(), insecure=options.no_https, events=say)
    wanted = [part for part in PARTS if getattr(options, part)]
    if not (wanted or options.list_apps or options.layers or options.packages):
        wanted = ["labels"]
    chosen = found.everything() if options.all else found.chosen(wanted, app=options.app, list_apps=options.list_apps)
    packages = _packages(options) if options.packages else None
    if options.json or options.all:
        notes = _notes(found) if options.layers else {}
        _print(as_json(chosen, notes=notes if packages is None else {**notes, "packages": packages}))
        return 0
    for line in _lines(chosen, app=options.app, list_apps=options.list_apps):
        _print(line)
    if options.layers:
        _print(_layers(found))
    for one in packages or ():
        _print("\t".join((one["manager"], one["name"], one["version"], one["architecture"], one["place"])).rstrip("\t"))
    return 0


def _packages(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each package as a table's row; what could not be read is said aside."""
    from sealift.flows.inspection import inventory
    from sealift.system.process import environment

    found = inventory(options.image, environment(), insecure=options.no_https)
    for sentence in found.unread:
        print(f"warning: not read: {sentence}", file=sys.stderr)
    return [
        {
            "manager": one.manager,
            "name": one.name,
            "version": one.version,
            "architecture": one.architecture,
            "place": one.place,
            "files": len(one.rows),
            "size": one.size,
        }
        for one in found.packages
    ]


def _run_help(options: argparse.Namespace) -> int:
    from sealift.flows.inspection import run_help
    from sealift.system.process import environment

    _print(run_help(options.image, environment(), app=options.app, insecure=options.no_https, events=say) or NO_HELP)
    return 0


def _print(text: str) -> None:
    """As it is in the image, whatever bytes it has and whatever the locale is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.buffer.flush()


def say(event: Event) -> None:
    if isinstance(event, Said) and event.level != "debug":
        print(f"{event.level}: {event.text}" if event.level == "warning" else event.text, file=sys.stderr)


def _lines(chosen: Mapping[str, Any], *, app: str, list_apps: bool) -> list[str]:
    """Apptainer's text: each part of the container, else of the app."""
    apps = chosen.get("apps", {})
    lines = list(apps) if list_apps else []
    of_app = apps.get(app, {})
    for part in PARTS:
        value = chosen.get(part) or of_app.get(part)
        if not value:
            continue
        if part == "environment":
            lines += [f"=== {path} ===\n{text}\n" for path, text in value.items()]
        elif part == "labels":
            lines += [f"{key}: {text}" for key, text in value.items()]
        else:
            lines.append(str(value))
    return lines


def _notes(found: Inspection) -> dict[str, Any]:
    """What Apptainer's JSON does not have, beside it."""
    return {"layers": [dict(layer) for layer in found.layers], "tree_digest": found.tree_digest} if found.layers else {}


def _layers(found: Inspection) -> str:
    from sealift.cli.summary import size_text

    if not found.layers:
        return "this image does not say which layers it was made of"
    width = max(len(layer["name"]) for layer in found.layers)
    lines = [
        f"{layer['name']:<{width}}  {size_text(layer['size']):>9}  {layer['entries']:>9} entries  {layer['digest']}"
        for layer in found.layers
    ]
    return "\n".join([*lines, f"tree {found.tree_digest}"])

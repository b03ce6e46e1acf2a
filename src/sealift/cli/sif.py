"""`sealift sif list|header FILE`, `sif info|dump ID FILE`, with Apptainer's output."""

from __future__ import annotations

import argparse
import sys

from sealift.errors import UsageError

_WHAT = ("list", "header", "info", "dump")


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.usage = "sealift sif list FILE | header FILE | info ID FILE | dump ID FILE"
    parser.add_argument("what", choices=_WHAT, help="all objects, the header, one object's record, or its bytes")
    parser.add_argument("words", nargs="+", metavar="[ID] FILE", help="the object's number, and the SIF")


def execute(options: argparse.Namespace) -> int:
    from sealift.flows.sifview import find_object, open_sif, pieces
    from sealift.sif.text import header_text, info_text, list_text

    path, number = _words(options.what, options.words)
    with open_sif(path) as image:
        match options.what:
            case "list":
                sys.stdout.write(list_text(image.descriptors))
            case "header":
                sys.stdout.write(header_text(image.header))
            case "info":
                sys.stdout.write(info_text(find_object(image, number)))
            case _:
                for piece in pieces(image, find_object(image, number)):
                    sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
    return 0


def _words(what: str, words: list[str]) -> tuple[str, int]:
    """The file and the object's number, 0 where none is wanted."""
    if what in ("list", "header"):
        if len(words) != 1:
            raise UsageError(f"`sif {what}` takes one FILE", hints=(f"sealift sif {what} image.sif",))
        return words[0], 0
    if len(words) != 2 or not words[0].isdecimal():
        raise UsageError(
            f"`sif {what}` takes an object's number and a FILE",
            hints=(f"sealift sif {what} 1 image.sif", "which there are: sealift sif list image.sif"),
        )
    return words[1], int(words[0])

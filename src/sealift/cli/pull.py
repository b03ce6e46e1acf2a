"""`sealift pull [IMAGE] docker://… | oras://…`."""

from __future__ import annotations

import argparse

from sealift.cli import build as build_command
from sealift.errors import UsageError


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument(
        "places", metavar="[IMAGE] SPEC", nargs="+", help="the SIF to write, then docker://… or oras://…"
    )
    build_command.add_image_options(parser)


def execute(options: argparse.Namespace) -> int:
    from sealift.core.reference import default_image_name

    match options.places:
        case [spec]:
            options.image, options.spec = default_image_name(spec), spec
        case [image, spec]:
            options.image, options.spec = image, spec
        case _:
            raise UsageError(
                "pull takes an image and a source", hints=("sealift pull ubuntu.sif docker://ubuntu:24.04",)
            )
    if ":" not in options.spec:
        raise UsageError(
            f"`{options.spec}` is not a registry's image",
            hints=(
                f"did you mean docker://{options.spec}",
                f"a definition file is built: sealift build IMAGE {options.spec}",
            ),
        )
    options.as_it_is = True
    return build_command.execute(options)

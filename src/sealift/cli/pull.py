"""`sealift pull [IMAGE] docker://… | oras://…`."""

from __future__ import annotations

import argparse

from sealift.cli import build as build_command
from sealift.cli.imageflags import add_image_options, add_output_options, add_registry_options
from sealift.errors import UsageError

EXAMPLES = """\
examples:
  sealift pull docker://ubuntu:24.04              writes ubuntu_24.04.sif
  sealift pull ubuntu.sif docker://ubuntu:24.04
  sealift pull --dir images docker://ubuntu:24.04
  sealift pull --sandbox ubuntu/ docker://ubuntu:24.04
"""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument(
        "places", metavar="[IMAGE] SPEC", nargs="+", help="what to write, for instance ubuntu.sif; then docker://…"
    )
    parser.add_argument("--dir", metavar="DIR", help="the folder to write IMAGE to")
    parser.add_argument("--name", metavar="IMAGE", help="the same as IMAGE before SPEC")
    parser.add_argument("--disable-cache", action="store_true", help="accepted; layers are kept all the same")
    parser.add_argument("--no-cleanup", action="store_true", help="accepted; nothing is left to clean up")
    add_output_options(parser)
    add_image_options(parser)
    add_registry_options(parser)


def execute(options: argparse.Namespace) -> int:
    from sealift.core.reference import default_image_name

    match options.places:
        case [spec]:
            options.image, options.spec = options.name or default_image_name(spec), spec
        case [image, spec] if options.name is None:
            options.image, options.spec = image, spec
        case [image, _]:
            raise UsageError(
                f"the image has two names: `{image}` and `{options.name}`",
                hints=(f"leave out one: sealift pull {options.name} {options.places[-1]}",),
            )
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
    if options.dir is not None:
        if options.image.startswith(("oci:", "oci-archive:")):
            raise UsageError(
                f"`--dir` holds files, and `{options.image}` says itself where it lies",
                hints=(f"leave --dir out: sealift pull {options.image} {options.spec}",),
            )
        options.image = f"{options.dir}/{options.image}"
    options.as_it_is = True
    return build_command.execute(options)

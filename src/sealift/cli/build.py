"""`sealift build IMAGE SPEC`, in Apptainer's argument order."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

from sealift.cli.buildflags import add_section_options, build_environment, section_flags
from sealift.cli.imageflags import (
    add_image_options,
    add_output_options,
    add_registry_options,
    asked_architecture,
    asked_packing,
    registry_environment,
)
from sealift.errors import UsageError

EXAMPLES = """\
IMAGE is written in the form that its name says:
  hello.sif                 a SIF, as any name that is none of these
  hello.sqfs                a bare squashfs (also .squashfs, .sqsh)
  --sandbox hello/          a directory
  oci:hello:1.0             an OCI image layout
  oci-archive:hello.tar     the same in a file

examples:
  sealift build hello.sif hello.def
  sealift build ubuntu.sif docker://ubuntu:24.04
  sealift build --sandbox hello/ hello.def     change what is in it, then:
  sealift build hello.sif hello/
"""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("image", metavar="IMAGE", help="what to write, for instance hello.sif")
    parser.add_argument("spec", metavar="SPEC", help="a definition file, docker://…, oras://…, oci:…, an image")
    parser.add_argument("--build-arg", action="append", default=[], metavar="K=V", help="a value for {{ K }}")
    parser.add_argument("--build-arg-file", metavar="FILE", help="lines of K=V")
    parser.add_argument("--warn-unused-build-args", action="store_true", help="warn about unused ones only")
    parser.add_argument("-T", "--notest", action="store_true", help="do not run %%test")
    parser.add_argument(
        "--no-cache", "--disable-cache", action="store_true", help="run the sections even when nothing changed"
    )
    parser.add_argument("-f", "--fakeroot", action="store_true", help="accepted; building never needs root")
    parser.add_argument("--userns", action="store_true", help="accepted; building never needs more")
    add_output_options(parser)
    add_image_options(parser)
    add_registry_options(parser)
    add_section_options(parser)


def execute(options: argparse.Namespace) -> int:
    from sealift.cli.app import end_gently
    from sealift.cli.progress import drawn
    from sealift.flows.build import build
    from sealift.flows.requests import BuildRequest
    from sealift.system.process import environment

    end_gently()
    compression, block_size = asked_packing(options)
    request = BuildRequest(
        target=options.image,
        spec=options.spec,
        environment=registry_environment(options, build_environment(options, environment())),
        force=options.force,
        sandbox=options.sandbox,
        architecture=asked_architecture(options),
        build_arguments=_pairs(getattr(options, "build_arg", [])),
        build_argument_file=getattr(options, "build_arg_file", None),
        warn_unused_arguments=getattr(options, "warn_unused_build_args", False),
        no_test=getattr(options, "notest", False),
        no_cache=getattr(options, "no_cache", False),
        insecure=options.no_https,
        as_it_is=getattr(options, "as_it_is", False),
        compression=compression,
        layers=options.layers,
        block_size=block_size,
        want_digest=options.json or options.verbose,
        flags=section_flags(options),
    )
    with drawn(quiet=options.quiet, verbose=options.verbose) as events:
        result = build(replace(request, events=events))
    if options.json:
        print(json.dumps(result.as_json(), indent=2))
    elif not options.quiet:
        from sealift.cli.summary import summary

        print(summary(result), file=sys.stderr)
    return 0


def _pairs(arguments: list[str]) -> dict[str, str]:
    pairs = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"`{argument}` is not K=V", hints=("--build-arg VERSION=1.2",))
        pairs[key.strip()] = value.strip()
    return pairs

"""`sealift build IMAGE SPEC`, in Apptainer's argument order."""

from __future__ import annotations

import argparse
import json
import sys

from sealift.cli.buildflags import add_section_options, build_environment, section_flags
from sealift.errors import UsageError


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("image", metavar="IMAGE", help="the SIF to write, for instance hello.sif")
    parser.add_argument("spec", metavar="SPEC", help="a definition file, docker://…, oras://…, oci:…, an image")
    parser.add_argument("--build-arg", action="append", default=[], metavar="K=V", help="a value for {{ K }}")
    parser.add_argument("--build-arg-file", metavar="FILE", help="lines of K=V")
    parser.add_argument("--warn-unused-build-args", action="store_true", help="warn about unused ones only")
    parser.add_argument("-T", "--notest", action="store_true", help="do not run %%test")
    parser.add_argument("--no-cache", action="store_true", help="run the sections even when nothing changed")
    parser.add_argument("-f", "--fakeroot", action="store_true", help="accepted; building never needs root")
    add_section_options(parser)
    add_image_options(parser)


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """The options that every command which writes an image has."""
    parser.add_argument("-F", "--force", action="store_true", help="replace IMAGE when it exists")
    parser.add_argument("-s", "--sandbox", action="store_true", help="write a directory that can be changed")
    parser.add_argument("--arch", metavar="ARCH", help="amd64, arm64, …; this host's when left out")
    parser.add_argument("--no-https", "--nohttps", action="store_true", help="talk plain HTTP to the registry")
    parser.add_argument("--compression", metavar="NAME:LEVEL", help="zstd:1…22 or gzip:1…12")
    parser.add_argument("--block-size", metavar="SIZE", help="4K … 1M, a power of two")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but warnings and errors")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def execute(options: argparse.Namespace) -> int:
    from sealift.cli.app import end_gently
    from sealift.cli.progress import drawn
    from sealift.flows.build import build
    from sealift.flows.requests import BuildRequest
    from sealift.system.process import environment

    end_gently()
    with drawn(quiet=options.quiet, verbose=options.verbose) as events:
        result = build(
            BuildRequest(
                target=options.image,
                spec=options.spec,
                environment=build_environment(options, environment()),
                force=options.force,
                sandbox=options.sandbox,
                architecture=options.arch,
                build_arguments=_pairs(getattr(options, "build_arg", [])),
                build_argument_file=getattr(options, "build_arg_file", None),
                warn_unused_arguments=getattr(options, "warn_unused_build_args", False),
                no_test=getattr(options, "notest", False),
                no_cache=getattr(options, "no_cache", False),
                insecure=options.no_https,
                as_it_is=getattr(options, "as_it_is", False),
                compression=options.compression,
                block_size=options.block_size,
                want_digest=options.json or options.verbose,
                flags=section_flags(options),
                events=events,
            )
        )
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

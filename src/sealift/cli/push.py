"""`sealift push IMAGE docker://… | oras://… | podman:NAME | …`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from sealift.cli.imageflags import add_output_options, add_registry_options, asked_architecture, registry_environment

if TYPE_CHECKING:
    from sealift.flows.requests import Pushed

EXAMPLES = """\
TARGET is where the image goes, in the form that its name says:
  docker://HOST/REPOSITORY:TAG    a registry, as layers that every engine runs
  oras://HOST/REPOSITORY:TAG      a registry, as the SIF that it is, as `apptainer push` does
  docker-daemon:NAME:TAG          the Docker of this machine
  podman:NAME:TAG                 the Podman of this machine
  podman-hpc:NAME:TAG             podman-hpc at NERSC, squashed for compute nodes
  oci:DIR:TAG, oci-archive:FILE:TAG, docker-archive:FILE:NAME:TAG

examples:
  sealift push hello.sif docker://registry.example.org/me/hello:1
  sealift push --site perlmutter hello.sif docker://registry.nersc.gov/PROJECT/hello:1
  sealift push hello.sif podman-hpc:hello:1
"""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("image", metavar="IMAGE", help="a SIF, a squashfs, a directory, docker://…, oci:…, an archive")
    parser.add_argument("target", metavar="TARGET", help="where to; see below")
    parser.add_argument("--site", metavar="NAME", default="", help="say what to type next for the engines of this site")
    parser.add_argument("--for", metavar="ENGINE", dest="engine", default="", help="the same for one engine")
    parser.add_argument("-F", "--force", action="store_true", help="replace a file that exists")
    parser.add_argument("-U", "--allow-unsigned", action="store_true", help="accepted; nothing has to be signed")
    parser.add_argument("--arch", metavar="ARCH", help="of several in one image; this host's when left out")
    parser.add_argument("--arch-variant", metavar="V", help="of arm: 5, 6 or 7")
    parser.add_argument("--compression", metavar="NAME:LEVEL", help="of our layer: gzip:1…12 or zstd:1…22")
    parser.add_argument(
        "--layers", choices=("one", "steps"), default="one", help="above the base: one layer, or one for each step"
    )
    add_output_options(parser)
    add_registry_options(parser)


def execute(options: argparse.Namespace) -> int:
    from sealift.cli.app import end_gently
    from sealift.cli.progress import drawn
    from sealift.flows.push import push
    from sealift.flows.requests import PushRequest
    from sealift.system.process import environment

    end_gently()
    request = PushRequest(
        image=options.image,
        target=options.target,
        environment=registry_environment(options, environment()),
        force=options.force,
        architecture=asked_architecture(options),
        insecure=options.no_https,
        compression=options.compression,
        layers=options.layers,
        site=options.site,
        engine=options.engine,
    )
    with drawn(quiet=options.quiet, verbose=options.verbose) as events:
        done = push(replace(request, events=events))
    if options.json:
        print(json.dumps(done.as_json(), indent=2))
    else:
        print(done.reference)
    if not options.quiet:
        print(summary(done), file=sys.stderr)
    return 0


def summary(done: Pushed) -> str:
    """The closing lines: what is there now, and what to type next."""
    from sealift.cli.summary import size_text

    sent = sum(each.size for each in done.sent if each.how == "sent")
    state = "unchanged" if done.unchanged else "pushed"
    what = f"{size_text(done.size)}" + (f", {size_text(sent)} of it sent" if done.sent else "")
    lines = [f"{done.target} {state}: {what}, {sum(done.seconds.values()):.1f} s"]
    if done.tree_digest:
        lines.append(f"tree  {done.tree_digest}")
    lines.append(f"image {done.digest}")
    lines += [f"next, for {name}: {line}" for name, line in done.following]
    return "\n".join(lines)

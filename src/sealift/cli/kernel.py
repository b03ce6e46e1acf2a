"""`sealift kernel install|list|remove`: Jupyter kernels that run in images."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealift.flows.kernel import InstalledKernel

EPILOG = """\
examples:
  sealift kernel install analysis.sif --nv
  sealift kernel install docker://registry.nersc.gov/me/analysis:1 --site perlmutter
  sealift kernel install analysis.sif --print     what would be written
  sealift kernel list
  sealift kernel remove analysis
"""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    verbs = parser.add_subparsers(dest="what", metavar="install | list | remove", required=True)
    install = verbs.add_parser("install", help="make a kernel of an image", description="Make a kernel of an image.")
    install.add_argument("image", metavar="IMAGE", help="x.sif, x.sqfs, a folder or docker://…")
    install.add_argument("--site", default="", help="the machine on which it runs (sealift sites)")
    install.add_argument("--engine", default="", help="what runs it: embedded, apptainer, podman-hpc, shifter …")
    install.add_argument("--name", default="", help="what Jupyter calls it inside; the image's name unless given")
    install.add_argument("--display-name", default="", metavar="TEXT", help="what Jupyter shows")
    install.add_argument("--language", default="python", help="python, or another one whose kernel the image has")
    install.add_argument("--nv", action="store_true", help="show NVIDIA GPUs and their driver inside")
    install.add_argument("--rocm", action="store_true", help="show AMD GPUs and their driver inside")
    install.add_argument("-B", "--bind", action="append", default=[], metavar="SRC[:DST[:ro]]", help="show SRC inside")
    install.add_argument("--env", action="append", default=[], metavar="K=V", help="set a variable inside")
    install.add_argument("--print", action="store_true", help="show the files and write nothing")
    install.add_argument("-F", "--force", action="store_true", help="replace a kernel that Sealift made")
    listing = verbs.add_parser("list", help="show Sealift's kernels", description="Show Sealift's kernels.")
    listing.add_argument("--json", action="store_true", help="print as JSON")
    remove = verbs.add_parser("remove", help="take a kernel away", description="Take one of Sealift's kernels away.")
    remove.add_argument("name", metavar="NAME", help="as `kernel list` shows it")
    for verb in (install, listing, remove):
        place = verb.add_mutually_exclusive_group()
        place.add_argument("--user", action="store_true", help="in your own folder of kernels (so it is anyway)")
        place.add_argument(
            "--prefix", default="", metavar="DIR", help="in the environment DIR, where Jupyter is installed"
        )


def execute(options: argparse.Namespace) -> int:
    from sealift.flows import kernel
    from sealift.system.process import environment

    env = environment()
    match options.what:
        case "install":
            _install(options)
        case "list":
            _list(kernel.list_kernels(env, prefix=options.prefix), as_json=options.json)
        case _:
            print(f"removed {kernel.remove_kernel(options.name, env, prefix=options.prefix)}", file=sys.stderr)
    return 0


def _install(options: argparse.Namespace) -> None:
    from sealift.cli.arguments import read_variables
    from sealift.cli.progress import drawn
    from sealift.flows import kernel
    from sealift.flows.run import parse_binds
    from sealift.system.process import environment

    env = environment()
    order = kernel.KernelOrder(
        image=options.image,
        site=options.site,
        engine=options.engine,
        name=options.name,
        display_name=options.display_name,
        language=options.language,
        prefix=options.prefix,
        nv=options.nv,
        rocm=options.rocm,
        binds=tuple(bind for text in options.bind for bind in parse_binds(text)),
        env=read_variables(options.env),
        force=options.force,
    )
    if options.print:
        with drawn() as events:
            planned = kernel.plan_kernel(order, env, load=False, events=events)
        folder = f"{kernel.kernels_folder(env, options.prefix)}/{planned.name}"
        print("\n".join(f"# {path}\n{text}" for path, text in kernel.kernel_files(planned, folder)), end="")
        return
    with drawn() as events:
        made = kernel.install_kernel(order, env, events=events)
    print(f"installed the kernel {made.name}: {made.folder}", file=sys.stderr)
    print(f"Jupyter shows it as: {made.display_name}", file=sys.stderr)


def _list(found: tuple[InstalledKernel, ...], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
        return
    if not found:
        print("Sealift has made no kernels here: sealift kernel install IMAGE", file=sys.stderr)
        return
    table = [("KERNEL", "ENGINE", "SITE", "IMAGE", "")]
    table += [(each.name, each.engine, each.site or "-", each.image, each.fault) for each in found]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())

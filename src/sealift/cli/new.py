"""`sealift new [NAME [FILE]]`: a definition file to begin with."""

from __future__ import annotations

import argparse
import shlex
import sys

EPILOG = """\
examples:
  sealift new                          the templates
  sealift new cuda-pytorch             write cuda-pytorch.def
  sealift new hello first.def          write first.def
  sealift new mpi-mpich -              print it
"""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("name", nargs="?", metavar="NAME", help="a template; none lists them")
    parser.add_argument("file", nargs="?", metavar="FILE", help="where to write it (NAME.def); - prints it")
    parser.add_argument("-F", "--force", action="store_true", help="replace the file if it is there")


def execute(options: argparse.Namespace) -> int:
    from sealift.flows import templates

    if options.name is None:
        names = templates.template_names()
        width = max(map(len, names))
        print("\n".join(f"{name:<{width}}  {templates.first_line(name)}" for name in names))
        return 0
    if options.file == "-":
        sys.stdout.write(templates.template_text(options.name))
        return 0
    path = options.file or f"{options.name}.def"
    templates.write_template(options.name, path, force=options.force)
    image = f"{path.removesuffix('.def')}.sif"
    print(f"wrote {path}; build it: {shlex.join(('sealift', 'build', image, path))}", file=sys.stderr)
    return 0

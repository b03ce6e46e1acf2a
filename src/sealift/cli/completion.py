"""`sealift completion SHELL`: the script by which a shell completes Sealift's commands."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealift.cli.completions.names import Known

SHELLS = ("bash", "zsh", "fish")

EPILOG = """\
once, and again after an update of Sealift:
  bash   sealift completion bash > ~/.local/share/bash-completion/completions/sealift
         (without the package bash-completion: a line in ~/.bashrc that reads that file)
  zsh    sealift completion zsh > DIR/_sealift, where DIR is one of $fpath
  fish   sealift completion fish > ~/.config/fish/completions/sealift.fish

in this terminal only:
  source <(sealift completion bash)
  sealift completion fish | source
"""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def execute(options: argparse.Namespace) -> int:
    from sealift.cli.completions import bash, fish, zsh

    script = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}[options.shell]
    sys.stdout.write(script(known()))
    return 0


def known() -> Known:
    """The commands and the names of this release."""
    from sealift import __version__
    from sealift.cli.app import COMMANDS
    from sealift.cli.completions.names import Known
    from sealift.cli.grammar import all_commands
    from sealift.flows import linting, sites, templates
    from sealift.flows.lessons.courses import open_course

    return Known(
        version=__version__,
        commands=all_commands(),
        verbs={verb: summary for verb, (_, summary) in COMMANDS.items()},
        names={
            "rule": linting.rule_ids(),
            "site": sites.shipped_names(),
            "exercise": tuple(exercise.short for exercise in open_course("").course.exercises),
            "template": templates.template_names(),
            "kernel": (),
        },
    )

"""The story of `new`: definition files to begin with, which ship with Sealift."""

from __future__ import annotations

import difflib
import os
import shlex
from importlib import resources

from sealift.errors import HostError, UsageError
from sealift.system.files import atomic_file, explain_oserror

_SUFFIX = ".def"


def template_names() -> tuple[str, ...]:
    folder = resources.files("sealift").joinpath("data/templates")
    return tuple(sorted(one.name.removesuffix(_SUFFIX) for one in folder.iterdir() if one.name.endswith(_SUFFIX)))


def template_text(name: str) -> str:
    """The template's text; UsageError when there is none of that name."""
    names = template_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hints = (f"did you mean `{close[0]}`?",) if close else ("see which there are: sealift new",)
        raise UsageError(f"there is no template `{name}`", hints=hints)
    return resources.files("sealift").joinpath(f"data/templates/{name}{_SUFFIX}").read_text("utf-8")


def first_line(name: str) -> str:
    """What the template is, in its own words: the comment at its top, up to the first empty line of it."""
    lines = [line.removeprefix("#").strip() for line in template_text(name).splitlines()]
    return " ".join(lines[: lines.index("")]).rstrip(".")


def write_template(name: str, path: str, *, force: bool = False) -> None:
    """Write the template to `path`, whole or not at all.

    UsageError where a folder is there, HostError where a file is and `force` is not given.
    """
    text = template_text(name)
    if os.path.isdir(path):
        line = shlex.join(("sealift", "new", name, os.path.join(path, f"{name}{_SUFFIX}")))
        raise UsageError(f"`{path}` is a folder", hints=(f"name a file in it: {line}",))
    try:
        with atomic_file(path, replace=force) as file:
            file.write(text.encode("utf-8"))
    except FileExistsError as error:
        line = shlex.join(("sealift", "new", "-F", name, path))
        raise HostError(f"`{path}` is there already", hints=(f"replace it: {line}", "or name another file")) from error
    except OSError as error:
        raise explain_oserror(error, f"writing {path}") from error

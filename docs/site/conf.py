"""How the pages of docs/ become a site: `make docs`.

The pages are plain Markdown, to be read where the repository lies, too. So the order of the site stands here, and not
in the pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pygments.lexer import RegexLexer
from pygments.token import Comment, Keyword, Name, Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]

NAVIGATION = {
    "Begin": {
        "tutorial": "The first ten minutes",
        "learning": "Learning by doing",
        "templates": "Templates",
    },
    "How to": {
        "howto/dockerfile": "Come from a Dockerfile",
        "howto/requirements": "Come from pip or conda",
        "howto/pytorch-perlmutter": "PyTorch on Perlmutter",
        "howto/mpi": "MPI at your site",
        "howto/private-registries": "Private registries",
        "howto/air-gapped": "Machines without a network",
        "howto/ci": "Continuous integration",
        "jupyter": "Notebooks",
    },
    "Guides": {
        "building": "Building",
        "images": "Forms of images",
        "lint": "Checking a recipe",
        "checking": "Checking an image",
        "size": "Size",
        "pushing": "Pushing",
        "engines": "Running",
        "other-engines": "Docker, Podman, Shifter, …",
        "jobs": "Jobs",
        "mpi": "MPI",
        "shim": "Scripts made for Apptainer",
        "completion": "Completion in the shell",
        "sandbox": "Hosts that lack something",
    },
    "Concepts": {
        "concepts/why-containers": "Why containers in HPC",
        "concepts/runtimes": "Runtimes compared",
        "concepts/packs-and-steps": "Packs and steps",
        "reproducibility": "Reproducibility",
        "concepts/practices": "Five good practices",
    },
    "Reference": {
        "reference/commands": "Commands",
        "reference/definition-files": "Definition files",
        "reference/bootstrap-agents": "Bootstrap agents",
        "reference/lint-rules": "Lint rules",
        "reference/sites": "Sites",
        "reference/site-profiles": "What is known of each",
        "reference/bind-mounts": "Bind mounts",
        "reference/environment": "Environment variables",
        "reference/exit-codes": "Exit codes",
        "reference/parse-json": "The JSON of parse",
    },
    "How it is made": {
        "architecture": "Architecture",
        "benchmarks": "Benchmarks",
        "parity": "Parity with Apptainer",
        "parity-engines": "Parity of engines",
        "lint-precision": "Precision of the linter",
        "documentation": "This site",
    },
}
"""The sidebar. A page that stands nowhere here, and one that is not there, end the build."""

FAMILIES = ("reference/lint-rules", "reference/site-profiles")
"""Pages whose own pages lie in the folder of their name."""

project = "Sealift"
html_title = "Sealift"
project_copyright = "The Sealift developers"
language = "en"
extensions = ["myst_parser"]
exclude_patterns = ["site/**"]
nitpicky = True
myst_heading_anchors = 4
highlight_language = "none"

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/favicon.svg"
html_search_scorer = str(DOCS / "site" / "scorer.js")
html_copy_source = False
html_show_sphinx = False


class DefinitionFile(RegexLexer):
    """Enough of the language to find one's way on a page."""

    name = "definition file"
    tokens: ClassVar[dict[str, list[tuple[str, object]]]] = {
        "root": [
            (r"^%[a-z]+", Keyword),
            (r"^[A-Za-z]+(?=:)", Name.Attribute),
            (r"#(?!!).*$", Comment),
            (r"\{\{.*?\}\}", Name.Variable),
            (r"[^%#{\n]+|.|\n", Text),
        ]
    }


def add_navigation(_app: Sphinx, name: str, source: list[str]) -> None:
    """Give the pages that have others below them their tables of contents."""
    if name == "index":
        for caption, pages in NAVIGATION.items():
            source[0] += _toctree((f"{title} </{page}>" for page, title in pages.items()), f":caption: {caption}")
    elif name in FAMILIES:
        found = sorted(path.stem for path in (DOCS / name).glob("*.md"))
        source[0] += _toctree(f"/{name}/{page}" for page in found)


def _toctree(entries: Iterable[str], *options: str) -> str:
    lines = ("", "```{toctree}", ":hidden:", *options, "", *entries, "```", "")
    return "\n".join(lines)


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_navigation)
    app.add_lexer("def", DefinitionFile)

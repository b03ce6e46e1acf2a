"""The README as a package index shows it; hatchling asks for it whenever it builds.

Links there that are relative to the repository lead nowhere. Where pyproject.toml names the repository
(`project.urls.Repository`) they become absolute; while it names none, pages are named and not linked, and pictures are
left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[([^]]*)\]\((?!https?://|#)([^)\s]+)\)")
_COMMENT = re.compile(r"^<!-- .*? -->\n+", re.MULTILINE)


class LongDescription(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text("utf-8")
        repository = metadata.get("urls", {}).get("Repository", "")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_an_index(text, repository)}


def for_an_index(text: str, repository: str) -> str:
    """`text` without what holds only where the repository lies: relative links, and marks for the tests."""

    def absolute(found: re.Match[str]) -> str:
        picture, label, path = found.groups()
        if repository:
            return f"{picture}[{label}]({repository.rstrip('/')}/{'raw' if picture else 'blob'}/main/{path})"
        return "" if picture else label

    return re.sub(r"\n{3,}", "\n\n", _LINK.sub(absolute, _COMMENT.sub("", text)))

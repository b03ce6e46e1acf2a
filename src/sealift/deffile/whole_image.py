"""The definition that stands for building from a reference or an image alone, as `build IMAGE docker://…` does."""

from __future__ import annotations


def text_of_reference(agent: str, source: str) -> str:
    """What Apptainer records for such a build, for instance for agent `docker` and source `ubuntu:24.04`."""
    return f"bootstrap: {agent}\nfrom: {source}\n\n"

"""Writes an image as a directory that engines run as it is, and that a person can change."""

from __future__ import annotations

from sealift.errors import UsageError
from sealift.flows.ready import Finished, Written
from sealift.flows.targets import Target
from sealift.flows.workshop import Workshop


def write_directory(shop: Workshop, finished: Finished, target: Target) -> Written:  # noqa: ARG001
    raise UsageError(f"`{target.text}` cannot be written yet", hints=("write a SIF: x.sif",))

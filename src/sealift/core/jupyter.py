"""A Jupyter kernel as an image has it, before anybody starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Interrupt = Literal["message", "signal"]

CONNECTION_FILE = "{connection_file}"
"""What Jupyter replaces by the path of the file that names ports and keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageKernel:
    """`argv` starts it in the image, with `{connection_file}` in it. `version` is ipykernel's, empty for other
    languages; `metadata` what its own kernelspec tells Jupyter.

    `interrupt` is how a running cell is ended. A message reaches every kernel through its control channel. A signal
    goes to the processes that Jupyter started: to an engine's client, not into a container that a daemon or monitor
    keeps, and under Apptainer twice, to the kernel and to the process that hands it on. So a message is asked for
    wherever the kernel understands it, which ipykernel does since 6.
    """

    argv: tuple[str, ...]
    language: str
    version: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    interrupt: Interrupt = "message"

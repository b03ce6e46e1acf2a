"""`--update`: a definition file runs over the directory that is the target; its last header counts for nothing."""

from __future__ import annotations

from dataclasses import replace

from sealift.deffile.prepare import Prepared
from sealift.errors import UsageError
from sealift.flows.requests import BuildRequest


def is_update(request: BuildRequest) -> bool:
    """`--force` beside it starts anew, as Apptainer has it (internal/pkg/build/build.go)."""
    return request.flags.update and not request.force


def not_to_update_with(spec: str) -> UsageError:
    return UsageError(
        f"`--update` runs a definition file over the directory, and `{spec}` is an image",
        hints=("replace the directory by the image: --sandbox --force, without --update",),
    )


def without_last_header(prepared: Prepared) -> Prepared:
    """The same with an empty header in the last stage, of whose base no agent and no label then knows anything."""
    blocks = prepared.definition.blocks
    last = len(blocks) - 1 - next(number for number, block in enumerate(reversed(blocks)) if not block.is_empty)
    changed = (*blocks[:last], replace(blocks[last], header={}), *blocks[last + 1 :])
    return replace(prepared, definition=replace(prepared.definition, blocks=changed))

"""`%files`: what a stage brings from this host and from earlier stages."""

from __future__ import annotations

import os

from sealift.core.event import Began, Ended
from sealift.flows.workshop import Workshop
from sealift.sandbox.container import Sandbox
from sealift.sections import expansion, inner
from sealift.sections.expansion import Copy
from sealift.sections.plan import UMASK, CopyAppFiles, CopyFromHost, CopyFromStage, Step


def copies_of(shop: Workshop, step: Step) -> tuple[Copy, ...]:
    """What a step brings from this host, its patterns expanded."""
    match step:
        case CopyFromHost():
            return expansion.expand_host_copies(step.copies, cwd=os.getcwd(), env=shop.request.environment)
        case CopyAppFiles():
            return expansion.plain_copies(step.copies, cwd=os.getcwd())
        case _:
            return ()


def stage_copies_of(shop: Workshop, step: CopyFromStage) -> tuple[Copy, ...]:
    """What a step brings from an earlier stage."""
    return expansion.expand_stage_copies(step.copies, cwd=os.getcwd(), env=shop.request.environment)


def copy_from_host(shop: Workshop, sandbox: Sandbox, step: CopyFromHost | CopyAppFiles) -> None:
    """`%files` and `%appfiles`; DefinitionError with the lines that failed."""
    rows = [copy.to_json() for copy in copies_of(shop, step)]
    shop.events(Began(task="%files", label="%files"))
    with shop.watch.measure("%files"):
        faults = sandbox.call("sealift.sections.inner:copy_from_host", copies=rows, umask=UMASK)
    shop.events(Ended(task="%files", note="failed" if faults else f"{len(rows)} copied"))
    error = inner.copy_faults(faults, {row: copy.span for row, copy in enumerate(step.copies)})
    if error is not None:
        raise error


def copy_from_stage(shop: Workshop, sandbox: Sandbox, image: str, step: CopyFromStage) -> None:
    """`%files from`: `image` is the stage as one squashfs. DefinitionError with the lines that failed."""
    copies = stage_copies_of(shop, step)
    with shop.watch.measure("%files from"):
        faults = sandbox.call(
            "sealift.flows.upper:copy_from_image",
            image=image,
            copies=[[copy.source, copy.destination, copy.row] for copy in copies],
            umask=UMASK,
        )
    error = inner.copy_faults(faults, {row: copy.span for row, copy in enumerate(step.copies)})
    if error is not None:
        raise error

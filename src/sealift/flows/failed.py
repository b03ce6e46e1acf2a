"""`--no-cleanup`: what a section that failed had made, as an image to look into."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence

from sealift.core.event import Said
from sealift.flows.workshop import Workshop
from sealift.packs.image import write_image
from sealift.packs.merge import merge
from sealift.packs.pack import open_pack
from sealift.sandbox.workfolder import choose_work_place
from sealift.system.files import explain_oserror


def keep_failed(shop: Workshop, packs: Sequence[str]) -> None:
    """Write the packs, lowest first, as a squashfs into the work folder's place, and say where it is.

    Apptainer keeps the folder of the build, much of which a user without root could neither read nor remove.
    """
    place = choose_work_place(shop.request.environment).folder
    try:
        handle, path = tempfile.mkstemp(prefix="sealift-failed-", suffix=".sqfs", dir=place)
        with os.fdopen(handle, "r+b") as file, contextlib.ExitStack() as stack:
            opened = [stack.enter_context(open_pack(one)) for one in packs]
            write_image(
                merge(opened, base_count=len(opened)),
                file,
                base_offset=0,
                options=shop.options,
                mtime=0,
                pool=shop.pool,
            )
    except OSError as error:
        raise explain_oserror(error, f"writing to {place}") from error
    shop.events(
        Said(text=f"what the sections had made is kept in {path}", level="warning", hint=f"sealift shell {path}")
    )

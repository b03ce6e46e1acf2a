"""The story of `size`: find the image, read its names and its packages' records, say where the bytes went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealift.core.event import Events, ignore
from sealift.evidence.opening import open_image
from sealift.evidence.size import measure
from sealift.evidence.sizereport import report
from sealift.flows.run import local_image


def size(
    image: str,
    environment: Mapping[str, str],
    *,
    page: str = "",
    folders: int = 10,
    insecure: bool = False,
    events: Events = ignore,
) -> dict[str, Any]:
    """What `sizereport` says of any form of IMAGE; with `page`, an HTML page is written to that file, whole or not.

    `insecure` allows plain HTTP for registries. ImageError when it is no image, or damaged; HostError where a file
    cannot be read or the page not written.
    """
    with open_image(local_image(image, environment, events, insecure=insecure)) as opened:
        sizes = measure(opened)
        found = {**report(sizes, folders=folders), "image": image}
        if page:
            from sealift.evidence.sizepage import render
            from sealift.system.files import atomic_file, explain_oserror

            try:
                with atomic_file(page) as file:
                    file.write(render(sizes, found))
            except OSError as error:
                raise explain_oserror(error, f"writing {page}") from error
    return found

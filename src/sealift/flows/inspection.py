"""The story of `inspect` and `run-help`: find the image, open it, read what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sealift.core.event import Events, ignore
from sealift.evidence.inspection import Inspection, as_json, help_text, inspect_image
from sealift.evidence.opening import open_image
from sealift.flows.run import local_image

if TYPE_CHECKING:
    from sealift.evidence.packages import Inventory


def inspect(
    image: str, environment: Mapping[str, str], *, insecure: bool = False, events: Events = ignore
) -> Inspection:
    """What any form of IMAGE says of itself; ImageError when it is no image, or damaged."""
    with open_image(local_image(image, environment, events, insecure=insecure)) as opened:
        return inspect_image(opened)


def inventory(
    image: str, environment: Mapping[str, str], *, insecure: bool = False, events: Events = ignore
) -> Inventory:
    """Which packages are in any form of IMAGE, by what their managers noted; nothing is run."""
    from sealift.evidence.files import files_of
    from sealift.evidence.packages import find_packages

    with open_image(local_image(image, environment, events, insecure=insecure)) as opened:
        return find_packages(files_of(opened))


def run_help(
    image: str, environment: Mapping[str, str], *, app: str = "", insecure: bool = False, events: Events = ignore
) -> str:
    """The help of any form of IMAGE or of an app in it, empty where there is none; nothing is run."""
    with open_image(local_image(image, environment, events, insecure=insecure)) as opened:
        return help_text(opened, app)


__all__ = ["Inspection", "as_json", "inspect", "inventory", "run_help"]

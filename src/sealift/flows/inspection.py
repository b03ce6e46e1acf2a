"""The story of `inspect`: open the image, read what it says of itself."""

from __future__ import annotations

from sealift.evidence.inspection import Inspection, inspect_image
from sealift.evidence.opening import open_image


def inspect(path: str) -> Inspection:
    """What the image at `path` says of itself; ImageError when it is no image, or damaged."""
    with open_image(path) as image:
        return inspect_image(image)


__all__ = ["Inspection", "inspect"]

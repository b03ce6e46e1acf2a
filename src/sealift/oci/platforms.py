"""Which manifest of an index suits a platform (OCI image spec 1.1, image-index.md; containerd's variant rules)."""

from __future__ import annotations

from sealift.core.architecture import Architecture
from sealift.errors import ImageError, NotFoundError
from sealift.oci.manifest import Descriptor, Index, Platform

_ARM_VARIANTS = ("v8", "v7", "v6", "v5")
_DEFAULT_VARIANTS = {"arm": "v7", "arm64": "v8"}


def platform_of(architecture: Architecture) -> Platform:
    return Platform(os="linux", architecture=architecture.oci, variant=architecture.variant)


def choose_manifest(index: Index, wanted: Platform, *, name: str) -> Descriptor:
    """The manifest for `wanted`: its variant exactly, else the best older one, else the first of that architecture.

    NotFoundError lists the platforms there are. `name` is how messages call the image.
    """
    usable = [item for item in index.manifests if not _is_attachment(item)]
    fitting = [(rank, item) for item in usable if (rank := _rank(item.platform, wanted)) is not None]
    if fitting:
        return min(fitting, key=lambda pair: pair[0])[1]
    if len(usable) == 1 and usable[0].platform is None:
        # Indexes written by tools that build for one platform often do not name it; the config is checked later.
        return usable[0]
    if not usable:
        raise ImageError(f"the index of `{name}` names no image")
    there = sorted({str(item.platform) for item in usable if item.platform} - {"unknown/unknown"})
    raise NotFoundError(
        f"`{name}` has no image for {wanted}; there are: {', '.join(there) or 'none with a platform'}",
        hints=tuple(f"--arch {item.split('/')[1]}" for item in there[:1] if item.startswith("linux/")),
    )


def check_architecture(found: Platform, wanted: Platform, *, name: str) -> None:
    """Refuse an image whose config says another system or architecture than asked for; empty fields say nothing."""
    if (found.os or wanted.os) != wanted.os or (found.architecture or wanted.architecture) != wanted.architecture:
        raise NotFoundError(
            f"`{name}` is an image for {found}, not for {wanted}",
            hints=(f"--arch {found.architecture}",) if found.os == "linux" else (),
        )


def _is_attachment(item: Descriptor) -> bool:
    """BuildKit stores attestations as manifests of platform unknown/unknown beside the images."""
    return "vnd.docker.reference.type" in item.annotations or (
        item.platform is not None and item.platform.architecture == "unknown"
    )


def _rank(found: Platform | None, wanted: Platform) -> int | None:
    """How far from the wish, 0 the best; None when it cannot run there."""
    if found is None or found.os != wanted.os or found.architecture != wanted.architecture:
        return None
    default = _DEFAULT_VARIANTS.get(wanted.architecture, "")
    have, want = found.variant or default, wanted.variant or default
    if have == want:
        return 0
    if wanted.architecture == "arm" and have in _ARM_VARIANTS and want in _ARM_VARIANTS:
        # An ARM v7 processor runs v6 and v5, never v8.
        distance = _ARM_VARIANTS.index(have) - _ARM_VARIANTS.index(want)
        return distance if distance > 0 else None
    if wanted.architecture in ("amd64", "arm64"):
        return _levels_below(have, want)
    return 1


def _levels_below(have: str, want: str) -> int | None:
    """For amd64 v1 … v4 and arm64 v8 …: a lower level runs on a higher one; no variant is the lowest level."""
    have_level, want_level = _level(have), _level(want)
    return want_level - have_level if have_level <= want_level else None


def _level(variant: str) -> int:
    digits = variant.removeprefix("v").partition(".")[0]
    return int(digits) if digits.isdigit() and digits.isascii() else 1

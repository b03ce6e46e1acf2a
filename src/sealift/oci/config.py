"""The config of an image (OCI image spec 1.1, config.md; Docker's is the same but for extra fields) as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.core.digest import Digest, parse_digest
from sealift.core.epoch import parse_rfc3339
from sealift.errors import ImageError
from sealift.oci.jsonvalue import Fields, parse_object
from sealift.oci.manifest import Platform

SIZE_LIMIT = 16 << 20
"""Bytes of a config. Histories of long Dockerfiles reach some 100 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """How a container of the image starts, and what its layers are once uncompressed.

    `env` keeps the order and the `KEY=VALUE` form. `created` is the text; `created_epoch` its seconds or None.
    `raw` are the bytes it was read from, whose SHA-256 is Docker's image ID.
    """

    platform: Platform
    created: str = ""
    author: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    diff_ids: tuple[Digest, ...] = ()
    raw: bytes = field(default=b"", repr=False)

    @property
    def created_epoch(self) -> int | None:
        return parse_rfc3339(self.created)


def parse_config(data: bytes) -> ImageConfig:
    """Read an image config; ImageError names the field that is wrong."""
    if len(data) > SIZE_LIMIT:
        raise ImageError(f"the image config is larger than {SIZE_LIMIT >> 20} MiB")
    fields = parse_object(data, "the image config")
    run = fields.child("config") or Fields({}, "config")
    root = fields.child("rootfs")
    diff_ids: tuple[Digest, ...] = ()
    if root is not None:
        try:
            diff_ids = tuple(parse_digest(text) for text in root.texts("diff_ids"))
        except ValueError as error:
            raise ImageError(f"`rootfs.diff_ids` of the image config: {error}") from error
    platform = Platform(os=fields.text("os"), architecture=fields.text("architecture"), variant=fields.text("variant"))
    return ImageConfig(
        platform=platform,
        created=fields.text("created"),
        author=fields.text("author"),
        env=run.texts("Env"),
        entrypoint=run.texts("Entrypoint"),
        cmd=run.texts("Cmd"),
        working_dir=run.text("WorkingDir"),
        user=run.text("User"),
        labels=run.mapping("Labels"),
        exposed_ports=run.keys("ExposedPorts"),
        volumes=run.keys("Volumes"),
        stop_signal=run.text("StopSignal"),
        diff_ids=diff_ids,
        raw=data,
    )

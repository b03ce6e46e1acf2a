"""Writes an image as one file: a SIF, or the bare squashfs that would be in it."""

from __future__ import annotations

import json
from typing import BinaryIO

from sealift.evidence.inspection import LAYERS_OBJECT
from sealift.flows.base import base_notes
from sealift.flows.ready import Finished, Written
from sealift.flows.targets import Target
from sealift.flows.workshop import Workshop
from sealift.packs.image import write_image
from sealift.sif.layout import INSPECT_METADATA, OCI_CONFIG, DataType, SifObject
from sealift.sif.writer import derive_id, plan_sif, write_sif
from sealift.system.files import atomic_file, explain_oserror

SIF_MODE = 0o777
"""SIFs are executable files: their first line starts `run-singularity`."""
SQUASHFS_MODE = 0o666


def write_file(shop: Workshop, finished: Finished, target: Target) -> Written:
    """Write it whole or not at all. HostError when the disk is full or the folder cannot be written."""
    place = target.place
    try:
        with atomic_file(place, mode=SIF_MODE if target.kind == "sif" else SQUASHFS_MODE) as file:
            (write_sif_to if target.kind == "sif" else _write_squashfs)(shop, finished, file)
            file.flush()
            return Written(size=file.seek(0, 2))
    except OSError as error:
        raise explain_oserror(error, f"writing {target.text}") from error


def _write_squashfs(shop: Workshop, finished: Finished, file: BinaryIO) -> None:
    write_image(finished.merged, file, base_offset=0, options=shop.options, mtime=finished.ready.epoch, pool=shop.pool)


def write_sif_to(shop: Workshop, finished: Finished, file: BinaryIO) -> None:
    """Write a SIF to an open, empty file."""
    epoch = finished.ready.epoch
    plan = plan_sif(_objects(finished))
    size = write_image(
        finished.merged, file, base_offset=plan.partition_offset, options=shop.options, mtime=epoch, pool=shop.pool
    )
    write_sif(
        file,
        plan,
        partition_size=size,
        architecture=shop.architecture,
        image_id=derive_id(finished.tree.encode()),
        time=epoch,
    )


def _objects(finished: Finished) -> tuple[SifObject, ...]:
    """What Apptainer puts beside the partition, and our own note of layers and tree: reproducible fields only."""
    ready = finished.ready
    notes: dict[str, object] = {
        "layers": list(finished.layers),
        "origin": ready.origin,
        "tree_digest": finished.tree,
        **base_notes(ready.base),
    }
    objects = [
        SifObject(data_type=DataType.DEFINITION_FILE, data=ready.definition),
        SifObject(data_type=DataType.GENERIC_JSON, data=ready.inspect, name=INSPECT_METADATA),
    ]
    if ready.oci_config:
        objects.append(SifObject(data_type=DataType.GENERIC_JSON, data=ready.oci_config, name=OCI_CONFIG))
    text = json.dumps(notes, sort_keys=True, separators=(",", ":"))
    objects.append(SifObject(data_type=DataType.GENERIC_JSON, data=text.encode(), name=LAYERS_OBJECT))
    return tuple(objects)

"""The last part of every build: merge, normalise, write the SIF, note what it is made of."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from sealift import __version__
from sealift.core.event import Began, Ended, Said
from sealift.core.tree import show_path
from sealift.errors import HostError, SealiftError, UsageError
from sealift.evidence.inspection import LAYERS_OBJECT
from sealift.flows.requests import BuildResult
from sealift.flows.workshop import Workshop, digest_of, name_of
from sealift.normalise.plan import Plan, follow_source, plan_normalising
from sealift.normalise.rules import load_rules
from sealift.packs.builder import EMPTY_DIGEST
from sealift.packs.image import write_image
from sealift.packs.merge import Merged, merge
from sealift.packs.pack import Pack, open_pack
from sealift.packs.patch import pack_contents
from sealift.packs.treedigest import tree_digest
from sealift.sif.layout import INSPECT_METADATA, OCI_CONFIG, DataType, SifObject
from sealift.sif.writer import derive_id, plan_sif, write_sif
from sealift.store.hashing import digest_file
from sealift.system.files import atomic_file, explain_oserror

IMAGE_MODE = 0o777
"""SIFs are executable files: their first line starts `run-singularity`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Everything that an image is made of. `names` call the packs for people; `digests` are the layers' where known."""

    packs: tuple[str, ...]
    names: tuple[str, ...]
    digests: tuple[str, ...]
    base_count: int
    epoch: int
    definition: bytes
    inspect: bytes
    oci_config: bytes = b""
    origin: str = ""


def check_target(target: str, *, force: bool) -> str:
    """Refuse what could not be written at the end, before any work is done; where the image will lie.

    A symbolic link is followed, so that an image behind a link to a larger disk stays there.
    """
    if not target:
        raise UsageError("the image has no name", hints=("sealift build IMAGE.sif SPEC",))
    place = os.path.realpath(target)
    folder = os.path.dirname(place)
    if os.path.isdir(place):
        raise UsageError(f"`{target}` is a folder", hints=(f"name the file: {target.rstrip('/')}/image.sif",))
    if os.path.lexists(place) and not os.path.isfile(place):
        raise UsageError(f"`{target}` is not a regular file", hints=("give the image another name",))
    if os.path.lexists(target) and not force:
        raise UsageError(f"`{target}` exists", hints=("replace it: add -F",))
    if not os.path.isdir(folder):
        raise HostError(f"there is no folder `{folder}` to write to", hints=(f"mkdir -p {folder}",))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HostError(f"`{folder}` cannot be written", hints=("choose another place for the image",))
    return place


def write_result(shop: Workshop, ready: Ready) -> BuildResult:
    """Write the image that `ready` describes to the request's target, or find that it lies there already."""
    target = os.path.realpath(shop.request.target)
    identity = _identity(shop, ready)
    note = _known_target(shop, target, identity)
    unchanged = note is not None
    if note is None:
        note = _merge_and_write(shop, ready, target)
    digest = str(note.get("digest", ""))
    if shop.request.want_digest and not digest:
        with shop.watch.measure("hash"):
            digest = digest_file(target, "sha256")
    if not unchanged or digest != note.get("digest", ""):
        _note_target(shop, target, {**note, "digest": digest, "identity": identity})
    return BuildResult(
        image=shop.request.target,
        digest=digest,
        tree_digest=str(note["tree_digest"]),
        size=os.stat(target).st_size,
        entries=int(note["entries"]),
        unchanged=unchanged,
        layers=tuple(note["layers"]),
        seconds=dict(shop.watch.seconds),
        warnings=tuple(shop.warnings),
    )


def _identity(shop: Workshop, ready: Ready) -> str:
    """Names everything that decides the image's bytes: the packs are known by what they were made of."""
    return shop.key(
        "target",
        [name_of(path) for path in ready.packs],
        ready.base_count,
        ready.epoch,
        shop.architecture.sif,
        [part.hex() for part in (ready.definition, ready.inspect, ready.oci_config)],
        ready.origin,
        list(ready.names),
        __version__,
    )


def _merge_and_write(shop: Workshop, ready: Ready, target: str) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        with shop.watch.measure("merge"):
            packs = [stack.enter_context(open_pack(path)) for path in ready.packs]
            merged = merge(packs, base_count=ready.base_count)
            merged = _normalised(shop, merged, ready, stack)
            tree = tree_digest(merged.tree)
        layers = _layer_notes(ready, merged)
        objects = _objects(ready, tree, layers)
        shop.events(Began(task="write", label=f"writing {shop.request.target}"))
        with shop.watch.measure("write"):
            _write(shop, target, merged, objects, tree, ready.epoch)
        shop.events(Ended(task="write"))
        return {"tree_digest": tree, "entries": len(merged.tree), "layers": list(layers)}


def _write(shop: Workshop, target: str, merged: Merged, objects: Sequence[SifObject], tree: str, epoch: int) -> None:
    plan = plan_sif(objects)
    try:
        with atomic_file(target, mode=IMAGE_MODE) as file:
            size = write_image(
                merged, file, base_offset=plan.partition_offset, options=shop.options, mtime=epoch, pool=shop.pool
            )
            write_sif(
                file,
                plan,
                partition_size=size,
                architecture=shop.architecture,
                image_id=derive_id(tree.encode()),
                time=epoch,
            )
    except OSError as error:
        raise explain_oserror(error, f"writing {target}") from error


def _objects(ready: Ready, tree: str, layers: Sequence[dict[str, object]]) -> tuple[SifObject, ...]:
    """What Apptainer puts beside the partition, and our own note of layers and tree: reproducible fields only."""
    notes = {"layers": list(layers), "origin": ready.origin, "tree_digest": tree}
    objects = [
        SifObject(data_type=DataType.DEFINITION_FILE, data=ready.definition),
        SifObject(data_type=DataType.GENERIC_JSON, data=ready.inspect, name=INSPECT_METADATA),
    ]
    if ready.oci_config:
        objects.append(SifObject(data_type=DataType.GENERIC_JSON, data=ready.oci_config, name=OCI_CONFIG))
    text = json.dumps(notes, sort_keys=True, separators=(",", ":"))
    objects.append(SifObject(data_type=DataType.GENERIC_JSON, data=text.encode(), name=LAYERS_OBJECT))
    return tuple(objects)


def _layer_notes(ready: Ready, merged: Merged) -> tuple[dict[str, Any], ...]:
    """What each pack gives to the image: entries, and bytes of files before compression.

    Counted in the merged tree, not in the packs: what a build leaves behind and the image does not have differs from
    one run to the next.
    """
    entries, sizes = [0] * len(merged.packs), [0] * len(merged.packs)
    tree = merged.tree
    for number, size, mode in zip(merged.pack_of, tree.sizes, tree.modes, strict=True):
        entries[number] += 1
        sizes[number] += size if stat.S_ISREG(mode) else 0
    return tuple(
        {"name": name, "digest": digest, "entries": entries[number], "size": sizes[number]}
        for number, (name, digest) in enumerate(zip(ready.names, ready.digests, strict=True))
    )


# Normalising: the plan is pure; here it meets the merged tree.


def _normalised(shop: Workshop, merged: Merged, ready: Ready, stack: contextlib.ExitStack) -> Merged:
    above = [row for row, number in enumerate(merged.pack_of) if number >= ready.base_count]
    plan = plan_normalising(merged.tree, above, ready.epoch, load_rules())
    if plan.compiled:
        patch = stack.enter_context(_recompiled(shop, merged, plan))
        merged = merge([*merged.packs, patch], base_count=merged.base_count)
        above = [row for row, number in enumerate(merged.pack_of) if number >= ready.base_count]
        plan = replace(plan_normalising(merged.tree, above, ready.epoch, load_rules()), compiled=())
    for rows, verb in ((plan.removed, "removed"), (plan.emptied, "emptied")):
        for row, rule in rows.items():
            text = f"normalised: {show_path(merged.tree.paths[row])} {verb} ({rule})"
            shop.events(Said(text=text, level="debug"))
    merged = _apply(merged, plan)
    return (
        merged.select([row for row in range(len(merged.tree)) if row not in plan.removed]) if plan.removed else merged
    )


def _apply(merged: Merged, plan: Plan) -> Merged:
    tree = merged.tree
    mtimes, sizes = array("Q", tree.mtimes), array("Q", tree.sizes)
    for row in plan.retimed:
        mtimes[row] = plan.epoch
    digests = bytearray(tree.digests)
    for row in plan.emptied:
        sizes[row] = 0
        digests[row * 32 : row * 32 + 32] = EMPTY_DIGEST
    return replace(merged, tree=replace(tree, mtimes=mtimes, sizes=sizes, digests=bytes(digests)))


def _recompiled(shop: Workshop, merged: Merged, plan: Plan) -> Pack:
    """A pack of the compiled Python files whose header follows their source's new time."""
    changed = []
    for row, source in plan.compiled:
        if not stat.S_ISREG(merged.tree.modes[row]):
            continue
        pack = merged.packs[merged.pack_of[row]]
        content = b"".join(pack.read(merged.row_of[row]))
        moved = follow_source(content, merged.tree.mtimes[source], plan.epoch)
        if moved is not None:
            changed.append((merged.tree.entry(row), moved))
    key = shop.key(
        "recompiled",
        [
            [entry.path.hex(), entry.digest.hex(), entry.mode, entry.uid, entry.gid, entry.mtime, len(entry.xattrs)]
            for entry, _ in changed
        ],
        plan.epoch,
    )

    def make(file: BinaryIO) -> None:
        pack_contents(changed, file, options=shop.options, pool=shop.pool)

    return open_pack(shop.store.entry("packs", key, make))


# Targets: a file that we wrote and that nobody touched since need not be written again.


def _known_target(shop: Workshop, target: str, identity: str) -> dict[str, Any] | None:
    note = shop.store.record("targets", digest_of(os.path.abspath(target)))
    try:
        status = os.stat(target)
    except OSError:
        return None
    if note is not None and note.get("identity") == identity and note.get("stamp") == _stamp(status):
        return note
    return None


def _note_target(shop: Workshop, target: str, note: dict[str, Any]) -> None:
    with contextlib.suppress(SealiftError):  # a full cache disk does not spoil the image that is written
        stamped = {**note, "stamp": _stamp(os.stat(target))}
        shop.store.put_record("targets", digest_of(os.path.abspath(target)), stamped)


def _stamp(status: os.stat_result) -> list[int]:
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]

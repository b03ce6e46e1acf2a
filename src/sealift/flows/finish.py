"""The last part of every build: merge, normalise, write the image in the form that was asked for, note it."""

from __future__ import annotations

import contextlib
import os
import stat
from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from sealift import __version__
from sealift.core.event import Began, Ended, Said
from sealift.core.tree import show_path
from sealift.flows.base import base_notes
from sealift.flows.known import known_target, note_target
from sealift.flows.ready import Finished, Ready, Written
from sealift.flows.requests import BuildResult
from sealift.flows.steps import note_steps
from sealift.flows.targets import Target
from sealift.flows.workshop import Workshop, digest_of, name_of
from sealift.normalise.plan import Plan, follow_source, plan_normalising
from sealift.normalise.rules import load_rules
from sealift.packs.builder import EMPTY_DIGEST
from sealift.packs.extract import size_of
from sealift.packs.merge import Merged, merge
from sealift.packs.pack import Pack, open_pack
from sealift.packs.patch import pack_contents
from sealift.packs.treedigest import tree_digest
from sealift.packs.treefile import TREE_FILE
from sealift.store.hashing import digest_file


def write_result(shop: Workshop, ready: Ready, target: Target) -> BuildResult:
    """Write the image that `ready` describes to `target`, or find that it lies there already."""
    place = target.place
    identity = identity_of(shop, ready, target)
    note = known_target(shop, target, identity)
    unchanged = note is not None
    if note is None:
        note = _merge_and_write(shop, ready, target)
    digest = str(note.get("digest", ""))
    if shop.request.want_digest and not digest and os.path.isfile(place):
        with shop.watch.measure("hash"):
            digest = digest_file(place, "sha256")
    if not unchanged or digest != note.get("digest", ""):
        note_target(shop, target, {**note, "digest": digest, "identity": identity})
    return BuildResult(
        image=target.text,
        form=target.kind,
        digest=digest,
        tree_digest=str(note["tree_digest"]),
        size=int(note["size"]),
        entries=int(note["entries"]),
        unchanged=unchanged,
        layers=tuple(note["layers"]),
        seconds=dict(shop.watch.seconds),
        warnings=tuple(shop.warnings),
    )


def identity_of(shop: Workshop, ready: Ready, target: Target) -> str:
    """Names everything that decides the image's bytes: the packs are known by what they were made of."""
    return shop.key(
        "target",
        target.kind,
        target.tag,
        [name_of(path) for path in ready.packs],
        ready.base_count,
        ready.epoch,
        shop.architecture.sif,
        [part.hex() for part in (ready.definition, ready.inspect, ready.oci_config)],
        ready.origin,
        list(ready.names),
        base_notes(ready.base),
        _of_layers(shop, ready) if target.is_layered else "",
        __version__,
    )


def _of_layers(shop: Workshop, ready: Ready) -> str:
    """What decides an OCI image's bytes beyond a SIF's."""
    config = ready.base.config if ready.base is not None else None
    return digest_of(config.raw.hex() if config is not None else "", shop.request.compression, shop.request.layers)


def _merge_and_write(shop: Workshop, ready: Ready, target: Target) -> dict[str, Any]:
    with finished(shop, ready, layered=target.is_layered) as image:
        total = size_of(image.merged.tree) if target.kind == "directory" else None
        shop.events(Began(task="write", label=f"writing {target.text}", total=total))
        with shop.watch.measure("write"):
            written = _write(shop, image, target)
        shop.events(Ended(task="write"))
        note_steps(shop, ready, image.tree)
        return {
            "tree_digest": image.tree,
            "entries": len(image.merged.tree),
            "layers": list(image.layers),
            "size": written.size,
            "digest": written.digest,
        }


@contextlib.contextmanager
def finished(shop: Workshop, ready: Ready, *, layered: bool = False) -> Iterator[Finished]:
    """The image with its packs merged and normalised; `layered` for one of OCI's forms. Its packs are open within."""
    with contextlib.ExitStack() as stack:
        with shop.watch.measure("merge"):
            packs = [stack.enter_context(open_pack(path)) for path in ready.packs]
            merged = merge(packs, base_count=ready.base_count)
            merged = _normalised(shop, merged, ready, stack)
            if layered:
                from sealift.flows.ociout import without_sockets

                merged = without_sockets(shop, merged)
            merged = _without_tree_file(merged)
            tree = tree_digest(merged.tree)
        yield Finished(ready=ready, merged=merged, tree=tree, layers=_layer_notes(ready, merged))


def _write(shop: Workshop, image: Finished, target: Target) -> Written:
    """Each form has a file of its own, and is imported only where it is asked for."""
    match target.kind:
        case "sif" | "squashfs":
            from sealift.flows.sifout import write_file

            return write_file(shop, image, target)
        case "directory":
            from sealift.flows.directoryout import write_directory

            return write_directory(shop, image, target)
        case "oci" | "oci-archive" | "docker-archive":
            from sealift.flows.ociout import write_oci

            return write_oci(shop, image, target)


def _layer_notes(ready: Ready, merged: Merged) -> tuple[dict[str, Any], ...]:
    """What each pack gives to the image: entries, and bytes of files before compression.

    Counted in the merged tree, not in the packs: what a build leaves behind and the image does not have differs from
    one run to the next. What was normalised counts for the pack that it came from, hard links once.
    """
    named = merged.packs[: len(ready.names)]
    entries, sizes = [0] * len(named), [0] * len(named)
    tree = merged.tree
    linked: set[int] = set()
    for row, (path, number) in enumerate(zip(tree.paths, merged.pack_of, strict=True)):
        if number >= len(named):
            number = max(each for each, pack in enumerate(named) if pack.tree.find(path) is not None)  # noqa: PLW2901
        entries[number] += 1
        group = tree.groups[row]
        if stat.S_ISREG(tree.modes[row]) and (not group or group not in linked):
            sizes[number] += tree.sizes[row]
        linked.add(group)
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


def _without_tree_file(merged: Merged) -> Merged:
    """Another tool that made an image of a directory of ours took our note of its files for one of them."""
    if merged.tree.find(TREE_FILE) is None:
        return merged
    return merged.select([row for row, path in enumerate(merged.tree.paths) if path != TREE_FILE])


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

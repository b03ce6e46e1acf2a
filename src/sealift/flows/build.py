"""The story of `build` and `pull`: from a definition file, an image or a registry to a SIF."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from sealift.core.epoch import choose_epoch
from sealift.core.event import Said
from sealift.core.reference import ImageSource, OrasSource, parse_source
from sealift.deffile.characters import encode
from sealift.deffile.prepare import Prepared, prepare
from sealift.deffile.sniff import refuse_other_files
from sealift.deffile.values import Stage
from sealift.deffile.whole_image import text_of_reference
from sealift.flows.base import Base, fetch_base, open_local_image
from sealift.flows.baseroot import root_of_packs
from sealift.flows.definitions import read_given_arguments, read_spec
from sealift.flows.finish import write_result
from sealift.flows.flags import checked_flags, chosen_sections
from sealift.flows.ready import Ready
from sealift.flows.requests import BuildRequest, BuildResult
from sealift.flows.returning import ready_as_it_was
from sealift.flows.targets import check_target, parse_target
from sealift.flows.updating import is_update, not_to_update_with, without_last_header
from sealift.flows.workshop import Workshop, check_pack, open_workshop, verify_pack
from sealift.packs.tarlayer import pack_tar
from sealift.sections import metadata
from sealift.sections.draft import Added
from sealift.sections.inner import added_from_json, added_to_json
from sealift.sections.layer import layer_tar
from sealift.sections.oci_environment import oci_config_json
from sealift.sections.root import RecordedRoot
from sealift.system.home import home_folder

if TYPE_CHECKING:
    from sealift.flows.stage import Built


def build(request: BuildRequest) -> BuildResult:
    """Write the image that `request` asks for and say what it is.

    The target is written whole or not at all. Raises the kinds of SealiftError: what is wrong, and what mends it.
    """
    request = replace(request, flags=checked_flags(request.flags, request.environment))
    target = parse_target(request.target, sandbox=request.sandbox)
    home = home_folder(request.environment)
    check_target(target, force=request.force, update=request.flags.update, spec=request.spec, home=home)
    source = parse_source(request.spec)
    with open_workshop(request) as shop:
        if request.as_it_is and isinstance(source, OrasSource) and target.kind == "sif":
            from sealift.flows.sifs import write_fetched

            result = write_fetched(shop, source, target)
        else:
            if source is not None and is_update(request):
                raise not_to_update_with(request.spec)
            ready = _converted(shop, source) if source is not None else _built(shop, request.spec)
            result = write_result(shop, ready, target)
        shop.store.prune()
        return result


def _converted(shop: Workshop, source: ImageSource) -> Ready:
    """An image as it is, with `/.singularity.d` added: what `apptainer build x.sif docker://…` makes."""
    agent, _, rest = shop.request.spec.partition(":")
    rest = rest.removeprefix("//") if agent in ("docker", "oras") else rest
    return ready_of_image(shop, agent, rest, fetch_base(shop, source))


def ready_of_image(shop: Workshop, agent: str, rest: str, base: Base) -> Ready:
    """An image that has no definition file of its own: it gets the one that says where it came from."""
    if base.complete:
        return ready_as_it_was(base, _epoch(shop, base))
    text = text_of_reference(agent, rest)
    return _ready_without_sections(shop, prepare(encode(text), file=shop.request.spec), base)


def _built(shop: Workshop, spec: str) -> Ready:
    data = _read_spec(spec)
    if data is None and is_update(shop.request):
        raise not_to_update_with(spec)
    if data is None:
        return _repacked(shop, spec)
    prepared = _prepare(shop, spec, data)
    if is_update(shop.request):
        prepared = without_last_header(prepared)
    for caution in prepared.cautions:
        where = f"{caution.where.file}:{caution.where.line}: "
        shop.events(Said(text=where + caution.message, level="warning", hint="; ".join(caution.hints)))
    from sealift.flows.agents import check_stages
    from sealift.flows.stage import build_stage
    from sealift.sections.plan import is_read

    check_stages(shop, prepared.definition)
    built: list[Built] = []
    count = len(prepared.definition.stages)
    for number in range(count):
        done = build_stage(shop, prepared, number, tuple(built))
        if done.tests or number == count - 1 or is_read(prepared.definition, number):
            ready = _ready(shop, prepared, number, done)
            done = replace(done, finished=ready.packs[-1])
        built.append(done)
    return ready


def _ready(shop: Workshop, prepared: Prepared, number: int, built: Built) -> Ready:
    """The stage as an image, its `%test` passed: Apptainer runs that of every stage."""
    if built.root is None:
        return _ready_without_sections(shop, prepared, built.base, number=number)
    return _ready_after_sections(shop, prepared, number, built, built.root)


def _repacked(shop: Workshop, path: str) -> Ready:
    """A local image into a new one: what `apptainer build new.sif old.sif` makes."""
    return ready_of_image(shop, "localimage", path, open_local_image(shop, path))


def _read_spec(spec: str) -> bytes | None:
    """The definition file's bytes; None where `spec` is an image. UsageError where it is neither."""
    if os.path.isdir(spec):
        return None
    what, data = read_spec(spec)
    if what in ("sif", "squashfs"):
        return None
    refuse_other_files(data, name=spec)
    return data


def _prepare(shop: Workshop, spec: str, data: bytes) -> Prepared:
    request = shop.request
    given = read_given_arguments((f"{k}={v}" for k, v in request.build_arguments.items()), request.build_argument_file)
    for line in given.skipped:
        shop.events(Said(text=f"{request.build_argument_file}: `{line}` is not K=V and is skipped", level="warning"))
    return prepare(data, file=spec, given=given, allow_unused=request.warn_unused_arguments)


# The last layer, and the value that is written.


def _ready_without_sections(shop: Workshop, prepared: Prepared, base: Base, *, number: int = 0) -> Ready:
    stage = prepared.definition.stages[number]
    epoch = _epoch(shop, base)
    key = shop.key(
        "metadata",
        list(base.keys),
        base.config_to_add.raw.hex() if base.config_to_add is not None else "",
        prepared.text,
        number,
        shop.architecture.oci,
        epoch,
        shop.request.force,
        sorted(chosen_sections(shop.request.flags) or ("all",)),
    )
    with shop.watch.measure("metadata"):
        made = _kept_metadata(shop, key)
        if made is None:
            made = _metadata_of_base(shop, prepared, stage, base, epoch)
            record = {"added": added_to_json(made.added), "inspect": made.inspect.hex(), "notices": list(made.notices)}
            shop.store.put_record("metadata", key, record)
    return _with_last_layer(shop, prepared, base, (), made, epoch)


def _kept_metadata(shop: Workshop, key: str) -> metadata.Metadata | None:
    record = shop.store.record("metadata", key)
    if record is None:
        return None
    return metadata.Metadata(
        added=added_from_json(record["added"]),
        inspect=bytes.fromhex(record["inspect"]),
        notices=tuple(record["notices"]),
    )


def _metadata_of_base(shop: Workshop, prepared: Prepared, stage: Stage, base: Base, epoch: int) -> metadata.Metadata:
    with root_of_packs(base.packs) as root:
        return metadata.whole(
            root,
            stage,
            definition_text=prepared.text,
            architecture=shop.architecture.oci,
            epoch=epoch,
            config=base.config_to_add,
            complete=base.complete,
            force=shop.request.force,
            sections=chosen_sections(shop.request.flags),
        )


def _ready_after_sections(shop: Workshop, prepared: Prepared, number: int, built: Built, root: RecordedRoot) -> Ready:
    epoch = _epoch(shop, built.base)
    made = metadata.finish(
        root,
        prepared.definition.stages[number],
        definition_text=prepared.text,
        architecture=shop.architecture.oci,
        epoch=epoch,
        added_labels=built.labels,
        force=shop.request.force,
        sections=chosen_sections(shop.request.flags),
    )
    ready = _with_last_layer(shop, prepared, built.base, built.uppers, made, epoch)
    built.test(shop, ready.packs[-1])
    return ready


def _with_last_layer(
    shop: Workshop,
    prepared: Prepared,
    base: Base,
    uppers: tuple[str, ...],
    made: metadata.Metadata,
    epoch: int,
) -> Ready:
    for notice in made.notices:
        shop.say(notice)
    last = pack_added(shop, made.added, epoch)
    names = [f"layer {number}" if number <= len(base.layers) else "base" for number in range(1, len(base.packs) + 1)]
    names += ["sections"] * len(uppers)
    digests = [*base.layers, *([""] * (len(base.packs) - len(base.layers) + len(uppers))), ""]
    return Ready(
        packs=(*base.packs, *uppers, last),
        names=(*names, "metadata"),
        digests=tuple(digests),
        base_count=0 if base.ours else len(base.packs) - base.own_above,
        epoch=epoch,
        definition=encode(prepared.text),
        inspect=made.inspect,
        oci_config=oci_config_json(base.config) if base.config is not None else b"",
        origin=base.origin,
        base=base,
        above=len(uppers) + 1,
    )


def pack_added(shop: Workshop, added: tuple[Added, ...], epoch: int) -> str:
    """The path of a pack with these entries, all of time `epoch`."""
    tar = layer_tar(added, mtime=epoch)
    key = shop.key("added", hashlib.sha256(tar).hexdigest())

    def make(file: BinaryIO) -> None:
        pack_tar(io.BytesIO(tar), file, options=shop.options, pool=shop.pool)

    return shop.store.entry("packs", key, make, check=check_pack, whole=verify_pack)


def _epoch(shop: Workshop, base: Base) -> int:
    return choose_epoch(source_date_epoch=shop.request.environment.get("SOURCE_DATE_EPOCH"), base_created=base.created)

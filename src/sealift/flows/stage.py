"""The story of one stage: its base, its sections in a sandbox, and the pack of what they changed.

What `%files` and `%post` made is kept under a key of everything that went into it, so that a stage in which nothing
changed runs nothing. `%pre` and `%setup` may do anything on the host: a stage that has one always runs.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from sealift.deffile.prepare import Prepared
from sealift.deffile.values import Stage
from sealift.errors import DefinitionError, SealiftError
from sealift.flows.agents import base_of_stage
from sealift.flows.base import Base, open_local_image
from sealift.flows.baseroot import root_of_packs
from sealift.flows.bringing import copies_of, copy_from_host, copy_from_stage, stage_copies_of
from sealift.flows.failed import keep_failed
from sealift.flows.flags import chosen_sections
from sealift.flows.given import Given, look_at_given
from sealift.flows.mountedform import form_to_change, mounted_form
from sealift.flows.rooms import find_footing, opened_sandbox
from sealift.flows.running import run_script, run_step
from sealift.flows.sources import digest_sources
from sealift.flows.updating import is_update
from sealift.flows.variables import builders_variables, lasting, ordered_variables
from sealift.flows.workshop import Workshop, check_pack, digest_of, verify_pack
from sealift.sandbox.container import Sandbox
from sealift.sandbox.furnish import PRIVATE
from sealift.sandbox.hosttmp import Look, look, written_since
from sealift.sandbox.spec import Footing, Lower
from sealift.sections import inner, metadata
from sealift.sections.expansion import brings_metadata
from sealift.sections.plan import (
    BeginMetadata,
    CopyAppFiles,
    CopyFromHost,
    CopyFromStage,
    Places,
    RunScript,
    Step,
    plan_stage,
)
from sealift.sections.root import RecordedRoot, recorded_from_json

UMASK = 0o002
"""Apptainer's, for scripts and copies alike."""

TEST_FILE = "/.singularity.d/test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A stage that is done. `uppers` are the packs of what its sections changed; `root` is what they left of the
    metadata, None where no section ran; `labels` what they wrote to `$APPTAINER_LABELS`.
    """

    base: Base
    key: str
    uppers: tuple[str, ...] = ()
    root: RecordedRoot | None = None
    labels: str = ""
    tests: tuple[RunScript, ...] = ()
    given: Given = field(default_factory=Given)
    footing: Footing | None = None
    finished: str = ""
    """The pack of the stage's last layer, its metadata; `""` where no later stage reads of it."""

    def test(self, shop: Workshop, last_layer: str) -> None:
        """Run the stage's `%test` on its files with the last layer on top; TestFailed when it says no."""
        for script in self.tests:
            _run_test(shop, self, script, last_layer)


def build_stage(shop: Workshop, prepared: Prepared, number: int, built: Sequence[Built]) -> Built:
    """Bring the stage `number` to its end; SectionError when a section fails."""
    definition = prepared.definition
    stage = definition.stages[number]
    chosen = chosen_sections(shop.request.flags)
    steps = plan_stage(definition, number, Places(root=""), sections=chosen, run_tests=not shop.request.no_test)
    scripts = [step for step in steps if isinstance(step, RunScript)]
    tests = tuple(step for step in scripts if step.section == "test")
    hosts = [step for step in scripts if step.where == "host"]
    copies = any(isinstance(step, CopyAppFiles | CopyFromHost | CopyFromStage) for step in steps)
    if not scripts and not copies and not stage.apps:
        base = _base(shop, prepared, number)
        return Built(base=base, key=shop.key("base", list(base.keys)))
    if chosen is not None and "post" not in chosen and any(step.section == "post" for step in scripts):
        shop.say("%post runs although `--section` does not name it, as Apptainer has it")
    given = look_at_given(shop)
    footing = find_footing(shop)
    before = look() if hosts else None
    if any(step.section == "pre" for step in hosts):
        _run_pre(shop, prepared, number, footing)
    base = _base(shop, prepared, number)
    identity = given.identity() if any(step.section == "post" for step in scripts) else []
    key = _stage_key(shop, prepared, number, base, built, steps, footing, identity)
    record = None if hosts or identity is None or shop.request.no_cache else _found(shop, key)
    if record is None:
        record = _run_sections(shop, prepared, number, base, built, footing, given, key, before)
        if hosts or not _kept(shop, key, record, given, identity):
            # What is made of this stage is no more to be found again than the stage itself.
            key = digest_of(key, record["pack"])
    else:
        shop.say(f"{_named(prepared, number)}%files and %post: cached")
    root = recorded_from_json(record["root"])
    labels = metadata.labels_written(root)
    pack = shop.store.find("packs", str(record["pack"]), check=check_pack, whole=verify_pack)
    if pack is None:
        raise DefinitionError("the pack of the sections vanished while it was used", hints=("build again",))
    return Built(
        base=base,
        key=key,
        uppers=(pack,),
        root=root,
        labels=labels,
        tests=tests,
        given=given,
        footing=footing,
    )


def _base(shop: Workshop, prepared: Prepared, number: int) -> Base:
    stages = prepared.definition.stages
    if is_update(shop.request) and number == len(stages) - 1:
        return open_local_image(shop, os.path.realpath(shop.request.target))
    return base_of_stage(shop, stages[number])


def _named(prepared: Prepared, number: int) -> str:
    stages = prepared.definition.stages
    if len(stages) == 1:
        return ""
    return f"stage {stages[number].name or number + 1}: "


# The key, and what is kept under it.


def _stage_key(
    shop: Workshop,
    prepared: Prepared,
    number: int,
    base: Base,
    built: Sequence[Built],
    steps: Sequence[Step],
    footing: Footing,
    identity: object,
) -> str:
    stage = prepared.definition.stages[number]
    scripts = [
        [step.section, list(step.argv), step.text, dict(step.env), step.umask]
        for step in steps
        if isinstance(step, RunScript) and step.section != "test"
    ]
    stages = []
    for step in steps:
        if isinstance(step, CopyFromStage):
            copies, source = stage_copies_of(shop, step), built[step.stage]
            finished = os.path.basename(source.finished) if brings_metadata(copies) else ""
            stages.append([source.key, finished, [[copy.source, copy.destination] for copy in copies]])
    config = hashlib.sha256(base.config_to_add.raw).hexdigest() if base.config_to_add is not None else ""
    return shop.key(
        "stage",
        list(base.keys),
        config,
        stage.bootstrap,
        [[app.name, dict(app.sections)] for app in stage.apps],
        scripts,
        stages,
        [digest_sources(copies) for step in steps if (copies := copies_of(shop, step))],
        # With one id and no recording, owners are lost: such a result is not one for a better host.
        footing.mode != "single" or footing.notify,
        shop.request.environment.get("SOURCE_DATE_EPOCH", ""),
        identity,
        ordered_variables(shop.request.environment),
    )


def _kept(shop: Workshop, key: str, record: dict[str, Any], given: Given, identity: list[object] | None) -> bool:
    """Keep the outcome for the next build, unless that would not do again what the sections did here."""
    if identity is None:
        shop.say("%post is not kept for the next build: what is bound into it is too much to compare")
    elif identity and given.identity() != identity:
        shop.say("%post is not kept for the next build: what is bound into it changed meanwhile")
    else:
        shop.store.put_record("steps", key, record)
        return True
    return False


def _found(shop: Workshop, key: str) -> dict[str, Any] | None:
    record = shop.store.record("steps", key)
    if (
        record is None
        or shop.store.find("packs", str(record.get("pack", "")), check=check_pack, whole=verify_pack) is None
    ):
        return None
    return record


# Running.


def _run_pre(shop: Workshop, prepared: Prepared, number: int, footing: Footing) -> None:
    """`%pre` comes before the base is there, in a sandbox of its own."""
    with opened_sandbox(shop, footing, ()) as sandbox:
        for step in _placed_steps(shop, prepared, number, sandbox):
            if isinstance(step, RunScript) and step.section == "pre":
                run_script(shop, sandbox, step)


def _run_sections(
    shop: Workshop,
    prepared: Prepared,
    number: int,
    base: Base,
    built: Sequence[Built],
    footing: Footing,
    given: Given,
    key: str,
    before: Look | None,
) -> dict[str, Any]:
    lowers = [Lower(path=form_to_change(shop, base.packs, base.keys, footing))] if base.packs else []
    standing = opened_sandbox(shop, footing, lowers, binds=given.paths)
    with shop.watch.measure_ends("sandbox", standing) as sandbox:
        try:
            for step in _placed_steps(shop, prepared, number, sandbox):
                _run_step(shop, sandbox, step, prepared.definition.stages[number], base, built, before)
        except SealiftError:
            if shop.request.flags.no_cleanup:
                _, upper = _pack_upper(shop, sandbox, base, key)
                keep_failed(shop, [*base.packs, upper])
            raise
        root = sandbox.call("sealift.sections.inner:look_at_metadata")
        with shop.watch.measure("pack sections"):
            pack_key, _ = _pack_upper(shop, sandbox, base, key)
    return {"pack": pack_key, "root": root}


def _run_step(
    shop: Workshop, sandbox: Sandbox, step: Step, stage: Stage, base: Base, built: Sequence[Built], before: Look | None
) -> None:
    match step:
        case BeginMetadata():
            _begin(sandbox, stage, base)
        case CopyFromStage():
            source = built[step.stage]
            added = (source.finished,) if brings_metadata(stage_copies_of(shop, step)) else ()
            image = mounted_form(
                shop,
                (*source.base.packs, *source.uppers, *added),
                [*source.base.keys, source.key, *map(os.path.basename, added)],
            )
            copy_from_stage(shop, sandbox, image, step)
        case CopyFromHost() | CopyAppFiles():
            copy_from_host(shop, sandbox, step)
        case RunScript(section="setup"):
            run_script(shop, sandbox, step)
        case RunScript(section="post"):
            if before is not None:
                sandbox.call("sealift.sandbox.hosttmp:copy_in", paths=list(written_since(before)))
            run_script(shop, sandbox, step)


def _placed_steps(shop: Workshop, prepared: Prepared, number: int, sandbox: Sandbox) -> tuple[Step, ...]:
    private = os.path.join(sandbox.spec.work, "private")
    places = Places(
        root=sandbox.root,
        pre_script=os.path.join(private, "pre"),
        setup_script=os.path.join(private, "setup"),
        post_script=f"{PRIVATE}/post",
    )
    chosen = chosen_sections(shop.request.flags)
    return plan_stage(prepared.definition, number, places, sections=chosen, run_tests=False)


def _begin(sandbox: Sandbox, stage: Any, base: Base) -> None:
    # The sandbox shows mount points of its own, which are not the base's.
    with root_of_packs(base.packs) as root:
        added = metadata.begin(root, stage, config=base.config_to_add, complete=base.complete)
    sandbox.call("sealift.sections.inner:write_metadata", added=inner.added_to_json(added))


def _pack_upper(shop: Workshop, sandbox: Sandbox, base: Base, key: str) -> tuple[str, str]:
    """Pack the upper layer from inside, where owners and file capabilities read as meant: its key and path."""
    pack_key = digest_of("upper", key, secrets.token_hex(16))

    def make(file: BinaryIO) -> None:
        sandbox.call(
            "sealift.flows.upper:pack_upper",
            descriptors=(file.fileno(),),
            compression=str(shop.options.compression),
            block_size=shop.options.block_size,
            base=list(base.packs),
        )

    return pack_key, shop.store.entry("packs", pack_key, make)


def _run_test(shop: Workshop, built: Built, script: RunScript, last_layer: str) -> None:
    """In a fresh sandbox over the very packs that the image is made of; what the test writes is forgotten."""
    if built.footing is None or built.root is None:
        raise ValueError("this stage ran no sections")
    chosen = chosen_sections(shop.request.flags)
    if chosen is not None and "test" not in chosen and built.root.look(TEST_FILE).kind != "file":
        return
    orders = ordered_variables(shop.request.environment)
    variables = {**builders_variables(shop.request.environment), **orders}
    identity = built.given.identity()
    writable = shop.request.flags.writable_tmpfs
    files = [built.key, os.path.basename(last_layer), script.text, list(script.argv)]
    key = shop.key("test", *files, writable, identity, lasting(variables), orders)
    if identity is not None and not shop.request.no_cache and shop.store.record("tests", key) is not None:
        shop.say("%test: passed before on these files")
        return
    base = built.base
    lowers = [Lower(path=mounted_form(shop, base.packs, base.keys))] if base.packs else []
    lowers += [Lower(path=path) for path in (*built.uppers, last_layer)]
    standing = opened_sandbox(shop, built.footing, lowers, binds=built.given.paths)
    with shop.watch.measure_ends("sandbox", standing) as sandbox:
        run_step(shop, sandbox, script, {**script.env, **variables}, read_only=not writable)
    if identity is not None:
        shop.store.put_record("tests", key, {"passed": True})

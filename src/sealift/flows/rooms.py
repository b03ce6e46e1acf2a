"""Sandboxes as builds open them: where they stand on this host, and where their work lies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from sealift.core.event import Said
from sealift.flows.workshop import Workshop
from sealift.sandbox.abilities import choose_footing, probe
from sealift.sandbox.container import Sandbox, open_sandbox
from sealift.sandbox.spec import Footing, HostPath, Lower, SandboxSpec
from sealift.sandbox.workfolder import BUILD_PLACES, ENOUGH, choose_work_place, work_folder


def find_footing(shop: Workshop) -> Footing:
    """The best way that a sandbox can stand here; HostError with what stands in the way."""
    host = probe(shop.request.environment)
    place = choose_work_place(shop.request.environment)
    named = [shop.request.environment.get(name) for name in BUILD_PLACES]
    for verdict in place.passed:
        why = verdict.why or (
            "it is memory" if verdict.free >= ENOUGH else f"only {verdict.free >> 20} MiB are free there"
        )
        level = "warning" if verdict.folder in named else "debug"
        shop.events(Said(text=f"not building in {verdict.folder}: {why}", level=level))
    footing = choose_footing(host, place)
    shop.events(Said(text=f"sandbox: {footing.mode} ({footing.reason})", level="debug"))
    if footing.mode == "single" and not footing.notify:
        shop.events(
            Said(
                text="this host can neither map more than one id nor record owners: all files will be root's",
                level="warning",
                hint="sealift doctor",
            )
        )
    return footing


@contextlib.contextmanager
def opened_sandbox(
    shop: Workshop,
    footing: Footing,
    lowers: Sequence[Lower],
    *,
    bare: bool = False,
    binds: Sequence[HostPath] = (),
) -> Iterator[Sandbox]:
    """`binds` are there for commands inside alone, not for those that run with the host's files in view."""
    place = choose_work_place(shop.request.environment)
    with work_folder(place.folder) as work:
        spec = SandboxSpec(lowers=tuple(lowers), footing=footing, work=work, binds=tuple(binds), bare=bare)
        with open_sandbox(spec, environment=shop.request.environment) as sandbox:
            yield sandbox

"""The bootstrap agent `busybox`: a static program from `MirrorURL`, which is asked in a sandbox what it can do."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

from sealift.bases.busybox import layer_of_busybox, parse_applets
from sealift.deffile.values import Stage
from sealift.errors import DefinitionError, FetchError
from sealift.flows.base import Base
from sealift.flows.bootstrap import fetch_small
from sealift.flows.rooms import find_footing, opened_sandbox
from sealift.flows.workshop import Workshop, check_pack, verify_pack
from sealift.packs.tarlayer import pack_tar
from sealift.sandbox.spec import Lower

LIMIT = 64 << 20
"""Bytes of the program; the official ones have one or two million."""
APPLETS = "busybox"
"""Records of the store: a program's digest to the names it answers to."""


def bootstrap_busybox(shop: Workshop, stage: Stage) -> Base:
    """The stage's base; FetchError or DefinitionError where there is no program to be had."""
    url = stage.key("mirrorurl")
    field = stage.field("mirrorurl")
    with shop.watch.measure("fetch"):
        program = fetch_small(shop, url, limit=LIMIT)
    if program is None:
        raise FetchError(f"the server has no `{url}`", hints=(f"look what there is: curl -I {url}",))
    if not program.startswith(b"\x7fELF"):
        raise DefinitionError(
            f"what `{url}` names is no program",
            where=field.span if field else None,
            hints=("`MirrorURL:` is the address of the static program itself, not of its folder",),
        )
    digest = hashlib.sha256(program).hexdigest()
    pack = _pack(shop, layer_of_busybox(program, _applets(shop, program, digest, url)))
    return Base(packs=(pack[0],), keys=(pack[1],), origin=f"busybox:{url} (sha256:{digest})", ours=True)


def _pack(shop: Workshop, tar: bytes) -> tuple[str, str]:
    key = shop.key("busybox", hashlib.sha256(tar).hexdigest())

    def make(file: BinaryIO) -> None:
        pack_tar(io.BytesIO(tar), file, options=shop.options, pool=shop.pool)

    return shop.store.entry("packs", key, make, check=check_pack, whole=verify_pack, what="busybox"), key


def _applets(shop: Workshop, program: bytes, digest: str, url: str) -> tuple[str, ...]:
    """The names that the program answers to: it is run once in a sandbox that holds nothing else."""
    record = shop.store.record(APPLETS, digest)
    if record is not None:
        return tuple(map(str, record["applets"]))
    alone, _ = _pack(shop, layer_of_busybox(program))
    said: list[bytes] = []
    wrong: list[bytes] = []
    with (
        shop.watch.measure("bootstrap"),
        opened_sandbox(shop, find_footing(shop), [Lower(path=alone)]) as sandbox,
    ):
        code = sandbox.run(
            ["/bin/busybox", "--list"], on_line=lambda stream, line: (said if stream == "out" else wrong).append(line)
        )
    if code != 0:
        what = b"".join(wrong).decode("utf-8", "replace").strip()
        raise FetchError(
            f"the program from `{url}` does not run as busybox: it ended with {code}" + (f"\n{what}" if what else ""),
            hints=("it must be a static busybox for this architecture: file busybox",),
        )
    try:
        applets = parse_applets(b"".join(said))
    except ValueError as error:
        raise FetchError(f"the program from `{url}` is no busybox: {error}") from error
    shop.store.put_record(APPLETS, digest, {"applets": list(applets)})
    return applets

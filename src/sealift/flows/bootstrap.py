"""Runs what makes a base from packages: commands in a sandbox whose root is an empty folder, packed and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import BinaryIO

from sealift.bases.commands import PRIVATE, ROOT, Command
from sealift.core.event import Began, Ended, Said
from sealift.errors import FetchError, SectionError
from sealift.flows.rooms import find_footing, opened_sandbox
from sealift.flows.workshop import Workshop, check_pack, verify_pack
from sealift.sandbox.container import Sandbox
from sealift.system.web import HttpWeb, Request

SMALL = 4 << 20
"""Bytes of a mirror's index that names all others."""
Made = Callable[[Sandbox], None]


def pack_of_commands(
    shop: Workshop,
    key: str,
    commands: Sequence[Command],
    *,
    what: str,
    hints: tuple[str, ...] = (),
    files: dict[str, bytes] | None = None,
    afterwards: Made = lambda _sandbox: None,
    umask: int = 0o022,
) -> str:
    """The pack of what `commands` make in an empty root; made once for each `key`, and anew where no cache is wanted.

    `files` are put into `PRIVATE` by name. `afterwards` is called before packing. SectionError, with `hints`, when a
    command fails.
    """
    if shop.request.no_cache:
        shop.store.drop("packs", key)

    def make(file: BinaryIO) -> None:
        _run(shop, commands, file, what, hints, files or {}, afterwards, umask)

    return shop.store.entry("packs", key, make, check=check_pack, whole=verify_pack, what=what)


def _run(
    shop: Workshop,
    commands: Sequence[Command],
    file: BinaryIO,
    what: str,
    hints: tuple[str, ...],
    files: dict[str, bytes],
    afterwards: Made,
    umask: int,
) -> None:
    footing = find_footing(shop)
    tail: list[bytes] = []

    def take(_stream: str, line: bytes) -> None:
        tail.append(line)
        del tail[:-30]
        shop.events(Said(text=line.decode("utf-8", "replace").rstrip("\n"), level="debug"))

    note = "failed"
    shop.events(Began(task="bootstrap", label=what))
    try:
        with shop.watch.measure("bootstrap"), opened_sandbox(shop, footing, (), bare=True) as sandbox:
            private = os.path.join(sandbox.spec.work, "private")
            for name, data in files.items():
                sandbox.place(name, data)

            def placed(text: str) -> str:
                return text.replace(PRIVATE, private).replace(ROOT, sandbox.root)

            for command in commands:
                argv = [placed(word) for word in command.argv]
                env = {name: placed(value) for name, value in command.env.items()}
                code = sandbox.run(argv, env=env, cwd="/", inside=command.inside, umask=umask, on_line=take)
                if code not in command.accept:
                    raise _failure(command.name or os.path.basename(argv[0]), code, tail, hints)
            afterwards(sandbox)
            sandbox.call(
                "sealift.flows.upper:pack_upper",
                descriptors=(file.fileno(),),
                compression=str(shop.options.compression),
                block_size=shop.options.block_size,
                base=[],
            )
        note = f"done in {shop.watch.seconds['bootstrap']:.1f} s"
    finally:
        shop.events(Ended(task="bootstrap", note=note))


def _failure(name: str, code: int, tail: Sequence[bytes], hints: tuple[str, ...]) -> SectionError:
    said = b"".join(tail[-12:]).decode("utf-8", "replace").rstrip()
    return SectionError(
        f"`{name}` ended with {code}" + (f":\n{said}" if said else ""),
        section="bootstrap",
        code=code,
        tail=b"".join(tail).decode("utf-8", "replace"),
        hints=("see all of its output: add -v", *hints),
    )


def fetch_small(shop: Workshop, url: str, *, limit: int = SMALL) -> bytes | None:
    """A file of a mirror, whole; None where the mirror says that it is not there. FetchError's kinds."""
    if url.startswith(("file:", "/")):
        try:
            with open(url.removeprefix("file://").removeprefix("file:"), "rb") as file:
                data = file.read(limit + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FetchError(f"`{url}` cannot be read: {(error.strerror or '').lower()}") from error
        return _bounded(data, url, limit)
    web = HttpWeb(shop.request.environment)
    try:
        response = web.open(Request(method="GET", url=url))
        try:
            if response.status == 404:
                return None
            if response.status != 200:
                raise FetchError(f"the server answers {response.status} for `{url}`", hints=(f"try: curl -I {url}",))
            parts = bytearray()
            while part := response.read(1 << 20):
                parts += part
                if len(parts) > limit:
                    break
            return _bounded(bytes(parts), url, limit)
        finally:
            response.close()
    finally:
        web.close()


def _bounded(data: bytes, url: str, limit: int) -> bytes:
    if len(data) > limit:
        raise FetchError(f"`{url}` is larger than {limit >> 20} MiB", hints=(f"try: curl -I {url}",))
    return data

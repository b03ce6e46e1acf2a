"""What a base holds, read from its packs: no mount point of a sandbox is in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from sealift.packs.merge import merge
from sealift.packs.pack import open_pack
from sealift.sections.root import CONTENT_LIMIT, EmptyRoot, Root, TreeRoot


@contextlib.contextmanager
def root_of_packs(paths: Sequence[str]) -> Iterator[Root]:
    """The root that the packs make, lowest first, for as long as they are open."""
    with contextlib.ExitStack() as stack:
        packs = [stack.enter_context(open_pack(path)) for path in paths]
        if not packs:
            yield EmptyRoot()
            return
        merged = merge(packs, base_count=len(packs))

        def read(row: int) -> bytes:
            return b"".join(merged.packs[merged.pack_of[row]].read(merged.row_of[row]))[:CONTENT_LIMIT]

        yield TreeRoot(tree=merged.tree, read=read)

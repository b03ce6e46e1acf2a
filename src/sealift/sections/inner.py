"""Functions for `Sandbox.call("sealift.sections.inner:NAME", …)`: they run inside and speak JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sealift.errors import DefinitionError
from sealift.sections.copying import Copier, CopyError, match_in
from sealift.sections.draft import Added
from sealift.sections.labels import BUILD_LABELS
from sealift.sections.layer import write_added
from sealift.sections.metadata import record_metadata
from sealift.sections.root import DirectoryRoot, follow


class Inside(Protocol):
    """What these functions need of the sandbox: paths that are valid in the calling process."""

    @property
    def root(self) -> str: ...
    @property
    def work(self) -> str: ...


def look_at_metadata(inside: Inside) -> dict[str, Any]:
    """A `RecordedRoot` of the merged tree, as JSON. `/.build.labels` is read and then taken away."""
    root = DirectoryRoot(path=inside.root)
    found = record_metadata(root).to_json()
    labels = root.look(BUILD_LABELS)
    if labels.kind == "file":
        os.unlink(inside.root + labels.real)
    if os.path.lexists(inside.root + BUILD_LABELS) and not os.path.isdir(inside.root + BUILD_LABELS):
        os.unlink(inside.root + BUILD_LABELS)
    return found


def write_metadata(inside: Inside, *, added: Sequence[Sequence[Any]]) -> None:
    """Write what `metadata.begin` or `finish` gave, in the form of `added_to_json`."""
    write_added(inside.root, added_from_json(added))


def copy_from_host(inside: Inside, *, copies: Sequence[Sequence[Any]], umask: int) -> list[list[Any]]:
    """Copy [source, destination, row, makes parents] as `cp -fLr` would; the rows that failed, each with the reason."""
    work = os.stat(inside.work)
    copier = Copier(root=inside.root, umask=umask, skip=frozenset({(work.st_dev, work.st_ino)}))
    faults = []
    for source, destination, row, make_parents in copies:
        try:
            copier.copy(source, destination, make_parents=make_parents)
        except CopyError as error:
            faults.append([row, str(error)])
    return faults


def copy_from_stage(
    inside: Inside,
    *,
    root: str,
    copies: Sequence[Sequence[Any]],
    umask: int,
    kept: Callable[[str, str], None] | None = None,
    inode: Callable[[str], int | None] | None = None,
) -> list[list[Any]]:
    """Copy [pattern, destination, row] from the directory `root`; the rows that failed, each with the reason.

    `kept(source, place)` is told of each entry whose owner is to be kept; `inode(source)` gives the number of an inode
    with several names.
    """
    copier = Copier(root=inside.root, umask=umask, keep=True, kept=kept, inode=inode)

    def link(path: str) -> str | None:
        try:
            return os.readlink(root + path)
        except OSError:
            return None

    faults = []
    for pattern, destination, row in copies:
        for path in match_in(root, _clean(pattern)):
            try:
                real = follow(path, link)
                if not os.path.lexists(root + real):
                    raise CopyError(f"`{path}` is not there to be copied")  # noqa: TRY301
                # With a slash behind it, a folder's content is meant.
                copier.copy(root + real, destination or path, name=os.path.basename(path))
            except CopyError as error:
                faults.append([row, str(error).replace(root, "")])
            except OSError as error:
                faults.append([row, f"`{path}` cannot be copied: {(error.strerror or '').lower()}"])
    return faults


def _clean(pattern: str) -> str:
    """From the stage's root, without `.` and `..`; a slash at the end stays."""
    clean = "/" + os.path.normpath("/" + pattern).lstrip("/")
    return clean + "/" if pattern.endswith("/") and clean != "/" else clean


def added_to_json(added: Sequence[Added]) -> list[list[Any]]:
    import base64

    return [[one.path, one.kind, one.mode, base64.b64encode(one.content).decode(), one.link] for one in added]


def added_from_json(data: Sequence[Sequence[Any]]) -> tuple[Added, ...]:
    import base64

    return tuple(
        Added(path=path, kind=kind, mode=mode, content=base64.b64decode(content), link=link)
        for path, kind, mode, content, link in data
    )


def copy_faults(faults: Sequence[Sequence[Any]], spans: Mapping[int, Any]) -> DefinitionError | None:
    """What the copying functions answered, as one error with places; None when all was copied."""
    errors = [DefinitionError(str(reason), where=spans.get(row)) for row, reason in faults]
    if not errors:
        return None
    return DefinitionError(errors[0].message, where=errors[0].where, others=tuple(errors[1:]))

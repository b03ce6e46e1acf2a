"""OCI image layouts that are written: a folder to which images are added, and a tar file that holds one image.

In a folder blobs come first and `index.json` last, in one rename: a reader sees the old images or the new ones. What a
killed process leaves are blobs that no index names, which the next writer of the same image uses, and files that
`atomic_file` sweeps away.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

from sealift.core.event import Advanced, Began, Ended, Events
from sealift.core.reference import parse_reference
from sealift.core.tree import Entry
from sealift.errors import ImageError, UsageError
from sealift.oci.encode import LAYOUT_FILE, canonical_json, index_entry, index_json
from sealift.oci.image import ImageLayer, OciImage
from sealift.oci.layout import CONTAINERD_NAME, REF_NAME, blob_path, check_version, parse_index
from sealift.oci.manifest import SIZE_LIMIT
from sealift.oci.tarheader import END, entry_header, padding
from sealift.system.files import atomic_file, explain_oserror, locked_folder

_TAG = re.compile(r"[A-Za-z0-9](?:[-._:@+/]*[A-Za-z0-9])*")
"""Image spec 1.1, annotations.md, `org.opencontainers.image.ref.name`, a little wider."""
_PIECE = 1 << 20
_FILE = stat.S_IFREG | 0o644
_FOLDER = stat.S_IFDIR | 0o755


def check_tag(text: str, tag: str) -> None:
    """UsageError unless `tag`, of the target `text`, can name an image in a layout."""
    if tag and not _TAG.fullmatch(tag):
        raise UsageError(f"`{text}`: `{tag}` is not a tag", hints=("a tag is for instance `latest` or `1.0`",))


def check_layout(folder: str, tag: str, *, text: str, force: bool) -> None:
    """Refuse, before any work is done, what could not be written; `text` is the target as typed."""
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder):
        path = text.removeprefix("oci:").partition(":")[0]
        raise UsageError(
            f"`{path}` is a file, and `oci:` writes a folder", hints=(f"a layout in a file: oci-archive:{path}.tar",)
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"`{folder}` cannot be written", hints=("choose another place for the image",))
    if os.path.exists(os.path.join(folder, "oci-layout")):
        check_version(_read(folder, "oci-layout"))
        if not force and any(_names(item, tag) for item in _index(folder)["manifests"]):
            called = f"an image called `{tag}`" if tag else "an image without a tag"
            raise UsageError(f"`{text}`: there is {called}", hints=("replace it: add -F", "or give another tag"))
    elif not all(name == "blobs" or name.startswith(".oci-layout.") for name in os.listdir(folder)):
        # What another build has there that began a moment ago, or was killed, is no reason.
        raise UsageError(
            f"`{folder}` is a folder that holds no OCI layout, and nothing is added to it",
            hints=(f"name a folder that is not there yet: oci:{folder.rstrip('/')}/image:latest",),
        )


def write_layout(folder: str, tag: str, image: OciImage, *, events: Events) -> None:
    """Add the image to the layout in `folder`, which is made when it is missing, in place of one of the same tag."""
    made = False
    try:
        with contextlib.suppress(FileExistsError):  # another build may be making it, too
            os.mkdir(folder)
            made = True
        for sub in ("blobs", "blobs/sha256"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.join(folder, sub))
        if not os.path.exists(os.path.join(folder, "oci-layout")):
            _write(folder, "oci-layout", LAYOUT_FILE)
        for layer in image.distinct_layers():
            _write_layer(folder, layer, events)
        for document in image.documents:
            _write(folder, blob_path(document.descriptor.digest), document.data)
        with locked_folder(folder):
            kept = _index(folder)
            others = [item for item in kept["manifests"] if not _names(item, tag)]
            entry = index_entry(image.manifest, tag=tag, architecture=image.architecture, variant=image.variant)
            _write(folder, "index.json", index_json([*others, entry], kept))
    except BaseException as error:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise explain_oserror(error, f"writing oci:{folder}") from error
        raise


def write_archive(path: str, tag: str, image: OciImage, *, docker_name: str | None = None, events: Events) -> None:
    """Write a tar file with a layout of this image alone; whole or not at all, and the same bytes every time.

    With `docker_name`, a familiar name or `""`, it is one that `docker load` and `podman load` of any age read: beside
    the layout's files it has Docker's own list of them, as `docker save` writes both since Docker 25.
    """
    try:
        with atomic_file(path) as file:
            write_archive_to(file, tag, image, docker_name=docker_name, events=events)
    except OSError as error:
        raise explain_oserror(error, f"writing {path}") from error


def write_archive_to(
    file: BinaryIO, tag: str, image: OciImage, *, docker_name: str | None = None, events: Events
) -> None:
    """The same into an open file, which is only written to, from its front to its end."""
    entry = index_entry(image.manifest, tag=tag, architecture=image.architecture, variant=image.variant)
    if docker_name is not None:
        _add(file, "manifest.json", _docker_list(image, docker_name))
        entry |= _docker_annotations(docker_name)
    _add(file, "oci-layout", LAYOUT_FILE)
    _add(file, "index.json", index_json([entry], {}))
    file.writelines(entry_header(Entry(path=name.encode(), mode=_FOLDER)) for name in ("blobs", "blobs/sha256"))
    for document in reversed(image.documents):
        _add(file, blob_path(document.descriptor.digest), document.data)
    for layer in image.distinct_layers():
        size = layer.descriptor.size
        file.write(_header(blob_path(layer.descriptor.digest), size))
        _copy(layer, file, events)
        file.write(padding(size))
    file.write(END)


def _docker_list(image: OciImage, name: str) -> bytes:
    """What Docker reads (moby, image/spec, "Combined Image JSON + Filesystem Changeset Format")."""
    item = {
        "Config": blob_path(image.config.descriptor.digest),
        "RepoTags": [name] if name else None,
        "Layers": [blob_path(layer.descriptor.digest) for layer in image.layers],
    }
    return canonical_json([item])


def _docker_annotations(name: str) -> dict[str, Any]:
    """How containerd, and Docker where it keeps images there, find the name in the layout's index."""
    if not name:
        return {}
    reference = parse_reference(name)
    return {"annotations": {CONTAINERD_NAME: str(reference), REF_NAME: reference.tag}}


def _add(file: BinaryIO, name: str, data: bytes) -> None:
    file.write(_header(name, len(data)) + data + padding(len(data)))


def _header(name: str, size: int) -> bytes:
    return entry_header(Entry(path=name.encode(), mode=_FILE, size=size))


def _write_layer(folder: str, layer: ImageLayer, events: Events) -> None:
    path = os.path.join(folder, blob_path(layer.descriptor.digest))
    with contextlib.suppress(FileNotFoundError):
        if os.stat(path).st_size == layer.descriptor.size:
            return
    with contextlib.suppress(FileExistsError):
        os.mkdir(os.path.dirname(path))
    with atomic_file(path) as file:
        _copy(layer, file, events)


def _copy(layer: ImageLayer, file: BinaryIO, events: Events) -> None:
    """Copy the layer's bytes, which are verified on the way; ImageError when they are too few or too many."""
    task = f"copy {layer.descriptor.digest}"
    events(Began(task=task, label=f"writing layer {layer.descriptor.digest[7:19]}", total=layer.descriptor.size))
    count = 0
    try:
        with layer.open() as stream:
            for piece in _pieces(stream):
                file.write(piece)
                count += len(piece)
                events(Advanced(task=task, amount=len(piece)))
        if count != layer.descriptor.size:
            raise ImageError(f"layer `{layer.descriptor.digest}` has {count} bytes, not {layer.descriptor.size}")
    finally:
        events(Ended(task=task))


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _write(folder: str, name: str, data: bytes) -> None:
    with atomic_file(os.path.join(folder, name)) as file:
        file.write(data)


def _read(folder: str, name: str) -> bytes:
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise explain_oserror(error, f"reading oci:{folder}") from error


def _index(folder: str) -> dict[str, Any]:
    """The layout's index as it is, so that what it holds beside our image stays; an empty one where there is none."""
    if not os.path.exists(os.path.join(folder, "index.json")):
        return {"manifests": []}
    data = _read(folder, "index.json")
    parse_index(data)
    value: dict[str, Any] = json.loads(data)
    return value


def _names(item: dict[str, Any], tag: str) -> bool:
    """Whether an entry of an index is the one called `tag`; `""` is the one without a name."""
    return bool((item.get("annotations") or {}).get(REF_NAME, "") == tag)

"""The merged tree beside what other engines make of the same layers, entry by entry, all that an inode says."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.core.tree import Entry, parent_of
from sealift.packs.merge import merge
from sealift.packs.tarstream import normalise
from tests.ground import services
from tests.ground.layouts import Packing, write_layout
from tests.ground.listing import full_listing
from tests.packs.layers import entries, pack, tar
from tests.packs.traps import LOOKING_DOWN, TRAPS, Stack

STACKS = TRAPS | LOOKING_DOWN

DOCKER_CANNOT = {
    "hard link to a name that is replaced in the same layer": "`docker load` refuses a path that comes twice",
    "the same path twice in one layer": "`docker load` refuses a path that comes twice",
}
VFS_CANNOT = {
    "whiteout in a directory that is not there": "the directory is made",
    "whiteout below what is a file": "removing a/c where a is a file fails",
    "symbolic link as a parent points nowhere": "a dangling link is not made good",
}
"""Docker unpacks every layer by itself with its overlay driver, which cannot do LOOKING_DOWN; with `vfs` it can."""


def ours(tmp_path: Path, stack: Stack, streams: list[bytes]) -> dict[bytes, Entry]:
    packs = [pack(tmp_path, stream, f"layer-{number}.pack") for number, stream in enumerate(streams)]
    found = entries(merge(packs, base_count=len(packs)).tree)
    for one in packs:
        one.close()
    return comparable(found, stack)


def comparable(found: dict[bytes, Entry], stack: Stack) -> dict[bytes, Entry]:
    """Without what differs by design: mode and time of directories that no layer lists, and the time of those whose
    children a layer changed without listing the directory itself."""
    listed: dict[bytes, int] = {}
    changed: dict[bytes, int] = {}
    for number, layer in enumerate(stack):
        for info, _data in layer:
            path = normalise(info.name.encode("utf-8", "surrogateescape"))
            changed[parent_of(path)] = number
            if info.isdir():
                listed[path] = number
    by_link = len(stack) - 1 if any(stack is one for one in LOOKING_DOWN.values()) else -1
    result = {}
    for path, entry in found.items():
        if entry.is_dir and path not in listed:
            result[path] = replace(entry, mode=0, mtime=0)
        elif entry.is_dir and max(changed.get(path, -1), by_link) > listed[path]:
            result[path] = replace(entry, mtime=0)
        else:
            result[path] = entry
    return result


def archive(folder: Path, streams: list[bytes], skopeo: Callable[..., object], name: str) -> Path:
    layout = write_layout(folder / "oci", list(streams))
    skopeo("copy", "--quiet", f"oci:{layout}:latest", f"docker-archive:{folder / 'image.tar'}:{name}:latest")
    return folder / "image.tar"


@pytest.mark.slow
@pytest.mark.needs("root", "umoci")
@pytest.mark.parametrize("name", STACKS)
def test_umoci_makes_the_same_tree(tmp_path: Path, umoci: Callable[..., object], name: str) -> None:
    stack = STACKS[name]
    streams = [tar(layer) for layer in stack]
    # Debian's umoci reads no zstd layers.
    packings: list[Packing] = ["plain" if number % 2 else "gzip" for number in range(len(stack))]
    layout = write_layout(tmp_path / "oci", list(streams), packing=packings)
    umoci("unpack", "--image", f"{layout}:latest", tmp_path / "bundle")
    assert ours(tmp_path, stack, streams) == comparable(full_listing(tmp_path / "bundle" / "rootfs"), stack)


@pytest.mark.slow
@pytest.mark.needs("root", "docker", "skopeo")
@pytest.mark.parametrize("name", [name for name in TRAPS if name not in DOCKER_CANNOT])
def test_docker_makes_the_same_tree(
    tmp_path: Path, docker: services.Docker, skopeo: Callable[..., object], name: str
) -> None:
    stack = STACKS[name]
    streams = [tar(layer) for layer in stack]
    docker("load", "-i", archive(tmp_path, streams, skopeo, "trap"))
    with docker_tree(docker, "trap:latest", tmp_path) as root:
        found = comparable(full_listing(root), stack)
    expected = ours(tmp_path, stack, streams)
    # Docker takes the root directory's owner and mode from a layer that lists it, but not its time.
    found[b""] = replace(found[b""], mtime=expected[b""].mtime)
    assert expected == found


@pytest.mark.slow
@pytest.mark.needs("root", "docker", "skopeo")
def test_docker_on_whole_trees_makes_the_same_of_layers_that_look_down(
    tmp_path: Path, session_folder: Path, skopeo: Callable[..., object]
) -> None:
    # Not below tmp_path, which makes the paths of the daemon's sockets too long.
    with services.docker(session_folder / "docker-vfs", driver="vfs") as docker:
        for number, (name, stack) in enumerate(LOOKING_DOWN.items()):
            if name in VFS_CANNOT:
                continue
            folder = tmp_path / str(number)
            folder.mkdir()
            streams = [tar(layer) for layer in stack]
            docker("load", "-i", archive(folder, streams, skopeo, f"trap{number}"))
            with docker_tree(docker, f"trap{number}:latest", folder) as root:
                assert ours(folder, stack, streams) == comparable(full_listing(root), stack), name


@contextmanager
def docker_tree(docker: services.Docker, image: str, tmp_path: Path) -> Iterator[Path]:
    """The root filesystem of an image as Docker's storage driver holds it."""
    (found,) = json.loads(docker("image", "inspect", image).stdout)
    data = Path(docker("info", "--format", "{{.DockerRootDir}}").stdout.decode().strip())
    if found["GraphDriver"]["Name"] == "vfs":
        chain = found["RootFS"]["Layers"][0]
        for diff in found["RootFS"]["Layers"][1:]:
            chain = "sha256:" + hashlib.sha256(f"{chain} {diff}".encode()).hexdigest()
        record = data / "image" / "vfs" / "layerdb" / "sha256" / chain.partition(":")[2] / "cache-id"
        yield data / "vfs" / "dir" / record.read_text()
        return
    folders = found["GraphDriver"]["Data"]
    lower = ":".join(filter(None, [folders["UpperDir"], folders.get("LowerDir", "")]))
    target, empty = tmp_path / "docker-root", tmp_path / "docker-empty"
    target.mkdir()
    empty.mkdir()
    # An overlay of one lower directory alone is refused.
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={lower}:{empty}", target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)

"""`oci:`, `oci-archive:` and `docker-archive:` made by hand, so that a test decides every byte."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from sealift.bases.open import Network, open_image
from sealift.core.digest import sha256
from sealift.core.reference import OrasSource, parse_source
from sealift.errors import HostError, ImageError, NotFoundError, SealiftError
from sealift.oci.manifest import Platform
from sealift.store import Store
from tests.ground import layouts

AMD64 = Platform(architecture="amd64")


def tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


LAYERS = [tar(a=b"one" * 5000), tar(b=b"two")]


def contents(source: str, tmp_path: Path) -> list[bytes]:
    """What the layers' streams give, by whatever size of reads."""
    parsed = parse_source(source)
    assert parsed is not None
    assert not isinstance(parsed, OrasSource)
    with (
        Store(str(tmp_path / "store")) as store,
        open_image(parsed, AMD64, store=store, network=Network()) as image,
    ):
        found = [layer.read(lambda stream: b"".join(iter(lambda: stream.read(1000), b""))) for layer in image.layers]
        assert [sha256(data) for data in found] == [layer.digest for layer in image.layers]
        return found


def fails(source: str, tmp_path: Path, error: type[SealiftError]) -> tuple[str, tuple[str, ...]]:
    with pytest.raises(error) as caught:
        contents(source, tmp_path)
    assert type(caught.value) is error
    return caught.value.message.replace(str(tmp_path), "TMP"), tuple(
        h.replace(str(tmp_path), "TMP") for h in caught.value.hints
    )


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return layouts.write_layout(tmp_path / "layout", LAYERS, packing=["plain", "zstd"], tag="v1")


def packed(folder: Path, target: Path) -> Path:
    with tarfile.open(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, arcname=os.path.relpath(path, folder), recursive=False)
    return target


class TestLayout:
    @pytest.mark.parametrize(
        "form", ["oci:TMP/layout", "oci:TMP/layout:v1", "oci-archive:TMP/a.tar", "oci-archive:TMP/a.tar:v1"]
    )
    def test_layers(self, layout: Path, tmp_path: Path, form: str) -> None:
        packed(layout, tmp_path / "a.tar")
        found = contents(form.replace("TMP", str(tmp_path)), tmp_path)
        assert found == [LAYERS[0], zstandard.ZstdCompressor(level=1).compress(LAYERS[1])]

    def test_the_value(self, layout: Path, tmp_path: Path) -> None:
        source = parse_source(f"oci:{layout}:v1")
        assert source is not None
        assert not isinstance(source, OrasSource)
        with (
            Store(str(tmp_path / "store")) as store,
            open_image(source, AMD64, store=store, network=Network()) as image,
        ):
            index = json.loads((layout / "index.json").read_bytes())
            assert image.digest == index["manifests"][0]["digest"]
            assert (image.origin, image.created, image.index) == (f"oci:{layout}:v1", 0, None)
            assert [layer.diff_id for layer in image.layers] == [sha256(data) for data in LAYERS]
            image.fetch(image.layers)

    def test_by_platform(self, tmp_path: Path) -> None:
        folder = layouts.write_layout(tmp_path / "layout", LAYERS[:1], architecture="arm64", packing="plain")
        layouts.write_layout(folder, LAYERS[1:], architecture="amd64", packing="plain")
        old = json.loads((folder / "index.json").read_bytes())
        for item, architecture in zip(old["manifests"], ("arm64", "amd64"), strict=True):
            item["platform"] = {"os": "linux", "architecture": architecture}
            del item["annotations"]
        inner = json.dumps(old).encode()
        (folder / "blobs/sha256" / hashlib.sha256(inner).hexdigest()).write_bytes(inner)
        descriptor = {
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": sha256(inner),
            "size": len(inner),
        }
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
        assert contents(f"oci:{folder}", tmp_path) == LAYERS[1:]

    def test_names(self, layout: Path, tmp_path: Path) -> None:
        layouts.write_layout(layout, LAYERS[:1], tag="v2", packing="plain")
        assert contents(f"oci:{layout}:v2", tmp_path) == LAYERS[:1]
        assert fails(f"oci:{layout}", tmp_path, NotFoundError) == (
            "`oci:TMP/layout` holds 2 images, so one must be named; there are: v1, v2",
            ("oci:TMP/layout:v1", "oci:TMP/layout:v2"),
        )

    @pytest.mark.parametrize("archived", [False, True])
    def test_a_damaged_blob(self, layout: Path, tmp_path: Path, archived: bool) -> None:
        digest = sha256(LAYERS[0])
        path = layout / "blobs/sha256" / digest[7:]
        path.write_bytes(b"x" + LAYERS[0][1:])
        packed(layout, tmp_path / "a.tar")
        source, shown = (f"oci-archive:{tmp_path}/a.tar", "TMP/a.tar") if archived else (f"oci:{layout}", "TMP/layout")
        found = sha256(b"x" + LAYERS[0][1:])
        assert fails(source, tmp_path, ImageError)[0] == (
            f"blob `{digest}` in `{shown}` is damaged: its digest is `{found}`, not `{digest}`"
        )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda f: (f / "oci-layout").unlink(), "`TMP/layout` has no `oci-layout`"),
            (lambda f: (f / "index.json").write_text("{"), "`index.json` of the OCI layout: the manifest is not JSON"),
            (lambda f: os.truncate(f / "blobs/sha256" / sha256(LAYERS[0])[7:], 100), "is damaged: it has 100 bytes"),
            (lambda f: (f / "blobs/sha256" / sha256(LAYERS[0])[7:]).unlink(), "`TMP/layout` has no `blobs/sha256/"),
        ],
        ids=["no version", "no index", "cut blob", "no blob"],
    )
    def test_damaged_layouts(
        self, layout: Path, tmp_path: Path, change: Callable[[Path], object], message: str
    ) -> None:
        change(layout)
        assert message in fails(f"oci:{layout}", tmp_path, ImageError)[0]

    def test_not_there(self, layout: Path, tmp_path: Path) -> None:
        packed(layout, tmp_path / "a.tar")
        assert fails(f"oci:{tmp_path}/none", tmp_path, NotFoundError) == (
            "there is no folder `TMP/none`",
            ("a layout is a folder with an `index.json`; make one with: skopeo copy docker://… oci:FOLDER:TAG",),
        )
        assert fails(f"oci:{tmp_path}/a.tar", tmp_path, NotFoundError)[1] == (
            "if it is a tar file: oci-archive:TMP/a.tar",
        )
        assert fails(f"oci-archive:{layout}", tmp_path, NotFoundError)[1] == ("try oci:TMP/layout",)
        assert fails(f"oci-archive:{tmp_path}/none.tar", tmp_path, HostError)[0] == (
            "not found while reading TMP/none.tar: `TMP/none.tar`"
        )

    def test_another_architecture(self, tmp_path: Path) -> None:
        folder = layouts.write_layout(tmp_path / "layout", LAYERS[:1], architecture="arm64")
        message, hints = fails(f"oci:{folder}", tmp_path, NotFoundError)
        assert (message, hints) == (
            "`oci:TMP/layout` is an image for linux/arm64, not for linux/amd64",
            ("--arch arm64",),
        )


def docker_archive(
    target: Path, images: list[tuple[list[str], list[bytes]]], *, links: dict[str, str] | None = None, **config: Any
) -> Path:
    """What `docker save` writes; layers named in `links` are symbolic links instead of files."""
    links = links or {}
    listed = []
    with tarfile.open(target, "w") as archive:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

        for tags, layers in images:
            names = []
            diff_ids = []
            for number, layer in enumerate(layers):
                plain = gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer
                plain = zstandard.decompress(layer) if layer[:4] == b"\x28\xb5\x2f\xfd" else plain
                diff_ids.append(sha256(plain))
                name = f"layer{number}-{tags[0] if tags else 'x'}/layer.tar".replace(":", "-")
                names.append(name)
                if name in links:
                    member = tarfile.TarInfo(name)
                    member.type, member.linkname = tarfile.SYMTYPE, links[name]
                    archive.addfile(member)
                else:
                    add(name, layer)
            value = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}} | config
            data = json.dumps(value).encode()
            add(f"{sha256(data)[7:]}.json", data)
            listed.append({"Config": f"{sha256(data)[7:]}.json", "RepoTags": tags or None, "Layers": names})
        add("manifest.json", json.dumps(listed).encode())
    return target


class TestDockerArchive:
    def test_layers(self, tmp_path: Path) -> None:
        docker_archive(tmp_path / "a.tar", [(["app:1"], LAYERS)])
        assert contents(f"docker-archive:{tmp_path}/a.tar", tmp_path) == LAYERS
        assert contents(f"docker-archive:{tmp_path}/a.tar:docker.io/library/app:1", tmp_path) == LAYERS
        assert contents(f"docker-archive:{tmp_path}/a.tar:@0", tmp_path) == LAYERS

    def test_compressed_layers_come_out_plain(self, tmp_path: Path) -> None:
        layers = [gzip.compress(LAYERS[0]), zstandard.ZstdCompressor().compress(LAYERS[1])]
        docker_archive(tmp_path / "a.tar", [(["app:1"], layers)])
        assert contents(f"docker-archive:{tmp_path}/a.tar", tmp_path) == LAYERS

    def test_layers_that_are_links(self, tmp_path: Path) -> None:
        docker_archive(
            tmp_path / "a.tar",
            [(["app:1"], [LAYERS[0], LAYERS[0]])],
            links={"layer1-app-1/layer.tar": "../layer0-app-1/layer.tar"},
        )
        assert contents(f"docker-archive:{tmp_path}/a.tar", tmp_path) == [LAYERS[0], LAYERS[0]]

    @pytest.mark.parametrize("target", ["../../etc/passwd", "layer.tar", "/layer0-app-1/none"])
    def test_links_that_lead_nowhere(self, tmp_path: Path, target: str) -> None:
        docker_archive(tmp_path / "a.tar", [(["app:1"], LAYERS)], links={"layer1-app-1/layer.tar": target})
        message, _ = fails(f"docker-archive:{tmp_path}/a.tar", tmp_path, ImageError)
        assert message == "`TMP/a.tar` lacks the layer `layer1-app-1/layer.tar`"

    def test_several_images(self, tmp_path: Path) -> None:
        docker_archive(tmp_path / "a.tar", [(["a:1", "quay.io/b:2"], LAYERS[:1]), (["c:3"], LAYERS[1:]), ([], LAYERS)])
        for name, layers in (("a:1", LAYERS[:1]), ("quay.io/b:2", LAYERS[:1]), ("c:3", LAYERS[1:]), ("@2", LAYERS)):
            assert contents(f"docker-archive:{tmp_path}/a.tar:{name}", tmp_path) == layers
        there = "a:1, quay.io/b:2, c:3"
        hints = tuple(f"docker-archive:TMP/a.tar:{name}" for name in there.split(", "))
        assert [
            fails(f"docker-archive:{tmp_path}/a.tar{name}", tmp_path, NotFoundError) for name in ("", ":a", ":@3")
        ] == [
            (f"`docker-archive:TMP/a.tar` holds 3 images, so one must be named; there are: {there}", hints),
            (f"`docker-archive:TMP/a.tar` has no image called `a`; there are: {there}", hints),
            ("`docker-archive:TMP/a.tar` has no image @3; it holds 3", hints),
        ]

    @pytest.mark.parametrize("damage", [b"x", b""])
    def test_a_damaged_layer(self, tmp_path: Path, damage: bytes) -> None:
        docker_archive(tmp_path / "a.tar", [(["app:1"], LAYERS)])
        data = bytearray((tmp_path / "a.tar").read_bytes())
        at = data.index(b"oneone")
        data[at : at + 1] = damage or b"y"
        (tmp_path / "a.tar").write_bytes(bytes(data))
        message, _ = fails(f"docker-archive:{tmp_path}/a.tar", tmp_path, ImageError)
        assert message.startswith("layer `layer0-app-1/layer.tar` in `TMP/a.tar` is damaged: its digest is")

    def test_a_damaged_gzip_layer(self, tmp_path: Path) -> None:
        layer = bytearray(gzip.compress(LAYERS[0], mtime=0))
        docker_archive(tmp_path / "a.tar", [(["app:1"], [bytes(layer)])])
        data = (tmp_path / "a.tar").read_bytes()
        at = data.index(bytes(layer)) + len(layer) // 2
        (tmp_path / "a.tar").write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        message, _ = fails(f"docker-archive:{tmp_path}/a.tar", tmp_path, ImageError)
        assert message.startswith("layer `layer0-app-1/layer.tar` in `TMP/a.tar` is damaged")

    def test_another_architecture(self, tmp_path: Path) -> None:
        docker_archive(tmp_path / "a.tar", [(["app:1"], LAYERS)], architecture="s390x")
        assert fails(f"docker-archive:{tmp_path}/a.tar", tmp_path, NotFoundError)[1] == ("--arch s390x",)

    @pytest.mark.parametrize(
        ("data", "message", "hint"),
        [
            (b"no tar", "`TMP/a.tar` is not a tar file, or cut off", ""),
            (b"", "`TMP/a.tar` is not a tar file, or cut off", ""),
            (b"\0" * 10240, "`TMP/a.tar` is an empty tar file", ""),
            (
                LAYERS[0],
                "`TMP/a.tar` is a tar file, but no archive of `docker save`",
                "a root filesystem in a tar file is no image",
            ),
            (
                tar(repositories=b"{}"),
                "was saved by a Docker from before 1.10",
                "load and save it with a current Docker",
            ),
            (tar(**{"index.json": b"{}"}), "`TMP/a.tar` is an OCI archive", "try oci-archive:TMP/a.tar"),
            (tar(**{"manifest.json": b"{}"}), "`manifest.json` of `TMP/a.tar` must be a JSON list, not an object", ""),
            (tar(**{"manifest.json": b"[{}]"}), "`TMP/a.tar` has no ``", ""),
            (gzip.compress(LAYERS[0])[:-9], "`TMP/a.tar` is damaged or cut off", ""),
            (zstandard.compress(LAYERS[0])[:-9], "`TMP/a.tar` is", ""),
            (lzma.compress(LAYERS[0])[:-9], "`TMP/a.tar` is damaged or cut off", ""),
            (bz2.compress(LAYERS[0])[:-9], "`TMP/a.tar` is damaged or cut off", ""),
        ],
    )
    def test_other_files(self, tmp_path: Path, data: bytes, message: str, hint: str) -> None:
        (tmp_path / "a.tar").write_bytes(data)
        found, hints = fails(f"docker-archive:{tmp_path}/a.tar", tmp_path, ImageError)
        assert message in found
        assert any(each.startswith(hint) for each in hints) or not hint

    def test_a_cut_archive(self, tmp_path: Path) -> None:
        docker_archive(tmp_path / "a.tar", [(["app:1"], LAYERS)])
        whole = (tmp_path / "a.tar").read_bytes()
        for length in range(0, len(whole) - 10240, 4096):
            (tmp_path / "a.tar").write_bytes(whole[:length])
            message, _ = fails(f"docker-archive:{tmp_path}/a.tar", tmp_path, ImageError)
            assert "TMP/a.tar" in message


@pytest.mark.parametrize(
    "compress", [gzip.compress, zstandard.compress, bz2.compress, lzma.compress], ids=["gzip", "zstd", "bzip2", "xz"]
)
def test_a_compressed_archive(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = docker_archive(tmp_path / "a.tar", [(["app:1"], LAYERS)])
    path.write_bytes(compress(path.read_bytes()))
    assert contents(f"docker-archive:{path}", tmp_path) == LAYERS
    assert os.listdir(tmp_path / "store" / "parts") == []


def test_an_archive_from_a_pipe(tmp_path: Path) -> None:
    data = docker_archive(tmp_path / "a.tar", [(["app:1"], LAYERS)]).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
    writer.start()
    assert contents(f"docker-archive:{tmp_path}/pipe", tmp_path) == LAYERS
    writer.join(30)


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "a.tar", [(["app:1"], [gzip.compress(LAYERS[0]), LAYERS[1]])])
    contents(f"docker-archive:{path}", tmp_path)
    before = os.listdir("/proc/self/fd")
    contents(f"docker-archive:{path}", tmp_path)
    path.write_bytes(gzip.compress(path.read_bytes()))
    contents(f"docker-archive:{path}", tmp_path)
    assert os.listdir("/proc/self/fd") == before

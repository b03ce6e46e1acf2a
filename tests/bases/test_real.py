"""The same images as skopeo sees them: a real registry, and archives that skopeo wrote."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sealift.bases.image import BaseImage
from sealift.bases.open import Network, open_image
from sealift.core.digest import sha256
from sealift.core.reference import OrasSource, parse_source
from sealift.errors import DeniedError, NotFoundError
from sealift.oci.manifest import Platform
from sealift.store import Store
from tests.ground import layouts, services

Skopeo = Callable[..., subprocess.CompletedProcess[bytes]]
CONFIG = {
    "Env": ["PATH=/usr/bin:/bin", "A=b c"],
    "Entrypoint": ["/entry"],
    "Cmd": ["x", "y"],
    "WorkingDir": "/w",
    "User": "1000",
    "Labels": {"k": "v"},
}


def tar(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


# Three megabytes that do not shrink, so that several reads and ranges are needed.
LAYERS = [tar("noise", b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(100_000))), tar("b", b"two" * 9000)]


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "layout"
    layouts.write_layout(folder, LAYERS, packing="gzip", config=CONFIG, tag="gz")
    return layouts.write_layout(folder, LAYERS, packing=["gzip", "zstd"], config=CONFIG, tag="v1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path / "store")) as store:
        yield store


def fetch(
    source: str, store: Store, env: dict[str, str] | None = None, architecture: str = "amd64"
) -> tuple[BaseImage, list[bytes]]:
    """The image, and the bytes of its layers."""
    parsed = parse_source(source)
    assert parsed is not None
    assert not isinstance(parsed, OrasSource)
    network = Network(env=env or {"HOME": store.root})
    with open_image(parsed, Platform(architecture=architecture), store=store, network=network) as image:
        image.fetch(image.layers)
        return image, [
            layer.read(lambda stream: b"".join(iter(lambda: stream.read(1 << 16), b""))) for layer in image.layers
        ]


def inspected(skopeo: Skopeo, source: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(skopeo("inspect", "--tls-verify=false", source).stdout)
    return found


def seen(image: BaseImage) -> dict[str, Any]:
    """The image in the form of `skopeo inspect`."""
    return {
        "Digest": image.digest,
        "Layers": [layer.digest for layer in image.layers],
        "Env": list(image.config.env),
        "Labels": dict(image.config.labels),
        "Architecture": image.config.platform.architecture,
        "Os": image.config.platform.os,
        "Created": image.config.created,
    }


def agree(image: BaseImage, theirs: dict[str, Any]) -> None:
    ours = seen(image)
    assert ours == {key: theirs[key] for key in ours}


@pytest.mark.needs("registry", "skopeo")
class TestRegistry:
    def test_skopeo_agrees(self, registry: services.Registry, layout: Path, skopeo: Skopeo, store: Store) -> None:
        source = registry.push(layout, "v1", "real/app:v1")
        image, blobs = fetch(source, store)
        agree(image, inspected(skopeo, source))
        assert [sha256(blob) for blob in blobs] == [layer.digest for layer in image.layers]
        assert [layer.diff_id for layer in image.layers] == [sha256(data) for data in LAYERS]
        assert (image.config.entrypoint, image.config.cmd, image.config.working_dir, image.config.user) == (
            ("/entry",),
            ("x", "y"),
            "/w",
            "1000",
        )

    def test_docker_s_schema_2(self, registry: services.Registry, layout: Path, skopeo: Skopeo, store: Store) -> None:
        layouts.write_layout(layout, [LAYERS[0]], packing="gzip", config=CONFIG, tag="docker")
        source = f"docker://{registry.host}/real/docker:1"
        skopeo("copy", "--dest-tls-verify=false", "--format=v2s2", f"oci:{layout}:docker", source)
        image, _ = fetch(source, store)
        agree(image, inspected(skopeo, source))
        assert image.layers[0].media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip"

    def test_what_is_not_there(self, registry: services.Registry, layout: Path, store: Store) -> None:
        registry.push(layout, "v1", "real/app:v1")
        for name, message in (
            (
                "real/app:v2",
                f"`{registry.host}` does not have `{registry.host}/real/app:v2`: manifest unknown",
            ),
            (
                "real/none:v1",
                f"`{registry.host}` does not have `{registry.host}/real/none:v1`: manifest unknown",
            ),
        ):
            with pytest.raises(NotFoundError) as caught:
                fetch(f"docker://{registry.host}/{name}", store)
            assert caught.value.message == message

    def test_a_cut_download_goes_on_with_a_range(self, registry: services.Registry, layout: Path, store: Store) -> None:
        """What an interrupted process left: the real registry gives the rest."""
        source = registry.push(layout, "v1", "real/app:v1")
        image, blobs = fetch(source, store)
        digest = image.layers[0].digest
        os.unlink(store.blob(digest) or "")
        part = store._parts.new(f"blobs-sha256-{digest[7:]}")
        part.file.write(blobs[0][:1_000_000])
        part.close()
        assert fetch(source, store)[1] == blobs

    def test_by_digest_and_offline(self, registry: services.Registry, layout: Path, store: Store) -> None:
        source = registry.push(layout, "v1", "real/app:v1")
        image, blobs = fetch(source, store)
        pinned = f"docker://registry.invalid/real/app@{image.digest}"
        assert fetch(pinned, store)[1] == blobs

    def test_a_registry_that_wants_a_login(self, tmp_path: Path, layout: Path, skopeo: Skopeo, store: Store) -> None:
        """bcrypt of `s3cret`, as htpasswd -B writes it."""
        (tmp_path / "htpasswd").write_text("me:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n")
        host = f"127.0.0.1:{services.free_port()}"
        config = tmp_path / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {tmp_path}/data}}}}\n"
            f"auth: {{htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}}}\n"
            f"http: {{addr: '{host}'}}\n"
        )
        source = f"docker://{host}/real/app:v1"
        auth_file = tmp_path / "auth.json"
        with services.running(["docker-registry", "serve", str(config)], log=tmp_path / "log", answers=host):
            skopeo("copy", "--dest-tls-verify=false", "--dest-creds=me:s3cret", f"oci:{layout}:v1", source)
            skopeo("login", "--tls-verify=false", "--authfile", str(auth_file), "-u", "me", "-p", "s3cret", host)
            with pytest.raises(DeniedError, match="wants a login"):
                fetch(source, store)
            image, _ = fetch(source, store, env={"REGISTRY_AUTH_FILE": str(auth_file)})
            assert [layer.diff_id for layer in image.layers] == [sha256(data) for data in LAYERS]


@pytest.mark.needs("skopeo")
class TestArchives:
    @pytest.mark.parametrize("form", ["oci-archive", "docker-archive", "oci"])
    def test_what_skopeo_writes(self, layout: Path, tmp_path: Path, skopeo: Skopeo, store: Store, form: str) -> None:
        target = f"{form}:{tmp_path}/target"
        tag = "gz" if form == "docker-archive" else "v1"  # Docker's archives have no zstd
        skopeo("copy", f"oci:{layout}:{tag}", f"{target}:quay.io/me/app:v1")
        image, blobs = fetch(target, store)
        theirs = inspected(skopeo, target)
        if form == "docker-archive":
            assert blobs == LAYERS
            assert [layer.digest for layer in image.layers] == theirs["Layers"]
            assert image.digest is None
        else:
            agree(image, theirs)
        assert fetch(f"{target}:quay.io/me/app:v1", store)[1] == blobs
        assert image.config.labels == {"k": "v"}

    def test_two_images_in_one_archive(self, layout: Path, tmp_path: Path, skopeo: Skopeo, store: Store) -> None:
        archive = f"docker-archive:{tmp_path}/a.tar"
        skopeo("copy", f"oci:{layout}:gz", f"{archive}:app:1", "--additional-tag", "app:2")
        assert fetch(f"{archive}:app:1", store)[1] == fetch(f"{archive}:app:2", store)[1] == LAYERS
        with pytest.raises(NotFoundError, match=r"has no image called `app:3`; there are: \S+app:1, \S+app:2"):
            fetch(f"{archive}:app:3", store)


@pytest.mark.slow
@pytest.mark.needs("root", "docker", "skopeo")
def test_docker_save(docker: services.Docker, layout: Path, tmp_path: Path, skopeo: Skopeo, store: Store) -> None:
    """Docker's own archive of an image that Docker has loaded."""
    skopeo("copy", f"oci:{layout}:gz", f"docker-archive:{tmp_path}/in.tar:app:1")
    docker("load", "-i", tmp_path / "in.tar")
    docker("save", "-o", tmp_path / "out.tar", "app:1")
    image, blobs = fetch(f"docker-archive:{tmp_path}/out.tar", store)
    assert blobs == LAYERS
    assert (image.config.cmd, image.config.user) == (("x", "y"), "1000")
    assert f"(image ID {json.loads(docker('inspect', 'app:1').stdout)[0]['Id']})" in image.origin

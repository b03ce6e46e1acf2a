"""Images into a real registry: what is sent and what is not, the same digest on every way, breaks and refusals."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sealift.core.digest import sha256
from sealift.registry import Patience
from tests.flows.oci_bases import busybox, write_busybox_layout
from tests.ground import services
from tests.ground.between import Answer, Asked, Between, before
from tests.ground.images import mounted
from tests.ground.layouts import write_layout
from tests.ground.listing import full_listing
from tests.packs.layers import Part, file, folder, tar

pytestmark = [pytest.mark.slow, pytest.mark.needs("registry", "skopeo", "busybox")]

DEFINITION = """\
Bootstrap: docker
From: {base}

%files
    seed /opt/seed

%environment
    export GREETING=hello

%runscript
    echo "$GREETING $*"
"""


def pushed(sealift, *arguments: str | Path) -> dict[str, Any]:
    done = sealift("push", "--json", *arguments)
    assert done.code == 0, done.err
    value: dict[str, Any] = json.loads(done.out)
    return value


def how(result: dict[str, Any]) -> list[str]:
    return [layer["how"] for layer in result["layers"]]


def manifest(reference: str) -> bytes:
    """What the registry itself gives for `docker://HOST/REPOSITORY:TAG` or `…@DIGEST`."""
    host, _, rest = reference.partition("://")[2].partition("/")
    name, _, wanted = rest.partition("@") if "@" in rest else rest.rpartition(":")
    request = urllib.request.Request(
        f"http://{host}/v2/{name}/manifests/{wanted}",
        headers={
            "Accept": (
                "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
            )
        },
    )
    with urllib.request.urlopen(request) as answer:
        data: bytes = answer.read()
        return data


def layer_digest(layout: Path, number: int) -> str:
    index = json.loads((layout / "index.json").read_bytes())
    found = layout / "blobs/sha256" / index["manifests"][0]["digest"][7:]
    digest: str = json.loads(found.read_bytes())["layers"][number]["digest"]
    return digest


def has(registry: services.Registry, reference: str, digest: str) -> bool:
    """Whether the repository of the reference has the blob, asked without the proxy."""
    repository = reference.partition("://")[2].partition("/")[2].rpartition(":")[0]
    request = urllib.request.Request(f"http://{registry.host}/v2/{repository}/blobs/{digest}", method="HEAD")
    try:
        with urllib.request.urlopen(request):
            return True
    except urllib.error.HTTPError:
        return False


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def base(registry: services.Registry, tmp_path: Path) -> str:
    """An image of three layers in the registry, `docker://HOST/base/os:1`."""
    return registry.push(write_busybox_layout(tmp_path / "base"), "latest", "base/os:1")


@pytest.fixture
def definition(sealift, base: str) -> str:
    """The folder has `image.def` on that base."""
    Path("seed").write_bytes(os.urandom(300_000))
    Path("image.def").write_text(DEFINITION.format(base=base.removeprefix("docker://")))
    return "image.def"


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    count = iter(range(100))
    return lambda: monkeypatch.setenv("SEALIFT_CACHE_DIR", str(tmp_path / f"cache-{next(count)}"))


class TestLayers:
    def test_a_sif_goes_onto_the_layers_of_its_base(
        self, sealift, definition: str, registry: services.Registry, fresh_cache: Callable[[], None]
    ) -> None:
        built = json.loads(sealift("build", "--json", "oci:img:1", definition).out)
        assert sealift("build", "image.sif", definition).code == 0
        target = f"docker://{registry.host}/me/app:1"
        first = pushed(sealift, "image.sif", target)
        assert first["digest"] == built["digest"] == sha256(manifest(target))
        assert first["tree_digest"] == built["tree_digest"]
        assert first["reference"] == f"docker://{registry.host}/me/app@{first['digest']}"
        assert how(first) == ["mounted", "mounted", "mounted", "sent"]
        again = pushed(sealift, "image.sif", target)
        assert (again["unchanged"], how(again)) == (True, ["there"] * 4)
        assert again["digest"] == first["digest"]
        # Without the cache the base's layers come from its registry, to be compared; those of the target are there.
        fresh_cache()
        other = pushed(sealift, "image.sif", f"docker://{registry.host}/me/app:2")
        assert (other["digest"], other["warnings"]) == (first["digest"], [])

    def test_it_comes_back_and_nothing_is_added(
        self, sealift, definition: str, registry: services.Registry, fresh_cache: Callable[[], None]
    ) -> None:
        assert sealift("build", "image.sif", definition).code == 0
        first = pushed(sealift, "image.sif", f"docker://{registry.host}/me/back:1")
        fresh_cache()
        pulled = json.loads(sealift("pull", "--json", "back.sif", f"docker://{registry.host}/me/back:1").out)
        assert pulled["tree_digest"] == first["tree_digest"]
        again = pushed(sealift, "back.sif", f"docker://{registry.host}/me/again:1")
        assert again["digest"] == first["digest"]
        assert how(again) == ["mounted"] * 4

    def test_a_base_that_is_gone_makes_one_layer_and_a_warning(
        self, sealift, registry: services.Registry, tmp_path: Path, fresh_cache: Callable[[], None]
    ) -> None:
        write_busybox_layout(tmp_path / "lost")
        Path("image.def").write_text(f"Bootstrap: oci\nFrom: {tmp_path}/lost\n%runscript\n    echo hi\n")
        assert sealift("build", "image.sif", "image.def").code == 0
        whole = pushed(sealift, "image.sif", f"docker://{registry.host}/me/lost:1")
        assert len(whole["layers"]) == 4
        (tmp_path / "lost").rename(tmp_path / "moved")
        fresh_cache()
        alone = pushed(sealift, "image.sif", f"docker://{registry.host}/me/lost:2")
        assert len(alone["layers"]) == 1
        assert alone["tree_digest"] == whole["tree_digest"]
        why = f"there is no folder `{tmp_path}/lost`"
        assert alone["warnings"] == [
            f"the layers of oci:{tmp_path}/lost cannot be had again ({why}): all files go into one layer"
        ]
        back = [
            json.loads(sealift("build", "--json", f"{n}.sif", f"docker://{registry.host}/me/lost:{n}").out)
            for n in (1, 2)
        ]
        assert back[0]["tree_digest"] == back[1]["tree_digest"] == whole["tree_digest"]

    def test_a_sif_on_a_sif_goes_onto_the_layers_of_the_first(
        self, sealift, definition: str, registry: services.Registry
    ) -> None:
        assert sealift("build", "image.sif", definition).code == 0
        Path("second.def").write_text("Bootstrap: localimage\nFrom: image.sif\n%files\n    seed /opt/more\n")
        assert sealift("build", "second.sif", "second.def").code == 0
        done = pushed(sealift, "second.sif", f"docker://{registry.host}/me/second:1")
        assert how(done) == ["mounted", "mounted", "mounted", "sent"]
        built = json.loads(sealift("build", "--json", "oci:img:1", "second.def").out)
        assert built["digest"] == done["digest"]

    def test_each_step_gets_a_layer_on_request(
        self, sealift, definition: str, registry: services.Registry, fresh_cache: Callable[[], None]
    ) -> None:
        built = json.loads(sealift("build", "--json", "--layers", "steps", "oci:img:1", definition).out)
        assert sealift("build", "image.sif", definition).code == 0
        target = f"docker://{registry.host}/me/steps:1"
        done = pushed(sealift, "--layers", "steps", "image.sif", target)
        assert (done["digest"], done["tree_digest"]) == (built["digest"], built["tree_digest"])
        assert how(done) == ["mounted"] * 3 + ["sent"] * 2
        config = json.loads(sealift("push", "--json", target, "oci:copy:1").out)["digest"]
        document = json.loads(Path("copy/blobs/sha256", config[7:]).read_bytes())["config"]["digest"]
        history = json.loads(Path("copy/blobs/sha256", document[7:]).read_bytes())["history"]
        assert [line.get("comment") for line in history[-2:]] == ["sections", "metadata"]
        back = json.loads(sealift("build", "--json", "back.sif", target).out)
        assert back["tree_digest"] == built["tree_digest"]
        fresh_cache()
        alone = pushed(sealift, "--layers", "steps", "image.sif", f"docker://{registry.host}/me/steps:2")
        assert len(alone["layers"]) == 4
        assert alone["warnings"] == [
            "the steps of this image are not in the cache: all above its base goes into one layer"
        ]

    def test_layers_end_where_engines_end(
        self, sealift, registry: services.Registry, definition: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wanted = json.loads(sealift("build", "--json", "image.sif", definition).out)["tree_digest"]
        monkeypatch.setattr("sealift.flows.ocilayers.MOST_LAYERS", 4)
        done = pushed(sealift, "--layers", "steps", "image.sif", f"docker://{registry.host}/me/high:1")
        assert (len(done["layers"]), done["tree_digest"]) == (4, wanted)
        back = json.loads(sealift("build", "--json", "back.sif", f"docker://{registry.host}/me/high:1").out)
        assert back["tree_digest"] == wanted

    def test_zstd(self, sealift, definition: str, registry: services.Registry) -> None:
        assert sealift("build", "image.sif", definition).code == 0
        target = f"docker://{registry.host}/me/zstd:1"
        done = pushed(sealift, "--compression", "zstd:3", "image.sif", target)
        types = [layer["mediaType"].rpartition("+")[2] for layer in json.loads(manifest(target))["layers"]]
        assert types == ["gzip", "gzip", "gzip", "zstd"]
        back = json.loads(sealift("build", "--json", "back.sif", target).out)
        assert back["tree_digest"] == done["tree_digest"]


class TestOtherForms:
    """What has no layers arrives with the tree that it has."""

    @pytest.mark.needs("root", "squashfuse")
    def test_a_squashfs_and_a_directory(self, sealift, definition: str, registry: services.Registry) -> None:
        wanted = json.loads(sealift("build", "--json", "image.sif", definition).out)["tree_digest"]
        for number, form in enumerate((("image.sqfs",), ("--sandbox", "folder"))):
            assert sealift("build", *form, "image.sif").code == 0
            target = f"docker://{registry.host}/me/form:{number}"
            done = pushed(sealift, form[-1], target)
            assert done["tree_digest"] == wanted
            back = json.loads(sealift("build", "--json", f"back{number}.sif", target).out)
            assert back["tree_digest"] == wanted
        # A directory of ours remembers its base, a squashfs cannot.
        assert len(done["layers"]) == 4

    @pytest.mark.needs("root", "squashfuse", "apptainer", "umoci")
    def test_apptainers_sif(
        self, sealift, apptainer, umoci, as_user, open_folder: Path, tmp_path: Path, registry: services.Registry
    ) -> None:
        os.chdir(open_folder)
        write_busybox_layout(Path("base"))
        Path("image.def").write_text(
            "Bootstrap: oci\nFrom: base\n%post\n    rm /etc/motd && ln /bin/busybox /opt/twin\n"
            "%environment\n    export GREETING=hello\n%runscript\n    echo $GREETING $*\n"
        )
        as_user.give(open_folder)
        built = apptainer("build", "--fakeroot", "theirs.sif", "image.def", cwd=open_folder)
        assert built.returncode == 0, built.stderr.decode()
        with mounted("theirs.sif", below=tmp_path) as root:
            expected = full_listing(root)
        target = f"docker://{registry.host}/me/theirs:1"
        first = pushed(sealift, "theirs.sif", target)
        assert pushed(sealift, "theirs.sif", "oci:img:1")["digest"] == first["digest"]
        umoci("unpack", "--image", "img:1", tmp_path / "bundle")
        assert full_listing(tmp_path / "bundle" / "rootfs") == expected
        assert sealift("pull", "back.sif", target).code == 0
        with mounted("back.sif", below=tmp_path) as root:
            assert full_listing(root) == expected


class TestCopies:
    """What is made of layers already arrives as it was, to the byte."""

    def test_from_a_registry_to_another_repository(self, sealift, base: str, registry: services.Registry) -> None:
        target = f"docker://{registry.host}/copy/os:1"
        done = pushed(sealift, base, target)
        assert manifest(target) == manifest(base)
        assert how(done) == ["mounted"] * 3

    def test_through_files(self, sealift, base: str, registry: services.Registry) -> None:
        sent = manifest(base)
        assert pushed(sealift, base, "oci:one:1")["digest"] == sha256(sent)
        assert pushed(sealift, "oci:one:1", "oci-archive:two.tar:1")["digest"] == sha256(sent)
        target = f"docker://{registry.host}/copy/files:1"
        pushed(sealift, "oci-archive:two.tar:1", target)
        assert manifest(target) == sent

    def test_what_went_to_another_repository_before_is_taken_over_from_there(
        self, sealift, base: str, registry: services.Registry, fresh_cache: Callable[[], None]
    ) -> None:
        pushed(sealift, base, "oci:one:1")
        fresh_cache()
        assert how(pushed(sealift, "oci:one:1", f"docker://{registry.host}/copy/first:1")) == ["sent"] * 3
        assert how(pushed(sealift, "oci:one:1", f"docker://{registry.host}/copy/second:1")) == ["mounted"] * 3
        assert manifest(f"docker://{registry.host}/copy/second:1") == manifest(base)

    def test_a_manifest_of_dockers(self, sealift, skopeo, base: str, registry: services.Registry) -> None:
        old = f"docker://{registry.host}/copy/docker:1"
        skopeo("copy", "--quiet", "--format", "v2s2", "--src-tls-verify=false", "--dest-tls-verify=false", base, old)
        target = f"docker://{registry.host}/copy/docker2:1"
        pushed(sealift, old, target)
        assert manifest(target) == manifest(old)
        # A layout holds OCI's words alone, as skopeo has it.
        pushed(sealift, old, "oci:one:1")
        skopeo("inspect", "oci:one:1")


class TestBreaks:
    @pytest.fixture
    def between(self, registry: services.Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
        """A proxy before the registry; blobs go in pieces of 100 kB."""
        monkeypatch.setattr("sealift.registry.upload.PIECE", 100_000)
        defaults = Patience.__init__.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "first", 0.01)
        with before(registry.host) as running:
            yield running

    @pytest.fixture
    def image(self, sealift) -> str:
        """A layout of one layer of random bytes, some 500 kB."""
        parts: list[Part] = [*busybox(), file("noise", os.urandom(500_000))]
        write_layout(Path("img"), [tar(parts)], tag="1")
        return "oci:img:1"

    @pytest.mark.parametrize(
        ("cuts", "expected"),
        [
            # Nothing of the second piece arrives, then nothing of the fourth: each is sent once more.
            ([100_000, 0, 100_000, 100_000, 0], [0, 1, 1, 2, 3, 3, 4]),
            # Half of the third piece arrives: this registry takes no such upload up again.
            ([100_000, 100_000, 40_000], [0, 1, 2, 0, 1, 2, 3]),
        ],
    )
    def test_a_lost_connection(
        self, sealift, image: str, between: Between, cuts: list[int], expected: list[int]
    ) -> None:
        target = f"docker://{between.host}/me/cut-{len(cuts)}:1"
        between.cuts = list(cuts)
        done = pushed(sealift, image, target)
        sent = [asked.headers["content-range"] for asked in between.asked if asked.method == "PATCH"]
        assert [int(each.partition("-")[0]) // 100_000 for each in sent][: len(expected)] == expected
        assert int(sent[-1].partition("-")[2]) == done["layers"][0]["size"] - 1
        assert sha256(manifest(target)) == done["digest"]

    def test_a_token_is_asked_for_to_pull_and_push(
        self, sealift, image: str, between: Between, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scopes: list[str] = []

        def guard(asked: Asked) -> Answer | None:
            parts = urlsplit(asked.path)
            if parts.path == "/token":
                login = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
                scopes.append(f"{login} {parts.query}")
                return Answer(status=200, body=b'{"token": "good"}')
            if asked.headers.get("authorization") == "Bearer good":
                return None
            challenge = f'Bearer realm="http://{between.host}/token",service="r",scope="repository:me/token:pull"'
            return Answer(status=401, headers={"WWW-Authenticate": challenge})

        between.instead = guard
        monkeypatch.setenv("APPTAINER_DOCKER_USERNAME", "me")
        monkeypatch.setenv("APPTAINER_DOCKER_PASSWORD", "secret")
        pushed(sealift, image, f"docker://{between.host}/me/token:1")
        assert scopes == ["me:secret service=r&scope=repository%3Ame%2Ftoken%3Apull%2Cpush"]

    def test_mounts_that_are_refused_are_sent(
        self, sealift, base: str, between: Between, registry: services.Registry
    ) -> None:
        between.instead = lambda asked: Answer(status=403) if "mount=" in asked.path else None
        near = base.replace(registry.host, between.host)
        done = pushed(sealift, near, f"docker://{between.host}/me/unmounted:1")
        assert how(done) == ["sent"] * 3
        assert manifest(f"docker://{registry.host}/me/unmounted:1") == manifest(base)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_what_is_killed_leaves_nothing_and_goes_on(
        self, sealift, registry: services.Registry, number: signal.Signals, tmp_path: Path
    ) -> None:
        small: list[Part] = [folder("opt"), file("opt/first", os.urandom(10_000))]
        large: list[Part] = [folder("opt"), file("opt/second", os.urandom(400_000))]
        write_layout(Path("img"), [tar(small), tar(large)], tag="1")
        first = layer_digest(Path("img"), 0)
        arrived, go_on = threading.Event(), threading.Event()

        def hold(asked: Asked) -> None:
            if asked.method == "PUT" and asked.size > 300_000:
                arrived.set()
                go_on.wait(60)

        with before(registry.host) as between:
            between.instead = hold
            target = f"docker://{between.host}/me/killed-{number.name.lower()}:1"
            process = subprocess.Popen(
                [sys.executable, "-m", "sealift", "push", "oci:img:1", target],
                stderr=subprocess.PIPE,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
            )
            assert arrived.wait(60)
            wait_until(lambda: has(registry, target, first))
            process.send_signal(number)
            if number == signal.SIGKILL:
                process.wait(60)
            go_on.set()
            _, said = process.communicate(timeout=60)
            assert process.returncode == (-number if number == signal.SIGKILL else 130), said.decode()
            assert os.listdir(tmp_path / "work") == []
            assert [path for path in (tmp_path / "cache" / "parts").rglob("*") if path.is_file()] == []
            with pytest.raises(urllib.error.HTTPError):
                manifest(target)
            done = pushed(sealift, "oci:img:1", target)
            assert how(done)[0] == "there"
            assert sha256(manifest(target)) == done["digest"]

    @pytest.mark.parametrize(("image", "scheme"), [("image.sif", "docker"), ("oci:img:1", "oras")])
    def test_a_missing_login_is_said_before_an_image_is_made(
        self, sealift, image: str, definition: str, between: Between, tmp_path: Path, scheme: str
    ) -> None:
        assert sealift("build", "image.sif", definition).code == 0
        write_layout(Path("img"), [tar(busybox())], tag="1")

        def made() -> list[Path]:
            paths = (path for kind in ("layers", "images") for path in (tmp_path / "cache" / kind).rglob("*"))
            return sorted(path for path in paths if path.is_file())

        earlier = made()
        between.instead = lambda asked: (
            Answer(status=401, headers={"WWW-Authenticate": "Basic realm=r"}) if asked.method == "POST" else None
        )
        done = sealift("push", image, f"{scheme}://{between.host}/me/early:1")
        assert (done.code, done.out) == (4, "")
        assert done.err == (
            f"error: `{between.host}` wants a login for `{between.host}/me/early`; or it does not exist\n"
            "hint: look for a typing error in the name\n"
            f"hint: docker login {between.host}\n"
            "hint: or: export APPTAINER_DOCKER_USERNAME=… APPTAINER_DOCKER_PASSWORD=…\n"
        )
        assert [(one.method, one.path) for one in between.asked if one.path.startswith("/v2/me")] == [
            ("POST", "/v2/me/early/blobs/uploads/")
        ]
        assert made() == earlier

    def test_a_real_registry_gives_up_the_upload_that_was_the_question(
        self, sealift, definition: str, between: Between
    ) -> None:
        assert sealift("build", "image.sif", definition).code == 0
        between.asked.clear()
        pushed(sealift, "image.sif", f"docker://{between.host}/me/asked:1")
        first, second, *_ = (one for one in between.asked if one.path.startswith("/v2/me"))
        assert (first.method, first.path) == ("POST", "/v2/me/asked/blobs/uploads/")
        assert second.method == "DELETE"
        status = urllib.request.Request(f"http://{between.host}{second.path}")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(status)
        assert caught.value.code == 404

    def test_nothing_is_sent_twice(self, sealift, image: str, between: Between) -> None:
        target = f"docker://{between.host}/me/twice:1"
        pushed(sealift, image, target)
        between.asked.clear()
        pushed(sealift, image, target)
        assert between.methods("POST", "PATCH", "PUT") == []


def test_the_next_line_is_said_for_each_engine_of_a_site(sealift, base: str, registry: services.Registry) -> None:
    target = f"{registry.host}/me/next:1"
    done = sealift("push", "--site", "perlmutter", base, f"docker://{target}")
    assert done.code == 0
    digest = sha256(manifest(base))
    assert done.out == f"docker://{registry.host}/me/next@{digest}\n"
    assert done.err.splitlines()[-3:] == [
        f"image {digest}",
        f"next, for podman-hpc: podman-hpc pull {target}",
        f"next, for shifter: shifterimg pull docker:{target}",
    ]
    done = sealift("push", "--for", "shifter", base, f"docker://{target}")
    assert done.err.splitlines()[-1] == f"next, for shifter: shifterimg pull docker:{target}"


class TestOras:
    @pytest.mark.needs("apptainer", "root")
    def test_both_ways_between_apptainer_and_sealift(
        self, sealift, registry: services.Registry, apptainer, as_user, open_folder: Path
    ) -> None:
        os.chdir(open_folder)
        Path("seed").write_bytes(os.urandom(100_000))
        Path("image.def").write_text("Bootstrap: scratch\n%files\n    seed /seed\n")
        assert sealift("build", "image.sif", "image.def").code == 0
        as_user.give(open_folder / "image.sif")
        host = registry.host
        theirs = apptainer(
            "push", "--allow-unsigned", "--no-https", "image.sif", f"oras://{host}/sifs/theirs:1", cwd=open_folder
        )
        assert theirs.returncode == 0, theirs.stderr.decode()
        done = pushed(sealift, "image.sif", f"oras://{host}/sifs/ours:1")
        assert manifest(f"oras://{host}/sifs/ours:1") == manifest(f"oras://{host}/sifs/theirs:1")
        assert done["reference"] == f"oras://{host}/sifs/ours@{done['digest']}"
        data = Path("image.sif").read_bytes()
        got = apptainer("pull", "--no-https", "got.sif", f"oras://{host}/sifs/ours:1", cwd=as_user.folder())
        assert got.returncode == 0, got.stderr.decode()
        assert (as_user.folder() / "got.sif").read_bytes() == data
        assert sealift("pull", "back.sif", f"oras://{host}/sifs/theirs:1").code == 0
        assert Path("back.sif").read_bytes() == data
        assert pushed(sealift, "image.sif", f"oras://{host}/sifs/ours:1")["unchanged"]

    def test_other_forms(self, sealift, base: str, registry: services.Registry) -> None:
        """What names its source is made a SIF; a squashfs and a directory have to be made one."""
        target = f"oras://{registry.host}/sifs/os:1"
        pushed(sealift, base, target)
        layer = json.loads(manifest(target))["layers"][0]
        assert layer["annotations"] == {"org.opencontainers.image.title": "os_1.sif"}
        assert sealift("pull", "os.sif", target).code == 0
        assert sha256(Path("os.sif").read_bytes()) == layer["digest"]
        assert sealift("build", "os.sqfs", "os.sif").code == 0
        done = sealift("push", "os.sqfs", target)
        assert (done.code, done.err.splitlines()[0]) == (2, "error: `oras://` holds SIFs, and `os.sqfs` is a squashfs")

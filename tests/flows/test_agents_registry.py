"""SIFs in a real registry, pushed by Apptainer; images of a real Docker daemon and of Podman in its place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from sealift.bases.busybox import layer_of_busybox
from sealift.store import open_store
from tests.ground import images, layouts, listing, services, users

from .conftest import tar_of

DEFINITION = """Bootstrap: scratch

%files
    one /one
%runscript
    echo one
%labels
    A b
"""


@pytest.fixture(scope="module")
def busybox_tar() -> bytes:
    with open(os.path.realpath(shutil.which("busybox") or ""), "rb") as file:
        return layer_of_busybox(file.read(), ("sh", "echo"))


@pytest.mark.slow
@pytest.mark.needs("apptainer", "registry")
class TestOras:
    @pytest.fixture
    def pushed(self, apptainer, as_user, registry: services.Registry) -> tuple[Path, str]:
        """A SIF that Apptainer built and pushed, and its address."""
        folder = as_user.folder()
        (folder / "one").write_text("1\n")
        (folder / "x.def").write_text(DEFINITION)
        assert apptainer("build", "--fakeroot", "theirs.sif", "x.def").returncode == 0
        address = f"oras://{registry.host}/tests/{as_user.base.name}:1"
        done = apptainer("push", "--allow-unsigned", "--no-https", "theirs.sif", address)
        assert done.returncode == 0, done.stderr.decode()
        return folder / "theirs.sif", address

    def test_pull_gives_apptainers_bytes(self, sealift, apptainer, as_user, pushed):
        sif, address = pushed
        outcome = sealift("pull", "--json", "x.sif", address)
        assert outcome.code == 0, outcome.err
        assert apptainer("pull", "--no-https", "pulled.sif", address).returncode == 0
        ours = Path("x.sif")
        assert ours.read_bytes() == sif.read_bytes() == (as_user.folder() / "pulled.sif").read_bytes()
        assert ours.stat().st_mode & 0o111
        said = json.loads(outcome.out)
        assert said["digest"] == f"sha256:{hashlib.sha256(ours.read_bytes()).hexdigest()}"
        assert (said["tree_digest"], said["unchanged"]) == ("", False)
        # A second one fetches nothing, also by digest, and does not overwrite.
        assert sealift("pull", "x.sif", address).code == 2
        again = sealift("pull", "-F", "x.sif", address)
        assert [line for line in again.err.splitlines() if line.startswith("SIF ")] == []
        # What lies damaged in the cache is noticed and fetched anew.
        with open_store(os.environ) as store:
            path = Path(store.blob(said["digest"]) or "")
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        third = sealift("pull", "-F", "x.sif", address)
        assert "is damaged and is fetched anew" in third.err
        assert ours.read_bytes() == sif.read_bytes()

    def test_as_a_base(self, sealift, apptainer, as_user, pushed, tmp_path):
        """The same tree as on top of the same SIF as a file; and the metadata that Apptainer records."""
        sif, address = pushed
        assert sealift("build", "x.sif", address).code == 0
        assert sealift("inspect", "--deffile", "x.sif").out.splitlines()[:2] == [
            "bootstrap: oras",
            f"from: {address.removeprefix('oras://')}",
        ]
        header = "Bootstrap: {}\nFrom: {}\n%labels\n    C d\n"
        Path("oras.def").write_text(header.format("oras", address.removeprefix("oras://")))
        Path("local.def").write_text(header.format("localimage", sif))
        trees = []
        for name in ("oras", "local"):
            outcome = sealift("build", f"{name}.sif", f"{name}.def")
            assert outcome.code == 0, outcome.err
            with images.mounted(f"{name}.sif", below=tmp_path) as root:
                trees.append(listing.full_listing(root))
                labels = json.loads((root / ".singularity.d/labels.json").read_text())
                assert (labels["A"], labels["C"]) == ("b", "d")
        named = (b".singularity.d/Singularity", b".singularity.d/labels.json")
        first, second = ({path: one for path, one in tree.items() if path not in named} for tree in trees)
        assert first == second
        digest = json.loads(sealift("pull", "-F", "--json", "y.sif", address).out)["digest"]
        assert digest == f"sha256:{hashlib.sha256(sif.read_bytes()).hexdigest()}"

    def test_what_is_no_sif_for_this_host(self, sealift, pushed, registry, small_layout):
        _, address = pushed
        rest = address.removeprefix("oras://")
        assert sealift("pull", "--arch", "arm64", "x.sif", address).err.splitlines()[-2:] == [
            f"error: `{address}` is an image for amd64, not for arm64",
            "hint: --arch amd64",
        ]
        assert sealift("pull", "x.sif", f"docker://{rest}").err == (
            "error: the registry holds a SIF file under this name, not a container image of layers\n"
            "hint: write oras:// in the place of docker://, or Bootstrap: oras\n"
        )
        registry.push(small_layout, "latest", "tests/layers:1")
        name = f"{registry.host}/tests/layers:1"
        assert sealift("pull", "x.sif", f"oras://{name}").err == (
            f"error: `oras://{name}` is a container image of layers, not a SIF\n"
            f"hint: try docker://{name}\nhint: in a definition file: Bootstrap: docker, From: {name}\n"
        )
        outcome = sealift("pull", "x.sif", f"oras://{registry.host}/tests/none:1")
        assert (outcome.code, outcome.err.splitlines()[0]) == (
            4,
            f"error: `{registry.host}` does not have `{registry.host}/tests/none:1`: manifest unknown",
        )
        assert not Path("x.sif").exists()


@pytest.mark.slow
@pytest.mark.needs("root", "docker", "skopeo", "busybox")
class TestDocker:
    @pytest.fixture
    def loaded(self, docker: services.Docker, skopeo, busybox_tar, tmp_path: Path, monkeypatch) -> Path:
        layers = [busybox_tar, tar_of({"data": os.urandom(3_000_000)})]
        config = {"Env": ["A=1"], "Cmd": ["/bin/sh"]}
        layout = layouts.write_layout(tmp_path / "layout", layers, config=config, tag="v1")
        archive = tmp_path / "app.tar"
        skopeo("copy", f"oci:{layout}:v1", f"docker-archive:{archive}:localhost/tests/app:1")
        docker("load", "-i", archive)
        monkeypatch.setenv("DOCKER_HOST", docker.endpoint)
        return archive

    def test_the_same_tree_as_from_its_archive(self, sealift, docker, loaded, tmp_path):
        outcome = sealift("build", "--json", "x.sif", "docker-daemon:localhost/tests/app:1")
        assert outcome.code == 0, outcome.err
        assert sealift("build", "y.sif", f"docker-archive:{loaded}").code == 0
        trees = []
        for name in ("x.sif", "y.sif"):
            with images.mounted(name, below=tmp_path) as root:
                tree = listing.full_listing(root)
                trees.append({path: one for path, one in tree.items() if not path.startswith(b".singularity.d/")})
        assert trees[0] == trees[1]
        Path("x.def").write_text("Bootstrap: docker-daemon\nFrom: localhost/tests/app:1\n%post\n    echo hi > /hi\n")
        outcome = sealift("build", "z.sif", "x.def")
        assert outcome.code == 0, outcome.err
        # A second build streams nothing, whatever the image is called: it is known by its ID.
        assert "from the daemon" not in outcome.err
        identity = json.loads(docker("inspect", "localhost/tests/app:1").stdout)[0]["Id"]
        outcome = sealift("build", "-F", "x.sif", f"docker-daemon:{identity}")
        assert (outcome.code, "from the daemon" in outcome.err) == (0, False)

    def test_what_is_not_there(self, sealift, docker, loaded):
        outcome = sealift("build", "x.sif", "docker-daemon:localhost/tests/none:1")
        where = docker.endpoint.removeprefix("unix://")
        assert (outcome.code, outcome.err.splitlines()) == (
            4,
            [
                f"error: the daemon at `{where}` has no image `localhost/tests/none:1`",
                "hint: see what it has: docker images",
                "hint: or take it from a registry: docker://localhost/tests/none:1",
            ],
        )
        outcome = sealift("build", "--arch", "arm64", "x.sif", "docker-daemon:localhost/tests/app:1")
        assert (outcome.code, outcome.err.splitlines()) == (
            4,
            [
                "error: `docker-daemon:localhost/tests/app:1` is an image for linux/amd64, not for linux/arm64",
                "hint: --arch amd64",
            ],
        )


@pytest.mark.slow
@pytest.mark.needs("root", "podman", "skopeo", "busybox")
def test_podman_in_the_place_of_docker(as_user: users.AsUser, skopeo, busybox_tar, tmp_path):
    """Its socket, served by Podman itself as the ordinary user."""
    folder = as_user.folder()
    layout = layouts.write_layout(tmp_path / "layout", [busybox_tar], tag="v1")
    skopeo("copy", f"oci:{layout}:v1", f"docker-archive:{folder}/app.tar:localhost/tests/app:1")
    as_user.give(folder / "app.tar")
    done = as_user(["podman", "load", "-q", "-i", "app.tar"])
    assert done.returncode == 0, done.stderr.decode()
    socket = folder / "run" / "podman.sock"
    serving = as_user.popen(["podman", "system", "service", "--time=0", f"unix://{socket}"])
    try:
        services.wait_for(socket)
        env = {"DOCKER_HOST": f"unix://{socket}"}
        done = as_user(["sealift", "build", "x.sif", "docker-daemon:localhost/tests/app:1"], env=env)
        assert done.returncode == 0, done.stderr.decode()
        again = as_user(["sealift", "build", "-F", "x.sif", "docker-daemon:localhost/tests/app:1"], env=env)
        assert (again.returncode, b"from the daemon" in again.stderr) == (0, False)
        missing = as_user(["sealift", "build", "y.sif", "docker-daemon:localhost/tests/none:1"], env=env)
        assert missing.returncode == 4
    finally:
        serving.terminate()
        serving.communicate(timeout=30)
        as_user(["podman", "system", "reset", "--force"])
    done = as_user(["sealift", "exec", "--engine", "embedded", "x.sif", "/bin/busybox", "echo", "hi"])
    assert done.stdout == b"hi\n", done.stderr.decode()

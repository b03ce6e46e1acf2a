"""OCI images beside the engines: the same tree in all of them, and a start that is Apptainer's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.flows.oci_bases import write_busybox_layout
from tests.flows.test_oci import config
from tests.ground import services
from tests.ground.images import mounted
from tests.ground.listing import full_listing
from tests.packs.test_engines import docker_tree

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "busybox", "squashfuse")]

PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFINITION = r"""Bootstrap: oci
From: base

%post
    printf 'twin\n' > /opt/one
    ln /opt/one /opt/two
    ln /usr/bin/capped /opt/capped
    rm -rf /usr/share/doc
    rm /etc/motd /data/first
    rm -r /var/lib/info && mkdir /var/lib/info && echo x > /var/lib/info/new
    rm -r /srv && ln -s opt /srv
    rm /etc/link && mkdir /etc/link && echo y > /etc/link/y
    cp /bin/busybox /opt/set-id && chmod 4755 /opt/set-id
    mkdir -m 1777 /opt/open && chown 7:8 /opt/open
    mkfifo /opt/pipe
    truncate -s 30M /opt/sparse
    touch "$(printf '/opt/caf\351')" "/opt/$(printf '%0120d' 7)"

%environment
    export GREETING="hello 'there'"
    export PATH=/opt/bin:$PATH
    export PLACE=$HOME/data
    export LIST="${LIST:+$LIST:}/opt/list"

%runscript
    printf '<%s>' "$GREETING" "$LIST" "$0" "$@"
    echo "$PATH"
    test "$1" != seven || exit 7
"""


@pytest.fixture
def built(sealift, open_folder: Path) -> Path:
    """A folder with a SIF and the OCI layout `img`, tag `one`, of the definition above."""
    folder = open_folder / "built"
    folder.mkdir()
    os.chdir(folder)
    write_busybox_layout(folder / "base")
    Path("image.def").write_text(DEFINITION)
    trees = []
    for target in ("image.sif", "oci:img:one"):
        done = sealift("build", "--json", target, "image.def")
        assert done.code == 0, done.err
        trees.append(json.loads(done.out)["tree_digest"])
    assert trees[0] == trees[1]
    return folder


def diff_ids(layout: Path) -> list[str]:
    return list(config(layout, "one")["rootfs"]["diff_ids"])


def load(docker: services.Docker, skopeo: Callable[..., object], folder: Path, name: str) -> None:
    skopeo("copy", "--quiet", f"oci:{folder}/img:one", f"docker-archive:{folder}/{name}.tar:{name}:one")
    docker("load", "-i", folder / f"{name}.tar")


@pytest.mark.needs("docker", "skopeo", "umoci", "registry")
def test_all_engines_have_the_same_tree(
    built: Path, sealift, umoci, skopeo, docker: services.Docker, registry: services.Registry, tmp_path: Path
):
    with mounted(built / "image.sif", below=tmp_path) as root:
        expected = full_listing(root)
    umoci("unpack", "--image", "img:one", tmp_path / "bundle")
    assert full_listing(tmp_path / "bundle" / "rootfs") == expected

    reference = registry.push(built / "img", "one", "ours:one")
    load(docker, skopeo, built, "ours")
    with docker_tree(docker, "ours:one", tmp_path) as root:
        # Docker takes the root directory's owner and mode from a layer that lists it, but not its time.
        found = full_listing(root)
        assert found | {b"": replace(found[b""], mtime=0)} == expected
    docker("save", "-o", built / "saved.tar", "ours:one")

    for number, source in enumerate((f"oci:{built}/img:one", reference, f"docker-archive:{built}/saved.tar")):
        done = sealift("build", "--json", f"back{number}.sif", source)
        assert done.code == 0, done.err
        with mounted(f"back{number}.sif", below=tmp_path) as root:
            assert full_listing(root) == expected


@pytest.mark.needs("docker", "skopeo", "apptainer")
def test_docker_and_apptainer_start_it_as_apptainer_starts_the_sif(
    built: Path, sealift, skopeo, docker: services.Docker, apptainer, as_user
):
    assert sealift("build", "docker-archive:start.tar:start:one", "image.def").code == 0
    assert docker("load", "-i", built / "start.tar").stdout == b"Loaded image: start:one\n"
    skopeo("copy", "--quiet", "docker-archive:start.tar:start:one", "oci:again:one")
    assert diff_ids(built / "again") == diff_ids(built / "img")
    as_user.give(built)
    # Apptainer 1.4.5 takes a tag for a part of the folder's name.
    made = apptainer("build", "fetched.sif", "oci:img", cwd=built)
    assert made.returncode == 0, made.stderr.decode()

    def in_docker(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        argv = ["docker", "run", "--rm", "--network", "none", "start:one", *arguments]
        return subprocess.run(argv, env=os.environ | {"DOCKER_HOST": docker.endpoint}, capture_output=True, check=False)

    every: list[tuple[str, ...]] = [(), ("two words", "$HOME", "it's", '"q"', ""), ("seven",)]
    for words in every:
        plain = apptainer("run", "--cleanenv", "image.sif", *words, cwd=built)
        found = in_docker(*words)
        assert (found.returncode, found.stdout) == (plain.returncode, plain.stdout)
    assert plain.stdout == b"<hello 'there'></opt/list></.singularity.d/runscript><seven>/opt/bin:" + PATH + b"\n"
    # Apptainer makes a runscript of the entrypoint, which is evaluated once more.
    for words in [(), ("two words", "it's")]:
        plain = apptainer("run", "--cleanenv", "image.sif", *words, cwd=built)
        found = apptainer("run", "--cleanenv", "fetched.sif", *words, cwd=built)
        assert (found.returncode, found.stdout) == (plain.returncode, plain.stdout)
    assert apptainer("run", "--cleanenv", "fetched.sif", "seven", cwd=built).returncode == 7


@pytest.mark.needs("podman")
def test_podman_without_root_starts_it_and_shows_the_environment_to_exec(built: Path, sealift, as_user):
    assert sealift("build", "oci-archive:oci.tar:one", "image.def").code == 0
    assert sealift("build", "docker-archive:docker.tar:start:one", "image.def").code == 0
    as_user.give(built)
    with services.podman(built, as_user) as env:

        def call(*arguments: str | Path) -> bytes:
            done: subprocess.CompletedProcess[bytes] = as_user(["podman", *arguments], cwd=built, env=env)
            assert done.returncode == 0, done.stderr.decode()
            return done.stdout

        _start_in_podman(call)


def _start_in_podman(call: Callable[..., bytes]) -> None:
    image = call("pull", "-q", "oci-archive:oci.tar").decode().strip()
    call("load", "-q", "-i", "docker.tar")
    assert call("image", "inspect", "--format", "{{.Id}}", "start:one").decode().strip() == image
    assert call("run", "--rm", "--network", "none", image, "a", "b c") == (
        b"<hello 'there'></opt/list></.singularity.d/runscript><a><b c>/opt/bin:" + PATH + b"\n"
    )
    shown = call("run", "--rm", "--network", "none", "--entrypoint", "env", image).decode().splitlines()
    assert {"GREETING=hello 'there'", "LIST=/opt/list"} <= set(shown)
    assert not any(line.startswith("PLACE=") for line in shown)

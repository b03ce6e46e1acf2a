"""Images in real engines: through a registry and back, straight into their stores, and the same tree everywhere."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sealift.core.tree import Entry
from sealift.flows.ocilayers import MOST_LAYERS
from tests.flows.conftest import tar_of
from tests.flows.oci_bases import write_busybox_layout
from tests.flows.test_oci_engines import DEFINITION
from tests.ground import podman_hpc, services, users
from tests.ground.images import mounted
from tests.ground.layouts import write_layout
from tests.ground.listing import full_listing
from tests.ground.slurm import Slurm
from tests.packs.test_engines import docker_tree

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "busybox", "squashfuse")]

RAN = (
    b"<hello 'there'></opt/list></.singularity.d/runscript><a><b c>"
    b"/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
)
"""What the image's runscript says when it is given `a` and `b c`."""


class Seen(NamedTuple):
    """What an exported archive can say of a file, and a tree as well."""

    mode: int
    owner: tuple[int, int]
    mtime: int
    size: int
    link: str
    digest: str


def in_archive(path: Path) -> dict[str, Seen]:
    found: dict[str, Seen] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            name = os.path.normpath(member.name).lstrip("/")
            if member.islnk():
                found[name] = found[os.path.normpath(member.linkname).lstrip("/")]
                continue
            kind = {
                tarfile.DIRTYPE: stat.S_IFDIR,
                tarfile.SYMTYPE: stat.S_IFLNK,
                tarfile.CHRTYPE: stat.S_IFCHR,
                tarfile.FIFOTYPE: stat.S_IFIFO,
            }.get(member.type, stat.S_IFREG)
            data = tar.extractfile(member) if kind == stat.S_IFREG else None
            digest = hashlib.file_digest(data, "sha256").hexdigest() if data is not None else ""  # type: ignore[arg-type]
            found[name] = Seen(
                mode=kind | member.mode,
                owner=(member.uid, member.gid),
                mtime=int(member.mtime),
                size=member.size if kind == stat.S_IFREG else 0,
                link=member.linkname if kind == stat.S_IFLNK else "",
                digest=digest,
            )
    return found


def in_tree(entry: Entry) -> Seen:
    return Seen(
        mode=entry.mode,
        owner=(entry.uid, entry.gid),
        mtime=entry.mtime,
        size=entry.size,
        link=os.fsdecode(entry.link),
        digest=entry.digest.hex() if stat.S_ISREG(entry.mode) else "",
    )


def as_exported(listing: dict[bytes, Entry]) -> dict[str, Seen]:
    return {os.fsdecode(path): in_tree(entry) for path, entry in listing.items() if path}


@pytest.fixture
def built(sealift, open_folder: Path) -> Path:
    """A folder of everybody's with `image.sif`, in which is what is easily lost."""
    os.chdir(open_folder)
    write_busybox_layout(open_folder / "base")
    Path("image.def").write_text(DEFINITION)
    done = sealift("build", "image.sif", "image.def")
    assert done.code == 0, done.err
    return open_folder


@pytest.fixture
def tree(built: Path, sealift) -> str:
    return tree_of(sealift, "image.sif")


@pytest.fixture
def expected(built: Path, tmp_path: Path) -> dict[bytes, Entry]:
    with mounted(built / "image.sif", below=tmp_path) as root:
        return full_listing(root)


Call = Callable[..., "subprocess.CompletedProcess[bytes]"]


def typed(as_user: users.AsUser, built: Path, settings: dict[str, str]) -> Call:
    def call(*argv: str | Path, code: int = 0, **env: str) -> Any:
        done = as_user(list(argv), cwd=built, env=settings | env)
        assert done.returncode == code, done.stderr.decode()
        return done

    return call


@pytest.fixture
def podman(as_user: users.AsUser, built: Path) -> Iterator[Call]:
    """`podman("podman", "run", …)`, `podman("sealift", …)` as the ordinary user, with a store of this test alone."""
    as_user.give(built)
    with services.podman(built, as_user, network="host") as settings:
        yield typed(as_user, built, settings)


def tree_of(sealift, source: str) -> str:
    done = sealift("build", "-F", "--json", "back.sif", source)
    assert done.code == 0, done.err
    digest: str = json.loads(done.out)["tree_digest"]
    return digest


class TestRoundTrip:
    @pytest.mark.needs("docker", "registry")
    def test_docker(
        self,
        built: Path,
        sealift,
        tree: str,
        expected: dict[bytes, Entry],
        registry: services.Registry,
        docker: services.Docker,
    ) -> None:
        name = f"{registry.host}/round/trip:1"
        assert sealift("push", "image.sif", f"docker://{name}").code == 0
        docker("pull", name)
        docker("save", "-o", built / "saved.tar", name)
        assert tree_of(sealift, "docker-archive:saved.tar") == tree
        container = "trip"
        docker("run", "--name", container, "--network", "none", "--entrypoint", "true", name)
        docker("export", "-o", built / "exported.tar", container)
        docker("rm", container)
        assert_same_but(
            in_archive(built / "exported.tar"),
            as_exported(expected),
            made={".dockerenv", "dev/console", "dev/pts", "dev/shm", "etc/hostname", "etc/mtab"},
            replaced={"etc/hosts", "etc/resolv.conf"},
            retimed={"dev", "etc"},
        )

    @pytest.mark.needs("podman", "registry")
    def test_podman_without_root(
        self,
        built: Path,
        sealift,
        tree: str,
        expected: dict[bytes, Entry],
        registry: services.Registry,
        podman: Call,
    ) -> None:
        name = f"{registry.host}/round/trip:2"
        assert sealift("push", "image.sif", f"docker://{name}").code == 0
        podman("podman", "pull", "--quiet", "--tls-verify=false", name)
        podman("podman", "save", "--quiet", "-o", "saved.tar", name)
        assert tree_of(sealift, "docker-archive:saved.tar") == tree
        podman("podman", "save", "--quiet", "--format", "oci-archive", "-o", "saved-oci.tar", name)
        assert tree_of(sealift, "oci-archive:saved-oci.tar") == tree
        container = "trip"
        podman("podman", "run", "--name", container, "--entrypoint", "true", name)
        podman("podman", "export", "-o", "exported.tar", container)
        assert_same_but(
            in_archive(built / "exported.tar"),
            as_exported(expected),
            made={"etc/hostname", "etc/mtab", "run", "run/.containerenv"},
            retimed={"etc"},
            # No ordinary user can make a device: containers get the host's.
            missing={"dev/null"},
        )


@pytest.mark.needs("docker", "umoci")
def test_steps_have_the_same_tree_with_links_between_them(
    built: Path, sealift, umoci, docker: services.Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("second.def").write_text(
        "Bootstrap: localimage\nFrom: image.sif\n%post\n"
        "    ln /opt/one /opt/three && rm /opt/two\n    ln /data/third /opt/linked\n    chmod 600 /opt/capped\n"
        "    rm -r /var/lib/info && echo a file now > /var/lib/info\n"
    )
    assert sealift("build", "second.sif", "second.def").code == 0
    with mounted(built / "second.sif", below=tmp_path) as root:
        wanted = full_listing(root)
    assert sealift("push", "--layers", "steps", "second.sif", "oci:steps:1").code == 0
    umoci("unpack", "--image", "steps:1", tmp_path / "bundle")
    assert full_listing(tmp_path / "bundle" / "rootfs") == wanted
    monkeypatch.setenv("DOCKER_HOST", docker.endpoint)
    assert sealift("push", "oci:steps:1", "docker-daemon:steps:1").code == 0
    (found,) = json.loads(docker("image", "inspect", "steps:1").stdout)
    # Three of the base, what the first definition file made of it, what the second changed, its metadata.
    assert len(found["RootFS"]["Layers"]) == 6
    with docker_tree(docker, "steps:1", tmp_path) as root:
        # Docker takes the root directory's owner and mode from a layer that lists it, but not its time.
        listing = full_listing(root)
        assert listing | {b"": replace(listing[b""], mtime=0)} == wanted | {b"": replace(wanted[b""], mtime=0)}


class TestStores:
    @pytest.mark.needs("docker")
    def test_docker(
        self, built: Path, sealift, tree: str, docker: services.Docker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", docker.endpoint)
        done = sealift("push", "image.sif", "docker-daemon:stored:1")
        assert (done.code, done.out) == (0, "stored:1\n"), done.err
        ran = docker("run", "--rm", "--network", "none", "stored:1", "a", "b c")
        assert ran.stdout == RAN
        assert tree_of(sealift, "docker-daemon:stored:1") == tree
        again = json.loads(sealift("push", "--json", "image.sif", "docker-daemon:stored:1").out)
        assert again["unchanged"]
        # Another image takes the name over.
        assert sealift("push", f"oci:{built}/base", "docker-daemon:stored:1").code == 0
        (found,) = json.loads(docker("image", "inspect", "stored:1").stdout)
        assert len(found["RootFS"]["Layers"]) == 3

    @pytest.mark.needs("docker")
    def test_docker_that_refuses(
        self, built: Path, sealift, docker: services.Docker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A layer that is no tar: Docker answers 200 and says so in the middle."""
        write_layout(built / "bad", [b"this is no tar stream, however long it is" * 50], tag="1")
        monkeypatch.setenv("DOCKER_HOST", docker.endpoint)
        done = sealift("push", "oci:bad:1", "docker-daemon:bad:1")
        assert (done.code, done.out) == (4, "")
        line, hint = done.err.splitlines()[-2:]
        assert line.startswith(f"error: the Docker daemon at `{docker.endpoint.removeprefix('unix://')}` does not take")
        assert hint == "hint: does it take it from a file? sealift push IMAGE docker-archive:image.tar:bad:1"

    @pytest.mark.needs("docker")
    def test_more_layers_than_docker_stacks(
        self, sealift, docker: services.Docker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layers = [tar_of({f"layer-{number}": b"x"}) for number in range(MOST_LAYERS + 1)]
        write_layout(Path("high"), layers, tag="1")
        monkeypatch.setenv("DOCKER_HOST", docker.endpoint)
        done = sealift("push", "oci:high:1", "docker-daemon:high:1")
        assert (done.code, done.err.splitlines()[-2:]) == (
            4,
            [
                (
                    f"error: the Docker daemon at `{docker.endpoint.removeprefix('unix://')}` does not take the image: "
                    "max depth exceeded"
                ),
                "hint: the image has 126 layers, and Docker stacks 125",
            ],
        )

    def test_docker_that_is_not_there(
        self, built: Path, sealift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
        done = sealift("push", "image.sif", "docker-daemon:x:1")
        assert (done.code, done.out) == (6, "")
        assert f"error: no Docker daemon answers at `{tmp_path}/none`" in done.err

    @pytest.mark.needs("podman")
    def test_podman_without_root(self, built: Path, sealift, tree: str, podman: Call) -> None:
        done = podman("sealift", "push", "image.sif", "podman:stored:1")
        assert done.stdout == b"localhost/stored:1\n"
        assert podman("podman", "run", "--rm", "stored:1", "a", "b c").stdout == RAN
        again = json.loads(podman("sealift", "push", "--json", "image.sif", "podman:stored:1").stdout)
        assert again["unchanged"]
        podman("podman", "save", "--quiet", "-o", "saved.tar", "localhost/stored:1")
        assert tree_of(sealift, "docker-archive:saved.tar") == tree

    def test_podman_that_is_not_there(self, built: Path, sealift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("sealift.flows.enginestores.find_program", lambda _name, path: None)
        done = sealift("push", "image.sif", "podman-hpc:x:1")
        assert (done.code, done.out) == (6, "")
        assert done.err.splitlines()[-3:] == [
            "error: `podman-hpc` is not installed",
            "hint: it is on NERSC's machines: push from a login node there",
            "hint: push to a registry instead: docker://HOST/REPOSITORY:TAG",
        ]


class TestPodmanHpc:
    """The real program, over rootless Podman; its hooks for GPUs and MPI have nothing to do here."""

    @pytest.fixture
    def call(self, built: Path, as_user: users.AsUser) -> Iterator[Call]:
        as_user.give(built)
        with services.podman(built, as_user, network="host") as podman, podman_hpc.store(as_user, podman) as settings:
            yield typed(as_user, built, settings)

    @pytest.mark.needs("podman-hpc")
    def test_it_is_squashed_and_runs(self, built: Path, call: Call) -> None:
        done = call("sealift", "push", "image.sif", "podman-hpc:stored:1")
        assert done.stdout == b"localhost/stored:1\n"
        listed = call("podman-hpc", "images", "--format", "{{.Repository}}:{{.Tag}} {{.ReadOnly}}").stdout.decode()
        assert sorted(listed.splitlines()) == ["localhost/stored:1 false", "localhost/stored:1 true"]
        # On another node there is nothing but what is squashed.
        call("podman-hpc", "--squash-dir", f"{built}/none", "rmi", "localhost/stored:1")
        assert call("podman-hpc", "run", "--rm", "localhost/stored:1", "a", "b c").stdout == RAN
        wanted = ("--engine", "podman-hpc", "--site", "perlmutter-cpu", "--contain", "--no-home")
        inside = ("--pass", "TOKEN,XDG_*", "podman-hpc:stored:1", "sh", "-c", 'echo "$TOKEN"; echo "$XDG_RUNTIME_DIR"')
        said = call("sealift", "exec", *wanted, *inside, TOKEN="a 'b'\n$c", XDG_RUNTIME_DIR="/run/user/7").stdout
        assert said == b"a 'b'\n$c\n/run/user/7\n"
        again = json.loads(call("sealift", "push", "--json", "image.sif", "podman-hpc:stored:1").stdout)
        assert again["unchanged"]

        refused = call("sealift", "push", "image.sif", "podman-hpc:second:1", code=6)
        assert refused.stderr.decode().splitlines()[-3:] == [
            (
                "error: podman-hpc holds this image squashed as `localhost/stored:1` and gives no second name, "
                "`localhost/second:1`"
            ),
            "hint: run it as localhost/stored:1",
            "hint: or rename it: podman-hpc rmsqi localhost/stored:1, then push once more",
        ]
        call("podman-hpc", "rmsqi", "localhost/stored:1")
        call("sealift", "push", "image.sif", "podman-hpc:second:1")

    @pytest.mark.needs("podman-hpc")
    def test_what_is_not_squashed_is_an_error(self, built: Path, call: Call) -> None:
        """`migrate` ends with 0 whatever happens."""
        done = call("sealift", "push", "image.sif", "podman-hpc:lost:1", code=6, PODMANHPC_MKSQUASHFS_BIN="/bin/false")
        lines = done.stderr.decode().splitlines()
        place = lines.index(
            "error: podman-hpc did not squash `localhost/lost:1`, so that compute nodes will not find it"
        )
        assert lines[place + 1] == "ERROR:root:Squash Failed"
        assert lines[-2:] == [
            "hint: try it by itself: podman-hpc migrate localhost/lost:1",
            (
                "hint: is there room in its folder, $SCRATCH/storage? another one: export SQUASH_DIR=…; "
                "see: podman-hpc infohpc"
            ),
        ]
        call("sealift", "push", "image.sif", "podman-hpc:lost:1")
        assert call("podman-hpc", "run", "--rm", "localhost/lost:1", "x").stdout.startswith(b"<hello 'there'>")

    @pytest.mark.needs("podman-hpc", "registry")
    def test_the_line_for_it_works(self, built: Path, sealift, call: Call, registry: services.Registry) -> None:
        (built / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        done = sealift("push", "--for", "podman-hpc", "image.sif", f"docker://{registry.host}/hpc/app:1")
        line = done.err.splitlines()[-1].removeprefix("next, for podman-hpc: ")
        call(*line.split(), CONTAINERS_REGISTRIES_CONF=str(built / "registries.conf"))
        assert call("podman-hpc", "run", "--rm", f"{registry.host}/hpc/app:1", "a", "b c").stdout == RAN

    @pytest.mark.needs("podman-hpc", "registry", "slurm")
    def test_a_job_for_perlmutter_runs(
        self, built: Path, sealift, call: Call, registry: services.Registry, slurm: Slurm, as_user: users.AsUser
    ) -> None:
        """The whole script on a real Slurm: the image is pulled and squashed once, and ranks find it."""
        (built / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        assert sealift("push", "image.sif", f"docker://{registry.host}/hpc/job:1").code == 0
        # As with NERSC's settings, a container has a network of its own where nothing else is said.
        (built / "containers.conf").write_text(services.podman_settings("none"))
        env = {
            **slurm.environment,
            "CONTAINERS_REGISTRIES_CONF": str(built / "registries.conf"),
            "HOME": str(built),
            "SCRATCH": str(built / "scratch"),
            "CFS": str(built / "cfs"),
        }
        for name in ("scratch", "cfs"):
            (built / name).mkdir()
        as_user.give(built)
        words = [
            *("--site", "perlmutter-cpu", "--nodes", "2", "--cpus-per-task", "1", "--time", "5", "--name", "job"),
            *("-B", env["SCRATCH"]),  # once more, as a shell writes it
        ]
        image = f"docker://{registry.host}/hpc/job:1"
        says = 'printf "%s|" "$SLURM_PROCID" "$PYTHONNOUSERSITE" "$HOME" "$PWD" /sys/class/net/*'
        inside = f"{says} >rank-$SLURM_PROCID; "
        inside += "until [ -s rank-0 ] && [ -s rank-1 ]; do sleep 0.1; done; exit $SLURM_PROCID"
        script = call("sealift", "job", image, "--no-https", *words, "--", "sh", "-c", inside, **env).stdout
        (built / "job.sbatch").write_bytes(script)
        number = call("sbatch", "--parsable", built / "job.sbatch", **env).stdout.decode().strip()
        assert slurm.wait(number, seconds=180) == "FAILED"
        output = (built / f"job-{number}.out").read_text()
        assert slurm.shown(number)["ExitCode"] == "1:0", output
        # In the host's network, where the other ranks are
        networks = "".join(f"{path}|" for path in sorted(Path("/sys/class/net").iterdir()))
        assert {path.name: path.read_text() for path in built.glob("rank-*")} == {
            f"rank-{rank}": f"{rank}|1|{built}|{built}|{networks}" for rank in (0, 1)
        }
        assert output.count("Migrating image") == 1
        # An image of its store needs no registry, and is known by what it is.
        listed = call("podman-hpc", "images", "--no-trunc", "--format", "{{.ReadOnly}} {{.ID}}").stdout.decode()
        (identity,) = [line.split("sha256:")[1] for line in listed.splitlines() if line.startswith("true ")]
        call("podman-hpc", "rmsqi", identity)
        call("sealift", "push", "image.sif", "podman-hpc:job:2", **env)
        # Else the ranks do not wait for each other, and the one that fails has the other killed while it starts.
        for rank in (0, 1):
            (built / f"rank-{rank}").unlink()
        script = call("sealift", "job", "podman-hpc:job:2", *words, "--", "sh", "-c", inside, **env).stdout
        (built / "job.sbatch").write_bytes(script)
        number = call("sbatch", "--parsable", built / "job.sbatch", **env).stdout.decode().strip()
        assert slurm.wait(number, seconds=180) == "FAILED"
        assert slurm.shown(number)["ExitCode"] == "1:0", (built / f"job-{number}.out").read_text()


def test_what_is_said_to_podman_hpc(sealift, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Word by word, with a program in its place that writes down what it hears and lists what it was given."""
    identity = json.loads(sealift("push", "--json", "image.sif", "oci:img:1").out)["digest"]
    manifest = json.loads((built / "img/blobs/sha256" / identity[7:]).read_bytes())
    listed = f"{manifest['config']['digest']} localhost/app:1"
    fake = tmp_path / "bin" / "podman-hpc"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/heard\n'
        f'case "$1" in\n'
        f"load) cat > {tmp_path}/archive.tar;;\n"
        f"migrate) echo '{listed} true' > {tmp_path}/list;;\n"
        f"images) cat {tmp_path}/list 2>/dev/null;;\n"
        "esac\nexit 0\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    done = sealift("push", "image.sif", "podman-hpc:app:1")
    assert (done.code, done.out) == (0, "localhost/app:1\n"), done.err
    images = "images --no-trunc --format {{.ID}} {{.Repository}}:{{.Tag}} {{.ReadOnly}}"
    assert (tmp_path / "heard").read_text().splitlines() == [images, "load", "migrate localhost/app:1", images]
    with tarfile.open(tmp_path / "archive.tar") as tar:
        found = json.loads((tar.extractfile("manifest.json") or tmp_path.open()).read())
    assert [item["RepoTags"] for item in found] == [["localhost/app:1"]]


def assert_same_but(
    found: dict[str, Seen],
    wanted: dict[str, Seen],
    *,
    made: AbstractSet[str],
    replaced: AbstractSet[str] = frozenset(),
    retimed: AbstractSet[str] = frozenset(),
    missing: AbstractSet[str] = frozenset(),
) -> None:
    """Two whole trees, and by name what the engine made, replaced, put something in, or left out."""
    assert found.keys() - wanted.keys() == made
    assert wanted.keys() - found.keys() == missing
    other = {path for path in found.keys() & wanted.keys() if found[path] != wanted[path]}
    assert other == replaced | retimed
    for path in retimed:
        assert found[path]._replace(mtime=0) == wanted[path]._replace(mtime=0)

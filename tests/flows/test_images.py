"""IMAGE in all its forms: converted once, found again, made anew when its source changed, never half."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.core.event import Event, Said
from sealift.errors import UnreachableError, UsageError
from sealift.evidence.opening import open_image
from sealift.flows.run import local_image
from tests.flows.conftest import tar_of
from tests.ground import layouts


class Cache:
    """`cache("oci:…")` gives the path, and `said` what was said meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.environment = {"SEALIFT_CACHE_DIR": str(folder), "PATH": os.environ["PATH"], "HOME": str(folder)}
        self.folder = folder
        self.said: list[str] = []

    def __call__(self, text: str) -> str:
        self.said = []

        def take(event: Event) -> None:
            if isinstance(event, Said) and event.level != "debug":
                self.said.append(event.text)

        return local_image(text, self.environment, take)

    @property
    def images(self) -> list[Path]:
        return sorted((self.folder / "images").iterdir())


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


def files_of(path: str) -> dict[str, bytes]:
    with open_image(path) as image:
        return {f"/etc/{name}": image.root.look(f"/etc/{name}").content for name in image.root.names("/etc")}


def test_paths_are_left_alone(cache, tmp_path) -> None:
    (tmp_path / "oci:x").mkdir()
    for text in ("x.sif", "/no/such", "./a:b", str(tmp_path / "oci:x")):
        assert cache(text) == text
    assert not cache.folder.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("instance://web", "`instance://web`: Sealift starts no instances"),
        ("library://lolcow", "`library://lolcow`: Sealift does not fetch from `library:`"),
        ("shub://x/y", "`shub://x/y`: Singularity Hub closed in 2021"),
        ("https://x/y.sif", "`https://x/y.sif`: Sealift fetches no images from web pages"),
        ("Docker://x", "`Docker://x`: a scheme is written in lower case"),
    ],
)
def test_what_is_refused(cache, text, message) -> None:
    with pytest.raises(UsageError) as caught:
        cache(text)
    assert (caught.value.message, bool(caught.value.hints)) == (message, True)


def write_layout(folder: Path, content: bytes) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return layouts.write_layout(folder, [tar_of({"etc": None, "etc/word": content})], config={"Env": ["A=1"]})


def test_a_layout_is_converted_once_and_again_when_it_changed(cache, tmp_path) -> None:
    layout = f"oci:{write_layout(tmp_path / 'layout', b'one')}:latest"
    first = cache(layout)
    assert files_of(first)["/etc/word"] == b"one"
    assert cache.said == [f"converting {layout}, once: it is kept in {cache.folder}"]
    assert (cache(layout), cache.said) == (first, [])
    write_layout(tmp_path / "layout", b"two")
    second = cache(layout)
    assert files_of(second)["/etc/word"] == b"two"
    assert cache.images == sorted([Path(first), Path(second)])


def test_archives(cache, tmp_path) -> None:
    layout = write_layout(tmp_path / "layout", b"one")
    archive = tmp_path / "image.tar"
    subprocess.run(["tar", "-C", str(layout), "-cf", str(archive), "."], check=True)
    first = cache(f"oci-archive:{archive}:latest")
    assert files_of(first)["/etc/word"] == b"one"
    assert (cache(f"oci-archive:{archive}:latest"), cache.said) == (first, [])
    layout = write_layout(tmp_path / "layout", b"two")
    subprocess.run(["tar", "-C", str(layout), "-cf", str(archive), "."], check=True)
    assert files_of(cache(f"oci-archive:{archive}:latest"))["/etc/word"] == b"two"


@pytest.mark.needs("skopeo")
def test_docker_archives(cache, tmp_path, skopeo) -> None:
    layout = write_layout(tmp_path / "layout", b"one")
    skopeo("copy", f"oci:{layout}:latest", f"docker-archive:{tmp_path}/image.tar:word:1")
    first = cache(f"docker-archive:{tmp_path}/image.tar")
    assert files_of(first)["/etc/word"] == b"one"
    assert (cache(f"docker-archive:{tmp_path}/image.tar"), cache.said) == (first, [])


def test_a_damaged_copy_is_made_again(cache, tmp_path) -> None:
    layout = f"oci:{write_layout(tmp_path / 'layout', b'one')}:latest"
    path = Path(cache(layout))
    path.write_bytes(b"nonsense")
    assert files_of(cache(layout))["/etc/word"] == b"one"


def test_pruned_it_is_made_again(cache, tmp_path) -> None:
    layout = f"oci:{write_layout(tmp_path / 'layout', b'one')}:latest"
    path = cache(layout)
    from sealift.flows.cache import prune, show

    assert "images" in {each.kind for each in show(cache.environment).usage}
    prune(cache.environment, 0)
    assert not os.path.exists(path)
    assert cache(layout) == path


ONE = """
import os, sys
from sealift.flows.run import local_image
print(local_image(sys.argv[1], dict(os.environ)))
"""


def test_two_at_once_convert_once(cache, tmp_path) -> None:
    layout = f"oci:{write_layout(tmp_path / 'layout', os.urandom(2_000_000))}:latest"
    started = [
        subprocess.Popen([sys.executable, "-c", ONE, layout], env=cache.environment, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    answers = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert answers == {f"{cache.images[0]}\n".encode()}
    assert len(cache.images) == 1


SLOW = """
import time
from sealift.flows import sifout
def write(*_):
    print("writing", flush=True)
    time.sleep(99)
sifout.write_sif_to = write
"""


def test_killed_it_leaves_nothing_half(cache, tmp_path) -> None:
    layout = f"oci:{write_layout(tmp_path / 'layout', b'one')}:latest"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW + ONE, layout], env=cache.environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (cache.folder / "images").exists() or cache.images == []
    assert files_of(cache(layout))["/etc/word"] == b"one"


@pytest.mark.slow
@pytest.mark.needs("registry", "skopeo")
def test_a_registrys_image(cache, tmp_path, registry, skopeo) -> None:
    """A tag is looked up with one request; what it names is fetched when that is new; a digest is not asked for."""

    def push(content: bytes) -> None:
        layout = write_layout(tmp_path / "layout", content)
        skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{registry.host}/word:1")

    push(b"one")
    name = f"docker://{registry.host}/word:1"
    first = cache(name)
    assert files_of(first)["/etc/word"] == b"one"
    assert (cache(name), cache.said) == (first, [])
    digest = (
        subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", name],
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )
    pinned = f"docker://{registry.host}/word@{digest}"
    assert cache(pinned) == first, "one image, whatever it is called"
    push(b"two")
    second = cache(name)
    assert files_of(second)["/etc/word"] == b"two"
    assert cache(pinned) == first


@pytest.mark.slow
@pytest.mark.needs("registry", "skopeo")
def test_without_the_registry(cache, tmp_path, session_folder, skopeo) -> None:
    from tests.ground import services

    layout = write_layout(tmp_path / "layout", b"one")
    with services.registry(session_folder / "gone") as registry:
        skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{registry.host}/word:1")
        path = cache(f"docker://{registry.host}/word:1")
        host = registry.host
    assert cache(f"docker://{host}/word:1") == path
    (notice,) = cache.said
    assert notice.startswith("no connection to ")
    assert notice.endswith(f"; using `docker://{host}/word:1` as it was when it was last fetched")
    with pytest.raises(UnreachableError):
        Cache(tmp_path / "other")(f"docker://{host}/word:1")


@pytest.mark.slow
@pytest.mark.needs("apptainer", "subuid-user", "squashfuse", "registry", "skopeo")
@pytest.mark.parametrize("engine", ["apptainer", "embedded"])
def test_every_form_runs_on_both_engines(
    engine: str, as_user, session_folder, open_folder, registry, skopeo, umask_open: Callable[[Path], Path]
) -> None:
    from tests.engines import trees

    tree = trees.make_tree(session_folder / "engines" / "tree")
    tar = subprocess.run(
        ["tar", "-C", str(tree), "--exclude=./.singularity.d", "-c", "."], capture_output=True, check=True
    ).stdout
    layout = layouts.write_layout(open_folder / "layout", [tar], config={"Env": ["WORD=here"], "Cmd": ["id", "-u"]})
    skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{registry.host}/tree:1")
    skopeo("copy", f"oci:{layout}:latest", f"oci-archive:{open_folder}/image.tar:latest")
    umask_open(open_folder)
    forms = (
        f"docker://{registry.host}/tree:1",
        f"oci:{layout}:latest",
        f"oci-archive:{open_folder}/image.tar:latest",
    )
    for image in forms:
        done = as_user(["sealift", "exec", "--engine", engine, image, "bash", "-c", "echo $WORD; exit 3"])
        assert (done.returncode, done.stdout) == (3, b"here\n"), done.stderr
        done = as_user(["sealift", "run", "--engine", engine, image])
        assert done.stdout.strip().isdigit(), done.stderr


@pytest.fixture
def umask_open() -> Callable[[Path], Path]:
    """Lets every user read a folder that the test made."""

    def open_(folder: Path) -> Path:
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
        return folder

    return open_

"""What every test may ask for: real users, services, programs and trees; and the rule that nothing of them stays.

`@pytest.mark.needs("root", "umoci")` names the parts (tests/parts.py) that a test uses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests import parts
from tests.ground import debian, install, layouts, mpi, services, session, users
from tests.ground import slurm as slurm_ground


def pytest_configure(config: pytest.Config) -> None:
    session.hear_signals()
    if not hasattr(config, "workerinput"):
        session.begin()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        unknown = _needed(item) - parts.BY_NAME.keys()
        if unknown:
            raise pytest.UsageError(f"{item.nodeid} needs {sorted(unknown)}, which tests/parts.py does not know")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install all missing parts of the selected tests in one go, before the first of them runs."""
    # pytest comes here even after an unknown part stopped the collection.
    wanted = {name for item in session.items for name in _needed(item)} & parts.BY_NAME.keys()
    if wanted and not session.config.option.collectonly:
        with _alone("parts"):
            parts.provide(wanted)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in sorted(_needed(item)):
        sentence = parts.lacking(name)
        if sentence is not None:
            if os.environ.get("SEALIFT_TEST_REQUIRE") == "all":
                pytest.fail(sentence, pytrace=False)
            pytest.skip(sentence)


def _needed(item: pytest.Item) -> set[str]:
    return {name for marker in item.iter_markers("needs") for name in marker.args}


_alone = session.alone  # the hooks' own parameter is called `session`


def _end_session() -> list[str]:
    folder = session.folder()
    return users.remove_made(folder) + session.end(folder)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The controller's last act: a test that left a mount, a process or a file fails the session."""
    if hasattr(session.config, "workerinput"):
        return
    left = _end_session()
    if left:
        session.config.stash[LEFT] = left
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


LEFT = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for sentence in config.stash.get(LEFT, []):
        terminalreporter.write_line(f"LEFT BEHIND by the tests: {sentence}", red=True)


@pytest.fixture(scope="session")
def session_folder() -> Path:
    """A folder of this worker and session, open to all users of the machine."""
    folder = session.folder() / os.environ.get("PYTEST_XDIST_WORKER", "alone")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return folder


@pytest.fixture
def open_folder(session_folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Like tmp_path, but every user of the machine may enter it; gone after the test."""
    folder = session_folder / "tests" / str(abs(hash(request.node.nodeid)))
    folder.mkdir(parents=True)
    for one in (folder.parent, folder):
        one.chmod(0o755)
    yield folder
    session.remove(folder)


@pytest.fixture
def as_user(open_folder: Path) -> users.AsUser:
    """Run a command as an ordinary user, see `users.AsUser`; needs "subuid-user" or "plain-user"."""
    return users.AsUser(bin=install.installed(), base=open_folder)


@pytest.fixture
def apptainer(as_user: users.AsUser, session_folder: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """`apptainer("exec", image, "true", cwd=…, env=…)` as the user with subuids; needs "apptainer"."""
    cache = session_folder / "apptainer-cache"
    if not cache.exists():
        cache.mkdir()
        as_user.give(cache)

    def call(*arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, input: bytes = b""):
        extra = {"APPTAINER_CACHEDIR": str(cache)} | (env or {})
        return as_user([parts.program("apptainer") or "apptainer", *arguments], cwd=cwd, env=extra, input=input)

    return call


@pytest.fixture(scope="session")
def registry(session_folder: Path) -> Iterator[services.Registry]:
    """A real container registry; needs "registry" (and "skopeo" to push)."""
    with services.registry(session_folder / "registry") as running:
        yield running


@pytest.fixture(scope="session")
def docker(session_folder: Path) -> Iterator[services.Docker]:
    """`docker("run", …)` against a daemon of this session; needs "docker"."""
    with services.docker(session_folder / "docker") as running:
        yield running


@pytest.fixture(scope="session")
def slurm(session_folder: Path) -> Iterator[slurm_ground.Slurm]:
    """A real Slurm of three nodes: `slurm("srun", "-N3", "hostname")`; needs "slurm"."""
    with slurm_ground.slurm(session_folder / "slurm") as running:
        yield running


def _checked(name: str) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    def call(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        argv = [parts.program(name) or name, *map(str, arguments)]
        done = subprocess.run(argv, capture_output=True, check=False)
        assert done.returncode == 0, (argv, done.stderr.decode(errors="replace"))
        return done

    return call


@pytest.fixture(scope="session")
def umoci() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """`umoci("unpack", "--image", …)`; AssertionError when it fails."""
    return _checked("umoci")


@pytest.fixture(scope="session")
def skopeo() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """`skopeo("copy", …)`; AssertionError when it fails."""
    return _checked("skopeo")


@pytest.fixture
def kernel_mount(tmp_path: Path) -> Callable[..., AbstractContextManager[Path]]:
    """`with kernel_mount(image, offset=0) as root:` has the kernel mount a squashfs read-only; needs "root"."""
    count = iter(range(1000))

    @contextmanager
    def mount(image: str | Path, offset: int = 0) -> Iterator[Path]:
        target = tmp_path / f"mounted-{next(count)}"
        target.mkdir()
        options = f"loop,ro,offset={offset}"
        subprocess.run(["mount", "-t", "squashfs", "-o", options, str(image), str(target)], check=True)
        try:
            yield target
        finally:
            subprocess.run(["umount", str(target)], check=True)
            target.rmdir()

    return mount


@pytest.fixture(scope="session")
def debian_tree() -> Path:
    """A tar of a small Debian tree with apt, made once and kept; needs "mmdebstrap", "mirror"."""
    with session.alone("debian"):
        return debian.kept_tree(parts.cache_folder(), "apt")


@pytest.fixture(scope="session")
def debian_oci(debian_tree: Path, session_folder: Path) -> Path:
    """The Debian tree as an OCI layout with one gzip layer, tag `latest`; readable by all users."""
    config = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/bash"]}
    return layouts.write_layout(session_folder / "debian-oci", [debian_tree], config=config)


@pytest.fixture(scope="session")
def mpich_image(debian_oci: Path, session_folder: Path) -> Path:
    """A SIF with Debian's MPICH and Python, readable by all users; needs "root", "mmdebstrap", "mirror"."""
    return _within(session_folder, mpi.image("mpich", debian_oci))


@pytest.fixture(scope="session")
def openmpi_image(debian_oci: Path, session_folder: Path) -> Path:
    """The same with Open MPI."""
    return _within(session_folder, mpi.image("openmpi", debian_oci))


def _within(folder: Path, kept: Path) -> Path:
    """A kept file where every user of the machine can read it."""
    target = folder / kept.name
    if not target.exists():
        shutil.copyfile(kept, target)
        target.chmod(0o644)
    return target

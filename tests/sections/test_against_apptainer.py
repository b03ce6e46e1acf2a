"""The same definition files, built by Apptainer and by our plan in a plain chroot: equal trees, environments, answers.

What differs, and why:
* the texts of the scripts in `OURS`, which are our own; what they do is compared by running them;
* labels that tell when the image was built: ours tell the epoch;
* the engine's own log of a build, and the order in which two apps' variables are exported.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift.oci.config import ImageConfig, parse_config
from sealift.sections.base_environment import SCRIPTS
from tests.ground import layouts, users

from . import tiny

pytestmark = [pytest.mark.needs("root", "apptainer"), pytest.mark.slow]

HERE = Path(__file__).parent / "built"
DEFINITIONS = sorted(path.stem for path in HERE.glob("*.def"))
TIMED = ("org.label-schema.build-date",)
OURS = {f".singularity.d/{name}" for name in (*SCRIPTS, "env/94-appsbase.sh", "env/10-docker2singularity.sh")}

CONFIG = {
    "Env": ["PATH=/opt/x:/usr/bin:/bin", "A=1", "FROM_OCI=some words", "EMPTY="],
    "Entrypoint": ["/bin/sh", "-c", 'echo "entry $0 $@"'],
    "Cmd": ["one", "two words"],
    "Labels": {"a.label": "from the base", "org.label-schema.schema-version": "0"},
    "WorkingDir": "/opt",
}

Apptainer = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="session")
def tiny_tar(session_folder: Path) -> bytes:
    root = tiny.make_tiny_root(session_folder / "tiny")
    (root / "etc/hosts").write_text("192.0.2.1 base\n")
    (root / "etc/hosts").chmod(0o600)
    target = io.BytesIO()

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(fileobj=target, mode="w") as tar:
        for name in sorted(os.listdir(root)):
            tar.add(root / name, name, filter=owned)
    return target.getvalue()


class Ground:
    """A folder of one test: the bases, what is to be copied, and both ways to build."""

    def __init__(self, as_user: users.AsUser, apptainer: Apptainer, tar: bytes, scratch: Path) -> None:
        self.as_user, self.apptainer, self.tar = as_user, apptainer, tar
        self.folder = as_user.folder()
        self.scratch = scratch
        given = self.folder / "given"
        (given / "folder/sub").mkdir(parents=True)
        for name in ("a.txt", "b c.txt", "c.txt", "folder/x", "folder/sub/y", "folder/.hidden"):
            (given / name).write_text(name)
        (given / "a.txt").chmod(0o640)
        (self.folder / "bare.txt").write_text("bare")
        (given / "folder/x").chmod(0o755)
        (given / "folder/sub").chmod(0o700)
        (given / "link").symlink_to("a.txt")
        (given / "folder/link").symlink_to("sub")
        as_user.give(self.layout(CONFIG))
        as_user.give(given)

    def layout(self, config: dict[str, Any], name: str = "layout") -> Path:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return layouts.write_layout(self.folder / name, [self.tar], config=config)

    def config(self, name: str = "layout") -> ImageConfig:
        index = json.loads((self.folder / name / "index.json").read_bytes())

        def blob(digest: str) -> bytes:
            return (self.folder / name / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()

        manifest = json.loads(blob(index["manifests"][0]["digest"]))
        return parse_config(blob(manifest["config"]["digest"]))

    def theirs(self, definition: str, *options: str, out: str = "theirs") -> Path:
        path = self.folder / f"{out}.def"
        path.write_bytes(definition.encode())
        done = self.apptainer("build", "--fakeroot", "--sandbox", *options, out, path.name, cwd=self.folder)
        assert done.returncode == 0, done.stderr.decode()
        return self.folder / out

    def ours(self, definition: str, *, force: bool = False, out: str = "ours", base: Path | None = None) -> Path:
        """`base` is the local image of the last stage; other stages begin with the layout, or with nothing."""
        path = self.folder / f"{out}.def"
        path.write_bytes(definition.encode())
        agents = [line.split()[1] for line in definition.splitlines() if line.lower().startswith("bootstrap:")]
        agents = ["oci" if agent == "{{" else agent for agent in agents]
        roots, config = [], None
        for number, agent in enumerate(agents):
            root = self.folder / (out if number == len(agents) - 1 else f"{out}-{number}")
            root.mkdir()
            if agent == "oci":
                config = self.config()
                subprocess.run(["tar", "-x", "-C", str(root)], input=self.tar, check=True)
            elif agent == "localimage":
                assert base is not None
                subprocess.run(["cp", "-a", f"{base}/.", str(root)], check=True)
            roots.append(root)
        if agents[-1] != "oci":
            config = None
        work = self.scratch / out
        work.mkdir()
        result = tiny.build(
            path,
            roots,
            cwd=self.folder,
            work=work,
            environment=self.as_user.environment(),
            config=config,
            force=force,
        )
        (self.folder / f"{out}.json").write_bytes(result.inspect)
        return self.as_user.give(roots[-1])

    def inspect(self, image: Path) -> dict[str, Any]:
        done = self.apptainer("inspect", "--all", image.name, cwd=self.folder)
        assert done.returncode == 0, done.stderr.decode()
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture
def ground(as_user: users.AsUser, apptainer: Apptainer, tiny_tar: bytes, tmp_path: Path) -> Ground:
    return Ground(as_user, apptainer, tiny_tar, tmp_path)


def listing(root: Path) -> dict[str, tuple[str, str | bytes | dict[str, str]]]:
    """Path to mode and content, of all that is compared."""
    found: dict[str, tuple[str, str | bytes | dict[str, str]]] = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            place = Path(folder, name)
            path = place.relative_to(root).as_posix()
            status = place.lstat()
            content: str | bytes | dict[str, str] = b""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(place)
            elif path.endswith("labels.json"):
                labels = json.loads(place.read_bytes())
                content = {key: value for key, value in labels.items() if key not in TIMED}
            elif path in OURS or (path.startswith("scif/") and path.endswith("01-base.sh")):
                content = "a script" if status.st_size else "nothing"
            elif stat.S_ISREG(status.st_mode):
                content = place.read_bytes()
            found[path] = (stat.filemode(status.st_mode), content)
    return found


def attributes(answer: dict[str, Any]) -> dict[str, Any]:
    """What `inspect` shows, without what is compared otherwise."""
    found: dict[str, Any] = answer["data"]["attributes"]
    for key in TIMED:
        found.get("labels", {}).pop(key, None)
    return found


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_trees_are_equal(ground: Ground, name: str) -> None:
    text = (HERE / f"{name}.def").read_text()
    theirs, ours = ground.theirs(text), ground.ours(text)
    assert listing(ours) == listing(theirs)
    said, told = ground.inspect(ours), json.loads((ground.folder / "ours.json").read_bytes())
    shown, mine = said["data"].pop("attributes"), told["data"].pop("attributes")
    for key in sorted(shown.keys() | mine.keys()):
        assert (key, mine.get(key)) == (key, shown.get(key))
    assert told == said


def test_on_top_of_a_local_image(ground: Ground) -> None:
    """Labels and help stay, the environment grows, old definition files are kept; --force changes labels and help."""
    base = ground.theirs((HERE / "oci_post.def").read_text(), out="base")
    subprocess.run(["rm", str(base / "singularity"), str(base / ".singularity.d/actions/start")], check=True)
    text = """Bootstrap: localimage
From: base
%labels
  Own 2
  New 3
%help
  other help
%environment
  export C="$A-$B"
%post
  echo "Both again" >> $APPTAINER_LABELS
%appenv x
  true
"""
    theirs, ours = ground.theirs(text), ground.ours(text, base=base)
    assert listing(ours) == listing(theirs)
    assert json.loads((ground.folder / "ours.json").read_bytes()) == ground.inspect(ours)
    again = text.replace("From: base", "From: theirs").replace("other", "third")
    forced = ground.theirs(again, "--force", out="forced")
    ours_forced = ground.ours(again, base=theirs, force=True, out="ours-forced")
    assert listing(ours_forced) == listing(forced)
    assert sorted(os.listdir(forced / ".singularity.d/bootstrap_history")) == ["Apptainer0", "Apptainer1"]


def test_a_plain_directory_as_a_local_image(ground: Ground) -> None:
    base = ground.folder / "plain"
    base.mkdir()
    subprocess.run(["tar", "-x", "-C", str(base)], input=ground.tar, check=True)
    ground.as_user.give(base)
    text = "Bootstrap: localimage\nFrom: plain\n%post\n  true\n"
    theirs, ours = ground.theirs(text), ground.ours(text, base=base)
    found = listing(ours)
    assert found == listing(theirs)
    assert found["etc/hosts"] == ("-rw-r--r--", b"192.0.2.1 base\n")


VARIABLES = {
    "PLAIN": "a b  c",
    "PERCENT": "100% {x}",
    "TILDE": "~/x:*.y",
    "UNICODE": "ünï 🎉",
    "HASH": "a # b",
    "EQUALS": "a=b=c",
    "SEMICOLON": "a; b & c | d",
}
ODD = {
    "DOLLAR": "$HOME ${A} $(id) `id`",
    "QUOTES": "a \"b\" 'c'",
    "BACKSLASH": "a\\b\\\\c\\n",
    "BRACES": "a}b",
    "CONTROL": "tab\there\nand there",
}


def environment_of(ground: Ground, image: Path, **env: str) -> dict[str, str]:
    done = ground.apptainer("exec", "--cleanenv", image.name, "/usr/bin/env", "-0", cwd=ground.folder, env=env)
    assert done.returncode == 0, done.stderr.decode()
    pairs = [item.partition("=") for item in done.stdout.decode().split("\0") if item]
    named = {name: value for name, _, value in pairs}
    return {name: value for name, value in named.items() if not name.endswith(("_CONTAINER", "_NAME"))}


def test_the_environment_inside(ground: Ground) -> None:
    config = {**CONFIG, "Env": [f"{name}={value}" for name, value in VARIABLES.items()] + ["LD_LIBRARY_PATH=/l"]}
    ground.as_user.give(ground.layout(config))
    text = 'Bootstrap: oci\nFrom: layout\n%environment\n  export PATH=/first:$PATH MORE="$PLAIN"\n'
    theirs, ours = ground.theirs(text), ground.ours(text)
    found = environment_of(ground, ours)
    assert found == environment_of(ground, theirs)
    assert {name: found[name] for name in VARIABLES} == VARIABLES
    given = {"APPTAINERENV_PLAIN": "mine", "APPTAINERENV_PREPEND_PATH": "/before", "APPTAINERENV_APPEND_PATH": "/after"}
    assert environment_of(ground, ours, **given) == environment_of(ground, theirs, **given)


def test_values_that_apptainer_cannot_quote(ground: Ground) -> None:
    """Apptainer 1.4.5 breaks them, and with a backquote the whole environment; here they arrive."""
    config = {**CONFIG, "Env": ["A=1", *(f"{name}={value}" for name, value in ODD.items()), "not-a-name=1", "NOEQUALS"]}
    ground.as_user.give(ground.layout(config))
    ours = ground.ours("Bootstrap: oci\nFrom: layout\n")
    found = environment_of(ground, ours)
    assert {name: found[name] for name in ODD} == ODD
    assert found["A"] == "1"
    theirs = environment_of(ground, ground.theirs("Bootstrap: oci\nFrom: layout\n"))
    assert "A" not in theirs


@pytest.mark.parametrize(
    ("entrypoint", "cmd"),
    [
        (["/bin/printf", "[%s]"], ["one", "two words", '"', "'", "$X", "`id`", "\\", "a\\b", "*", "é"]),
        (["/bin/printf", "[%s]"], []),
        ([], ["/bin/printf", "[%s]", "only cmd"]),
        (["/bin/sh", "-c", 'printf "[%s]" "$0" "$@" "$X"'], ["zero", "one"]),
    ],
)
def test_what_run_runs(ground: Ground, entrypoint: list[str], cmd: list[str]) -> None:
    config = {"Env": ["PATH=/usr/bin:/bin", "X=x y"], "Entrypoint": entrypoint, "Cmd": cmd}
    ground.as_user.give(ground.layout(config))
    theirs, ours = (make("Bootstrap: oci\nFrom: layout\n") for make in (ground.theirs, ground.ours))
    for arguments in ((), ("/bin/printf", "(%s)", "a b", "c"), ("/bin/printf", "<%s>", "$X", "*", "\\\\")):
        for options in ((), ("--no-eval",)):
            said = [
                ground.apptainer("run", "--cleanenv", *options, image.name, *arguments, cwd=ground.folder)
                for image in (theirs, ours)
            ]
            results = [(one.returncode, one.stdout.decode()) for one in said]
            assert results[1] == results[0], (arguments, options, [one.stderr.decode() for one in said])


def test_runscripts_apps_tests_and_help(ground: Ground) -> None:
    text = (HERE / "apps.def").read_text() + '%runscript\n  echo "main $# $1"; exit 3\n%test\n  echo tested; exit 4\n'
    text = text.replace("exit 4", "test -f /said && exit 0")
    theirs, ours = ground.theirs(text), ground.ours(text)
    for command in (
        ("run", "{}", "a b", "c"),
        ("run", "--app", "foo", "{}", "a b"),
        ("run", "--app", "none", "{}"),
        ("exec", "--app", "foo", "{}", "sh", "-c", "echo $SCIF_APPNAME $FOO $PATH $LD_LIBRARY_PATH; pwd"),
        ("test", "{}"),
        ("test", "--app", "foo", "{}"),
        ("run-help", "{}"),
        ("run-help", "--app", "foo", "{}"),
        ("inspect", "--list-apps", "{}"),
    ):
        said = [
            ground.apptainer(*(part.format(image.name) for part in command), cwd=ground.folder)
            for image in (theirs, ours)
        ]
        results = [(one.returncode, one.stdout.decode().replace("theirs", "ours")) for one in said]
        assert results[1] == results[0], (command, [one.stderr.decode() for one in said])


def test_the_environment_of_post(ground: Ground) -> None:
    text = "Bootstrap: oci\nFrom: layout\n%environment\n  export LATER=1\n%post\n  env -0 | sort -z > /said\n"
    theirs, ours = ground.theirs(text), ground.ours(text)
    found = []
    for image in (theirs, ours):
        pairs = [item.partition("=") for item in (image / "said").read_text().split("\0") if item]
        found.append({name: value for name, _, value in pairs})
    # The engine's own: where the root lies, what it binds, what it does for an interactive shell, what cannot be unset.
    for name in ("APPTAINER_BIND", "SINGULARITY_BIND", "PROMPT_COMMAND", "LANG", "TERM", "_", "SHLVL"):
        for one in found:
            one.pop(name, None)
    for name in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        assert found[0].pop(name)
        assert found[1].pop(name) == "/"
    for name in [name for name in found[0] if name.lower().endswith("_proxy")]:
        del found[0][name]
    assert found[1] == found[0]

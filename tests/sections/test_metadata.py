"""What is added, as values. That it equals Apptainer's is judged in tests/benchmarks/test_parity.py."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sealift.deffile.prepare import prepare
from sealift.deffile.values import Script
from sealift.errors import ImageError
from sealift.oci.config import parse_config
from sealift.sections import metadata
from sealift.sections.base_environment import SCRIPTS, read_script
from sealift.sections.draft import Added, Draft
from sealift.sections.labels import build_date
from sealift.sections.layer import write_added
from sealift.sections.metadata import executable
from sealift.sections.root import DirectoryRoot, EmptyRoot, Root

EPOCH = 1_700_000_000
D = "/.singularity.d"


def composed(text: str, root: Root | None = None, **more: object) -> tuple[dict[str, Added], dict[str, object]]:
    prepared = prepare(text.encode())
    stage = prepared.definition.stages[-1]
    found = metadata.whole(
        root or EmptyRoot(),
        stage,
        definition_text=prepared.text,
        architecture="amd64",
        epoch=EPOCH,
        **more,  # type: ignore[arg-type]
    )
    inspected: dict[str, object] = json.loads(found.inspect)
    return {one.path: one for one in found.added}, inspected


LISTING = """\
drwxr-xr-x /.singularity.d
drwxr-xr-x /.singularity.d/actions
drwxr-xr-x /.singularity.d/env
drwxr-xr-x /.singularity.d/libs
drwxr-xr-x /dev
drwxr-xr-x /etc
drwxr-xr-x /home
drwxr-xr-x /proc
drwxr-xr-x /root
drwxr-xr-x /sys
drwxr-xr-x /tmp
drwxr-xr-x /var
drwxr-xr-x /var/tmp
-rw-r--r-- /.singularity.d/Singularity
-rw-r--r-- /.singularity.d/labels.json
-rw-r--r-- /etc/hosts
-rw-r--r-- /etc/resolv.conf
-rwxr-xr-x /.singularity.d/actions/exec
-rwxr-xr-x /.singularity.d/actions/run
-rwxr-xr-x /.singularity.d/actions/shell
-rwxr-xr-x /.singularity.d/actions/start
-rwxr-xr-x /.singularity.d/actions/test
-rwxr-xr-x /.singularity.d/env/01-base.sh
-rwxr-xr-x /.singularity.d/env/90-environment.sh
-rwxr-xr-x /.singularity.d/env/94-appsbase.sh
-rwxr-xr-x /.singularity.d/env/95-apps.sh
-rwxr-xr-x /.singularity.d/env/99-base.sh
-rwxr-xr-x /.singularity.d/env/99-runtimevars.sh
-rwxr-xr-x /.singularity.d/runscript
-rwxr-xr-x /.singularity.d/startscript
lrwxrwxrwx /.exec -> .singularity.d/actions/exec
lrwxrwxrwx /.run -> .singularity.d/actions/run
lrwxrwxrwx /.shell -> .singularity.d/actions/shell
lrwxrwxrwx /.test -> .singularity.d/actions/test
lrwxrwxrwx /environment -> .singularity.d/env/90-environment.sh
lrwxrwxrwx /singularity -> .singularity.d/runscript
"""


def test_all_that_an_empty_image_gets() -> None:
    added, _ = composed("Bootstrap: scratch\n")
    letters = {"directory": "d", "file": "-", "symlink": "l"}

    def bits(mode: int) -> str:
        return "".join("rwx"[2 - bit % 3] if mode >> bit & 1 else "-" for bit in range(8, -1, -1))

    shown = [
        letters[one.kind] + bits(one.mode) + " " + one.path + (f" -> {one.link}" if one.link else "")
        for one in added.values()
    ]
    order = "d-l"
    shown.sort(key=lambda line: (order.index(line[0]), line[:10], line))
    assert "\n".join(shown) + "\n" == LISTING


def test_directories_come_before_what_is_in_them() -> None:
    added, _ = composed("Bootstrap: scratch\n%apprun x\n true\n")
    seen: set[str] = {""}
    for path in added:
        assert path.rpartition("/")[0] in seen, path
        seen.add(path)


def test_a_base_keeps_its_directories(tmp_path: Path) -> None:
    for folder in ("usr/tmp", "private/tmp", "etc"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "var").symlink_to("/private")
    (tmp_path / "etc/resolv.conf").symlink_to("../run/resolve/stub.conf")
    (tmp_path / "singularity").write_text("not a link")
    added, _ = composed("Bootstrap: docker\nFrom: a\n", DirectoryRoot(path=str(tmp_path)))
    assert not {"/etc", "/var", "/private", "/private/tmp", "/var/tmp", "/singularity"} & added.keys()
    # A link that leads nowhere gets its target inside the image, so that engines can bind over it.
    assert added["/run/resolve/stub.conf"].content == b""
    assert added["/run/resolve"].kind == "directory"


def test_labels() -> None:
    config = parse_config(
        b'{"architecture":"amd64","os":"linux","config":{"Labels":{"a":"1","Both":"base","x":"<&>"}}}'
    )
    text = "Bootstrap: docker\nFrom: a:1\n%labels\n Both def\n b 2\n%help\n h\n"
    added, inspected = composed(text, config=config)
    assert added[f"{D}/labels.json"].content == (
        b"{\n"
        b'\t"Both": "base",\n'
        b'\t"a": "1",\n'
        b'\t"b": "2",\n'
        b'\t"org.label-schema.build-arch": "amd64",\n'
        b'\t"org.label-schema.build-date": "Tuesday_14_November_2023_22:13:20_UTC",\n'
        b'\t"org.label-schema.schema-version": "1.0",\n'
        b'\t"org.label-schema.usage": "/.singularity.d/runscript.help",\n'
        b'\t"org.label-schema.usage.apptainer.runscript.help": "/.singularity.d/runscript.help",\n'
        b'\t"org.label-schema.usage.apptainer.version": "1.4.5",\n'
        b'\t"org.label-schema.usage.singularity.deffile.bootstrap": "docker",\n'
        b'\t"org.label-schema.usage.singularity.deffile.from": "a:1",\n'
        b'\t"x": "\\u003c\\u0026\\u003e"\n'
        b"}"
    )
    forced, _ = composed(text, config=config, force=True)
    assert json.loads(forced[f"{D}/labels.json"].content)["Both"] == "def"
    attributes = inspected["data"]["attributes"]  # type: ignore[index]
    assert attributes["labels"] == json.loads(added[f"{D}/labels.json"].content)


@pytest.mark.parametrize("content", [b"no json", b"[1]", b'{"a": 1}'])
def test_broken_labels_of_a_base(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".singularity.d").mkdir()
    (tmp_path / ".singularity.d/labels.json").write_bytes(content)
    with pytest.raises(ImageError) as caught:
        composed("Bootstrap: localimage\nFrom: a\n", DirectoryRoot(path=str(tmp_path)))
    assert caught.value.message.startswith("`/.singularity.d/labels.json` of the base is no ")


@pytest.mark.parametrize(
    ("epoch", "text"),
    [(0, "Thursday_1_January_1970_0:0:0_UTC"), (951_782_400, "Tuesday_29_February_2000_0:0:0_UTC")],
)
def test_dates(epoch: int, text: str) -> None:
    assert build_date(epoch) == text


def test_what_is_there_after_a_local_image(tmp_path: Path) -> None:
    first, _ = composed("Bootstrap: scratch\n%environment\n A=1\n%help\n one\n%labels\n K 1\n%apprun a\n true\n")
    write_added(str(tmp_path), first.values())
    (tmp_path / "environment").unlink()
    text = "Bootstrap: localimage\nFrom: a\n%environment\n B=2\n%help\n two\n%labels\n K 2\n%runscript\n r\n"
    text += "%apprun b\n true\n"
    added, inspected = composed(text, DirectoryRoot(path=str(tmp_path)))
    assert sorted(added) == [
        f"{D}/Singularity",
        f"{D}/bootstrap_history",
        f"{D}/bootstrap_history/Apptainer0",
        f"{D}/env/90-environment.sh",
        f"{D}/env/94-appsbase.sh",
        f"{D}/labels.json",
        f"{D}/runscript",
        "/environment",
        *(f"/scif/apps/b{path}" for path in ("", "/bin", "/lib", "/scif", "/scif/env", "/scif/env/01-base.sh")),
        "/scif/apps/b/scif/labels.json",
        "/scif/apps/b/scif/runscript",
        "/scif/data/b",
        "/scif/data/b/input",
        "/scif/data/b/output",
    ]
    base = read_script("env/90-environment.sh")
    assert added[f"{D}/env/90-environment.sh"].content == base + b"\n A=1\n\n\n B=2\n\n"
    assert added[f"{D}/bootstrap_history/Apptainer0"].content == first[f"{D}/Singularity"].content
    attributes = inspected["data"]["attributes"]  # type: ignore[index]
    assert attributes["helpfile"] == " one"
    assert list(attributes["apps"]) == ["a", "b"]
    assert attributes["deffile"] == text.rstrip("\n")


def test_notices() -> None:
    prepared = prepare(b"Bootstrap: localimage\nFrom: a\n%help\n h\n%labels\n K 2\n Same 1\n")
    draft = Draft(root=EmptyRoot())
    draft.write(f"{D}/runscript.help", b"old", 0o644)
    draft.write(f"{D}/labels.json", b'{"K": "1", "Same": "1"}', 0o644)
    stage = prepared.definition.stages[0]
    notices = metadata.finish_in(draft, stage, definition_text="", architecture="amd64", epoch=0)
    assert notices == (
        "the base has a help text, which stays; --force writes this one over it",
        "the base has the label `K`, which stays `1`; --force writes over it",
    )


def test_labels_of_post_win_over_the_definition_file() -> None:
    prepared = prepare(b"Bootstrap: scratch\n%labels\n K def\n")
    found = metadata.finish(
        EmptyRoot(),
        prepared.definition.stages[0],
        definition_text=prepared.text,
        architecture="arm64",
        epoch=0,
        added_labels="# no\nK post\nL  x y \n",
    )
    labels = json.loads(next(one.content for one in found.added if one.path.endswith("labels.json")))
    assert (labels["K"], labels["L"], labels["org.label-schema.build-arch"]) == ("post", "x y", "arm64")


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (Script(name="test", text=" a\n"), "#!/bin/sh\n\n a\n\n"),
        (Script(name="test", text="#!/bin/x -y\n a\n"), "#!/bin/x -y\n\n a\n\n"),
        (Script(name="test", text="  #!/bin/x  \n a\n"), "#!/bin/x\n\n a\n\n"),
        (Script(name="test", text="\n#!/bin/x\n a\n"), "\n\n#!/bin/x\n a\n\n"),
        (Script(name="test", text="#!/bin/x"), "#!/bin/x\n\n\n"),
        (Script(name="test", arguments="-e # c", text=" a\n"), "#!/bin/sh -e \n\n a\n\n"),
    ],
)
def test_scripts_as_files(script: Script, text: str) -> None:
    assert executable(script) == text


def test_chosen_sections() -> None:
    prepared = prepare(b"Bootstrap: scratch\n%help\n h\n%labels\n K 1\n%environment\n A=1\n%runscript\n r\n%test\n t\n")
    found = metadata.finish(
        EmptyRoot(),
        prepared.definition.stages[0],
        definition_text="",
        architecture="amd64",
        epoch=0,
        sections=frozenset({"runscript"}),
    )
    assert [one.path for one in found.added if one.kind == "file"] == [
        f"{D}/Singularity",
        f"{D}/labels.json",
        f"{D}/runscript",
    ]


@pytest.mark.parametrize("name", [*SCRIPTS, "oci-runscript"])
def test_the_scripts_can_be_read_by_a_plain_shell(name: str) -> None:
    text = read_script(name).decode().replace("@ENTRYPOINT@", "").replace("@CMD@", "")
    done = subprocess.run(["/bin/sh", "-n"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_a_record_shows_is_enough(tmp_path: Path) -> None:
    """`begin` and `finish` on a record of a root give what they give on the root itself."""
    first, _ = composed("Bootstrap: scratch\n%help\n h\n%apprun a\n true\n%appenv a\n true\n%environment\n A=1\n")
    write_added(str(tmp_path), first.values())
    (tmp_path / ".build.labels").write_text("K v\n")
    (tmp_path / ".singularity.d/env/91-environment.sh").write_text("export X=1\n")
    text = "Bootstrap: localimage\nFrom: a\n%environment\n B=2\n%labels\n A 1\n%apprun b\n true\n"
    direct = DirectoryRoot(path=str(tmp_path))
    recorded = metadata.record_metadata(direct)
    assert metadata.labels_written(recorded) == metadata.labels_written(direct) == "K v\n"
    assert composed(text, recorded) == composed(text, direct)
    assert composed(text.replace("localimage", "docker"), recorded) == composed(
        text.replace("localimage", "docker"), direct
    )

"""OCI layouts and archives: the bytes, the round trip, what is refused, and what a failure leaves."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import tar_of
from tests.flows.oci_bases import write_busybox_layout
from tests.ground.layouts import write_layout
from tests.packs.layers import file, folder, tar


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob(layout: Path, digest: str) -> bytes:
    data = (layout / "blobs" / "sha256" / digest.partition(":")[2]).read_bytes()
    assert sha256(data) == digest
    return data


def index(layout: Path) -> dict[str, dict[str, Any]]:
    """The layout's images by their tag."""
    entries = json.loads((layout / "index.json").read_bytes())["manifests"]
    named = {entry.get("annotations", {}).get("org.opencontainers.image.ref.name", ""): entry for entry in entries}
    assert len(named) == len(entries)
    return named


def manifest(layout: Path, tag: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(blob(layout, index(layout)[tag]["digest"]))
    return value


def config(layout: Path, tag: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(blob(layout, manifest(layout, tag)["config"]["digest"]))
    return value


def whole(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def built(sealift, *arguments: str) -> dict[str, Any]:
    outcome = sealift("build", "--json", *arguments)
    assert outcome.code == 0, outcome.err
    value: dict[str, Any] = json.loads(outcome.out)
    return value


def test_base_layers_are_taken_over_and_ours_is_one(sealift, small_layout):
    built(sealift, "image.sif", f"oci:{small_layout}")
    made = built(sealift, "oci:out:one", f"oci:{small_layout}")
    theirs, ours = manifest(small_layout, "latest")["layers"], manifest(Path("out"), "one")["layers"]
    assert ours[:-1] == theirs
    assert [blob(Path("out"), layer["digest"]) for layer in theirs] == [
        blob(small_layout, layer["digest"]) for layer in theirs
    ]
    assert made["digest"] == index(Path("out"))["one"]["digest"]
    value = config(Path("out"), "one")
    assert value["rootfs"]["diff_ids"][:-1] == config(small_layout, "latest")["rootfs"]["diff_ids"]
    assert len(value["history"]) == len(value["rootfs"]["diff_ids"]) == len(ours)
    assert value["created"] == "1970-01-01T00:00:00Z"
    assert value["config"]["Labels"]["sealift.tree-digest"] == made["tree_digest"]
    assert manifest(Path("out"), "one")["annotations"]["sealift.tree-digest"] == made["tree_digest"]


def test_the_same_input_gives_the_same_bytes(sealift, small_layout, monkeypatch, tmp_path):
    built(sealift, "oci:one:tag", f"oci:{small_layout}")
    built(sealift, "oci-archive:one.tar:tag", f"oci:{small_layout}")
    monkeypatch.setenv("SEALIFT_CACHE_DIR", str(tmp_path / "another"))
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    before, affinity = os.umask(0o077), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(affinity)})
    try:
        built(sealift, "oci:two:tag", f"oci:{small_layout}")
        built(sealift, "oci-archive:two.tar:tag", f"oci:{small_layout}")
    finally:
        os.umask(before)
        os.sched_setaffinity(0, affinity)
    assert whole(Path("one")) == whole(Path("two"))
    assert Path("one.tar").read_bytes() == Path("two.tar").read_bytes()


def test_an_archive_holds_what_the_folder_holds(sealift, small_layout, tmp_path):
    built(sealift, "oci:out:one", f"oci:{small_layout}")
    built(sealift, "oci-archive:out.tar:one", f"oci:{small_layout}")
    with tarfile.open("out.tar") as archive:
        members = archive.getmembers()
        assert [member.name for member in members[:4]] == ["oci-layout", "index.json", "blobs", "blobs/sha256"]
        assert {(member.mode, member.uid, member.gid, member.mtime) for member in members if member.isfile()} == {
            (0o644, 0, 0, 0)
        }
        archive.extractall(tmp_path / "unpacked")
    assert whole(tmp_path / "unpacked") == whole(Path("out"))


@pytest.mark.parametrize("compression", ["gzip:1", "zstd:3"])
def test_the_layer_is_compressed_as_asked_and_the_tree_stays(sealift, small_layout, compression):
    plain = built(sealift, "oci:out:plain", f"oci:{small_layout}")
    other = built(sealift, "--compression", compression, "oci:out:other", f"oci:{small_layout}")
    assert other["tree_digest"] == plain["tree_digest"]
    assert other["digest"] != plain["digest"]
    name = compression.partition(":")[0]
    assert manifest(Path("out"), "other")["layers"][-1]["mediaType"] == f"application/vnd.oci.image.layer.v1.tar+{name}"
    assert built(sealift, "back.sif", "oci:out:other")["tree_digest"] == plain["tree_digest"]


# The round trip.

DEFINITIONS = {
    "nothing but a base": "Bootstrap: oci\nFrom: base\n",
    "labels, help and a runscript": (
        "Bootstrap: oci\nFrom: base\n%labels\n  A b\n%help\n  help\n%runscript\n  echo hi\n%test\n  true\n"
    ),
    "an environment": "Bootstrap: oci\nFrom: base\n%environment\n  export A=1 PATH=/opt/bin:$PATH\n",
    "files removed, replaced and linked": (
        "Bootstrap: oci\nFrom: base\n%post\n"
        "  rm -r /usr/share/doc /etc/motd /data/first /srv && ln -s opt /srv\n"
        "  rm -r /var/lib/info && mkdir /var/lib/info && echo x > /var/lib/info/new\n"
        "  ln /usr/bin/capped /opt/capped && rm /etc/link && mkdir /etc/link && echo y > /etc/link/y\n"
    ),
    "set-id, owners, pipes, odd names, a large sparse file": (
        "Bootstrap: oci\nFrom: base\n%post\n"
        "  cp /bin/busybox /opt/s && chmod 4755 /opt/s && chown 7:8 /opt\n"
        "  mkfifo /opt/pipe && truncate -s 300M /opt/sparse\n"
        "  touch \"$(printf '/opt/caf\\351')\" \"/opt/$(printf '%0200d' 7)\" /opt/empty\n"
    ),
    "ours alone": "Bootstrap: scratch\n%files\n  seed /opt/seed\n",
    "apps": "Bootstrap: oci\nFrom: base\n%apprun foo\n  echo foo\n%appenv foo\n  export B=2\n",
}


@pytest.mark.slow
@pytest.mark.needs("root", "busybox", "squashfuse")
def test_what_comes_back_is_the_tree_that_went_out(sealift):
    write_busybox_layout(Path("base"))
    Path("seed").write_text("seed")
    for name, text in DEFINITIONS.items():
        Path("image.def").write_text(text)
        direct = built(sealift, "-F", "direct.sif", "image.def")
        assert built(sealift, "-F", "oci:out:one", "image.def")["tree_digest"] == direct["tree_digest"], name
        back = built(sealift, "-F", "back.sif", "oci:out:one")
        assert (back["tree_digest"], back["entries"]) == (direct["tree_digest"], direct["entries"]), name
        shown = [json.loads(sealift("inspect", "--json", "--all", f"{x}.sif").out)["data"] for x in ("direct", "back")]
        assert shown[0] == shown[1], name
        again = built(sealift, "-F", "oci:again:one", "oci:out:one")
        assert again["digest"] == index(Path("out"))["one"]["digest"], name
    for form in ("oci-archive", "docker-archive"):
        assert built(sealift, f"{form}:{form}.tar:one", "image.def")["tree_digest"] == direct["tree_digest"]
        assert built(sealift, f"{form}.sif", f"{form}:{form}.tar:one")["tree_digest"] == direct["tree_digest"]


@pytest.mark.slow
@pytest.mark.needs("root", "busybox", "squashfuse")
def test_an_image_of_ours_is_a_base_like_any_other(sealift):
    write_busybox_layout(Path("base"))
    Path("first.def").write_text(
        "Bootstrap: oci\nFrom: base\n%environment\n  export A=1\n%runscript\n  echo first\n%labels\n  One 1\n"
    )
    Path("second.def").write_text("Bootstrap: oci\nFrom: first\n%post\n  echo two > /opt/two\n%labels\n  Two 2\n")
    built(sealift, "first.sif", "first.def")
    built(sealift, "oci:first", "first.def")
    built(sealift, "oci:second", "second.def")
    first, second = config(Path("first"), ""), config(Path("second"), "")
    assert manifest(Path("second"), "")["layers"][:-1] == manifest(Path("first"), "")["layers"]
    assert second["config"]["Entrypoint"] == first["config"]["Entrypoint"]
    assert second["config"]["Env"] == first["config"]["Env"]
    assert second["config"]["Labels"].items() >= {"One": "1", "Two": "2"}.items()
    labels = json.loads(sealift("inspect", "--json", "--labels", "first.sif").out)["data"]["attributes"]["labels"]
    assert not any(name.startswith("sealift.") for name in labels)


def test_a_changed_image_is_no_longer_taken_for_ours(sealift, small_layout):
    """Labels are inherited by what is built on an image; the tree is not."""
    built(sealift, "oci:out:one", f"oci:{small_layout}")
    layers = [blob(Path("out"), layer["digest"]) for layer in manifest(Path("out"), "one")["layers"]]
    import gzip

    more = [*map(gzip.decompress, layers), tar_of({"opt/more": b"more"})]
    write_layout(Path("derived"), more, config=config(Path("out"), "one")["config"])
    back = built(sealift, "back.sif", "oci:derived")
    assert [layer["name"] for layer in back["layers"]][-1] == "metadata"


# What is refused.


@pytest.mark.parametrize(
    ("prepare", "arguments", "message", "hint"),
    [
        ("", ["oci:out:-x"], "`oci:out:-x`: `-x` is not a tag", "a tag is for instance `latest` or `1.0`"),
        ("touch out", ["oci:out:one"], "`out` is a file, and `oci:` writes a folder", "oci-archive:out.tar"),
        (
            "mkdir out; touch out/x",
            ["oci:out:one"],
            "is a folder that holds no OCI layout",
            "name a folder that is not",
        ),
        ("mkdir out", ["oci-archive:out:one"], "`out` is a folder", "name the file"),
        ("touch out", ["oci-archive:out:one"], "`out` exists", "replace it: add -F"),
        ("", ["oci:not/there:one"], "there is no folder", "mkdir -p"),
        (
            "",
            ["--sandbox", "oci:out:one"],
            "`--sandbox` writes a directory, and `oci:out:one` is none",
            "leave out one",
        ),
    ],
)
def test_refused_before_any_work(sealift, small_layout, prepare, arguments, message, hint):
    subprocess.run(["sh", "-c", prepare], check=True)
    before = sorted(map(str, Path().rglob("*")))
    outcome = sealift("build", *arguments, f"oci:{small_layout}")
    assert outcome.code in (2, 6)
    assert message in outcome.err
    assert hint in outcome.err
    assert sorted(map(str, Path().rglob("*"))) == before


def test_a_tag_that_exists_needs_force_and_others_stay(sealift, small_layout):
    first = built(sealift, "oci:out:one", f"oci:{small_layout}")
    built(sealift, "oci:out:two", f"oci:{small_layout}")
    outcome = sealift("build", "oci:out:one", f"oci:{small_layout}")
    assert outcome.code == 2
    assert "`oci:out:one`: there is an image called `one`" in outcome.err
    assert "replace it: add -F" in outcome.err
    Path("image.def").write_text(
        f"Bootstrap: oci\nFrom: {small_layout}\n%labels\n  New 1\n".replace("From: /", "From: //")
    )
    made = built(sealift, "-F", "--compression", "gzip:1", "oci:out:one", f"oci:{small_layout}")
    assert made["digest"] != first["digest"]
    assert {tag: entry["digest"] == made["digest"] for tag, entry in index(Path("out")).items()} == {
        "one": True,
        "two": False,
    }
    built(sealift, "oci:out", f"oci:{small_layout}")
    assert set(index(Path("out"))) == {"", "one", "two"}


def test_what_a_foreign_index_says_beside_our_image_stays(sealift, small_layout, tmp_path):
    path = small_layout / "index.json"
    value = json.loads(path.read_bytes())
    value["annotations"] = {"by": "somebody"}
    value["manifests"][0]["annotations"]["more"] = "words"
    path.write_text(json.dumps(value))
    built(sealift, f"oci:{small_layout}:ours", f"oci:{small_layout}:latest")
    after = json.loads(path.read_bytes())
    assert (after["annotations"], after["manifests"][0]) == (value["annotations"], value["manifests"][0])
    assert set(index(small_layout)) == {"latest", "ours"}


def test_a_name_that_means_a_removed_file_is_refused(sealift, small_layout):
    Path("tree").mkdir()
    outcome = sealift("build", "--sandbox", "tree", f"oci:{small_layout}")
    assert outcome.code == 0, outcome.err
    Path("tree/.wh.odd").touch()
    outcome = sealift("build", "oci:out:one", "tree")
    assert outcome.code == 5
    assert "`/.wh.odd` cannot be in an OCI image" in outcome.err
    assert not Path("out").exists()


# Failures.


@pytest.mark.needs("root")
def test_a_full_disk_leaves_the_layout_as_it_was(sealift, small_layout, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        built(sealift, f"oci:{small}/out:one", f"oci:{small_layout}")
        before = whole(small / "out")
        write_layout(tmp_path / "big", [tar([folder("d"), file("d/big", os.urandom(2_000_000))])])
        for target in (f"oci:{small}/out:two", f"oci:{small}/new:one", f"oci-archive:{small}/new.tar"):
            outcome = sealift("build", target, f"oci:{tmp_path}/big")
            assert outcome.code == 6
            assert "the disk is full while writing" in outcome.err
        assert {name: data for name, data in whole(small / "out").items() if name in before} == before
        assert sorted(path.name for path in small.iterdir()) == ["out"]
        assert built(sealift, f"oci:{small}/out:two", f"oci:{small_layout}")["entries"]
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.slow
def test_killed_at_any_moment_the_old_image_stays_and_the_next_run_works(sealift, small_layout, tmp_path):
    write_layout(tmp_path / "big", [tar([folder("d"), file("d/big", os.urandom(30_000_000))])])
    built(sealift, "oci:out:one", f"oci:{small_layout}")
    before = whole(Path("out"))
    argv = [sys.executable, "-m", "sealift", "build", "-F", "oci:out:one", f"oci:{tmp_path}/big"]
    for number in range(6):
        process = subprocess.Popen(argv, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(0.2 + 0.2 * number)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        now = whole(Path("out"))
        if now["index.json"] != before["index.json"]:
            break
        assert {name: now[name] for name in before} == before
    built(sealift, "-F", "oci:out:one", f"oci:{tmp_path}/big")
    for layer in manifest(Path("out"), "one")["layers"]:
        blob(Path("out"), layer["digest"])
    assert not [path for path in Path("out").rglob("*") if path.name.endswith(".part")]


@pytest.mark.slow
def test_many_processes_add_to_one_layout(small_layout, sealift):
    argv = [sys.executable, "-m", "sealift", "build", "-q"]
    started = [subprocess.Popen([*argv, f"oci:out:{number}", f"oci:{small_layout}"]) for number in range(6)]
    assert [process.wait() for process in started] == [0] * 6
    assert set(index(Path("out"))) == {str(number) for number in range(6)}


def test_damage_in_the_base_is_noticed_while_it_is_copied(sealift, small_layout):
    built(sealift, "image.sif", f"oci:{small_layout}")
    layer = manifest(small_layout, "latest")["layers"][0]
    path = small_layout / "blobs" / "sha256" / layer["digest"].partition(":")[2]
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    outcome = sealift("build", "oci:out:one", f"oci:{small_layout}")
    assert outcome.code == 5
    assert "is damaged: its digest is" in outcome.err
    assert not Path("out").exists()


@pytest.mark.needs("mksquashfs")
def test_sockets_of_foreign_images_are_left_out_with_a_warning(sealift):
    Path("tree").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("tree/socket")
    subprocess.run(["mksquashfs", "tree", "tree.sqfs", "-quiet", "-no-progress", "-all-root"], check=True)
    made = built(sealift, "oci:out:one", "tree.sqfs")
    assert made["warnings"] == ["the socket /socket is left out: OCI images cannot hold sockets"]
    assert built(sealift, "x.sif", "tree.sqfs")["entries"] == made["entries"] + 1
    assert built(sealift, "y.sif", "oci:out:one")["tree_digest"] == made["tree_digest"]


def test_a_cached_layer_that_lost_its_note_is_made_again(sealift, small_layout, tmp_path):
    first = built(sealift, "oci:out:one", f"oci:{small_layout}")
    for record in (tmp_path / "cache" / "records" / "layers").iterdir():
        record.unlink()
    assert built(sealift, "oci:again:one", f"oci:{small_layout}")["digest"] == first["digest"]

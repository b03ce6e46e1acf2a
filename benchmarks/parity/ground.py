"""What the definition files build on: base images, and the files that `%files` brings.

FOLDER/bases/NAME           an OCI layout for each config in CONFIGS, all of the same layers
FOLDER/bases/plain          its tree as a plain directory, without /.singularity.d
FOLDER/NAME/                where the builder NAME builds; `bases` leads to the bases
FOLDER/NAME/given/          what is to be copied
"""

from __future__ import annotations

import io
import os
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.ground import layouts, tiny

EPOCH = 1_600_000_000
"""`SOURCE_DATE_EPOCH` of all builds; what is older keeps its time."""

BASE_TIME = 1_500_000_000
GIVEN_TIME = 1_400_000_000

_ENV = ["PATH=/opt/x:/usr/bin:/bin", "A=1", "FROM_OCI=some words", "EMPTY="]
CONFIGS: dict[str, dict[str, Any]] = {
    "full": {
        "Env": _ENV,
        "Entrypoint": ["/bin/sh", "-c", 'echo "entry $0 $@"'],
        "Cmd": ["one", "two words"],
        "Labels": {"a.label": "from the base", "org.label-schema.schema-version": "0"},
        "WorkingDir": "/opt",
        "User": "33",
        "ExposedPorts": {"80/tcp": {}},
    },
    "bare": {},
    "entrypoint": {"Env": ["PATH=/usr/bin:/bin", "X=x y"], "Entrypoint": ["/bin/printf", "[%s]"]},
    "cmd": {"Env": ["PATH=/usr/bin:/bin", "X=x y"], "Cmd": ["/bin/printf", "[%s]", "only cmd"]},
    "quotes": {
        "Env": ["PATH=/usr/bin:/bin", "X=x y"],
        "Entrypoint": ["/bin/printf", "[%s]"],
        "Cmd": ["one", "two words", '"', "'", "$X", "`id`", "\\", "a\\b", "*", "é"],
    },
    "shell": {
        "Env": ["X=x y"],
        "Entrypoint": ["/bin/sh", "-c", 'printf "[%s]" "$0" "$@" "$X"'],
        "Cmd": ["zero", "one"],
    },
    "variables": {
        "Env": [
            *("PLAIN=a b  c", "PERCENT=100% {x}", "TILDE=~/x:*.y", "UNICODE=ünï 🎉", "HASH=a # b", "EQUALS=a=b=c"),
            *("SEMICOLON=a; b & c | d", "LD_LIBRARY_PATH=/l", "lower=case", "_UNDER=score"),
        ]
    },
}


def make_bases(folder: Path) -> Path:
    """The layouts and the plain directory."""
    root = tiny.make_tiny_root(folder / "plain")
    _decorate(root)
    layers = [layouts.pack(tar) for tar in (_layer(root), _second_layer())]
    for name, config in CONFIGS.items():
        layouts.write_layout(folder / name, layers, config=config)
    return folder


def _decorate(root: Path) -> None:
    """What the definition files delete, replace, open and read."""
    (root / "etc/hosts").write_text("192.0.2.1 base\n")
    (root / "etc/hosts").chmod(0o600)
    for path in ("srv/data/sub", "srv/tree/deep/er", "srv/closed", "srv/read-only", "srv/lower", "var/cache/x"):
        (root / path).mkdir(parents=True)
    for path in ("srv/data/file", "srv/data/sub/file", "srv/tree/a", "srv/tree/deep/b", "srv/tree/deep/er/c"):
        (root / path).write_text(f"{path}\n")
    for path in ("srv/closed/file", "srv/read-only/file", "srv/lower/a", "srv/lower/b", "srv/lower/.c"):
        (root / path).write_text(f"{path}\n")
    (root / "srv/one").write_text("one inode, two names\n")
    os.link(root / "srv/one", root / "srv/two")
    (root / "srv/to-file").symlink_to("/srv/data/file")
    (root / "srv/to-folder").symlink_to("/srv/data")
    (root / "srv/relative").symlink_to("../srv/tree")
    (root / "srv/dangling").symlink_to("/nowhere")
    (root / "srv/tool").write_text("#!/bin/sh\necho tool\n")
    (root / "srv/tool").chmod(0o4755)
    (root / "srv/closed").chmod(0o700)
    (root / "srv/read-only").chmod(0o555)
    (root / "srv/data").chmod(0o2775)


def _layer(root: Path) -> bytes:
    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid, member.gid = (1000, 100) if member.name == "srv/data/file" else (0, 0)
        member.uname = member.gname = ""
        member.mtime = BASE_TIME
        return member

    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(os.listdir(root)):
            tar.add(root / name, name, filter=plain)
        member = tarfile.TarInfo("srv/capable")
        member.size, member.mode, member.mtime = 4, 0o755, BASE_TIME
        # cap_net_raw+ep, as the kernel keeps it (struct vfs_cap_data, version 2)
        capability = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
        member.pax_headers = {"SCHILY.xattr.security.capability": capability.decode("latin-1")}
        tar.addfile(member, io.BytesIO(b"able"))
    return target.getvalue()


def _second_layer() -> bytes:
    """Deletes a file and replaces a folder's content."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in (("var/cache/.wh.x", b""), ("srv/second", b"of the second layer\n")):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), BASE_TIME
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def make_given(folder: Path) -> Path:
    """The files that `%files` copies, with every mode, name and kind that matters."""
    given = folder / "given"
    for path in ("folder/sub/deep", "empty", "sticky", "group", "read-only", "names", "more/a", "more/b", "links"):
        (given / path).mkdir(parents=True)
    for path in ("a.txt", "b c.txt", "c.txt", "d.log", "folder/x", "folder/.hidden", "folder/sub/y", "more/a/1"):
        (given / path).write_text(f"{path}\n")
    for path in ("folder/sub/deep/z", "more/b/2", "exec", "setuid", "closed", "odd", "read-only/file", ".dot"):
        (given / path).write_text(f"{path}\n")
    for name in ("[z]", "star*", 'quo"te', "quo'te", "back\\slash", "dollar$X", "ünï", "tab\there", "hash#x"):
        (given / "names" / name).write_text(f"{name}\n")
    Path(os.fsdecode(os.fsencode(given) + b"/names/latin-\xff")).write_text("latin\n")
    for path, mode in (
        *(("a.txt", 0o640), ("exec", 0o755), ("setuid", 0o4755), ("closed", 0o400), ("odd", 0o666)),
        *(("folder/sub", 0o700), ("sticky", 0o1777), ("group", 0o2775), ("read-only/file", 0o444)),
    ):
        (given / path).chmod(mode)
    (given / "read-only").chmod(0o555)
    for name, target in (
        ("link", "a.txt"),
        ("to-folder", "folder"),
        ("links/up", "../a.txt"),
        ("links/dir", "../more"),
    ):
        (given / name).symlink_to(target)
    (given / "folder/link").symlink_to("sub")
    os.link(given / "c.txt", given / "c-again.txt")
    os.mkfifo(given / "pipe")
    (folder / "bare.txt").write_text("bare\n")
    (folder / "arguments.txt").write_text("# a comment\nFROM_FILE=of the file\nBOTH = file\n\n")
    for path in sorted(_below(given), reverse=True):
        os.utime(path, (GIVEN_TIME, GIVEN_TIME), follow_symlinks=False)
    return given


def _below(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        yield from (os.path.join(place, name) for name in (*folders, *files))


def copy_tree(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)

"""What tests of whole builds share: running the command in this process, and a base of a few files."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sealift.cli.app import main
from tests.ground import layouts
from tests.ground.tiny import PROGRAMS, make_tiny_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def sealift(tmp_path, monkeypatch, capsys) -> Callable[..., Outcome]:
    """`sealift("build", "x.sif", "x.def")` in this process, in tmp_path/here, with a cache of this test alone."""
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("SEALIFT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "work"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)

    def call(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        try:
            code = main([os.fspath(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capsys.readouterr()
        return Outcome(code=code, out=said.out, err=said.err)

    return call


def tar_of(files: dict[str, bytes | None], *, mtime: int = 1_000_000_000) -> bytes:
    """A tar stream of files, and of folders where the content is None."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mtime = mtime
            member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            member.mode = 0o755 if content is None else 0o644
            member.size = len(content or b"")
            tar.addfile(member, io.BytesIO(content or b""))
    return target.getvalue()


@pytest.fixture
def small_layout(tmp_path) -> Path:
    """An OCI layout of two layers with a handful of files, tag `latest`."""
    first = tar_of({"etc": None, "etc/one": b"1\n", "etc/two": b"2\n", "data": None, "data/big": os.urandom(300_000)})
    second = tar_of({"etc/.wh.two": b"", "etc/three": b"3\n"})
    return layouts.write_layout(tmp_path / "layout", [first, second], config={"Env": ["A=1"]})


@pytest.fixture(scope="session")
def shell_tar(session_folder: Path) -> bytes:
    """A tar stream of a root with a shell and some programs, everything root's."""
    root = make_tiny_root(session_folder / "shell-root", (*PROGRAMS, "sleep", "find", "kill"))
    target = io.BytesIO()

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(fileobj=target, mode="w") as tar:
        for name in sorted(os.listdir(root)):
            tar.add(root / name, name, filter=owned)
    return target.getvalue()

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.core.event import Event, Said
from sealift.errors import HostError, UsageError
from sealift.store.place import Place, choose_cap, choose_place, open_store, parse_size


@pytest.mark.parametrize(
    ("env", "root", "variable"),
    [
        ({"SEALIFT_CACHE_DIR": "/x", "SCRATCH": "{tmp}", "XDG_CACHE_HOME": "/y"}, "/x", "SEALIFT_CACHE_DIR"),
        ({"APPTAINER_CACHEDIR": "/x", "SCRATCH": "{tmp}"}, "/x/sealift", "APPTAINER_CACHEDIR"),
        ({"SINGULARITY_CACHEDIR": "/x", "SCRATCH": "{tmp}"}, "/x/sealift", "SINGULARITY_CACHEDIR"),
        ({"SCRATCH": "{tmp}", "XDG_CACHE_HOME": "/y"}, "{tmp}/.sealift-cache", "SCRATCH"),
        ({"SCRATCH": "{tmp}/absent", "XDG_CACHE_HOME": "/y"}, "/y/sealift", "XDG_CACHE_HOME"),
        ({"SCRATCH": "relative", "XDG_CACHE_HOME": "/y"}, "/y/sealift", "XDG_CACHE_HOME"),
        ({"SEALIFT_CACHE_DIR": "", "XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/sealift", ""),
    ],
)
def test_where(tmp_path: Path, env: dict[str, str], root: str, variable: str) -> None:
    filled = {name: value.format(tmp=tmp_path) for name, value in env.items()}
    assert choose_place(filled) == Place(root=root.format(tmp=tmp_path), variable=variable)


def test_without_home_the_user_database_is_asked() -> None:
    assert choose_place({}).root.endswith("/.cache/sealift")


def test_scratch_is_told_of_once(tmp_path: Path) -> None:
    events: list[Event] = []
    env = {"SCRATCH": str(tmp_path)}
    for _ in range(2):
        open_store(env, events=events.append).close()
    assert events == [
        Said(
            text=f"the cache is in {tmp_path}/.sealift-cache, which your site may purge; "
            "what is gone is fetched or made again",
            hint="to put it elsewhere: export SEALIFT_CACHE_DIR=/path/with/space",
        )
    ]
    assert (tmp_path / ".sealift-cache").stat().st_mode & 0o777 == 0o700
    assert (
        (tmp_path / ".sealift-cache/CACHEDIR.TAG")
        .read_bytes()
        .startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    )


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError) as caught:
        open_store({"SEALIFT_CACHE_DIR": str(tmp_path / "file" / "store")})
    assert caught.value.message.startswith(
        f"the cache folder `{tmp_path}/file/store` (from $SEALIFT_CACHE_DIR) cannot be used: not found"
    )
    assert caught.value.hints == ("put it where you can write: export SEALIFT_CACHE_DIR=/path/with/space",)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("20G", 20 << 30),
        ("20g", 20 << 30),
        ("1.5T", 3 << 39),
        ("500M", 500 << 20),
        ("1KiB", 1024),
        (" 2 GB ", 2 << 30),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1X", "1,5G", "ten"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


def test_a_wrong_size_in_the_environment_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`lots` is not a size"):
        open_store({"SEALIFT_CACHE_DIR": str(tmp_path / "s"), "SEALIFT_CACHE_SIZE": "lots"})


def test_the_cap(tmp_path: Path) -> None:
    assert choose_cap({"SEALIFT_CACHE_SIZE": "3K"}, str(tmp_path)) == 3072
    status = os.statvfs(tmp_path)
    free = status.f_bavail * status.f_frsize
    assert choose_cap({}, str(tmp_path)) == pytest.approx(free / 5, rel=0.05)
    assert choose_cap({}, str(tmp_path / "absent")) == 20 << 30

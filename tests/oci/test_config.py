from __future__ import annotations

import json

import pytest

from sealift.core.digest import Digest
from sealift.errors import ImageError
from sealift.oci.config import ImageConfig, parse_config
from sealift.oci.manifest import Platform

A = Digest("sha256:" + "a" * 64)


def test_a_whole_config() -> None:
    data = json.dumps(
        {
            "created": "2024-05-01T10:00:00.5Z",
            "author": "me",
            "architecture": "arm64",
            "variant": "v8",
            "os": "linux",
            "config": {
                "Env": ["PATH=/bin", "A=b=c"],
                "Entrypoint": ["/e"],
                "Cmd": ["c", "d"],
                "WorkingDir": "/w",
                "User": "1000:100",
                "Labels": {"k": "v", "gone": None},
                "ExposedPorts": {"80/tcp": {}},
                "Volumes": {"/v": {}},
                "StopSignal": "SIGTERM",
                "Healthcheck": {"Test": ["NONE"]},
            },
            "rootfs": {"type": "layers", "diff_ids": [A]},
            "history": [{"created_by": "x"}],
        }
    ).encode()
    config = parse_config(data)
    assert config == ImageConfig(
        platform=Platform(os="linux", architecture="arm64", variant="v8"),
        created="2024-05-01T10:00:00.5Z",
        author="me",
        env=("PATH=/bin", "A=b=c"),
        entrypoint=("/e",),
        cmd=("c", "d"),
        working_dir="/w",
        user="1000:100",
        labels={"k": "v"},
        exposed_ports=("80/tcp",),
        volumes=("/v",),
        stop_signal="SIGTERM",
        diff_ids=(A,),
        raw=data,
    )
    assert config.created_epoch == 1714557600


def test_nulls_and_nothing() -> None:
    nulls = (
        b'{"os":"linux","architecture":"amd64","config":{"Env":null,"Cmd":null,"Labels":null},'
        b'"rootfs":{"diff_ids":null}}'
    )
    assert parse_config(nulls) == ImageConfig(platform=Platform(architecture="amd64"), raw=nulls)
    empty = parse_config(b"{}")
    assert empty == ImageConfig(platform=Platform(os="", architecture=""), raw=b"{}")
    assert empty.created_epoch is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the image config is not JSON"),
        (b"[]", "the image config must be a JSON object, not a list"),
        (b'{"config": 1}', "`config` must be an object, not the number 1"),
        (b'{"config": {"Env": "A=b"}}', "`config.Env` must be a list, not a string"),
        (b'{"config": {"Env": [1]}}', r"`config.Env\[0\]` must be a string, not the number 1"),
        (b'{"rootfs": {"diff_ids": ["x"]}}', "`rootfs.diff_ids` of the image config: not a sha256"),
        (b'"' + b"x" * (16 << 20) + b'"', "the image config is larger than 16 MiB"),
    ],
)
def test_damaged_configs(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        parse_config(data)

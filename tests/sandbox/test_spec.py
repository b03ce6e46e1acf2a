from __future__ import annotations

import json

import pytest

from sealift.sandbox.spec import Footing, HostPath, Lower, SandboxSpec, spec_from_json, spec_to_json
from sealift.system.namespaces import IdRange, single_maps, subordinate_maps

RANGES = (IdRange(start=100000, count=65536),)


@pytest.mark.parametrize(
    "spec",
    [
        SandboxSpec(lowers=(), footing=Footing(mode="root", maps=None), work="/w", bare=True),
        SandboxSpec(
            lowers=(Lower(path="/a", offset=4096), Lower(path="/b", kind="directory")),
            footing=Footing(mode="subuid", maps=subordinate_maps(1, 2, RANGES, RANGES), overlay="fuse", reason="r"),
            work="/w",
            binds=(HostPath(source="/s", destination="/d", read_only=False),),
            hosts="/h",
        ),
        SandboxSpec(
            lowers=(),
            footing=Footing(mode="single", maps=single_maps(1, 2), notify=False, squashfs="unpack"),
            work="/w",
        ),
    ],
)
def test_a_spec_travels_whole(spec: SandboxSpec) -> None:
    assert spec_from_json(json.loads(json.dumps(spec_to_json(spec)))) == spec

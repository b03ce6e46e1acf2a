"""What options imply, and what the embedded engine refuses by name."""

from __future__ import annotations

from typing import Any

import pytest

from sealift.engines.embedded.wanted import CAPABILITIES, dns_servers, dropped_capabilities, settle
from sealift.errors import UsageError
from tests.engines.conftest import plan


@pytest.mark.parametrize(
    ("options", "implied"),
    [
        ({}, {}),
        ({"contain_all": True}, {"contain": True, "pid": True, "ipc": True, "clean_env": True}),
        (
            {"compat": True},
            {"contain_all": True, "contain": True, "pid": True, "ipc": True, "clean_env": True, "no_init": True}
            | {"no_umask": True, "no_eval": True, "writable_tmpfs": True},
        ),
        ({"compat": True, "writable": True}, {"writable_tmpfs": False, "no_init": True}),
        ({"hostname": "h"}, {"uts": True}),
        ({"network": "none"}, {"net": True}),
        ({"overlays": ("a:ro,b",)}, {"overlays": ("a:ro", "b")}),
        ({"scratch": ("/a,/b", "/c")}, {"scratch": ("/a", "/b", "/c")}),
    ],
)
def test_what_options_imply(options: dict[str, Any], implied: dict[str, Any]) -> None:
    found, warnings = settle(plan("i.sif", "true", **options))
    assert {name: getattr(found, name) for name in implied} == implied
    assert warnings == ()


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({"writable": True, "writable_tmpfs": True}, "`--writable-tmpfs` is left out: `--writable` excludes it"),
        ({"fakeroot": True, "net": True}, "the container has no network: `--fakeroot --net` is `--network none` here"),
        ({"no_mount": ("nonsense",)}, "`--no-mount nonsense`: there is no mount of that name"),
    ],
)
def test_what_is_said(options: dict[str, Any], warning: str) -> None:
    assert settle(plan("i.sif", "true", **options))[1] == (warning,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"add_caps": "CAP_NET_RAW"}, "the embedded engine has no `--add-caps`"),
        ({"keep_privs": True}, "the embedded engine has no `--keep-privs`"),
        ({"security": ("uid:1",)}, "the embedded engine has no `--security`"),
        ({"engine_options": ("--cpus=2",)}, "the embedded engine has no `--cpus`"),
        ({"network": "bridge"}, "this engine has no network `bridge`; `none` is one"),
        ({"net": True}, "an ordinary user can have the network `none` only"),
        ({"writable": True, "overlays": ("a",)}, "`--writable` and `--overlay` exclude each other"),
        ({"scratch": ("rel",)}, "`--scratch rel` is not an absolute path"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        settle(plan("i.sif", "true", **options))
    assert (caught.value.message, bool(caught.value.hints)) == (message, True)


def test_hints_are_no_options() -> None:
    assert settle(plan("i.sif", "true", engine_hints=("--unsquash",)))[1] == ()


def test_name_servers() -> None:
    assert dns_servers("9.9.9.9, 2620:fe::fe") == b"nameserver 9.9.9.9\nnameserver 2620:fe::fe\n"
    with pytest.raises(UsageError, match="`host` is not an IP address"):
        dns_servers("9.9.9.9,host")


def test_capabilities() -> None:
    assert dropped_capabilities("CAP_NET_RAW,chown") == {13, 0}
    assert dropped_capabilities("all") >= set(range(len(CAPABILITIES)))
    assert dropped_capabilities("") == frozenset()
    with pytest.raises(UsageError, match="there is no capability `CAP_NO` to drop"):
        dropped_capabilities("CAP_NO")

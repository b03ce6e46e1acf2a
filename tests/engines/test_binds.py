from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.core.launch import Bind
from sealift.engines.binds import binds_of, parse_binds, parse_mount, show_bind
from sealift.errors import UsageError
from tests.engines.conftest import bind, plan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", (bind("/data", "/data"),)),
        ("/data:/mnt", (bind("/data", "/mnt"),)),
        ("/data:/mnt:ro", (bind("/data", "/mnt", read_only=True),)),
        ("/data:/mnt:rw", (bind("/data", "/mnt"),)),
        ("/data::ro", (bind("/data", "/data", read_only=True),)),
        ("/a:/b:ro,/c", (bind("/a", "/b", read_only=True), bind("/c", "/c"))),
        ("/a,,/b", (bind("/a", "/a"), bind("/b", "/b"))),
        ("relative:/b", (bind("relative", "/b"),)),
        (r"/with\:colon:/a\,comma", (bind("/with:colon", "/a,comma"),)),
        ("", ()),
    ],
)
def test_reads_what_people_write(text: str, expected: tuple[Bind, ...]) -> None:
    assert parse_binds(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/a:/b:exec", "`exec` is not an option of a bind; `ro` and `rw` are"),
        ("/a:/b:ro:x", "`/a:/b:ro:x` is not SOURCE[:TARGET[:ro|rw]]"),
        (":/b", "`:/b` is not SOURCE[:TARGET[:ro|rw]]"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_binds(text)
    assert caught.value.message == message
    assert caught.value.hints


names = st.text(st.characters(exclude_characters="\\\0", codec="utf-8"), min_size=1)


@given(st.builds(Bind, source=names, destination=names, read_only=st.booleans()))
def test_what_is_shown_is_read_back(one: Bind) -> None:
    assert parse_binds(show_bind(one)) == (one,)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, ("/own",)),
        ({"APPTAINER_BIND": "/a,/b"}, ("/own", "/a", "/b")),
        ({"SINGULARITY_BIND": "/s"}, ("/own", "/s")),
        ({"SINGULARITY_BIND": "/s", "APPTAINER_BIND": "/a"}, ("/own", "/a")),
        ({"APPTAINER_BINDPATH": "/p", "SINGULARITY_BIND": "/s"}, ("/own", "/p")),
        ({"APPTAINER_BIND": "", "SINGULARITY_BIND": "/s"}, ("/own", "/s")),
    ],
)
def test_the_environment_adds_binds(env: dict[str, str], expected: tuple[str, ...]) -> None:
    found = binds_of(plan("i.sif", binds=(bind("/own", "/own"),)), env)
    assert tuple(one.source for one in found) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=bind,source=/a,destination=/b", Bind(source="/a", destination="/b")),
        ("src=/a,target=/b,ro", Bind(source="/a", destination="/b", read_only=True)),
        ("type=bind,src=/a,dst=/b,readonly=true", Bind(source="/a", destination="/b", read_only=True)),
        ('"src=/a,b",dst=/c:d', Bind(source="/a,b", destination="/c:d")),
    ],
)
def test_mounts(text: str, expected: Bind) -> None:
    assert parse_mount(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=tmpfs,dst=/x", "`--mount type=tmpfs,dst=/x`: `tmpfs` is not a type; `bind` is"),
        ("src=/a", "`--mount src=/a`: a mount has a source and a destination"),
        ("dst=/a", "`--mount dst=/a`: a mount has a source and a destination"),
        ("src=/a,dst=/b,rw", "`--mount src=/a,dst=/b,rw`: there is no key `rw`"),
        ("foo", "`--mount foo`: there is no key `foo`"),
        ("src=/a,dst=/b,id=1", "`--mount src=/a,dst=/b,id=1`: this engine does not mount images (`id`)"),
    ],
)
def test_mounts_that_are_none(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_mount(text)
    assert (caught.value.message, bool(caught.value.hints)) == (message, True)

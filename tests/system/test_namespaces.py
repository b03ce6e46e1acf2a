from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sealift.system.namespaces import (
    IdMap,
    IdRange,
    UserMaps,
    identity_maps,
    parse_ranges,
    single_maps,
    subordinate_maps,
    subordinate_ranges,
)
from tests.ground import users


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("ann:100000:65536\n", ((100000, 65536),)),
        ("bob:1:2\nann:100000:65536\nann:300000:10\n", ((100000, 65536), (300000, 10))),
        ("1000:5:6\n", ((5, 6),)),
        ("ann:5:6\n1000:5:6\n", ((5, 6),)),
        (" ann:5:6 \n", ((5, 6),)),
        ("ann:x:6\nann:5\nann\nann:5:0\n# ann:5:6\n:5:6\n", ()),
        ("anna:5:6\n10:5:6\n", ()),
    ],
)
def test_ranges_of_a_user(text: str, expected: tuple[tuple[int, int], ...]) -> None:
    found = parse_ranges(text, name="ann", uid=1000)
    assert tuple((each.start, each.count) for each in found) == expected


def test_a_user_without_a_name_has_no_line_without_a_name() -> None:
    assert parse_ranges(":5:6\n", name="", uid=1000) == ()


def test_maps_stack_ranges_behind_ones_own_id() -> None:
    ranges = (IdRange(start=100000, count=10), IdRange(start=300000, count=5))
    maps = subordinate_maps(1000, 1001, ranges, ranges[:1])
    assert maps == UserMaps(
        uids=(
            IdMap(inside=0, outside=1000),
            IdMap(inside=1, outside=100000, count=10),
            IdMap(inside=11, outside=300000, count=5),
        ),
        gids=(IdMap(inside=0, outside=1001), IdMap(inside=1, outside=100000, count=10)),
        by="programs",
    )
    assert maps.many


def test_one_id_is_not_many() -> None:
    assert not single_maps(1000, 1000).many
    assert single_maps(1000, 7, inside_uid=1000, inside_gid=7) == UserMaps(
        uids=(IdMap(inside=1000, outside=1000),), gids=(IdMap(inside=7, outside=7),), by="self"
    )


def test_identity_maps_are_of_the_ids_that_this_namespace_has() -> None:
    text = "         0       1000          1\n         1     100000      65536\n"
    assert identity_maps(text, "0 0 4294967295\n") == UserMaps(
        uids=(IdMap(inside=0, outside=0), IdMap(inside=1, outside=1, count=65536)),
        gids=(IdMap(inside=0, outside=0, count=4294967295),),
        by="capability",
    )


def test_a_file_of_ranges_that_is_missing_is_no_ranges(tmp_path: object) -> None:
    assert subordinate_ranges("uid", name="ann", uid=1000, file=f"{tmp_path}/subuid") == ()


def test_getsubids_is_asked_where_the_file_has_nothing(tmp_path: os.PathLike[str]) -> None:
    """A site may keep the ranges in its directory service."""
    program = os.path.join(tmp_path, "getsubids")
    with open(program, "w") as file:
        file.write(
            '#!/bin/sh\ntest "$1" = -g && echo "0: nobody-has-this-name 7 8" && exit\n'
            'echo "0: nobody-has-this-name 5 6"\n'
        )
    os.chmod(program, 0o755)
    name = "nobody-has-this-name"
    assert subordinate_ranges("uid", name=name, uid=4242424, path=os.fspath(tmp_path)) == (IdRange(start=5, count=6),)
    assert subordinate_ranges("gid", name=name, uid=4242424, path=os.fspath(tmp_path)) == (IdRange(start=7, count=8),)


ENTER = """
import json, os, sys
from sealift.errors import HostError
from sealift.system import kernel, namespaces
order = json.loads(sys.argv[1])
uid, gid = os.getuid(), os.getgid()
match order["maps"]:
    case "single":
        maps = namespaces.single_maps(uid, gid)
    case "own":
        maps = namespaces.single_maps(uid, gid, inside_uid=uid, inside_gid=gid)
    case "identity":
        maps = namespaces.identity_maps(open("/proc/self/uid_map").read(), open("/proc/self/gid_map").read())
    case "wrong":
        strange = (namespaces.IdRange(start=3, count=5),)
        maps = namespaces.subordinate_maps(uid, gid, strange, strange)
    case _:
        import pwd
        name = pwd.getpwuid(uid).pw_name
        maps = namespaces.subordinate_maps(
            uid, gid, *(namespaces.subordinate_ranges(kind, name=name, uid=uid) for kind in ("uid", "gid"))
        )
try:
    namespaces.enter_user_namespace(maps, others=kernel.CLONE_NEWNS, path=order.get("path"))
except HostError as error:
    print(json.dumps(["error", error.message, list(error.hints)]))
else:
    rows = [[int(n) for n in line.split()] for line in open("/proc/self/uid_map")]
    print(json.dumps([os.getuid() - order["minus"], os.getgid() - order["minus"], [[row[0], row[2]] for row in rows]]))
"""


def enter(argv: list[str], order: dict[str, object]) -> object:
    done = subprocess.run(
        [*argv, "-c", ENTER, json.dumps({"minus": 0, **order})], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.needs("root")
def test_roots_own_ids_all_of_them() -> None:
    assert enter([sys.executable], {"maps": "identity"}) == [0, 0, [[0, 4294967295]]]


def as_user(run: users.AsUser, user: users.Kind, order: dict[str, object]) -> object:
    done = run([run.bin / "python", "-c", ENTER, json.dumps({"minus": 0, **order})], user=user)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.needs("plain-user")
@pytest.mark.parametrize("user", ["plain", pytest.param("subuid", marks=pytest.mark.needs("subuid-user"))])
def test_one_id_needs_nothing(as_user_: users.AsUser, user: users.Kind) -> None:
    assert as_user(as_user_, user, {"maps": "single"}) == [0, 0, [[0, 1]]]
    own = users.get(user)
    assert as_user(as_user_, user, {"maps": "own", "minus": own.uid}) == [0, own.gid - own.uid, [[own.uid, 1]]]


@pytest.mark.needs("subuid-user")
def test_subordinate_ids_through_the_programs(as_user_: users.AsUser) -> None:
    assert as_user(as_user_, "subuid", {"maps": "many"}) == [0, 0, [[0, 1], [1, 65536]]]


@pytest.mark.needs("subuid-user")
def test_ids_that_are_not_ones_own_are_refused_with_the_programs_words(as_user_: users.AsUser) -> None:
    found = as_user(as_user_, "subuid", {"maps": "wrong"})
    assert isinstance(found, list)
    assert found[0] == "error"
    assert found[1].startswith("this user's ids could not be mapped: newuidmap: ")
    assert found[2] == ["see what this host allows: sealift doctor"]


@pytest.fixture
def as_user_(as_user: users.AsUser) -> users.AsUser:
    return as_user

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.core.digest import Digest
from sealift.core.reference import parse_reference
from sealift.errors import FetchError, HostError
from sealift.registry.mirrors import (
    Endpoint,
    Mirror,
    RegistriesConf,
    RegistryRule,
    load_registries_conf,
    parse_registries_conf,
)

DIGEST = Digest("sha256:" + "a" * 64)

CONF = """
unqualified-search-registries = ["example.com"]

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "mirror.site/hub"
insecure = true
[[registry.mirror]]
location = "second.site"
pull-from-mirror = "digest-only"

[[registry]]
prefix = "docker.io/library"
location = "internal.site/images"

[[registry]]
prefix = "*.corp"
location = "proxy.corp:8443/all"
mirror-by-digest-only = true
[[registry.mirror]]
location = "near.corp"

[[registry]]
prefix = "bad.io/evil"
blocked = true

[[registry]]
prefix = "plain.io"
insecure = true
"""


@pytest.fixture
def conf() -> RegistriesConf:
    return RegistriesConf(rules=parse_registries_conf(CONF, "f"))


@pytest.mark.parametrize(
    ("name", "endpoints"),
    [
        ("quay.io/a/b", ["quay.io/a/b"]),
        ("org/app", ["mirror.site/hub/org/app (mirror, insecure)", "docker.io/org/app"]),
        (
            f"org/app@{DIGEST}",
            ["mirror.site/hub/org/app (mirror, insecure)", "second.site/org/app (mirror)", "docker.io/org/app"],
        ),
        ("ubuntu", ["internal.site/images/ubuntu"]),
        (
            "docker.io/libraryx/ubuntu",
            ["mirror.site/hub/libraryx/ubuntu (mirror, insecure)", "docker.io/libraryx/ubuntu"],
        ),
        ("a.corp/x", ["proxy.corp:8443/all/x"]),
        (f"a.b.corp/x@{DIGEST}", ["near.corp/x (mirror)", "proxy.corp:8443/all/x"]),
        ("a.corp:99/x", ["proxy.corp:8443/all/x"]),
        ("plain.io/x", ["plain.io/x (insecure)"]),
        ("bad.io/evilx/y", ["bad.io/evilx/y"]),
    ],
)
def test_where_an_image_is_looked_for(conf: RegistriesConf, name: str, endpoints: list[str]) -> None:
    def shown(endpoint: Endpoint) -> str:
        flags = [flag for flag in ("mirror", "insecure") if getattr(endpoint, flag)]
        return str(endpoint) + (f" ({', '.join(flags)})" if flags else "")

    assert [shown(each) for each in conf.endpoints(parse_reference(name))] == endpoints


def test_insecure_on_request_is_for_the_registry_itself(conf: RegistriesConf) -> None:
    found = conf.endpoints(parse_reference(f"a.corp/x@{DIGEST}"), insecure=True)
    assert [each.insecure for each in found] == [False, True]


@pytest.mark.parametrize("name", ["bad.io/evil", "bad.io/evil/x:1"])
def test_blocked(conf: RegistriesConf, name: str) -> None:
    with pytest.raises(FetchError, match=r"is blocked by the rule for `bad\.io/evil` in `f`"):
        conf.endpoints(parse_reference(name))


def test_docker_hub_has_a_host_of_its_own() -> None:
    assert Endpoint(registry="docker.io", repository="a").host == "registry-1.docker.io"
    assert Endpoint(registry="quay.io", repository="a").host == "quay.io"


def test_version_1() -> None:
    text = (
        '[registries.search]\nregistries = ["a"]\n'
        '[registries.insecure]\nregistries = ["b"]\n'
        '[registries.block]\nregistries = ["c", "b"]\n'
    )
    assert parse_registries_conf(text, "f") == (
        RegistryRule(prefix="b", insecure=True, blocked=True, source="f"),
        RegistryRule(prefix="c", blocked=True, source="f"),
    )


def test_a_rule_as_a_value() -> None:
    assert parse_registries_conf(CONF, "f")[0] == RegistryRule(
        prefix="docker.io",
        location="docker.io",
        mirrors=(Mirror(location="mirror.site/hub", insecure=True), Mirror(location="second.site", use="digest-only")),
        source="f",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[registry", "`f` is not TOML"),
        ("[[registry]]\ninsecure = true", r"`registry\[0\]` in `f` has neither `prefix` nor `location`"),
        ("registry = [1]", r"`registry\[0\]` in `f` is not a table"),
        (
            '[[registry]]\nprefix = "a"\n[[registry.mirror]]\ninsecure = true',
            "a mirror of `a` in `f` has no `location`",
        ),
        ('[[registry]]\nprefix = "*.a/b"', r"the prefix `\*\.a/b` has a path behind"),
        (
            '[[registry]]\nprefix = "a"\n[[registry.mirror]]\nlocation = "b"\npull-from-mirror = "never"',
            "`pull-from-mirror` of `b` in `f` must be all, digest-only or tag-only",
        ),
    ],
)
def test_wrong_files(text: str, message: str) -> None:
    with pytest.raises(HostError, match=message):
        parse_registries_conf(text, "f")


def rule(prefix: str, location: str) -> str:
    return f'[[registry]]\nprefix = "{prefix}"\nlocation = "{location}"\n'


class TestFiles:
    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        for folder in ("etc/registries.conf.d", "home/.config/containers/registries.conf.d"):
            (tmp_path / folder).mkdir(parents=True)
        return tmp_path / "home"

    def found(self, home: Path, **env: str) -> dict[str, str]:
        conf = load_registries_conf({"HOME": str(home), **env}, etc=str(home.parent / "etc"))
        return {each.prefix: each.location for each in conf.rules}

    def test_none(self, home: Path) -> None:
        assert self.found(home) == {}

    def test_drop_ins_replace_in_order(self, home: Path) -> None:
        etc, user = home.parent / "etc", home / ".config/containers"
        (etc / "registries.conf").write_text(rule("a", "main") + rule("b", "main"))
        (etc / "registries.conf.d/20.conf").write_text(rule("b", "etc-20"))
        (etc / "registries.conf.d/10.conf").write_text(rule("b", "etc-10") + rule("c", "etc-10"))
        (etc / "registries.conf.d/note.txt").write_text("not read")
        (user / "registries.conf.d/10.conf").write_text(rule("c", "user-10"))
        assert self.found(home) == {"a": "main", "b": "etc-20", "c": "user-10"}

    def test_the_user_s_main_file_stands_for_the_system_s(self, home: Path) -> None:
        (home.parent / "etc/registries.conf").write_text(rule("a", "etc"))
        (home / ".config/containers/registries.conf").write_text(rule("b", "user"))
        assert self.found(home) == {"b": "user"}

    def test_the_variable_s_file_stands_for_both(self, home: Path) -> None:
        (home.parent / "etc/registries.conf").write_text(rule("a", "etc"))
        (home / "mine").write_text(rule("c", "mine"))
        assert self.found(home, CONTAINERS_REGISTRIES_CONF=str(home / "mine")) == {"c": "mine"}
        with pytest.raises(HostError, match="cannot be read") as caught:
            self.found(home, CONTAINERS_REGISTRIES_CONF=str(home / "absent"))
        assert caught.value.hints == ("unset CONTAINERS_REGISTRIES_CONF",)

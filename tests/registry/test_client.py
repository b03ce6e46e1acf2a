from __future__ import annotations

import json

import pytest

from sealift.core.digest import Digest, sha256
from sealift.core.event import Event, Said
from sealift.core.reference import Reference, parse_reference
from sealift.errors import DeniedError, FetchError, ImageError, MismatchError, NotFoundError, UnreachableError
from sealift.oci import mediatypes
from sealift.oci.manifest import Platform
from sealift.registry import Patience, RegistriesConf
from sealift.registry.mirrors import Mirror, RegistryRule
from sealift.system.web import BrokenError
from tests.registry.conftest import Connect, Time
from tests.registry.misbehaving import Image, Reply, Server, serving

AMD64 = Platform(architecture="amd64")


class TestResolve:
    def test_an_image_by_tag(self, image: Image, reference: Reference, connect: Connect) -> None:
        resolved = connect().resolve(reference, AMD64)
        assert (resolved.digest, resolved.index, resolved.reference) == (image.digest, None, reference)
        assert [layer.digest for layer in resolved.manifest.layers] == [sha256(layer) for layer in image.layers]
        assert resolved.config.diff_ids == tuple(sha256(layer) for layer in image.layers)
        assert resolved.documents == {
            image.digest: image.manifest,
            sha256(image.config_data): image.config_data,
        }

    def test_an_image_by_platform(self, image: Image, server: Server, connect: Connect) -> None:
        arm = Image(repository="org/app", layers=[b"arm"], config={"architecture": "arm64", "variant": "v8"})
        index = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": mediatypes.DOCKER_INDEX,
                "manifests": [
                    Image.descriptor(each.manifest, mediatypes.OCI_MANIFEST) | {"platform": platform}
                    for each, platform in (
                        (image, {"os": "linux", "architecture": "amd64"}),
                        (arm, {"os": "linux", "architecture": "arm64", "variant": "v8"}),
                    )
                ],
            }
        ).encode()
        image.documents["multi"] = (index, mediatypes.DOCKER_INDEX)
        image.documents[arm.digest] = (arm.manifest, mediatypes.OCI_MANIFEST)
        image.blobs.update(arm.blobs)
        reference = parse_reference(f"{server.host}/org/app:multi")
        resolved = connect().resolve(reference, Platform(architecture="arm64"))
        assert (resolved.digest, resolved.index) == (arm.digest, sha256(index))
        with pytest.raises(NotFoundError, match="has no image for linux/s390x; there are: linux/amd64, linux/arm64/v8"):
            connect().resolve(reference, Platform(architecture="s390x"))

    def test_what_is_known_is_not_asked_for(
        self, image: Image, server: Server, reference: Reference, connect: Connect
    ) -> None:
        known = {image.digest: image.manifest, sha256(image.config_data): image.config_data}
        resolved = connect().resolve(
            reference.pinned(image.digest), AMD64, known=lambda digest, _limit: known.get(digest)
        )
        assert (resolved.digest, server.seen) == (image.digest, [])

    def test_another_architecture(self, server: Server, connect: Connect) -> None:
        arm = Image(repository="org/arm", layers=[], config={"architecture": "arm64"})
        server.handlers.append(arm)
        reference = parse_reference(f"{server.host}/org/arm:1")
        with pytest.raises(NotFoundError) as caught:
            connect().resolve(reference, AMD64)
        assert caught.value.message == f"`{server.host}/org/arm:1` is an image for linux/arm64, not for linux/amd64"
        assert caught.value.hints == ("--arch arm64",)

    def test_layers_and_config_must_agree(self, server: Server, connect: Connect) -> None:
        odd = Image(repository="org/odd", layers=[b"x"], config={"rootfs": {"diff_ids": []}})
        server.handlers.append(odd)
        with pytest.raises(ImageError, match="has 1 layers, but its config speaks of 0"):
            connect().resolve(parse_reference(f"{server.host}/org/odd:1"), AMD64)


class TestAnswers:
    """What a manifest request may be answered with."""

    def fails(self, connect: Connect, reference: Reference, error: type[FetchError | ImageError]) -> str:
        with pytest.raises(error) as caught:
            connect().fetch_manifest(reference)
        assert type(caught.value) is error
        return caught.value.message

    def test_nothing(self, server: Server, connect: Connect) -> None:
        missing = parse_reference(f"{server.host}/org/app:none")
        message = self.fails(connect, missing, NotFoundError)
        assert message == f"`{server.host}` does not have `{server.host}/org/app:none`: nothing here"

    def test_a_web_page(self, server: Server, reference: Reference, connect: Connect) -> None:
        server.fault(
            "manifests", Reply(headers={"Content-Type": "text/html; charset=utf-8"}, body=b"<html>login</html>")
        )
        assert self.fails(connect, reference, FetchError) == (
            f"`{server.host}` answered with a web page instead of the manifest of `{reference.familiar}`"
        )

    def test_schema_1(self, server: Server, reference: Reference, connect: Connect) -> None:
        server.fault(
            "manifests", Reply(headers={"Content-Type": mediatypes.SCHEMA_1_SIGNED}, body=b'{"schemaVersion":1}')
        )
        with pytest.raises(ImageError, match="schema 1, which was retired"):
            connect().resolve(reference, AMD64)

    def test_too_much(self, server: Server, reference: Reference, connect: Connect) -> None:
        server.fault("manifests", Reply(body=b" " * (5 << 20)))
        assert "sends more than 4 MiB" in self.fails(connect, reference, FetchError)

    @pytest.mark.parametrize(
        ("status", "error", "words"),
        [
            (403, DeniedError, "denies access for"),
            (400, FetchError, "answered with 400 for"),
            (302, FetchError, "answered with 302"),
        ],
    )
    def test_refusals(
        self,
        server: Server,
        reference: Reference,
        connect: Connect,
        time: Time,
        status: int,
        error: type[FetchError],
        words: str,
    ) -> None:
        server.fault("manifests", Reply(status=status))
        assert words in self.fails(connect, reference, error)
        assert time.waits == []

    def test_trouble_that_passes(self, server: Server, reference: Reference, connect: Connect, time: Time) -> None:
        server.fault("manifests", Reply(status=503), Reply(status=502), Reply(status=500))
        assert connect().fetch_manifest(reference).digest != ""
        assert time.waits == [0.5, 1.0, 2.0]
        assert time.said[0] == (f"`{server.host}` answered with 503 for `{reference.familiar}`; trying again in 0.5 s")

    def test_trouble_that_stays(self, server: Server, reference: Reference, connect: Connect, time: Time) -> None:
        server.fault("manifests", *[Reply(status=503, body=b'{"errors":[{"message":"down\\u0007"}]}')] * 9)
        assert self.fails(connect, reference, UnreachableError) == (
            f"`{server.host}` answered with 503 for `{reference.familiar}`: down"
        )
        assert (time.waits, len(server.requests("manifests"))) == ([0.5, 1.0, 2.0, 4.0], 5)

    def test_too_often(self, server: Server, reference: Reference, connect: Connect, time: Time) -> None:
        server.fault("manifests", Reply(status=429, headers={"Retry-After": "7"}))
        connect().fetch_manifest(reference)
        assert time.waits == [7.0]

    def test_far_too_often(self, server: Server, reference: Reference, connect: Connect, time: Time) -> None:
        server.fault(
            "manifests",
            Reply(status=429, headers={"Retry-After": "21600"}, body=b'{"errors":[{"message":"rate limit"}]}'),
        )
        with pytest.raises(UnreachableError) as caught:
            connect().fetch_manifest(reference)
        assert caught.value.message == (
            f"`{server.host}` says that we ask too often: rate limit; the server asks to come back in 360 min"
        )
        assert caught.value.hints[0] == f"those who log in may fetch more: docker login {server.host}"
        assert time.waits == []

    def test_a_connection_that_is_cut(
        self, image: Image, server: Server, reference: Reference, connect: Connect, time: Time
    ) -> None:
        server.fault("manifests", Reply(body=image.manifest, cut=10), Reply(body=image.manifest, cut=0, how="close"))
        assert connect().fetch_manifest(reference).data == image.manifest
        assert time.waits == [0.5, 1.0]

    def test_wrong_bytes_for_a_digest(
        self, image: Image, server: Server, reference: Reference, connect: Connect
    ) -> None:
        server.fault("manifests", Reply(body=b"{}"))
        assert connect().fetch_manifest(reference.pinned(image.digest)).data == image.manifest
        server.fault("manifests", *[Reply(body=b"{}")] * 9)
        assert "arrived as other bytes" in self.fails(connect, reference.pinned(image.digest), MismatchError)

    def test_the_server_s_own_digest_counts(
        self, image: Image, server: Server, reference: Reference, connect: Connect
    ) -> None:
        server.fault("manifests", Reply(body=image.manifest + b" ", headers={"Docker-Content-Digest": image.digest}))
        assert connect().fetch_manifest(reference).data == image.manifest
        server.fault("manifests", Reply(body=image.manifest + b" ", headers={"Docker-Content-Digest": "junk"}))
        assert connect().fetch_manifest(reference).digest == sha256(image.manifest + b" ")

    def test_a_wrong_config(self, image: Image, server: Server, reference: Reference, connect: Connect) -> None:
        server.fault("blobs", Reply(body=b"{}"), Reply(body=image.config_data, cut=3))
        assert connect().resolve(reference, AMD64).config.raw == image.config_data

    def test_nobody_is_there(self, connect: Connect, time: Time) -> None:
        with serving() as gone:
            host = gone.host
        with pytest.raises(BrokenError) as caught:
            connect().fetch_manifest(parse_reference(f"{host}/a"))
        assert caught.value.message == f"no connection to `http://{host}/v2/`: Connection refused"
        assert caught.value.hints[0].startswith("is this a machine with a way out?")
        assert len(time.waits) == 4


class TestRedirects:
    def test_are_followed(self, image: Image, server: Server, reference: Reference, connect: Connect) -> None:
        def moved(seen: object) -> Reply | None:
            return Reply(body=image.manifest) if getattr(seen, "path", "") == "/elsewhere" else None

        server.handlers.append(moved)
        server.fault("manifests", Reply(status=307, headers={"Location": "/elsewhere"}, body=b"moved"))
        assert connect().fetch_manifest(reference).data == image.manifest

    def test_have_an_end(self, server: Server, reference: Reference, connect: Connect) -> None:
        server.fault("manifests", *[Reply(status=302, headers={"Location": "manifests"})] * 20)
        with pytest.raises(FetchError, match="redirects more than 8 times"):
            connect().fetch_manifest(reference)

    def test_to_something_else_than_the_web(self, server: Server, reference: Reference, connect: Connect) -> None:
        server.fault("manifests", Reply(status=302, headers={"Location": "file:///etc/passwd"}))
        with pytest.raises(FetchError, match=r"`file:///etc/passwd` is not an address that can be fetched"):
            connect().fetch_manifest(reference)


class TestMirrors:
    def conf(self, *mirrors: str, location: str = "", use: str = "all") -> RegistriesConf:
        rule = RegistryRule(
            prefix="registry.example/org",
            location=location,
            insecure=True,
            mirrors=tuple(Mirror(location=f"{host}/org", use=use) for host in mirrors),  # type: ignore[arg-type]
        )
        return RegistriesConf(rules=(rule,))

    def test_the_first_that_has_it(self, image: Image, server: Server, connect: Connect, events: list[Event]) -> None:
        reference = parse_reference("registry.example/org/app:1")
        with serving() as empty:
            registry = connect(conf=self.conf(empty.host, server.host))
            assert registry.resolve(reference, AMD64).digest == image.digest
            assert len(empty.requests("manifests")) == 1
            assert events[0] == Said(
                text=f"the mirror {empty.host}/org/app has no answer: "
                f"`{empty.host}` does not have `registry.example/org/app:1`: nothing here",
                level="debug",
            )

    def test_the_registry_itself_at_last(self, image: Image, server: Server, connect: Connect, time: Time) -> None:
        with serving() as gone:
            host = gone.host
        registry = connect(conf=self.conf(host, location=f"{server.host}/org"))
        assert registry.resolve(parse_reference("registry.example/org/app:1"), AMD64).digest == image.digest
        assert time.waits == [0.5], "a silent mirror is asked twice, once and for all"

    def test_one_that_gives_wrong_bytes(self, image: Image, server: Server, connect: Connect) -> None:
        with serving(lambda _seen: Reply(body=b"{}")) as liar:
            registry = connect(conf=self.conf(liar.host, location=f"{server.host}/org"))
            reference = parse_reference("registry.example/org/app:1").pinned(image.digest)
            assert registry.resolve(reference, AMD64).digest == image.digest

    @pytest.mark.parametrize(("use", "asked"), [("all", 1), ("tag-only", 1), ("digest-only", 0)])
    def test_for_tags_or_digests_only(self, server: Server, connect: Connect, use: str, asked: int) -> None:
        with serving() as mirror:
            registry = connect(conf=self.conf(mirror.host, location=f"{server.host}/org", use=use))
            registry.fetch_manifest(parse_reference("registry.example/org/app:1"))
            assert len(mirror.requests("manifests")) == asked

    def test_blocked(self, connect: Connect) -> None:
        conf = RegistriesConf(rules=(RegistryRule(prefix="docker.io", blocked=True, source="/etc/x.conf"),))
        with pytest.raises(FetchError) as caught:
            connect(conf=conf).fetch_manifest(parse_reference("ubuntu"))
        assert caught.value.message == (
            "`docker.io/library/ubuntu` is blocked by the rule for `docker.io` in `/etc/x.conf`"
        )


def test_one_try_is_enough_when_told_so(server: Server, reference: Reference, connect: Connect, time: Time) -> None:
    server.fault("manifests", Reply(status=503))
    with pytest.raises(UnreachableError):
        connect(patience=Patience(tries=1)).fetch_manifest(reference)
    assert time.waits == []


def test_a_digest_of_another_algorithm(image: Image, server: Server, connect: Connect) -> None:
    import hashlib

    digest = Digest("sha512:" + hashlib.sha512(image.manifest).hexdigest())
    image.documents[digest] = (image.manifest, mediatypes.OCI_MANIFEST)
    fetched = connect().fetch_manifest(parse_reference(f"{server.host}/org/app@{digest}"))
    assert (fetched.digest, fetched.data) == (digest, image.manifest)

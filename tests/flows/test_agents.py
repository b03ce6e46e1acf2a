"""What the headers ask for that Sealift does not do: each refused before any work, with the line and what to use."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sealift.deffile.parse import parse
from sealift.flows.agents import source_text
from sealift.flows.packagers import TOOLS

DIGEST = "sha256:" + "0123456789abcdef" * 4
REFUSED = sorted((Path(__file__).parent / "refused_agents").glob("*.def"))


@pytest.mark.parametrize("definition", REFUSED, ids=lambda path: path.stem)
def test_headers(sealift, definition):
    shutil.copy(definition, "x.def")
    outcome = sealift("build", "x.sif", "x.def")
    assert (outcome.code, outcome.err) == (3, definition.with_suffix(".txt").read_text())
    assert not Path("ran").exists()


@pytest.mark.parametrize("agent", ["Docker", "self", "ubuntu", "LocalImage", "dokcer", ""])
def test_agents_that_nobody_has(sealift, agent):
    """Their messages are the reading's own; here it counts that nothing was done."""
    Path("x.def").write_text(f"Bootstrap: {agent}\nFrom: x\n%pre\n    touch ran\n")
    outcome = sealift("build", "x.sif", "x.def")
    assert outcome.code == 3
    assert " --> x.def:1:1\n" in outcome.err
    assert "hint: " in outcome.err
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("library://alpine", "`library://alpine`: Sealift does not fetch from `library:`"),
        ("shub://a/b", "`shub://a/b`: Sealift does not fetch from `shub:`"),
        ("dockerfile://.", "`dockerfile://.`: Sealift does not fetch from `dockerfile:`"),
        ("https://host/x.sif", "`https://host/x.sif`: Sealift does not fetch from `https:`"),
        ("Oras://host/x", "`Oras://host/x`: a scheme is written in lower case"),
        ("docker-daemon:app", "`docker-daemon:app` names no tag, which images of a daemon need"),
    ],
)
@pytest.mark.parametrize("verb", ["build", "pull"])
def test_addresses(sealift, verb, spec, message):
    outcome = sealift(verb, "x.sif", spec)
    assert (outcome.code, outcome.err.splitlines()[0]) == (2, f"error: {message}")
    assert "hint: " in outcome.err


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("Bootstrap: docker\nFrom: ubuntu:24.04\n", "docker://ubuntu:24.04"),
        ("Bootstrap: docker\nRegistry: quay.io\nNamespace: a/b\nFrom: c:1\n", "docker://quay.io/a/b/c:1"),
        ("Bootstrap: docker\nNamespace: a\nFrom: c\n", "docker://a/c"),
        ("Bootstrap: docker\nRegistry: localhost:5000/\nFrom: /c\n", "docker://localhost:5000/c"),
        (f"Bootstrap: docker\nFrom: quay.io/a/c:1@{DIGEST}\n", f"docker://quay.io/a/c:1@{DIGEST}"),
        ("Bootstrap: docker-daemon\nRegistry: quay.io\nFrom: a/c:1\n", "docker-daemon:quay.io/a/c:1"),
        ("Bootstrap: oras\nRegistry: quay.io\nFrom: ghcr.io/a/c:1\n", "oras://ghcr.io/a/c:1"),
        (f"Bootstrap: oras\nFrom: ghcr.io/a/c@{DIGEST}\n", f"oras://ghcr.io/a/c@{DIGEST}"),
        ("Bootstrap: oci-archive\nFrom: /x/y.tar:v1\n", "oci-archive:/x/y.tar:v1"),
        ("Bootstrap: oci\nNamespace: folder\nFrom: layout:v1\n", "oci:folder/layout:v1"),
    ],
)
def test_how_a_header_names_its_image(header, text):
    """`Registry:` and `Namespace:` stand before the name, for every agent but oras."""
    (stage,) = parse(header.encode(), file="x.def").stages
    assert source_text(stage) == text


NEEDS = [
    ("dnf", "dnf", "Debian and Ubuntu: apt-get install dnf", "rockylinux:9"),
    ("yum", "dnf", "Debian and Ubuntu: apt-get install dnf", "rockylinux:9"),
    ("zypper", "zypper", "Debian and Ubuntu: apt-get install zypper", "opensuse/leap:15.6"),
    ("arch", "pacman", "Debian and Ubuntu: apt-get install pacman-package-manager", "archlinux"),
]


@pytest.mark.parametrize(("agent", "program", "hint", "image"), NEEDS)
def test_tools_that_this_host_lacks(sealift, monkeypatch, agent, program, hint, image):
    from sealift.flows import packagers

    monkeypatch.setattr(packagers, "find_program", lambda _name, path: None)
    monkeypatch.setattr(packagers, "own_families", lambda: ("debian",))
    key = "ConfURL" if agent == "arch" else "MirrorURL"
    Path("x.def").write_text(f"Bootstrap: {agent}\n{key}: http://127.0.0.1:1/\n%pre\n    touch ran\n")
    outcome = sealift("build", "x.sif", "x.def")
    assert (outcome.code, outcome.err.splitlines()) == (
        6,
        [
            f"error: `{program}` is not installed, with which `Bootstrap: {agent}` makes its base",
            f"hint: on {hint}",
            f"hint: or begin with an image: Bootstrap: docker, From: {image}",
        ],
    )
    assert not Path("ran").exists()
    assert agent in TOOLS


class TestLocalImage:
    def build(self, sealift, source: str, more: str = "") -> tuple[int, str]:
        Path("x.def").write_text(f"Bootstrap: localimage\nFrom: {source}\n{more}")
        outcome = sealift("build", "-F", "x.sif", "x.def")
        return outcome.code, outcome.err

    def test_every_form_that_we_read(self, sealift, small_layout):
        for target in (("base.sif",), ("base.sqfs",), ("--sandbox", "base")):
            assert sealift("build", *target, f"oci:{small_layout}").code == 0
        for source in ("base.sif", "./base.sqfs", "base", "../here/base.sif"):
            code, err = self.build(sealift, source)
            assert code == 0, err

    def test_ext3(self, sealift):
        # A superblock's magic at its place, which is how Apptainer tells one, too.
        Path("x.img").write_bytes(bytes(1080) + b"\x53\xef" + bytes(4096))
        code, err = self.build(sealift, "x.img")
        assert (code, err.splitlines()) == (
            5,
            [
                "error: `x.img` is an ext3 image, which Sealift does not read",
                "hint: convert it with Apptainer: apptainer build NEW.sif x.img",
            ],
        )

    def test_a_tilde(self, sealift):
        assert self.build(sealift, "~/none.sif") == (
            5,
            "error: there is no image `~/none.sif`\nhint: `~` is expanded by shells alone: write the whole path\n",
        )

    def test_fingerprints_of_a_sif_alone(self, sealift, small_layout):
        """As in Apptainer, which builds from a directory or squashfs whatever `Fingerprints:` says."""
        for target in (("base.sif",), ("base.sqfs",)):
            assert sealift("build", *target, f"oci:{small_layout}").code == 0
        assert self.build(sealift, "base.sqfs", "Fingerprints: 0123ABCD\n")[0] == 0
        code, err = self.build(sealift, "base.sif", "Fingerprints: 0123ABCD\n")
        assert (code, err.splitlines()[0]) == (
            3,
            "error: `Fingerprints:` asks to check the signatures of the base, which Sealift cannot do",
        )

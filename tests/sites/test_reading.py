"""Profiles as text: what is read, and every fault named at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.sites.profile import Fact, Source
from sealift.sites.reading import find_key, load_keys, load_sources, read_profile

RIGHT = b"""
schema = 1
name = "mine"
extends = "slurm"
aliases = ["my"]
collected = "2026-11-22"

[sources]
W = { url = "https://site.example/gpu", date = "2026-11-20", kind = "official" }

[gpu]
driver = { value = "580.105.08", source = ["W"], note = "spring", verified = "2026-11-21" }
count = 4
capability = { value = "8.0", source = ["W", "N1"] }

[nccl.env]
NCCL_CROSS_NIC = "1"

[filesystems.scratch]
images = true
"""


def test_a_profile_is_read_with_where_each_fact_comes_from() -> None:
    text = read_profile(RIGHT, file="mine.toml")
    site = Source(key="W", kind="official", url="https://site.example/gpu", date="2026-11-20")
    yours = Source(key="mine.toml", kind="yours")
    assert (text.name, text.extends, text.aliases, text.collected) == ("mine", "slurm", ("my",), "2026-11-22")
    assert list(text.facts.values()) == [
        Fact(
            key="gpu.driver",
            value="580.105.08",
            file="mine.toml",
            sources=(site,),
            note="spring",
            verified="2026-11-21",
        ),
        Fact(key="gpu.count", value=4.0, file="mine.toml", sources=(yours,)),
        Fact(key="gpu.capability", value="8.0", file="mine.toml", sources=(site, load_sources()["N1"])),
        Fact(key="nccl.env.NCCL_CROSS_NIC", value="1", file="mine.toml", sources=(yours,)),
        Fact(key="filesystems.scratch.images", value=True, file="mine.toml", sources=(yours,)),
    ]


def test_every_fault_is_named_at_once() -> None:
    wrong = b"""
name = "Mine!"
[gpu]
drivr = "580"
count = "four"
model = { value = "A100", source = ["nowhere"] }
[slurm]
qos = "regular"
mpi_types = [1]
[sources]
X = "a page"
"""
    with pytest.raises(UsageError) as caught:
        read_profile(wrong, file="mine.toml")
    assert caught.value.message == (
        "`mine.toml` is not a site profile:\n"
        "  - `schema = 1` is missing: this Sealift reads no other\n"
        "  - `name` has to be lower-case letters, digits, `.`, `_` and `-`\n"
        "  - the source `X` has to say its `kind`, and where there is one its `url` and `date`\n"
        "  - there is no key `gpu.drivr`: did you mean `gpu.driver`?\n"
        "  - `gpu.count` has to be a number\n"
        "  - `gpu.model` names the source `nowhere`, which is not under `[sources]`\n"
        "  - `slurm.qos` has to be a list of texts in quotes\n"
        "  - `slurm.mpi_types` has to be a list of texts in quotes"
    )
    assert caught.value.hints == ("the keys and their types: sealift sites --keys",)


def test_further_faults() -> None:
    wrong = b"""
schema = 1
name = "add"
extends = ["slurm"]
aliases = "my"
abstract = "no"
collected = "yesterday"
[gpu]
driver = { value = "1", source = "W" }
count = { value = 4, note = 1 }
model = { value = "A100", verified = "soon" }
vendor = { value = "nvidia", sorce = ["N1"] }
drivr = { value = "1", source = ["N1"], note = "spring" }
[detect]
value = "mine"
"""
    with pytest.raises(UsageError) as caught:
        read_profile(wrong, file="mine.toml")
    assert caught.value.message == (
        "`mine.toml` is not a site profile:\n"
        "  - `name` cannot be `add`: `sealift sites add` does something else\n"
        "  - `extends` has to be the name of one profile\n"
        "  - `aliases` has to be a list of names\n"
        "  - `abstract` has to be true or false\n"
        "  - `collected` has to be a day: 2026-11-22\n"
        '  - `source` of `gpu.driver` has to be a list: source = ["W"]\n'
        "  - `note` of `gpu.count` has to be a text in quotes\n"
        "  - `verified` of `gpu.model` has to be the day on which it was seen: 2026-11-20\n"
        "  - `gpu.vendor` has `sorce`, which facts have not: they have value, source, note, verified\n"
        "  - there is no key `gpu.drivr`: did you mean `gpu.driver`?"
    )


def test_sources_that_a_note_names_are_kept_beside_the_others() -> None:
    written = b'{ value = "1", source = ["N1"], note = "a [N1] b [N2, N3] c [x] [Z9]" }'
    text = b'schema = 1\nname = "mine"\n[gpu]\ndriver = ' + written
    (fact,) = read_profile(text, file="mine.toml").facts.values()
    known = load_sources()
    assert (fact.sources, fact.noted) == ((known["N1"],), (known["N2"], known["N3"]))


@pytest.mark.parametrize("data", [b"\xff\xfe", b"name = ", b"[a]\n[a]\n"], ids=["bytes", "half", "twice"])
def test_what_is_not_toml_says_so(data: bytes) -> None:
    with pytest.raises(UsageError, match="`x` is not TOML"):
        read_profile(data, file="x")


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("gpu.driver", "gpu.driver"),
        ("nccl.env.NCCL_DEBUG", "nccl.env.*"),
        ("engines.podman-hpc.gpu_flags", "engines.*.gpu_flags"),
        ("engines.order", "engines.order"),
    ],
)
def test_keys_are_found_by_pattern(name: str, pattern: str) -> None:
    key = find_key(name)
    assert key is not None
    assert key.pattern == pattern


@pytest.mark.parametrize("name", ["gpu", "gpu.driver.version", "nccl.env", "engines.gpu_flags.x.y", ""])
def test_other_names_are_no_keys(name: str) -> None:
    assert find_key(name) is None


def test_every_key_has_a_type_and_says_what_it_means() -> None:
    assert {key.type for key in load_keys()} == {"text", "number", "texts", "flag"}
    assert all(key.says for key in load_keys())


def test_the_profile_that_the_documentation_shows_is_right() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/sites.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert read_profile(block.encode(), file="mycluster.toml").name == "mycluster"

"""What a run of the ranks' program (data/mpi/ranks.py) tells, from its output and from libraries' talk beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

VERBOSE: Mapping[str, str] = {
    "UCX_LOG_LEVEL": "info",
    "MPIR_CVAR_DEBUG_SUMMARY": "1",
    "MPICH_OFI_VERBOSE": "1",
    "OMPI_MCA_pml_base_verbose": "10",
    "OMPI_MCA_btl_base_verbose": "1",
    "OMPI_MCA_mtl_base_verbose": "10",
}
"""Variables that make MPI libraries say what they send by; none of them changes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    rank: int
    size: int
    host: str
    library: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Messages of `bytes` between the first and the last rank: microseconds one way, and MB/s."""

    bytes: int
    microseconds: float
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """`sums` are expected and found by name (`allreduce`, `ring`); `by` names transports, as far as they were told."""

    ranks: tuple[Rank, ...] = ()
    sums: Mapping[str, tuple[int, int]]
    pairs: tuple[Pair, ...] = ()
    by: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(rank.host for rank in self.ranks))


def read_ranks(out: str, err: str) -> Said:
    """Read both streams; lines that are not the program's are passed over."""
    ranks: list[Rank] = []
    sums: dict[str, tuple[int, int]] = {}
    pairs: list[Pair] = []
    for told in _lines(out):
        try:
            match told.get("kind"):
                case "rank":
                    ranks.append(
                        Rank(
                            rank=int(told["rank"]),
                            size=int(told["size"]),
                            host=str(told["host"]),
                            library=str(told["library"]),
                            version=_short(str(told["version"])),
                        )
                    )
                case "allreduce" | "ring" as name:
                    sums[name] = (int(told["expected"]), int(told["found"]))
                case "pair":
                    pair = Pair(
                        bytes=int(told["bytes"]),
                        microseconds=float(told["microseconds"]),
                        rate=float(told["rate"]),
                    )
                    pairs.append(pair)
        except (KeyError, TypeError, ValueError):
            continue
    ranks.sort(key=lambda each: (each.rank, each.host))
    return Said(ranks=tuple(ranks), sums=sums, pairs=tuple(pairs), by=sent_by(f"{out}\n{err}".splitlines()))


def sent_by(lines: Iterable[str]) -> tuple[str, ...]:
    """The transports that libraries name in their talk, in the order in which they first do."""
    found: dict[str, None] = {}
    for line in lines:
        for pattern, form in _TALK:
            match = re.search(pattern, line)
            if match is None:
                continue
            if form == "ucx":
                found |= dict.fromkeys(f"UCX: {each}" for each in _ucx(match[1]))
            else:
                found[form.format(match[1].strip().strip('"'))] = None
    return tuple(found)


def is_talk(line: str) -> bool:
    """Is this for people: neither the program's own line nor what VERBOSE asked for?"""
    return bool(line.strip()) and '{"kind": ' not in line and not re.search(_ASKED_FOR, line)


_ASKED_FOR = r"UCX +(INFO|DIAG)|\] (mca: |select|check:select)|^====+|^(sizeof\(|MPIDI_UCX_|num_vnis|tag_bits)"
_TALK = (
    # UCX INFO  ep_cfg[2]: tag(posix/memory cma/memory self/memory); rma(…)
    (r"ep_cfg\[\d+\]: (.*)", "ucx"),
    # UCX 1.16 and later: … tag(tcp/eth0), in its `info` lines of endpoints
    (r"UCX +INFO +\S+ +(?:self|intra-node|inter-node) cfg#\d+ (.*)", "ucx"),
    # MPICH (ch4:ofi): libfabric provider: tcp;ofi_rxm - 10.0.0.0/8 …
    (r"libfabric provider: ([^\s-]+)", "libfabric: {}"),
    (r"provider_name\s*[:=]\s*(\S+)", "libfabric: {}"),
    # Cray MPICH: PE 0: MPICH … using cxi provider
    (r"(?i)\busing (?:the )?(\w+) provider\b", "libfabric: {}"),
    # Open MPI: mca:base:select:( pml) / select: component ob1 selected
    (r"select: component (\w+) selected", "Open MPI: {}"),
    (r"Using (?!self\b)(\w+) btl for send", "Open MPI: {}"),
    (r"mtl:ofi:prov(?:ider)?: (\S+)", "libfabric: {}"),
)


def _ucx(text: str) -> list[str]:
    """Transports by device: `posix/memory`, `tcp/eth0`."""
    return [each for group in re.findall(r"\btag\(([^)]*)\)", text) for each in group.split() if "/" in each]


def _lines(out: str) -> Iterable[dict[str, Any]]:
    for line in out.splitlines():
        # srun --label puts a number in front.
        start = line.find('{"kind": ')
        if start >= 0:
            try:
                told = json.loads(line[start:])
            except ValueError:
                continue
            if isinstance(told, dict):
                yield told


def _short(version: str) -> str:
    """The part of MPI_Get_library_version that names the version, without how it was configured and packed."""
    return re.split(r" MPICH (?:Release|ABI|Device|configure)|, package: ", version)[0].replace(
        "MPICH Version: ", "MPICH "
    )

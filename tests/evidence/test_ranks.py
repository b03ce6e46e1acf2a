"""What is read out of ranks' output: lines of real runs, and made-up ones for networks that are not here."""

from __future__ import annotations

import pytest

from sealift.evidence.ranks import Pair, Rank, Said, is_talk, read_ranks, sent_by

OUT = """\
1: {"kind": "rank", "rank": 1, "size": 2, "host": "nid002", "library": "/l/libmpich.so.12", "version": "MPICH \
Version: 4.0.2 MPICH Release date: Thu Apr 7 12:34:45 CDT 2022 MPICH ABI: 14:2:2"}
{"kind": "rank", "rank": 0, "size": 2, "host": "nid001", "library": "/l/libmpi.so.40", "version": "Open MPI v4.1.4, \
package: Debian OpenMPI, ident: 4.1.4"}
a program's own line
{"kind": "allreduce", "expected": 3, "found": 4}
{"kind": "ring", "expected": 3, "found": 3}
{"kind": "pair", "bytes": 8, "microseconds": 1.5, "rate": 5.3}
{"kind": "pair", "bytes": 1024, "microse
{"kind": "rank", "rank": "x", "size": 2}
{"kind": "else"}
"""


def test_lines_of_ranks() -> None:
    assert read_ranks(OUT, "") == Said(
        ranks=(
            Rank(rank=0, size=2, host="nid001", library="/l/libmpi.so.40", version="Open MPI v4.1.4"),
            Rank(rank=1, size=2, host="nid002", library="/l/libmpich.so.12", version="MPICH 4.0.2"),
        ),
        sums={"allreduce": (3, 4), "ring": (3, 3)},
        pairs=(Pair(bytes=8, microseconds=1.5, rate=5.3),),
    )
    assert read_ranks(OUT, "").hosts == ("nid001", "nid002")
    assert read_ranks("", "") == Said(sums={})


UCX = "[1795766909.612565] [vm:16388:0]      ucp_worker.c:1763 UCX  INFO    ep_cfg[0]: "


@pytest.mark.parametrize(
    ("lines", "by"),
    [
        ([UCX + "tag(sysv/memory cma/memory) rma(sysv/memory posix/memory) am(sysv/memory)"] * 2, ("sysv", "cma")),
        ([UCX + "tag(self/memory0) rma(self/memory0)", UCX + "tag(tcp/eth0) am(tcp/eth0)"], ("self", "tcp/eth0")),
        (["[1] [n:2:0] ucp_context.c:2119 UCX  INFO  ucp_context_0 inter-node cfg#1 tag(rc_mlx5/mlx5_0:1)"], ("rc",)),
        (["libfabric provider: tcp;ofi_rxm - 10.0.0.0/8"], ("libfabric: tcp;ofi_rxm",)),
        (["PE 0: MPICH is using the cxi provider"], ("libfabric: cxi",)),
        (
            ["[vm:1] select: component ob1 selected", "[vm:1] select: component cm selected"],
            ("Open MPI: ob1", "Open MPI: cm"),
        ),
        (
            [
                "[vm:1] mca: bml: Using self btl for send to [[1,2],2] on node vm",
                "[vm:1] mca: bml: Using tcp btl for send to [[1,2],1] on node nid002",
            ],
            ("Open MPI: tcp",),
        ),
        (["nothing of the kind", ""], ()),
    ],
)
def test_what_carried_messages(lines: list[str], by: tuple[str, ...]) -> None:
    names = {
        "sysv": "UCX: sysv/memory",
        "cma": "UCX: cma/memory",
        "self": "UCX: self/memory0",
        "tcp/eth0": "UCX: tcp/eth0",
        "rc": "UCX: rc_mlx5/mlx5_0:1",
    }
    assert sent_by(lines) == tuple(names.get(each, each) for each in by)


@pytest.mark.parametrize(
    ("line", "talk"),
    [
        ("srun: error: nid001: task 0: Killed", True),
        ('{"kind": "rank"}', False),
        (UCX + "tag(self/memory0)", False),
        ("[vm:1] mca: base: components_register: registering framework pml components", False),
        ("==== UCX netmod Capability ====", False),
        ("  ", False),
    ],
)
def test_what_is_for_people(line: str, talk: bool) -> None:
    assert is_talk(line) is talk

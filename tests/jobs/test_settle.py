"""What is filled in of a job by the site's rules, and what is refused before it waits in a queue."""

from __future__ import annotations

from typing import Any

import pytest

from sealift.errors import UsageError
from sealift.jobs.job import Orders
from sealift.jobs.settle import Settled, Wish, settle
from tests.jobs import world

SLURM_DECIDES = "; Slurm decides, and nothing was changed"
PERLMUTTER: dict[str, Any] = {"qos": "regular", "constraint": "gpu", "output": "%x-%j.out", "gpus_per_node": 4}


@pytest.mark.parametrize(
    ("site", "wish", "orders", "workers"),
    [
        (
            "perlmutter",
            {"nodes": 1},
            {**PERLMUTTER, "nodes": 1, "tasks_per_node": 1, "cpus_per_task": 128},
            0,
        ),
        (
            "perlmutter",
            {"nodes": 2, "kind": "gpu-mpi"},
            {**PERLMUTTER, "nodes": 2, "tasks_per_node": 4, "cpus_per_task": 32},
            0,
        ),
        (
            "perlmutter-gpu80",
            {"nodes": 2, "kind": "jax", "qos": "debug", "time": "30"},
            {
                **PERLMUTTER,
                "nodes": 2,
                "tasks_per_node": 4,
                "cpus_per_task": 32,
                "time": "30",
                "qos": "debug",
                "constraint": "gpu&hbm80g",
            },
            0,
        ),
        (
            "perlmutter",
            {"nodes": 2, "kind": "pytorch"},
            {**PERLMUTTER, "nodes": 2, "tasks_per_node": 1, "cpus_per_task": 128},
            4,
        ),
        (
            "perlmutter",
            {"nodes": 1, "kind": "gpu-mpi", "tasks_per_node": 8, "gpus_per_node": 2},
            {**PERLMUTTER, "nodes": 1, "tasks_per_node": 8, "cpus_per_task": 8, "gpus_per_node": 2},
            0,
        ),
        (
            "perlmutter-cpu",
            {"nodes": 3, "kind": "mpi"},
            {
                "nodes": 3,
                "tasks_per_node": 128,
                "cpus_per_task": 2,
                "qos": "regular",
                "constraint": "cpu",
                "output": "%x-%j.out",
            },
            0,
        ),
        (
            "perlmutter-cpu",
            {"nodes": 1, "kind": "mpi", "tasks_per_node": 48, "requeue": True, "array": "0-3%2"},
            {
                "nodes": 1,
                "tasks_per_node": 48,
                "cpus_per_task": 4,
                "qos": "regular",
                "constraint": "cpu",
                "output": "%x-%A_%a.out",
                "array": "0-3%2",
                "requeue": True,
                "signal": "USR1@120",
            },
            0,
        ),
        (
            "frontier",
            {"nodes": 1, "kind": "gpu-mpi"},
            {"nodes": 1, "tasks_per_node": 8, "gpus_per_node": 8, "cpus_per_task": 7, "output": "%x-%j.out"},
            0,
        ),
        ("slurm", {"nodes": 2}, {"nodes": 2, "tasks_per_node": 1, "output": "%x-%j.out"}, 0),
        (
            "slurm",
            {"kind": "pytorch", "tasks_per_node": 3, "gpus_per_node": 0, "signal": "SIGUSR2@60", "output": "o"},
            {"nodes": 1, "tasks_per_node": 1, "output": "o", "signal": "USR2@60"},
            3,
        ),
    ],
)
def test_a_wish_becomes_orders(site: str, wish: dict[str, Any], orders: dict[str, Any], workers: int) -> None:
    settled = settle(Wish(**wish), world.site(site))
    expected = Orders(**orders)
    assert settled == Settled(kind=settled.kind, orders=expected, workers=workers, warnings=())
    assert settled.kind == wish.get("kind", "single")


@pytest.mark.parametrize(
    ("site", "wish", "message", "hint"),
    [
        (
            "polaris",
            {},
            "ALCF Polaris has PBS, and Sealift writes no PBS scripts yet",
            "see how the engine is called there: sealift exec --print --site polaris …",
        ),
        (
            "slurm",
            {"kind": "mpj"},
            "`--kind mpj` is not known",
            "one of single, mpi, gpu-mpi, pytorch, pytorch-tasks, jax",
        ),
        ("slurm", {"nodes": 0}, "`--nodes 0` is less than one", None),
        ("slurm", {"tasks_per_node": -1}, "`--tasks-per-node -1` is less than one", None),
        ("slurm", {"gpus_per_node": -1}, "`--gpus-per-node -1` is less than none", None),
        ("slurm", {"kind": "mpi"}, "how many cores a node of a Slurm cluster has is not known", "--tasks-per-node 64"),
        ("slurm", {"kind": "gpu-mpi"}, "how many GPUs a node of a Slurm cluster has is not known", "--gpus-per-node 4"),
        (
            "perlmutter-cpu",
            {"gpus_per_node": 1},
            "NERSC Perlmutter, CPU nodes has no GPUs",
            "see the sites: sealift sites",
        ),
        (
            "perlmutter-cpu",
            {"kind": "gpu-mpi"},
            "NERSC Perlmutter, CPU nodes has no GPUs",
            "see the sites: sealift sites",
        ),
        ("perlmutter", {"kind": "gpu-mpi", "gpus_per_node": 0}, "`--kind gpu-mpi` needs GPUs", "--kind mpi"),
        (
            "perlmutter",
            {"gpus_per_node": 8},
            "a node of NERSC Perlmutter, GPU nodes has 4 GPUs, not 8",
            "--gpus-per-node 4",
        ),
        (
            "slurm",
            {"time": "1 hour"},
            "`--time 1 hour` is not what Slurm takes",
            "minutes, H:MM:SS or D-HH:MM:SS: --time 1:30:00",
        ),
        ("slurm", {"array": "a"}, "`--array a` is not what Slurm takes", "numbers and ranges: --array 0-9%4"),
        ("slurm", {"signal": "KILL@60"}, "`--signal KILL@60` is not NAME@SECONDS", "--signal USR1@120"),
        ("slurm", {"signal": "USR1"}, "`--signal USR1` is not NAME@SECONDS", "--signal USR1@120"),
        (
            "slurm",
            {"name": 'a"\nrm -rf'},
            "`--name 'a\"\\nrm -rf'` has characters that have no place in a job's header",
            None,
        ),
    ],
)
def test_what_cannot_come_true_is_refused(site: str, wish: dict[str, Any], message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as raised:
        settle(Wish(**wish), world.site(site))
    assert raised.value.message == message
    assert raised.value.hints[:1] == ((hint,) if hint else ())


@pytest.mark.parametrize(
    ("wish", "warnings"),
    [
        ({"account": "m1234_g"}, ()),
        (
            {"account": "m1234"},
            ("account `m1234`: " + world.site("perlmutter").text("slurm.account") + SLURM_DECIDES,),
        ),
        (
            {"qos": "fast"},
            ("the QOS `fast` is none of those known: " + ", ".join(world.site("perlmutter").texts("slurm.qos")),),
        ),
    ],
)
def test_what_looks_wrong_is_said_and_not_changed(wish: dict[str, Any], warnings: tuple[str, ...]) -> None:
    settled = settle(Wish(**wish), world.site("perlmutter"))
    assert settled.warnings == warnings
    assert settled.orders.account == wish.get("account", "")

"""What enters, what is set, what is shown, for engines that begin with nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sealift.core.launch import Bind
from sealift.engines.clean.surroundings import compose, env_words, library_path, ordered_plainly, passes
from tests.engines.clean.world import AROUND, CACHES, caller, plan, site


@pytest.mark.parametrize(
    ("name", "enters"),
    [
        ("SLURM_PROCID", True),
        ("PMI_RANK", True),
        ("PMIX_NAMESPACE", True),
        ("PALS_RANKID", True),
        ("MPICH_GPU_SUPPORT_ENABLED", True),
        ("OMPI_MCA_pml", True),
        ("UCX_TLS", True),
        ("FI_PROVIDER", True),
        ("NCCL_DEBUG", True),
        ("OMP_NUM_THREADS", True),
        ("CUDA_VISIBLE_DEVICES", True),
        ("ROCR_VISIBLE_DEVICES", True),
        ("HIP_VISIBLE_DEVICES", True),
        ("MASTER_ADDR", True),
        ("https_proxy", True),
        ("CUDA_HOME", False),
        ("CUDA_TOOLKIT_ROOT_DIR", False),
        ("MPICH_DIR", False),
        ("NCCL_HOME", False),
        ("LD_LIBRARY_PATH", False),
        ("PYTHONPATH", False),
        ("PATH", False),
        ("VIRTUAL_ENV", False),
        ("CONDA_PREFIX", False),
        ("LD_PRELOAD", False),
    ],
)
def test_which_variables_of_the_host_enter(name: str, enters: bool) -> None:
    assert passes(name) is enters


def test_what_the_user_names_shows_no_value_in_the_command_line() -> None:
    host = caller(
        TOKEN="secret", WANDB_KEY="hidden", OTHER="1", XDG_RUNTIME_DIR="/run/user/1000", SEALIFT_PASS="WANDB_*"
    )
    wanted = plan(passed=("TOKEN", "OTHER", "XDG_*"), env={"OTHER": "2"})
    variables = {name: host.env[name] for name in ("OMP_NUM_THREADS", "TOKEN", "WANDB_KEY", "XDG_RUNTIME_DIR")}
    assert env_words(variables | {"OTHER": "2"}, wanted, host) == [
        *("--env", "OMP_NUM_THREADS=8", "--env", "TOKEN", "--env", "WANDB_KEY"),
        *("--env", "XDG_RUNTIME_DIR=/run/user/1000", "--env", "OTHER=2"),
    ]


def test_a_plain_plan() -> None:
    made = compose(plan(), caller(), None)
    assert dict(made.env) == AROUND
    assert list(made.env) == list(AROUND)
    assert made.binds == (
        Bind(source="/tmp", destination="/tmp"),
        Bind(source="/var/tmp", destination="/var/tmp"),
        Bind(source="/home/me", destination="/home/me"),
        Bind(source="/lustre/me", destination="/scratch/me"),
    )
    assert made.pwd == "/scratch/me/run"


def test_what_the_plan_orders_wins() -> None:
    order = {"OMP_NUM_THREADS": "1", "PYTHONNOUSERSITE": "", "TORCH_HOME": "/t", "LD_LIBRARY_PATH": "/mine"}
    made = compose(plan(env=order, pwd="/in", binds=(Bind(source="/data", destination="/tmp"),)), caller(), None)
    path = order.pop("LD_LIBRARY_PATH")
    assert dict(made.env) == AROUND | order
    assert (made.orders, made.ordered_path) == (order, path)
    assert made.pwd == "/in"
    assert made.binds[0] == Bind(source="/lustre/data", destination="/tmp")


@pytest.mark.parametrize(
    ("fields", "shown", "pwd"),
    [
        ({"contain": True}, [], None),
        ({"contain_all": True}, [], None),
        ({"no_home": True}, ["/tmp", "/var/tmp", "/scratch/me"], "/scratch/me/run"),
    ],
)
def test_what_is_shown_less(fields: dict[str, object], shown: list[str], pwd: str | None) -> None:
    made = compose(plan(**fields), caller(), None)
    assert [bind.destination for bind in made.binds] == shown
    assert made.pwd == pwd


def test_a_site_shows_its_file_systems() -> None:
    made = compose(plan(), caller(CFS="/global/cfs/cdirs"), site("perlmutter"))
    shown = {bind.destination for bind in made.binds}
    assert shown == {"/tmp", "/var/tmp", "/home/me", "/scratch/me", "/global/cfs/cdirs"}
    assert made.env["CFS"] == "/global/cfs/cdirs"


def test_without_scratch_and_job_the_caches_are_of_this_user() -> None:
    alone = replace(caller(), env={"HOME": "/home/me"})
    env = compose(plan(), alone, None).env
    assert {name: env[name] for name in CACHES} == {
        name: f"/tmp/sealift-cache-1000/{folder}"
        for name, folder in {
            "HF_HOME": "huggingface",
            "TORCH_HOME": "torch",
            "MPLCONFIGDIR": "matplotlib",
            "NUMBA_CACHE_DIR": "numba",
            "TRITON_CACHE_DIR": "triton",
            "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
            "CUDA_CACHE_PATH": "cuda",
        }.items()
    }


def test_outer_folders_are_bound_before_inner_ones() -> None:
    binds = (Bind(source="/a", destination="/x/y/z"), Bind(source="/b", destination="/x"))
    made = compose(plan(contain=True, binds=binds), caller(), None)
    assert [bind.destination for bind in made.binds] == ["/x", "/x/y/z"]


def test_one_library_path_of_several() -> None:
    assert library_path("/mpi:/mpi/dep", "", "/nccl:/mpi", "/image") == "/mpi:/mpi/dep:/nccl:/image"
    assert library_path() == ""


def test_the_same_for_an_engine_that_passes_everything_on() -> None:
    safe = ordered_plainly(plan(env={"A": "b"}), caller(), None)
    assert safe.clean_env
    assert safe.env == {k: v for k, v in AROUND.items() if k != "HOME"} | {"A": "b"}
    assert safe.binds == (Bind(source="/lustre/me", destination="/scratch/me"),)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "/mine${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"),
        ({"no_eval": True}, "/mine"),
    ],
)
def test_an_order_of_the_library_path_is_put_before_the_images_own(fields: dict[str, object], expected: str) -> None:
    safe = ordered_plainly(plan(env={"LD_LIBRARY_PATH": "/mine"}, **fields), caller(), None)
    assert safe.env == {k: v for k, v in AROUND.items() if k != "HOME"} | {"LD_LIBRARY_PATH": expected}


@pytest.mark.parametrize(
    ("passed", "variable", "more"),
    [
        ((), "", {}),
        (("MY_*", "OTHER"), "", {"MY_A": "1", "MY_B": "2", "OTHER": "3"}),
        ((), "OTHER, CUDA_HOME", {"OTHER": "3", "CUDA_HOME": "/opt/cuda"}),
        (("PYTHONPATH",), "MY_A", {"MY_A": "1", "PYTHONPATH": "/home/me/lib"}),
    ],
)
def test_what_the_user_names_enters_too(passed: tuple[str, ...], variable: str, more: dict[str, str]) -> None:
    here = caller(MY_A="1", MY_B="2", OTHER="3", SEALIFT_PASS=variable)
    assert dict(compose(plan(passed=passed), here, None).env) == AROUND | more


def test_the_library_path_of_the_host_enters_as_an_order_where_it_is_named() -> None:
    made = compose(plan(passed=("LD_LIBRARY_PATH",)), caller(), None)
    assert dict(made.env) == AROUND
    assert made.ordered_path == "/opt/host/lib"
    assert made.library_path("/site", "/image:/site") == "/opt/host/lib:/site:/image"

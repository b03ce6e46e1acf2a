"""How the ranks of each kind are started and find each other: options of `srun`, variables, the command itself."""

from __future__ import annotations

from collections.abc import Iterator

from sealift.jobs.job import Job
from sealift.jobs.words import at_run_time

SET_BY_SLURM = ("MASTER_ADDR", "MASTER_PORT", "PWD", "HOME", "SEALIFT_IMAGE")
"""Variables that the script or every shell has; those of Slurm's own begin with SLURM_."""
GPU_MPI = "MPICH_GPU_SUPPORT_ENABLED"
FIRST_PORT, PORTS = 10000, 20000
"""Below the range from which the kernel gives ports of its own choice (32768 and above)."""


def rendezvous(job: Job) -> tuple[str, ...]:
    """The lines that say where the ranks meet: the first node, and a port that another job has hardly."""
    if job.kind not in ("pytorch", "pytorch-tasks", "jax"):
        return ()
    return (
        "# Where the ranks meet: on the job's first node, at a port that follows from the job's number.",
        'MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        f"MASTER_PORT=$(({FIRST_PORT} + SLURM_JOB_ID % {PORTS}))",
        "export MASTER_ADDR MASTER_PORT",
    )


def gpu_lines(job: Job) -> tuple[str, ...]:
    """The lines of each rank that choose its GPU."""
    return tuple(_gpu_lines(job))


def _gpu_lines(job: Job) -> Iterator[str]:
    gpus, tasks = job.orders.gpus_per_node, job.orders.tasks_per_node
    if not gpus or tasks == 1:
        return
    name = "ROCR_VISIBLE_DEVICES" if job.site.text("gpu.vendor") == "amd" else "CUDA_VISIBLE_DEVICES"
    is_reversed = job.site.text("gpu.rank_order") == "reversed"
    if job.kind in ("pytorch-tasks", "jax"):
        # Both choose a GPU by the local rank, and NCCL wants to see its neighbours'.
        if is_reversed:
            yield "# The local rank 0 sits nearest to the last GPU; all see all, in the order of their ranks."
            yield f"export {name}={','.join(str(number) for number in reversed(range(gpus)))}"
        return
    local = "SLURM_LOCALID" if tasks <= gpus else f"SLURM_LOCALID * {gpus} / {tasks}"
    if is_reversed:
        yield "# The local rank 0 sits nearest to the last GPU and network card."
        value = f"{gpus - 1}-{local}" if tasks <= gpus else f"{gpus - 1} - {local}"
        yield f"export {name}=$(({value}))"
    else:
        yield "# One GPU for each rank, in their order."
        yield f"export {name}=$SLURM_LOCALID" if tasks <= gpus else f"export {name}=$(({local}))"


def variables(job: Job) -> dict[str, str]:
    """Variables for the program, some of whose values only the rank knows."""
    found = {}
    if job.kind == "pytorch-tasks":
        found = {
            "RANK": at_run_time("SLURM_PROCID"),
            "LOCAL_RANK": at_run_time("SLURM_LOCALID"),
            "WORLD_SIZE": at_run_time("SLURM_NTASKS"),
            "LOCAL_WORLD_SIZE": str(job.orders.tasks_per_node),
            "GROUP_RANK": at_run_time("SLURM_NODEID"),
        }
    if job.kind == "jax":
        # The rest it reads from Slurm's own variables.
        found = {"JAX_COORDINATOR_ADDRESS": f"{at_run_time('MASTER_ADDR')}:{at_run_time('MASTER_PORT')}"}
    if job.kind != "gpu-mpi":
        # A module may have set it: MPI without GPU support stops at it, and with NCCL both can wait for ever.
        found |= {name: "0" for name in job.site.below("mpi.gpu_env") if name == GPU_MPI}
    if job.plan.communication == "nccl" and job.orders.nodes > 1:
        found |= {name: fact.shown for name, fact in job.site.below("nccl.nodes_env").items()}
    return found


def program(job: Job) -> tuple[str, ...]:
    """The command that each task runs inside."""
    if job.kind != "pytorch":
        return job.plan.command
    words = job.plan.command
    is_script = bool(words) and (words[0].endswith(".py") or words[0] in ("-m", "--module"))
    return (
        "torchrun",
        f"--nnodes={at_run_time('SLURM_NNODES')}",
        f"--nproc-per-node={job.workers}",
        f"--rdzv-id={at_run_time('SLURM_JOB_ID')}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={at_run_time('MASTER_ADDR')}:{at_run_time('MASTER_PORT')}",
        *(() if is_script else ("--no-python",)),
        *words,
    )


def step_options(job: Job, *, nodes: int, tasks_per_node: int) -> tuple[str, ...]:
    """The options of an `srun` that starts ranks: those of the header, over which exported variables win."""
    orders, site = job.orders, job.site
    # All variables, whatever the job was sent with (sbatch --export): the rank's own lines choose among them.
    words = ["--export=ALL", f"--nodes={nodes}", f"--ntasks={nodes * tasks_per_node}"]
    words.append(f"--ntasks-per-node={tasks_per_node}")
    if orders.cpus_per_task:
        words.append(f"--cpus-per-task={orders.cpus_per_task}")
    words.append(f"--cpu-bind={site.text('slurm.cpu_bind') or 'cores'}")
    if orders.gpus_per_node:
        words.append(f"--gpus-per-node={orders.gpus_per_node}")
        if bind := site.text("slurm.gpu_bind"):
            words.append(f"--gpu-bind={bind}")
    if job.wireup.pmi:
        words.append(f"--mpi={job.wireup.pmi}")
    return tuple(words)

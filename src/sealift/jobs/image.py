"""The job's image under the name that each engine has for it, and the lines that make sure of it before ranks start."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.engines.clean.image import StoredImage
from sealift.errors import UsageError
from sealift.jobs.job import Job, JobImage, Stage
from sealift.jobs.parts import heredoc, part
from sealift.jobs.words import at_run_time, command, one_line, quoted
from sealift.sites.profile import Profile

LARGE = 1_000_000_000
"""From this size on many nodes read a copy of their own, or a striped file."""
_SHARE_OF_MEMORY = 8


def choose_stage(wanted: str, image: JobImage, *, nodes: int, site: Profile) -> Stage:
    """Where ranks read the image: `shared` or `node`, or by itself with `auto`; UsageError for what cannot be."""
    if wanted not in ("auto", "shared", "node"):
        raise UsageError(f"`--stage {wanted}` is not known", hints=("auto, shared or node",))
    if image.form != "file":
        if wanted == "node":
            raise UsageError("`--stage node` is for files: the engine keeps this image itself")
        return "shared"
    if wanted != "auto":
        return "node" if wanted == "node" else "shared"
    # Where nodes have no disk, /tmp is their memory: a small share of it is worth it.
    room = site.number("node.memory_gb") * 1e9 / _SHARE_OF_MEMORY
    return "node" if nodes > 1 and LARGE <= image.size <= room else "shared"


def stored(image: JobImage, *, engine: str) -> StoredImage:
    """The image as a rank calls it, in the words of an engine with a store of its own."""
    # Shifter knows tags; a digest has no place in its names.
    reference = image.reference if engine == "shifter" else at_run_time("SEALIFT_IMAGE")
    return StoredImage(reference=reference, prepared=image.prepared, library_path=image.library_path)


def shown(job: Job) -> str:
    """The image for people."""
    return pinned(job.image) if job.image.form == "registry" and job.engine != "shifter" else job.image.reference


def pinned(image: JobImage) -> str:
    """The reference by its digest, for that names one image for ever; the tag where no digest is known."""
    if not image.digest:
        return image.reference
    return f"{re.sub(r':[^:/]*$', '', image.reference)}@{image.digest}"


def staging(job: Job) -> tuple[str, ...]:
    """The lines that check the image, and bring it where the ranks find it."""
    if job.image.form == "file":
        return tuple(_file(job))
    return tuple(_podman_hpc(job) if job.engine == "podman-hpc" else _shifter(job))


def _file(job: Job) -> Iterator[str]:
    image = job.image
    yield f"image={quoted(image.reference)}"
    yield f"# The image of which this script was made ({_megabytes(image.size)}), and no other."
    yield '[[ -r $image ]] || stop "$image cannot be read on $SLURMD_NODENAME: does it lie where all nodes see it?"'
    yield f'echo "{image.digest.removeprefix("sha256:")}  $image" | sha256sum --check --status ||'
    yield '    stop "$image is not the image that this job was written for: make the script again"'
    if job.stage == "node":
        yield "# A copy on each node, by Slurm's own broadcast: then the ranks ask nothing of the shared file system."
        yield "copy=/tmp/sealift-$SLURM_JOB_ID-${image##*/}"
        yield 'sbcast --force "$image" "$copy" || {'
        yield f"    {command((*each_node(), 'rm', '-f', at_run_time('copy')), indent=4)}"
        yield '    stop "the image cannot be copied to the nodes"'
        yield "}"
        yield "image=$copy"
        if job.engine == "embedded":
            yield "export SEALIFT_COPIED=yes"
        else:
            yield "# Somebody on each node takes it away when the job ends, cancelled or not."
            yield from heredoc("keeper", tuple(part("keeper").splitlines()))
            yield f"coproc COPIES {{ exec {command(each_node())} \\"
            yield '    bash -c "$keeper" keeper "$copy"; }'
            yield "keepers=$COPIES_PID keep=${COPIES[1]}"
    elif image.size >= LARGE and job.orders.nodes > 1 and _is_lustre(job):
        yield "# Many nodes read this file at once: spread it over the storage targets, once, before the job:"
        yield f"#   lfs migrate -c -1 {one_line(quoted(image.reference))}"
        yield "# or give each node a copy of its own: sealift job --stage node …"
    yield "export SEALIFT_IMAGE=$image"


def _is_lustre(job: Job) -> bool:
    return "stripe" in job.site.text("filesystems.scratch.note")


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= LARGE else f"{size / 1e6:.1f} MB"


def _podman_hpc(job: Job) -> Iterator[str]:
    image = job.image
    yield from part("squashed").splitlines()
    yield ""
    if image.form == "store":
        yield f"image=$(squashed {image.digest.removeprefix('sha256:')})"
        yield f"reference={quoted(image.reference)}"
    else:
        yield f"reference={quoted(pinned(image))}"
        yield from part("pulled").replace("#@DIGEST@", image.digest or "none").splitlines()
    yield '[[ -n $image ]] || stop "$reference is not squashed as it was, so that other nodes do not see it"'
    yield "export SEALIFT_IMAGE=$image"


def _shifter(job: Job) -> Iterator[str]:
    yield "# The header named the image, and each node has mounted it. Its identifier, for the record:"
    yield f"image=docker:{quoted(job.image.reference)}"
    yield 'shifterimg lookup "$image" || stop "$image is not there: shifterimg pull $image"'


def each_node() -> tuple[str, ...]:
    """`srun` with one task on each node, beside all others."""
    return (
        *("srun", "--overlap", "--export=ALL", "--mpi=none", "--cpu-bind=none"),
        f"--nodes={at_run_time('SLURM_NNODES')}",
        *(f"--ntasks={at_run_time('SLURM_NNODES')}", "--ntasks-per-node=1"),
        f"--cpus-per-task={at_run_time('SLURM_CPUS_ON_NODE')}",
    )


def cleaning(job: Job) -> tuple[str, ...]:
    """The lines that let the nodes' copies be taken away."""
    if job.stage != "node" or job.engine not in ("apptainer", "singularity"):
        return ()
    return ("exec {keep}>&-", 'wait "$keepers"')

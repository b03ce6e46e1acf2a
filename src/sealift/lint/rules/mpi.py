"""MPI: what the site swaps in, and what it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.lint.calls import Call
from sealift.lint.examples import CONDA, UBUNTU, file, post
from sealift.lint.paths import folders_of
from sealift.lint.recipe import Recipe, StageView
from sealift.lint.tools import installs, listed
from sealift.lint.values import Hit, Rule

_PACKAGES = re.compile(
    r"(libopenmpi-dev|openmpi-bin|openmpi|openmpi-devel|mpich|libmpich-dev|mpich-devel|mpi-default-dev|mpi-default-bin|libopenmpi\d+\w*|mvapich2\S*|openmpi-dev|mpich-dev)$"
)
_FABRICS = re.compile(
    r"--with-(ucx|ofi|libfabric|verbs|psm2?|pmi|pmi2|pmix|slurm|device|cray|hcoll|pm|fabric|knem|xpmem)\b|--with-device|--enable-mca"
)
_FABRIC_PACKAGES = re.compile(
    r"(libucx|ucx|libfabric|libibverbs|rdma-core|librdmacm|libpmix|libpmi|libpsm|slurm|libslurm|infiniband)",
    re.IGNORECASE,
)


def mpi_builds(stage: StageView) -> Iterator[tuple[Call, str]]:
    """Calls of `configure` that make an MPI, with its name."""
    for script in stage.scripts("post", "appinstall"):
        folders = folders_of(script)
        for call in script.calls:
            if call.name != "configure":
                continue
            near = f"{call.program.text} {folders.get(call.run.pipe, '')}".lower()
            prefix = (call.value("--prefix") or "").lower()
            found = re.search(r"openmpi|open-mpi|ompi|mvapich|mpich", near) or re.search(
                r"openmpi|mvapich|mpich", prefix
            )
            if found and not re.search(
                r"hdf5|netcdf|fftw|petsc|boost|osu|hypre|scotch|hpl|ucx|libfabric|pmix|slurm", near
            ):
                yield call, {"open-mpi": "openmpi", "ompi": "openmpi"}.get(found[0], found[0])


def _without_fabric(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        packages = [field.text for one in installs(stage.calls, "apt", "yum", "zypper") for field in one.packages]
        if any(_FABRIC_PACKAGES.search(name) for name in packages):
            continue
        if re.search(r"ucx|libfabric|OFED|rdma", stage.build_text, re.IGNORECASE):
            continue
        for call, name in mpi_builds(stage):
            if name == "openmpi" and not _FABRICS.search(" ".join(call.texts)):
                yield call.hit(
                    "this Open MPI is built without any network of a supercomputer: between nodes it falls back to TCP",
                    "install `libfabric-dev` or `libucx-dev`, and write: ./configure --with-ofi --with-pmix …",
                )


def _static(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for call, _ in mpi_builds(stage):
            if call.has("--disable-shared"):
                yield call.hit(
                    "without shared libraries the site's own MPI cannot take this one's place",
                    "leave `--disable-shared` out",
                )


def _from_distribution(recipe: Recipe) -> Iterator[Hit]:
    if any(True for _ in _not_of_site(recipe)):
        return  # it does not fit, by chance or otherwise
    for stage in recipe.stages:
        if any(True for _ in mpi_builds(stage)):
            continue
        for one in installs(stage.calls, "apt", "yum", "zypper", "apk"):
            names = [field.text for field in one.packages if _PACKAGES.match(field.text.partition("=")[0])]
            if names:
                yield one.call.hit(
                    f"{listed(names)}: the version of MPI is the distribution's, and fits a site by chance",
                    "for sites with Cray MPICH build MPICH 3.4.3 or newer; see which families a site takes: sealift "
                    "sites NAME",
                )
                break


def _from_conda(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for one in installs(stage.calls, "conda"):
            names = [
                field.text
                for field in one.packages
                if re.match(r"(?:[\w-]+::)?(mpi4py|openmpi|mpich|impi_rt)($|[=<>!~ ])", field.text)
            ]
            external = any("external" in field.text for field in one.packages)
            if names and not external:
                yield one.call.hit(
                    f"{listed(names)} brings conda's own MPI, which knows neither the site's network nor its launcher",
                    "say that MPI comes from outside: conda install mpi4py=4.0.1 'mpich=4.*=external_*'",
                    "or compile it against the image's MPI: pip install --no-binary mpi4py mpi4py==4.0.1",
                )


_SLOW = {
    "UCX_TLS": r"(?:tcp|self|sm|,)+",
    "OMPI_MCA_btl": r"(?:tcp|self|vader|sm|,)+",
    "FI_PROVIDER": r"tcp|sockets|udp",
    "NCCL_IB_DISABLE": "1",
    "NCCL_NET": "Socket",
    "NCCL_P2P_DISABLE": "1",
}
"""Variables, and the values that leave the slow ways alone."""


def _slow_network(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("environment", "appenv", "runscript", "startscript"):
        for name, value in _SLOW.items():
            for start, end, word in script.assigned(name):
                said = script.text[word.start : word.end] if word is not None else ""
                if re.fullmatch(value, said.removeprefix(f"{name}=").strip("\"'")):
                    yield script.hit(
                        start,
                        end,
                        f"`{name}` here keeps every site from its fast network: it works, and is many times slower",
                        "leave it out of the image, and set it in the job where it is needed",
                    )


_OF_THE_HOST = ("srun", "jsrun", "ibrun", "aprun")
_LAUNCHERS = frozenset(("mpirun", "mpiexec", "orterun", "mpiexec.hydra", *_OF_THE_HOST))


def _mpirun(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("runscript", "startscript"):
        for call in script.calls:
            if call.name in _LAUNCHERS:
                yield call.hit(
                    f"`{call.name}` is the host's, and is not in the image"
                    if call.name in _OF_THE_HOST
                    else f"`{call.name}` in the image starts ranks on this node alone: it knows nothing of the job's "
                    "other nodes",
                    'start one container a rank: srun … sealift run IMAGE, and in here: exec PROGRAM "$@"',
                )
                break


def _not_of_site(recipe: Recipe) -> Iterator[Hit]:
    stage, families = recipe.last, recipe.facts.get("mpi.families", "").lower()
    if stage is None or not families:
        return
    for one in installs(stage.calls, "apt", "yum", "zypper", "apk"):
        for field in one.packages:
            found = re.match(r"(?:lib)?(openmpi|mpich)(?!\S*(?:doc|common))", field.text)
            if found and found[1] not in families:
                name = {"openmpi": "Open MPI", "mpich": "MPICH"}[found[1]]
                yield one.call.hit(
                    f"`{field.text}` is {name}, and {recipe.site[0]} swaps in another family: {families}",
                    "build an MPI of the site's family: sealift sites " + recipe.site[0],
                )
                return
    for call, name in (build for one in recipe.stages for build in mpi_builds(one)):
        if name == "openmpi" and name not in families and not re.search(r"--with-(pmi|slurm)", " ".join(call.texts)):
            yield call.hit(
                f"this is Open MPI, and {recipe.site[0]} swaps in another family: {families}",
                "build MPICH, of which the site's own takes the place",
                "or say how it is started without that: ./configure --with-pmix --with-ofi …, and srun --mpi=pmix",
            )
            return


RULES: tuple[Rule, ...] = (
    Rule(
        id="mpi-not-of-site",
        family="mpi",
        level="warning",
        title="MPI is of another family than the site's",
        reason="Where a site puts its own MPI in the place of the image's, both must be of one family: MPICH's "
        "library is `libmpi.so.12`, Open MPI's `libmpi.so.40`, and their interfaces differ. With the wrong "
        "one nothing is replaced: each rank is alone, or the network is TCP.",
        remedy="Build MPICH where the site has Cray MPICH, Open MPI where it has that. Open MPI 5 with its own "
        "PMIx and libfabric also starts with `srun --mpi=pmix`, without the site's MPI.",
        bad=post(
            "apt-get update\napt-get install -y --no-install-recommends libopenmpi-dev\nrm -rf /var/lib/apt/lists/*"
        ),
        good=post("cd /tmp/mpich-3.4.3\n./configure --prefix=/usr/local --with-device=ch4:ofi"),
        look=_not_of_site,
        site="any",
        facts={"mpi.families": "mpich"},
    ),
    Rule(
        id="mpi-static",
        family="mpi",
        level="error",
        title="MPI is built without shared libraries",
        reason="At a site, the container's MPI is replaced by the one that knows the network: the engine puts "
        "another `libmpi.so` before it. A static one cannot be replaced, and runs over TCP or not at all.",
        remedy="Leave `--disable-shared` out.",
        bad=post("cd /tmp/mpich-4.2.3\n./configure --prefix=/usr/local --disable-shared"),
        good=post("cd /tmp/mpich-4.2.3\n./configure --prefix=/usr/local"),
        look=_static,
    ),
    Rule(
        id="mpi-without-network",
        family="mpi",
        level="warning",
        title="Open MPI is built without a fast network",
        reason="Open MPI takes UCX and libfabric where it finds them when it is built. Found neither, it speaks "
        "TCP: it works, and is ten times slower from the second node on.",
        remedy="Install `libfabric-dev` or `libucx-dev` before, and say `--with-ofi` or `--with-ucx`, so that "
        "`configure` fails where they are missing. For the launcher: `--with-pmix`.",
        bad=post("cd /tmp/openmpi-5.0.6\n./configure --prefix=/usr/local"),
        good=post("cd /tmp/openmpi-5.0.6\n./configure --prefix=/usr/local --with-ofi --with-pmix=internal"),
        look=_without_fabric,
    ),
    Rule(
        id="mpi-from-conda",
        family="mpi",
        level="warning",
        title="conda brings an MPI of its own",
        reason="`mpi4py` of conda comes with conda's MPICH or Open MPI, which was built for any machine: it knows "
        "neither the site's network nor its launcher, and comes before the site's own.",
        remedy="Ask conda for the external variant of MPI (`mpich=4.*=external_*`), or compile mpi4py against the "
        "image's MPI.",
        bad=post("conda install -y -c conda-forge mpi4py=4.0.1\nconda clean -afy", CONDA),
        good=post("conda install -y -c conda-forge mpi4py=4.0.1 'mpich=4.*=external_*'\nconda clean -afy", CONDA),
        look=_from_conda,
    ),
    Rule(
        id="network-slowed",
        family="mpi",
        level="warning",
        title="The image switches the fast network off",
        reason="Variables such as `UCX_TLS=tcp`, `OMPI_MCA_btl=tcp,self` or `NCCL_IB_DISABLE=1` help on a laptop or in "
        "one cluster's trouble. In an image they go everywhere: nothing fails, and from the second node on all is many "
        "times slower, until somebody reads the image's environment.",
        remedy="Leave them out of the image. Where a site needs one, set it in the job.",
        bad=file(UBUNTU, environment="export UCX_TLS=tcp"),
        good=file(UBUNTU, environment="export LC_ALL=C.UTF-8"),
        look=_slow_network,
    ),
    Rule(
        id="mpirun-in-image",
        family="mpi",
        level="warning",
        title="`%runscript` starts `mpirun` or `srun`",
        reason="Inside of one container `mpirun` sees one node. Under Slurm, `srun` starts a container for each "
        "rank, and the ranks find each other through it; then each of them would start `mpirun` again.",
        remedy='Start the program itself: `exec PROGRAM "$@"`, and the ranks from outside: `srun -n 8 sealift run '
        "IMAGE`.",
        bad=file(UBUNTU, runscript='exec mpirun -n 4 /opt/app/main "$@"'),
        good=file(UBUNTU, runscript='exec /opt/app/main "$@"'),
        look=_mpirun,
    ),
    Rule(
        id="mpi-of-distribution",
        family="mpi",
        level="note",
        title="MPI is the distribution's",
        reason="The site's MPI takes the place of the image's where both are of one family and the image's is not "
        "newer than the site's knows. The distribution's version follows the base's tag, not the site; "
        "Debian's and Ubuntu's MPICH has had another name for its library, which Cray's does not have.",
        remedy="Look at what the site takes (`sealift sites NAME`), and build that: MPICH 3.4.3 reaches farthest "
        "on Cray machines; Open MPI with PMIx for sites that start it themselves.",
        bad=post(
            "apt-get update\napt-get install -y --no-install-recommends libopenmpi-dev\nrm -rf /var/lib/apt/lists/*"
        ),
        good=post("cd /tmp/mpich-3.4.3\n./configure --prefix=/usr/local --with-device=ch4:ofi"),
        look=_from_distribution,
    ),
)

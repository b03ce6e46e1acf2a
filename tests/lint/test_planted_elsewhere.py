"""Faults planted outside of `%post`, or in a file of another shape: each is found where it is, and nothing else."""

from __future__ import annotations

import pytest

from sealift.lint.catalogue import BY_ID
from sealift.lint.check import lint
from sealift.lint.values import Settings
from tests.lint.labels import SETTINGS
from tests.lint.test_planted import DEBIAN, HOME, STAGES, found

GOOD = DEBIAN.replace("@POST@", "")
POST = "    /opt/venv/bin/pip install"
ENVIRONMENT = "    export PYTHONNOUSERSITE=1"
RUN = '    exec python3 /opt/app/app.py "$@"'
TEST = """    test "$(python3 -c 'print(1 + 1)')" = 2"""
FILES = "    app.py /opt/app/app.py"

PLANTED: dict[str, list[tuple[str, ...]]] = {
    "environment-in-root-home": [
        (ENVIRONMENT, f"{ENVIRONMENT}\n    export PATH={HOME}/.cargo/bin:$PATH"),
        (ENVIRONMENT, f"{ENVIRONMENT}\n    export MODELS={HOME}/models"),
        (RUN, '    exec ~root/app/run "$@"'),
    ],
    "path-is-relative": [
        (ENVIRONMENT, f"{ENVIRONMENT}\n    export PYTHONPATH=src/app:$PYTHONPATH"),
        ("    export PATH=/opt/app/bin:$PATH", '    export PATH="app/.pixi/envs/default/bin:$PATH"'),
        ("    export PATH=/opt/app/bin:$PATH", "    export PATH=$PATH:."),
    ],
    "path-below-tmp": [
        (ENVIRONMENT, f"{ENVIRONMENT}\n    export LD_LIBRARY_PATH=/tmp/app/lib:$LD_LIBRARY_PATH"),
        ("    export PATH=/opt/app/bin:$PATH", '    export PATH="$PATH:/var/tmp/tools/bin"'),
    ],
    "gpus-chosen-in-image": [
        (ENVIRONMENT, f"{ENVIRONMENT}\n    export CUDA_VISIBLE_DEVICES=0,1"),
        (ENVIRONMENT, f"{ENVIRONMENT}\n    ROCR_VISIBLE_DEVICES='0'\n    export ROCR_VISIBLE_DEVICES"),
    ],
    "writes-into-image": [
        (RUN, f"    mkdir -p /opt/app/cache\n{RUN}"),
        (RUN, f"    date > /var/lib/app/started\n{RUN}"),
        (RUN, '    D=/opt/app/out\n    touch $D/begun\n    exec python3 /opt/app/app.py "$@"'),
    ],
    "module-in-image": [
        (RUN, f"    module load cray-mpich\n{RUN}"),
        (POST, f"    module use /opt/modulefiles && module load gcc\n{POST}"),
    ],
    "driver-copied": [(FILES, f"{FILES}\n    /usr/lib64/libcuda.so.570.1 /opt/driver/libcuda.so.1")],
    "secret-copied": [
        (FILES, f"{FILES}\n    .netrc /opt/app/.netrc"),
        (FILES, f"{FILES}\n    keys/id_ed25519 /opt/app/key"),
        (FILES, f'{FILES}\n    ".env" /opt/app/.env'),
    ],
    "below-a-mount": [
        (FILES, f"{FILES}\n    data /global/cfs/data"),
        (POST, f"    git clone -b v1.0 https://example.org/a.git /pscratch/a\n{POST}"),
    ],
    "image-in-home": [("    An example.", "    sealift build /global/homes/a/ada/app.sif app.def")],
    "apt-without-update": [
        ("    apt-get update\n", ""),
        ("    apt-get update\n    apt-get", "    refresh() { apt-get update; }\n    apt-get"),
    ],
    "pip-on-managed-python": [("    python3 -m venv /opt/venv\n    /opt/venv/bin/pip", "    pip3")],
    "cuda-versions-mixed": [
        (
            "From: debian:bookworm-20250203-slim",
            "From: nvidia/cuda:12.6.3-runtime-ubuntu22.04",
            "numpy=={{ VERSION }}",
            "torch==2.1.0 --index-url https://download.pytorch.org/whl/cu118",
        ),
    ],
    "network-slowed": [
        (ENVIRONMENT, f"{ENVIRONMENT}\n    export UCX_TLS=tcp,self"),
        (ENVIRONMENT, f"{ENVIRONMENT}\n    export OMPI_MCA_btl='self,vader,tcp'"),
        (RUN, f"    export NCCL_IB_DISABLE=1\n{RUN}"),
    ],
    "key-made-in-image": [
        (POST, f"    ssh-keygen -t rsa -N '' -f ~/.ssh/id_ed\n{POST}"),
        (
            POST,
            f"    openssl req -x509 -newkey rsa:4096 -nodes -keyout /opt/app/a.pem -out /opt/c.pem\n{POST}",
        ),
    ],
    "locale-missing": [(ENVIRONMENT, f"{ENVIRONMENT}\n    export LC_ALL=en_US.UTF-8")],
    "environment-overwrites-path": [
        ("    export PATH=/opt/app/bin:$PATH", "    export PATH=/opt/app/bin"),
        ("    export PATH=/opt/app/bin:$PATH", "    PATH=/opt/app/bin\n    export PATH"),
    ],
    "path-only-in-post": [
        (
            "    export PATH=/opt/app/bin:$PATH\n",
            "",
            POST,
            f"    export PATH=/opt/tool/bin:$PATH\n{POST}",
        ),
    ],
    "closed-to-others": [
        (POST, f"    chmod -R 700 /opt/app\n{POST}"),
        (POST, f"    umask 077\n{POST}"),
        (POST, f"    install -d -m 0750 /opt/app/data\n{POST}"),
        (POST, f"    bash -c 'chmod -R go-rwx /opt/app'\n{POST}"),
        (POST, f"    D=/opt/data\n    mkdir -m 700 $D\n{POST}"),
    ],
    "cuda-stubs-at-run-time": [
        (POST, f"    ln -s /usr/local/cuda/lib64/stubs/libcuda.so /usr/lib/x86_64-linux-gnu/libcuda.so.1\n{POST}"),
        (POST, f"    echo /usr/local/cuda/lib64/stubs > /etc/ld.so.conf.d/cuda.conf\n{POST}"),
        (ENVIRONMENT, f"{ENVIRONMENT}\n    export LD_LIBRARY_PATH=/usr/local/cuda/compat:$LD_LIBRARY_PATH"),
    ],
    "uv-python-in-home": [(POST, f"    uv venv --python 3.13 /opt/other\n{POST}")],
    "installs-at-run-time": [
        (RUN, f"    apt-get update && apt-get install -y --no-install-recommends jq\n{RUN}"),
        (RUN, '    exec uvx ruff "$@"'),
    ],
    "data-below-tmp": [
        (POST, f"    cp -r /opt/app /tmp/app\n{POST}", RUN, '    exec /tmp/app/run "$@"'),
        (
            POST,
            f"    cp -r /usr/share/misc /tmp/t\n{POST}",
            RUN,
            '    exec python3 /opt/app/app.py /tmp/t "$@"',
        ),
    ],
    "open-server": [
        (RUN, "    exec jupyter lab --ip=0.0.0.0 --ServerApp.token='' \"$@\""),
        (RUN, '    exec code-server --auth none "$@"'),
    ],
    "runscript-drops-arguments": [(RUN, f"{RUN}\n\n%apprun other\n    exec python3 /opt/app/other.py")],
    "test-cannot-fail": [
        (TEST, "    echo fine"),
        (TEST, f"{TEST}\n    echo 'all tests passed'"),
        (TEST, f"{TEST}\n    if [ $? -eq 0 ]; then\n        echo a\n    else\n        echo b\n    fi"),
    ],
    "test-goes-on": [(TEST, f"    python3 -c 'import numpy'\n{TEST}")],
    "installed-in-home": [(FILES, f"    app.py {HOME}/app.py")],
    "download-left": [(FILES, f"{FILES}\n    a.tgz /opt/a.tgz", POST, f"    tar xf /opt/a.tgz -C /opt\n{POST}")],
    "failure-hidden": [
        (POST, f"    make -C /opt/app install 2>&1 | tee /opt/install.log\n{POST}"),
        (POST, f"    cmake --build /opt/app | grep -v warning\n{POST}"),
    ],
    "setup-writes-host": [("%runscript", "%setup\n    mkdir -p cache\n\n%runscript")],
}

OF_STAGES: dict[str, list[tuple[str, ...]]] = {
    "unused-stage": [("%files from build\n    /opt/version\n", "%files\n    version /opt/version\n")],
    "section-of-earlier-stage": [
        ("    gcc --version > /opt/version\n", "    gcc --version > /opt/version\n\n%environment\n    export A=1\n"),
    ],
}

ROWS: list[tuple[str, str, tuple[str, ...]]] = [
    (rule, good, row)
    for good, planted in ((GOOD, PLANTED), (STAGES.replace("@POST@", ""), OF_STAGES))
    for rule, rows in planted.items()
    for row in rows
]


@pytest.mark.parametrize(("rule", "good", "row"), ROWS, ids=[f"{rule}-{n}" for n, (rule, _, _) in enumerate(ROWS)])
def test_a_planted_fault_is_found_and_nothing_else(rule: str, good: str, row: tuple[str, ...]) -> None:
    assert rule in BY_ID
    text = good
    for old, new in zip(row[::2], row[1::2], strict=True):
        assert text.count(old) == 1
        text = text.replace(old, new)
    assert found(text) - found(good) == {rule}


HARMLESS: list[tuple[str, ...]] = [
    (ENVIRONMENT, f"{ENVIRONMENT}\n    export UCX_TLS=rc,sm,self FI_PROVIDER=cxi NCCL_DEBUG=INFO OMPI_MCA_pml=ucx"),
    ("    export PATH=/opt/app/bin:$PATH", "    export PATH=${APP:-/opt/app}/bin:$(getconf PATH):$PATH"),
    (ENVIRONMENT, f"{ENVIRONMENT}\n    export TMPDIR=/tmp APP_CACHE=/tmp/app"),
    (ENVIRONMENT, f"{ENVIRONMENT}\n    export CUDA_VISIBLE_DEVICES=$SLURM_LOCALID CUDA_DEVICE_ORDER=PCI_BUS_ID"),
    (RUN, f"    mkdir -p out /tmp/out $HOME/out /run/user/1\n    date > log.txt 2> /dev/null\n{RUN}"),
    (RUN, f"    . /opt/lmod/lmod/init/sh\n    module load a\n{RUN}"),
    (FILES, f"{FILES}\n    ssh_config /etc/ssh/ssh_config\n    keys/id_rsa.pub /opt/key.pub\n    env.yml /opt/env.yml"),
    (FILES, f"{FILES}\n    lib/libcudart.so.12 /opt/app/lib/libcudart.so.12"),
    (POST, f"    mkdir -p /global /pscratch /scratch\n{POST}"),
    (
        "    An example.",
        "    sealift build $SCRATCH/app.sif app.def, then: sealift run --bind /global/homes/a/ada app.sif",
    ),
    (ENVIRONMENT, f"{ENVIRONMENT}\n    export PATH=$HOME/.local/bin:$PATH CARGO_HOME=$HOME/.cargo"),
    (POST, f"    localedef -i de_DE -f UTF-8 de_DE\n{POST}", ENVIRONMENT, f"{ENVIRONMENT}\n    export LANG=de_DE"),
    ("    export PATH=/opt/app/bin:$PATH", "    export PATH=/opt/app/bin:/usr/local/bin:/usr/bin:/bin"),
    (RUN, "    T=$(mktemp -d)\n    cp -r /opt/app $T\n" + RUN),
    (RUN, '    pip install --user numpy==1.0\n    exec jupyter lab --ServerApp.token="$TOKEN" "$@"'),
    (TEST, f"    set -e\n    python3 -c 'import numpy'\n{TEST}\n    echo fine"),
    (TEST, f"    export A=1\n    cd /opt\n{TEST}"),
    (TEST, f"    #!/bin/bash -e\n    source /etc/os-release\n{TEST}\n    echo fine"),
    (RUN, f"    #!/bin/bash\n    source /etc/os-release\n{RUN}"),
    (TEST, "    python3 -c 'import numpy' || exit 1\n    echo fine"),
    (TEST, f"    if {TEST.strip()}; then\n        echo a\n    else\n        echo b\n        exit 1\n    fi"),
    (FILES, f"{FILES}\n    data.tar.gz /opt/data.tar.gz\n    settings {HOME}/.config/app"),
    (POST, f"    uv venv --python 3.11 /opt/other\n    uv venv /opt/third\n{POST}"),
    ("%runscript", "%setup\n    cd ${APPTAINER_ROOTFS}\n    mkdir -p cache\n\n%runscript"),
]


@pytest.mark.parametrize("row", HARMLESS, ids=range(len(HARMLESS)))
def test_what_looks_like_one_is_none(row: tuple[str, ...]) -> None:
    text = GOOD
    for old, new in zip(row[::2], row[1::2], strict=True):
        assert text.count(old) == 1
        text = text.replace(old, new)
    assert found(text) == found(GOOD)


BASES = {
    "Bootstrap: shub\nFrom: a/b:1": "base-not-of-a-registry",
    "Bootstrap: library\nFrom: alpine:3.22": "base-not-of-a-registry",
    "Bootstrap: library\nLibrary: https://library.example.org\nFrom: a/b/c:1": "",
    "Bootstrap: docker\nFrom: fedora:40": "base-end-of-life",
    "Bootstrap: docker\nFrom: example.org/app:1.0": "",
}


@pytest.mark.parametrize(("header", "rule"), BASES.items(), ids=range(len(BASES)))
def test_a_base_is_judged(header: str, rule: str) -> None:
    text = f"{header}\n\n%post\n    touch /opt/a\n"
    assert found(text) == ({rule} - {""})


def test_images_of_r_with_a_date_are_pinned() -> None:
    settings = Settings(select=frozenset({"r-unpinned"}))
    recipe = "Bootstrap: docker\nFrom: rocker/{}\n\n%post\n    R -e 'install.packages(\"dplyr\"{})'\n"
    repository = ', repos="https://cran.r-project.org"'
    for image, more, count in (("r-ver:4.4.1", "", 0), ("r-ver:latest", "", 1), ("r-ver:4.4.1", repository, 1)):
        assert len(lint(recipe.format(image, more).encode(), settings=settings).findings) == count


OF_A_SITE = {
    "cd /tmp/openmpi-4.1.6 && ./configure --prefix=/opt/ompi --with-ucx": {"mpi-not-of-site"},
    "cd /tmp/openmpi-5.0.6 && ./configure --prefix=/opt/ompi --with-pmix --with-ofi": set[str](),
    "cd /tmp/mpich-3.4.3 && ./configure --prefix=/opt/mpich --with-device=ch4:ofi": set[str](),
    "export TORCH_CUDA_ARCH_LIST='7.0;7.5'": {"gpu-generation-missing"},
    "export TORCH_CUDA_ARCH_LIST='7.0;7.5+PTX'": set[str](),
    "nvcc -gencode arch=compute_70,code=sm_70 -o /opt/a a.cu": {"gpu-generation-missing"},
    "nvcc -gencode arch=compute_70,code=sm_70 -gencode arch=compute_80,code=sm_80 -o /opt/a a.cu": set[str](),
    "nvcc -gencode=arch=compute_70,code=[sm_70,compute_70] -o /opt/a a.cu": set[str](),
    "nvcc -arch=sm_90 -o /opt/a a.cu": {"gpu-generation-missing"},
    "cmake -DCMAKE_CUDA_ARCHITECTURES='70-real;75-real' -S /opt/app -B /tmp/b": {"gpu-generation-missing"},
    "cmake -DCMAKE_CUDA_ARCHITECTURES=80 -S /opt/app -B /tmp/b": set[str](),
    "wget -q -O /tmp/a.sh https://example.org/a-linux-aarch64.sh": {"architecture-of-another-site"},
    "/opt/venv/bin/pip install --no-cache-dir 'cupy-cuda13x==14.0.0'": set[str](),
}


@pytest.mark.parametrize(("line", "rules"), OF_A_SITE.items(), ids=range(len(OF_A_SITE)))
def test_what_a_machine_asks_for_is_said_with_its_name(line: str, rules: set[str]) -> None:
    text = GOOD.replace(POST, f"    {line}\n{POST}")
    report = lint(text.encode(), settings=SETTINGS)
    assert {one.rule.id for one in report.findings if one.level != "note"} == rules

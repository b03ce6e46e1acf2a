"""Faults planted in files that are otherwise good: each is found, in whatever clothes, and nothing else is claimed."""

from __future__ import annotations

import functools

import pytest

from sealift.lint.catalogue import BY_ID
from sealift.lint.check import lint
from sealift.lint.values import Settings

HOME = "/root"
DEBIAN = """\
Bootstrap: docker
From: debian:bookworm-20250203-slim@sha256:40b107342c492725bc7aacbe93a49945445191ae364184a6d24fedb28172f6f7

%arguments
    VERSION=1.2.3

%files
    app.py /opt/app/app.py

%environment
    export PATH=/opt/app/bin:$PATH
    export PYTHONNOUSERSITE=1

%post
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install -y --no-install-recommends python3-venv=3.11.2-1+b1
    rm -rf /var/lib/apt/lists/*
    python3 -m venv /opt/venv
    /opt/venv/bin/pip install --no-cache-dir numpy=={{ VERSION }}
@POST@

%runscript
    exec python3 /opt/app/app.py "$@"

%test
    test "$(python3 -c 'print(1 + 1)')" = 2

%labels
    Version 1.0

%help
    An example.
"""
STAGES = """\
Bootstrap: docker
From: rockylinux:9.3@sha256:d644d203142cd5b54ad2a83a203e1dee68af2229f8fe32f52a30c6e1d3c3a9e0
Stage: build

%post
    dnf install -y gcc-11.5.0
    dnf clean all
    gcc --version > /opt/version
@POST@

Bootstrap: docker
From: rockylinux:9.3@sha256:d644d203142cd5b54ad2a83a203e1dee68af2229f8fe32f52a30c6e1d3c3a9e0

%files from build
    /opt/version

%environment
    export LC_ALL=C.UTF-8

%runscript
    exec cat /opt/version

%test
    test -s /opt/version

%labels
    Version 1.0

%help
    An example.
"""
CONDA = """\
Bootstrap: docker
From: condaforge/miniforge3:24.9.2-0@sha256:4af3ab4a5d1b7ff2a5ed7e2a3c1f1e2d3c4b5a69788796a5b4c3d2e1f0a9b8c7

%environment
    export PYTHONNOUSERSITE=1

%post -c /bin/bash
    set -euo pipefail
    mamba install -y -c conda-forge numpy=2.1.3
    mamba clean -afy
    for tool in /opt/conda/bin/python /opt/conda/bin/mamba; do
        [[ -x "$tool" ]] || exit 1
    done
@POST@

%runscript
#!/bin/bash
    exec python "$@"

%test
    python -c 'import numpy; assert numpy.__version__ == "2.1.3"'

%labels
    Version 1.0

%help
    An example.
"""
FILES = {"debian": DEBIAN, "stages": STAGES, "conda": CONDA}

PLANTED = {
    "pip-unpinned": [
        "pip install --no-cache-dir scipy",
        "true && \\\n        python3 -m pip install --no-cache-dir \\\n            scipy==1.0 \\\n            pandas",
        'P="scipy pandas"\n    pip install --no-cache-dir $P',
        "for p in scipy pandas; do pip install --no-cache-dir $p; done",
        'add() { pip install --no-cache-dir "$@"; }\n    add scipy==1.0 pandas',
        "bash -c 'pip install --no-cache-dir scipy'",
        "if true; then pip install --no-cache-dir scipy; fi",
        "pip install --no-cache-dir 'scipy>=1.0'",
        "pip install --no-cache-dir git+https://example.org/app.git",
        "pip install --no-cache-dir 'app @ git+https://example.org/app.git@main'",
        "conda run -n base pip install --no-cache-dir scipy",
        "PIP=/opt/venv/bin/pip\n    $PIP install --no-cache-dir scipy",
        "uv pip install --no-cache --system scipy",
        "cat <<'EOF' | sh\n    true\nEOF\n    env A=1 pip install --no-cache-dir scipy",
    ],
    "conda-unpinned": [
        "conda install -y -c conda-forge scipy\n    conda clean -afy",
        "micromamba create -y -n app python=3.12 scipy\n    micromamba clean -afy",
        "mamba install -y 'scipy>=1'\n    mamba clean -afy",
        "conda update -y -n base conda",
        "mamba update -y --all",
    ],
    "git-moving-branch": [
        "git clone https://example.org/app.git /opt/x",
        "cd /opt && git clone --depth 1 https://example.org/app",
        "git clone -b main https://example.org/app.git /opt/x",
        "U=https://example.org/app.git\n    git clone --recursive $U /opt/x",
        "git clone -b v1.0 https://example.org/a.git /opt/a\n    git -C /opt/a submodule update --init --remote",
    ],
    "download-moving": [
        "curl -fsSL -o /tmp/x https://example.org/app/latest/app.bin",
        "wget -P /tmp https://raw.githubusercontent.com/a/b/main/x.sh",
        "pip install --no-cache-dir -r https://github.com/a/b/raw/main/requirements.txt",
        "B=master\n    curl -o /tmp/x https://github.com/a/b/archive/$B.zip",
    ],
    "system-upgrade": ["apt-get update && apt-get -y dist-upgrade", "yum -y update", "dnf upgrade -y", "zypper -n dup"],
    "download-to-shell": [
        "curl -fsSL https://example.org/i.sh | sh",
        "wget -qO- https://example.org/i.sh | bash -s -- -y",
        'sh -c "$(curl -fsSL https://example.org/i.sh)"',
        "curl https://example.org/i.py | python3 -",
        "curl -s https://example.org/i.sh | sudo bash",
        "su - app -c 'curl -s https://example.org/i.sh | sh'",
        "bash <(curl -s https://example.org/i.sh)",
        ". <(curl -s https://example.org/i.sh)",
        'eval "$(curl -s https://example.org/i.sh)"',
        "bash <<EOF\n        curl -s https://example.org/i.sh | sh\nEOF",
    ],
    "failure-hidden": [
        "pip install --no-cache-dir numpy==1.0 || true",
        "git clone -b v1.0 https://example.org/a.git /opt/a || :",
        'make -C /opt/app install || echo "never mind"',
        "set +e\n    pip install --no-cache-dir numpy==1.0",
    ],
    "language-packages-unpinned": [
        "npm install -g yarn",
        "cargo install --root /usr/local ripgrep",
        "export GOBIN=/usr/local/bin\n    go install example.org/app@latest",
        "for gem in bundler rake; do gem install $gem; done",
        "cpanm --notest JSON::XS YAML@1.31",
        "export UV_TOOL_DIR=/opt/uv\n    uv tool install ruff",
        'export JULIA_DEPOT_PATH=/opt/julia\n    julia -e \'using Pkg; Pkg.add(["CSV", "DataFrames"])\'',
        "export JULIA_DEPOT_PATH=/opt/julia\n    julia --eval 'using Pkg; pkg\"add HTTP JSON@0.21\"'",
    ],
    "r-unpinned": [
        "R -q -e 'install.packages(\"dplyr\")'",
        "R --vanilla <<'EOF'\ninstall.packages('dplyr')\nEOF",
        "Rscript -e 'BiocManager::install(\"DESeq2\")'",
    ],
    "version-is-redirection": [
        "pip install --no-cache-dir -c /opt/pins.txt scipy>=1.10",
        "/opt/venv/bin/pip install --no-cache-dir \\\n        -c /opt/pins.txt \\\n        scipy<2",
    ],
    "blank-behind-backslash": ["cp /etc/hosts \\ \n        /opt/hosts"],
    "tls-check-off": [
        "curl -fsSLk -o /tmp/x https://example.org/x",
        "wget --no-check-certificate -O /tmp/x https://example.org/x",
        "git config --global http.sslVerify false",
        "export GIT_SSL_NO_VERIFY=1",
        "/opt/venv/bin/pip install --no-cache-dir --trusted-host example.org numpy==1.0",
        "apt-get -o Acquire::https::Verify-Peer=false update",
        'GIT_SSH_COMMAND="ssh -o StrictHostKeyChecking=no" git clone -b v1.0 git@example.org:a/b.git /opt/b',
    ],
    "argument-filled-early": [
        'echo "exec python3 /opt/app/main.py $@" > /usr/local/bin/app',
        'cat > /usr/local/bin/app <<EOF\n#!/bin/sh\nexec python3 /opt/app/main.py "$@"\nEOF',
        'printf "#!/bin/sh\\necho $1\\n" > /usr/local/bin/app',
    ],
    "plain-http": [
        "wget -O- http://example.org/k.gpg | gpg --dearmor > /etc/apt/keyrings/k.gpg",
        "wget -O /tmp/x http://example.org/x",
        "curl -o /tmp/x ftp://example.org/x",
    ],
    "apt-key": ["apt-key add /tmp/k", "true | sudo apt-key add -", "sh -c 'apt-key add /tmp/k'"],
    "unsigned-packages": [
        "dnf install -y --nogpgcheck foo-1.0\n    dnf clean all",
        "echo 'deb [trusted=yes] https://example.org ./' > /etc/apt/sources.list.d/x.list",
    ],
    "apt-without-yes": ["apt-get install make=4.3-4.1", "apt-get update && apt-get -q install make=4.3-4.1"],
    "yum-without-yes": [
        "dnf install make-4.3\n    dnf clean all",
        "yum groupinstall 'Development Tools'\n    yum clean all",
        "pacman -Sy git\n    pacman -Scc --noconfirm",
    ],
    "conda-without-yes": ["conda install scipy=1.0\n    conda clean -afy"],
    "dockerfile-word": ["RUN true", "ENV A=1", "WORKDIR /opt"],
    "rootfs-outside-setup": ["cp /etc/hosts ${APPTAINER_ROOTFS}/opt", 'mkdir -p "$SINGULARITY_ROOTFS/x"'],
    "shell-syntax": ["if true; then\n        true", "echo 'it", "for a in b; do true", "true )"],
    "sudo-in-post": ["sudo mkdir /opt/x", "cd /opt && sudo make install"],
    "service-in-post": ["systemctl enable munge", "true && systemctl start slurmd"],
    "installed-in-home": [
        "git clone -b v1.0 https://example.org/app.git " + HOME + "/app",
        "git clone -b v1.0 https://example.org/app.git ~/app",
        "cd /tmp/app && ./configure --prefix=$HOME/app",
        "bash /tmp/Miniforge3-24.9.2-0-Linux-x86_64.sh -b -p " + HOME + "/conda",
        "mkdir -p " + HOME + "/bin",
        "cargo install ripgrep --version 14.1.0",
        "uv python install 3.12",
        "export JULIA_PROJECT=/opt/app\n    julia -e 'using Pkg; Pkg.instantiate()'",
    ],
    "profile-written": ["echo 'export A=1' >> ~/.bashrc", "echo 'A=1' > /etc/profile.d/a.sh", "conda init bash"],
    "native-processor": [
        "gcc -O3 -march=native -o /opt/x x.c",
        'export CFLAGS="-O3 -march=native"',
        'cmake -DCMAKE_CXX_FLAGS="-O3 -march=native" .',
    ],
    "pip-user": ["pip install --no-cache-dir --user numpy==1.0"],
    "setup-py-install": ["cd /opt/app && python3 setup.py install"],
    "driver-in-image": [
        "bash /tmp/NVIDIA-Linux-x86_64-535.104.05.run -s",
        "dnf install -y cuda-drivers-570\n    dnf clean all",
    ],
    "mpi-static": ["cd /tmp/mpich-4.2.3 && ./configure --prefix=/usr/local --disable-shared"],
    "mpi-without-network": [
        "cd /tmp/openmpi-5.0.6\n    ./configure --prefix=/usr/local",
        "V=5.0.6\n    cd /tmp/openmpi-$V && ./configure",
    ],
    "mpi-from-conda": ["conda install -y -c conda-forge mpi4py=4.0.1\n    conda clean -afy"],
    "secret-in-file": [
        "git clone -b v1.0 https://me:s3cretpass@example.org/a.git /opt/x",
        "export TOKEN=ghp_0123456789abcdefghijklmnopqrstuvwxyz",
        "echo AKIAABCDEFGHIJKLMNOP > /opt/key",
        "echo root:s3cret-word | chpasswd",
        "export API_TOKEN=abcd1234efgh5678ijkl",
        "export WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567",
    ],
    "world-writable": ["chmod -R 777 /opt/app", "chmod a+rwx /opt/app", "chmod o+w /opt/app"],
    "download-left": [
        "cd /opt && wget https://example.org/a-1.0.tar.gz && tar xf a-1.0.tar.gz",
        "curl -fsSL -o /opt/a.zip https://example.org/a.zip\n    unzip -d /opt/a /opt/a.zip",
    ],
}
"""Lines for `%post`, by the rule that must find them."""

COMPANIONS = {"apt-key": {"sudo-in-post"}, "download-to-shell": {"sudo-in-post", "bash-in-sh"}}
"""By the planted one, rules that are right to say something too."""

ROWS = [(rule, line) for rule, lines in PLANTED.items() for line in lines]


@functools.cache
def all_found(text: str) -> frozenset[tuple[str, str]]:
    return frozenset((one.rule.id, one.level) for one in lint(text.encode()).findings)


def found(text: str, *, notes: bool = False) -> set[str]:
    return {rule for rule, level in all_found(text) if notes or level != "note"}


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_good(name: str) -> None:
    assert [(one.rule.id, one.where.line) for one in lint(FILES[name].replace("@POST@", "").encode()).findings] in (
        [],
        # Its files are small, and it says so itself.
        [("system-packages-unpinned", 6)],
    )


@pytest.mark.parametrize(("rule", "line"), ROWS, ids=[f"{rule}-{number}" for number, (rule, _) in enumerate(ROWS)])
def test_a_planted_fault_is_found(rule: str, line: str) -> None:
    assert rule in BY_ID
    for name, text in FILES.items():
        if name == "stages" and BY_ID[rule].family == "size":
            continue  # what an earlier stage holds is not in the image
        planted = text.replace("@POST@", f"    {line}\n")
        new = found(planted, notes=True) - found(text.replace("@POST@", ""), notes=True)
        assert rule in new, name


@pytest.mark.parametrize(("rule", "line"), ROWS, ids=[f"{rule}-{number}" for number, (rule, _) in enumerate(ROWS)])
def test_nothing_else_is_claimed(rule: str, line: str) -> None:
    new = found(DEBIAN.replace("@POST@", f"    {line}\n"))
    assert new <= {rule} | COMPANIONS.get(rule, set())


GOOD = [
    "pip install --no-cache-dir -r requirements.txt",
    "pip install --no-cache-dir /opt/app",
    "pip install --no-cache-dir 'numpy[extra]==1.0' \"scipy == 1.0\"",
    "pip install --no-cache-dir git+https://example.org/a.git@v1.0",
    "conda install -y -c conda-forge --file /opt/spec.txt\n    conda clean -afy",
    "git clone https://example.org/a.git /opt/x\n    cd /opt/x\n    git checkout 0123abc",
    "git clone --branch v1.0 --depth 1 https://example.org/a.git /opt/x",
    "cd /tmp\n    wget https://example.org/a-1.0.tar.gz\n    tar xf a-1.0.tar.gz",
    "cd /opt\n    wget https://example.org/a-1.0.tar.gz\n    tar xf a-1.0.tar.gz\n    rm a-1.0.tar.gz",
    "curl -fsSL https://example.org/a.tar.gz | tar xz -C /opt",
    "echo 'apt-get install foo; pip install bar'",
    "cat > /opt/script.sh <<'EOF'\n    pip install numpy\n    curl https://example.org | sh\nEOF",
    "# pip install numpy\n    true",
    "bash -c 'source /etc/os-release; [[ -n $ID ]]'",
    "bash <<'EOF'\n    source /etc/os-release\nEOF",
    "mkdir -p ~/.ssh ~/.cache",
    "chmod -R a+rX /opt/app\n    chmod 755 /opt/app\n    chmod 1777 /tmp",
    "service postgresql start",
    "test -d /opt || true",
    "useradd app || true",
    "export API_KEY=$API_KEY APP_PASSWORD=changeme",
    "apt-get update && apt-get upgrade -y openssl",
    "yes | apt-get install make=4.3",
    "apt-get -qq install make=4.3",
    "test -f /etc/passwd || useradd app",
    "sed -i 's/-march=native/-march=x86-64-v3/' Makefile",
    "cd /tmp/mpich-4.2.3 && ./configure --prefix=/usr/local --with-device=ch4:ofi",
    "cd /tmp/hdf5-1.14 && ./configure --prefix=/usr/local --disable-shared",
    "apt-get update && apt-get install -y python3-dev=3.11.2-1 && rm -rf /var/lib/apt/lists/*",
    "chmod 700 " + HOME + "/.ssh\n    chmod 600 /etc/munge/munge.key\n    chmod -R go-w /opt/app",
    "chmod -R 700 /opt/app\n    chmod -R a+rX /opt",
    "umask 077\n    mkdir /opt/app\n    chmod -R a+rX /opt/app",
    "chmod 700 installer.sh && ./installer.sh",
    "pip install --no-cache-dir 'app @ git+https://git@example.org/app.git@v1.0' git+ssh://git@example.org/b@0123abc",
    "cat > /opt/x <<'EOF'\nexec $@\nEOF\n    echo \"exec \\$@\" > /opt/y\n    echo 'exec $@' > /opt/z",
    "put() { cat > /opt/x <<EOF\n$1\nEOF\n    }\n    put text",
    "echo \"user:$PASSWORD\" | chpasswd\n    echo 'see: a | b'",
    "export TOKEN=$TOKEN API_TOKEN=changeme",
    "ssh-keygen -R example.org",
    "conda update -y conda=24.9.2",
    "set +e\n    test -d /opt\n    set -e\n    pip install --no-cache-dir numpy==1.0",
    "pip install --no-cache-dir --upgrade pip || true",
    "make install > /opt/log 2>&1",
    "pip list | grep numpy\n    make -n | tee /opt/log",
    "cargo install --path . --root /usr/local",
    "cargo install ripgrep --version 14.1.0\n    cp ~/.cargo/bin/rg /usr/local/bin",
    "npm ci\n    npm install\n    npm install -g /opt/app yarn@1.22.22 @scope/app@1.0",
    "gem install bundler -v 2.5.0\n    cpanm --installdeps .",
    "echo 'a \\ \n    b'\n    # c \\ \n    echo d \\\\ \n    true",
    "cat > /opt/x <<'EOF'\na \\ \nb\nEOF",
    "pip install --no-cache-dir numpy==1.0 > /opt/log 2>&1",
    "git clone -b v1.0 https://example.org/a.git /opt/a\n    git -C /opt/a submodule update --init --recursive",
    "export JULIA_DEPOT_PATH=/opt/julia\n    julia -e 'using Pkg; Pkg.instantiate()'",
    "export PATH=/opt/cmake/bin:$PATH\n    cmake --version",
    "pacman -Ss git\n    pacman -Sy --noconfirm git\n    rm -rf /var/cache/pacman/pkg",
    "ln -s /usr/local/cuda/lib64/stubs/libcuda.so /usr/local/cuda/lib64/stubs/libcuda.so.1",
    "ln -s /usr/local/cuda/lib64/stubs/libcuda.so /usr/lib/libcuda.so.1\n    make\n    rm /usr/lib/libcuda.so.1",
]
"""Lines that look like faults, and are none."""


@pytest.mark.parametrize("line", GOOD, ids=range(len(GOOD)))
def test_what_looks_like_a_fault_is_none(line: str) -> None:
    text = DEBIAN.replace("@POST@", f"    {line}\n").replace("debian:bookworm", "example.org/base:bookworm")
    assert found(text) == set()


def test_an_example_of_the_command_line_is_no_call() -> None:
    settings = Settings(select=frozenset({"pip-unpinned", "apt-key"}))
    text = DEBIAN.replace("An example.", "Try: pip install numpy; apt-key add k")
    assert lint(text.replace("@POST@", "").encode(), settings=settings).findings == ()

"""A launch plan: everything that running a command in an image needs, before any engine is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Action = Literal["run", "exec", "shell", "test"]
Communication = Literal["none", "mpi", "gpu-mpi", "nccl", "openmpi"]
"""What the ranks of a job talk by: the host's MPI, the same with buffers on GPUs, NCCL, the image's own Open MPI."""

COMMUNICATIONS: tuple[str, ...] = get_args(Communication)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """`source` of the host appears at `destination` in the container."""

    source: str
    destination: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """What to run and how; the engines turn it into their own words.

    `image` is any form of IMAGE (`flows.run.local_image`) before a run begins, a SIF, squashfs or folder behind it.

    - Environment: `env` are variables set for the container whatever the image says (`--env`), `env_files` files that
      a shell reads. `clean_env` keeps the host's variables out. `no_eval` passes the values on as they are, and
      `no_umask` sets 0022 in place of the caller's umask. `passed` are names of the host's variables, with `*` for any
      characters, that enter where others do not.
    - Files: `binds` (`-B`), `mounts` (`--mount`, each as typed: `type=bind,source=…,destination=…`), `overlays` (each
      as typed: PATH[:ro]), `writable` (changes go to the folder that is the image), `writable_tmpfs` (they are
      forgotten), `scratch` (folders that live as long as the program), `workdir` (where those and /tmp lie on the
      host, with `contain`), `no_mount` (names of Apptainer's mounts and absolute paths that are left out), `home`,
      `no_home`. `pwd` is the working directory inside; None keeps the caller's where it exists inside. `dns` are
      servers for /etc/resolv.conf, parted by commas.
    - Namespaces: `contain` gives an own /tmp, /var/tmp and home; `contain_all` also IPC and PID namespaces and a
      clean environment; `compat` is `contain_all`, `no_init`, `no_umask`, `no_eval` and `writable_tmpfs`. `pid`,
      `ipc`, `uts`, `net` and `userns` ask for single ones, `no_pid` takes the one of `contain_all` away, and
      `no_init` lets the program be process 1 of its own. `hostname` means `uts`. `network` are names parted by
      commas; `none` is one.
    - Rights: `fakeroot` shows root inside; `keep_privs`, `no_privs`, `add_caps`, `drop_caps` (parted by commas) and
      `security` (each as typed) are Apptainer's.
    - Ranks: `communication` is what they talk by; the site's engine has flags and variables for it.
    - `engine_options` are further options of Apptainer, word by word, which other engines refuse by name;
      `engine_hints` are those without which others come to the same.
    """

    image: str
    action: Action
    command: tuple[str, ...] = ()
    binds: tuple[Bind, ...] = ()
    mounts: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_files: tuple[str, ...] = ()
    pwd: str | None = None
    clean_env: bool = False
    contain: bool = False
    contain_all: bool = False
    compat: bool = False
    no_home: bool = False
    home: str | None = None
    writable_tmpfs: bool = False
    writable: bool = False
    overlays: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    workdir: str | None = None
    no_mount: tuple[str, ...] = ()
    fakeroot: bool = False
    userns: bool = False
    pid: bool = False
    no_pid: bool = False
    no_init: bool = False
    ipc: bool = False
    uts: bool = False
    hostname: str | None = None
    net: bool = False
    network: str | None = None
    dns: str | None = None
    no_umask: bool = False
    no_eval: bool = False
    passed: tuple[str, ...] = ()
    keep_privs: bool = False
    no_privs: bool = False
    add_caps: str | None = None
    drop_caps: str | None = None
    security: tuple[str, ...] = ()
    nv: bool = False
    rocm: bool = False
    communication: Communication = "none"
    app: str | None = None
    shell: str | None = None
    engine_options: tuple[str, ...] = ()
    engine_hints: tuple[str, ...] = ()

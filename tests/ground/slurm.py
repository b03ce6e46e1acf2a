"""A real Slurm of three nodes on one machine, with a munge of its own: all of it in one folder, on loopback.

The daemons run as root. Any user of the machine may submit jobs, with `Slurm.environment` in the environment.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ground import services

PACKAGES = ("slurm-wlm", "munge")
NODES = ("nid001", "nid002", "nid003")
GPUS = 4
"""A node's; twins of /dev/null stand for the devices, so that requests for GPUs are granted as on real nodes."""
CPUS = 8
"""A node's, whatever the machine has."""
_ADMIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

# Sub-second answers where Slurm's own defaults are made for thousands of nodes.
CONFIG = """\
ClusterName=sealift
SlurmUser=root
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
TmpFS={folder}/tmp/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=100000
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=2
InactiveLimit=0
MinJobAge=600
GresTypes=gpu
SrunPortRange={first}-{last}
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports}] CPUs={cpus} RealMemory=4000 Features=gpu,cpu \
Gres=gpu:{gpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=30 OverSubscribe=FORCE:8 State=UP
"""

# By default a fence with data goes round a ring and one without goes up and down a tree, and nothing keeps the two in
# order: one start of Open MPI in a hundred lets ranks out of MPI_Init while one still waits in it, and crashes that.
MPI_CONFIG = "PMIxCollFence=tree\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slurm:
    """`slurm("srun", "-N3", "hostname")` runs a client of Slurm as this process' user."""

    environment: Mapping[str, str]
    """What a client needs beside its usual environment: SLURM_CONF."""
    folder: Path

    def __call__(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: bytes = b"",
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it, whatever comes of it."""
        return subprocess.run(
            [str(each) for each in arguments],
            cwd=cwd,
            env={**os.environ, **self.environment, **(env or {})},
            input=input,
            capture_output=True,
            check=False,
        )

    def state(self, job: str) -> str:
        """The state of a job: RUNNING, COMPLETED …"""
        return self.shown(job).get("JobState", "")

    def shown(self, job: str) -> dict[str, str]:
        """What `scontrol show job` says, by name."""
        text = self("scontrol", "--oneliner", "show", "job", job).stdout.decode()
        return dict(pair.split("=", 1) for pair in text.split() if "=" in pair)

    def wait(self, job: str, *states: str, seconds: float = 60.0) -> str:
        """The job's state when it is one of `states`, by default one of those of an ended job; else AssertionError."""
        wanted = states or ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE")
        deadline = time.monotonic() + seconds
        while (state := self.state(job)) not in wanted:
            assert time.monotonic() < deadline, (job, self.shown(job))
            time.sleep(0.1)
        return state


def present() -> bool:
    return all(shutil.which(name, path=_ADMIN) for name in ("slurmctld", "slurmd", "munged", "srun"))


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """The cluster, up and idle; ended with the block, jobs included."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for name in ("state", "spool", "gpus", "tmp", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir()
    for node in NODES:
        # PMIx makes the same folder for a step on each node, so that nodes of one machine need one each to make it in.
        (folder / "tmp" / node).mkdir()
        (folder / "tmp" / node).chmod(0o1777)
    config = _configure(folder)
    env = {**os.environ, "SLURM_CONF": str(config)}
    with ExitStack() as stack:
        stack.enter_context(_munge(folder / "munge"))
        log = folder / "controller.out"
        controller = _setting(config, "SlurmctldPort")
        stack.enter_context(
            services.running(
                [_program("slurmctld"), "-D", "-c", "-f", str(config)],
                log=log,
                answers=f"127.0.0.1:{controller}",
                env=env,
            )
        )
        ports = _setting(config, "Port").strip("[]").partition("-")[0]
        for number, node in enumerate(NODES):
            stack.enter_context(
                services.running(
                    [_program("slurmd"), "-D", "-N", node, "-f", str(config)],
                    log=folder / f"{node}.out",
                    answers=f"127.0.0.1:{int(ports) + number}",
                    env=env,
                )
            )
        cluster = Slurm(environment={"SLURM_CONF": str(config)}, folder=folder)
        stack.callback(_end_jobs, cluster)
        _wait_until_idle(cluster)
        yield cluster


def _configure(folder: Path) -> Path:
    ports = _free_ports(len(NODES))
    first = _free_ports(60)
    host = os.uname().nodename
    text = CONFIG.format(
        folder=folder,
        host=host,
        controller=services.free_port(),
        nodes=f"{NODES[0][:-1]}[{NODES[0][-1]}-{NODES[-1][-1]}]",
        ports=f"{ports}-{ports + len(NODES) - 1}",
        first=first,
        last=first + 59,
        cpus=CPUS,
        gpus=GPUS,
    )
    config = folder / "slurm.conf"
    config.write_text(text)
    (folder / "mpi.conf").write_text(MPI_CONFIG)
    for number in range(GPUS):
        os.mknod(folder / f"gpus/gpu{number}", 0o666 | stat.S_IFCHR, os.stat("/dev/null").st_rdev)
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpus/gpu[0-{GPUS - 1}]\n")
    return config


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on now."""
    for _ in range(100):
        first = services.free_port()
        if first + count < 65536 and all(services.is_free(first + number) for number in range(count)):
            return first
    raise AssertionError(f"no {count} free ports in a row")


def _setting(config: Path, name: str) -> str:
    words = config.read_text().split()
    return next(word.partition("=")[2] for word in words if word.startswith(f"{name}="))


@contextmanager
def _munge(folder: Path) -> Iterator[None]:
    """A munged with a key of its own, as the user `munge` that the package makes."""
    who = pwd.getpwnam("munge")
    folder.mkdir()
    folder.chmod(0o755)
    key = folder / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    for path in (folder, key):
        os.chown(path, who.pw_uid, who.pw_gid)
    argv = [
        *(_program("munged"), "--foreground", f"--key-file={key}", f"--socket={folder}/socket"),
        *(f"--pid-file={folder}/pid", f"--log-file={folder}/log", f"--seed-file={folder}/seed"),
    ]
    # munged takes no advice from root about whom to become, and wants to be started as that user.
    argv = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", *argv]
    with services.running(argv, log=folder.parent / "munge.out", answers=folder / "socket"):
        yield


def _wait_until_idle(cluster: Slurm) -> None:
    deadline = time.monotonic() + services.PATIENCE
    while True:
        states = cluster("sinfo", "--noheader", "--Node", "--format=%T").stdout.decode().split()
        if states == ["idle"] * len(NODES):
            return
        assert time.monotonic() < deadline, (states, (cluster.folder / "slurmctld.log").read_text()[-4000:])
        time.sleep(0.1)


def _end_jobs(cluster: Slurm) -> None:
    """Cancel what tests left, and wait until its processes are gone."""
    cluster("scancel", "--partition=all", "--full")
    deadline = time.monotonic() + services.PATIENCE
    while _steps(cluster.folder) and time.monotonic() < deadline:
        time.sleep(0.1)


def _steps(folder: Path) -> list[str]:
    """Processes of Slurm's that run a step of this cluster."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            is_step = entry.name.isdigit() and (entry / "comm").read_text().startswith("slurmstepd")
            if is_step and os.fsencode(str(folder)) in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue  # it ended meanwhile
    return found


def _program(name: str) -> str:
    return shutil.which(name, path=_ADMIN) or name

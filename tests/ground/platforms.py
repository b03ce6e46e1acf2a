"""Runs `sealift` in an interpreter that lacks what Python has on Linux alone, under another system's name.

It is no macOS and no Windows: the kernel, the file systems and the C library are this machine's. It finds what would
fail at the first step there: a module, a function or a constant that is not in Python there, and files in /proc.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# What the interpreter itself needs of these stays with the modules that were imported before they go.
DRIVER = r"""
import ctypes, errno, fcntl, importlib.abc, json, mmap, os, resource, select, signal, socket, sys, time
import concurrent.futures, http.client, logging, queue, shutil, ssl, subprocess, tempfile, threading, tomllib
import importlib.metadata, importlib.resources, zipfile
platform, lines = sys.argv[1], json.loads(sys.argv[2])

NOT_MACOS = {
    os: '''getxattr setxattr listxattr removexattr unshare setns memfd_create eventfd eventfd_read eventfd_write
        pidfd_open copy_file_range splice sched_getaffinity sched_setaffinity getresuid getresgid setresuid setresgid
        posix_fallocate posix_fadvise fdatasync pipe2 getrandom O_TMPFILE O_PATH O_DIRECT O_NOATIME XATTR_CREATE
        XATTR_REPLACE CLONE_NEWUSER CLONE_NEWNS CLONE_NEWPID CLONE_FS waitid P_PIDFD MFD_CLOEXEC GRND_NONBLOCK
        plock RWF_NOWAIT SCHED_BATCH''',
    signal: 'SIGRTMIN SIGRTMAX SIGPWR SIGSTKFLT SIGPOLL sigtimedwait sigwaitinfo pidfd_send_signal',
    select: 'epoll EPOLLIN EPOLLOUT EPOLLHUP EPOLLERR EPOLL_CLOEXEC',
    socket: 'AF_NETLINK AF_PACKET AF_VSOCK AF_ALG SO_PASSCRED SO_PEERSEC SOCK_CLOEXEC SOCK_NONBLOCK TCP_USER_TIMEOUT',
    resource: 'prlimit RLIMIT_NICE RLIMIT_RTPRIO',
    fcntl: '''F_SETPIPE_SZ F_GETPIPE_SZ F_ADD_SEALS F_GET_SEALS F_OFD_SETLK F_OFD_SETLKW F_OFD_GETLK F_NOTIFY
        F_SETLEASE''',
    mmap: 'MAP_POPULATE MADV_HUGEPAGE MADV_DONTDUMP',
    time: 'CLOCK_BOOTTIME CLOCK_TAI',
}
NOT_WINDOWS = {
    os: '''fork forkpty getuid geteuid getgid getegid getgroups setuid setgid seteuid setegid setsid setpgid
        getpgid getpgrp killpg chown lchown fchown fchmod chroot mkfifo mknod uname statvfs fstatvfs sysconf
        sysconf_names confstr confstr_names pread pwrite preadv pwritev readv writev sendfile posix_spawn
        posix_spawnp ttyname tcgetpgrp tcsetpgrp getsid getpriority setpriority nice sync O_CLOEXEC O_DIRECTORY
        O_NOFOLLOW O_NONBLOCK O_SYNC O_NOCTTY register_at_fork lockf F_LOCK EX_OK''',
    signal: '''SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGPIPE SIGALRM SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU
        SIGWINCH alarm setitimer pause pthread_kill pthread_sigmask sigpending sigwait''',
    socket: 'AF_UNIX socketpair sendmsg recvmsg SCM_RIGHTS',
    time: 'CLOCK_MONOTONIC CLOCK_REALTIME clock_gettime',
}
GONE = {'fcntl', 'pwd', 'grp', 'termios', 'tty', 'pty', 'resource', 'syslog', 'readline', 'curses', 'spwd', 'crypt'}

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in GONE:
            raise ModuleNotFoundError(f'No module named {name!r} on {platform}', name=name)

def no_proc(event, arguments):
    if event in ('open', 'os.listdir', 'os.scandir') and isinstance(arguments[0], (str, bytes)):
        path = os.fsdecode(arguments[0])
        if path.startswith(('/proc', '/sys/', '/dev/fuse', '/etc/os-release', '/usr/lib/os-release')):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

def become(platform):
    for lacking in (NOT_MACOS if platform != 'linux' else {}, NOT_WINDOWS if platform == 'win32' else {}):
        for module, names in lacking.items():
            for name in names.split():
                vars(module).pop(name, None)
    if platform == 'win32':
        for name in GONE:
            sys.modules.pop(name, None)
        sys.meta_path.insert(0, Absent())
    if platform == 'darwin':
        del os.confstr_names['CS_GNU_LIBC_VERSION'], os.sysconf_names['SC_AVPHYS_PAGES']
    if platform != 'linux':
        ctypes.CDLL = None
        exists = os.path.exists
        os.path.exists = lambda path: not os.fsdecode(path).startswith(('/proc', '/sys')) and exists(path)
        sys.addaudithook(no_proc)
    sys.platform = platform
    tempfile._O_TMPFILE_WORKS = platform == 'linux'

def attempt(words):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
            code = 70
            try:
                become(platform)
                from sealift.cli.app import main
                code = main(words)
            except SystemExit as leaving:
                code = leaving.code or 0
            except BaseException:
                import traceback
                traceback.print_exc()
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
        code = os.waitpid(child, 0)[1] >> 8
        texts = [file.seek(0) or file.read().decode() for file in (out, err)]
        return code, *texts

print(json.dumps([attempt(words) for words in lines]))
"""


class Ran(NamedTuple):
    code: int
    """70 where an error of Python's came through."""
    out: str
    err: str


def sealift_on(platform: str, lines: Sequence[Sequence[str]], *, cwd: Path, env: Mapping[str, str]) -> list[Ran]:
    """Run commands one after another as `platform` (`darwin`, `win32`, or `linux`, which lacks nothing) would."""
    argv = [sys.executable, "-B", "-c", DRIVER, platform, json.dumps([list(words) for words in lines])]
    done = subprocess.run(argv, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Ran(*each) for each in json.loads(done.stdout)]

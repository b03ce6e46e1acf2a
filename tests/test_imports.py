"""Importing any module does nothing, anywhere; and the command starts without what only some commands use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import sealift

PACKAGE = Path(sealift.__file__).parent
MODULES = sorted(
    ".".join(("sealift", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)

# Imports each module in a forked child of its own, so that each finds an interpreter that knows the standard library
# alone. The audit hook refuses what importing must not do; the deleted names are those that Linux's `os` has and
# macOS' has not.
DRIVER = r"""
import argparse, concurrent.futures, ctypes, dataclasses, email.message, hashlib, http.client, json, logging, os
import pathlib, queue, shutil, socket, ssl, subprocess, sys, tarfile, tempfile, threading, tomllib, typing, urllib.parse
LINUX_ONLY = [name for name in '''getxattr setxattr listxattr removexattr unshare setns memfd_create eventfd pidfd_open
    copy_file_range splice sched_getaffinity sched_setaffinity getresuid getresgid setresuid setresgid
    posix_fallocate posix_fadvise fdatasync pipe2 O_TMPFILE O_PATH O_DIRECT O_NOATIME XATTR_CREATE
    CLONE_NEWUSER CLONE_NEWNS CLONE_NEWPID CLONE_FS SEEK_DATA SEEK_HOLE'''.split() if hasattr(os, name)]
FORBIDDEN = {'subprocess.Popen', 'os.system', 'os.exec', 'os.posix_spawn', 'os.fork', 'os.forkpty', 'os.putenv',
    'os.chdir', 'os.mkdir', 'os.remove', 'os.rename', 'os.kill', 'socket.__new__', 'socket.getaddrinfo',
    'urllib.Request', 'ctypes.dlopen', 'os.unshare', 'signal.pthread_kill', 'tempfile.mkstemp', 'tempfile.mkdtemp'}

def refuse(event, arguments):
    writes = event == 'open' and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event in FORBIDDEN or writes:
        raise RuntimeError(f'{event} {arguments} while importing')

def attempt(name):
    source, sink = os.pipe()
    child = os.fork()
    if child:
        os.close(sink)
        with open(source, encoding='utf-8') as file:
            said = file.read()
        os.waitpid(child, 0)
        return said
    os.dup2(sink, 1), os.dup2(sink, 2)
    before = dict(os.environ)
    for gone in LINUX_ONLY:
        delattr(os, gone)
    sys.addaudithook(refuse)
    try:
        __import__(name)
        if dict(os.environ) != before:
            print('the environment changed')
    except BaseException as error:
        print(f'{type(error).__name__}: {error}')
    sys.stdout.flush()
    os._exit(0)

print(json.dumps({name: attempt(name) for name in sys.argv[1:]}))
"""

HEAVY = (
    "asyncio",
    "concurrent.futures",
    "deflate",
    "email",
    "http.client",
    "importlib.metadata",
    "isal",
    "multiprocessing",
    "rich",
    "sealift.bases",
    "sealift.engines",
    "sealift.packs",
    "sealift.registry",
    "sealift.sandbox",
    "sealift.squashfs",
    "ssl",
    "urllib.request",
    "urllib3",
    "zstandard",
)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-B", *arguments], capture_output=True, text=True, check=False)


def test_importing_does_nothing():
    # `__main__` is the one module whose work is to run.
    names = [name for name in MODULES if name != "sealift.__main__"]
    done = python("-c", DRIVER, *names)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == dict.fromkeys(names, "")


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_the_command_starts_without_heavy_modules(argument):
    done = python("-X", "importtime", "-m", "sealift", argument)
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "sealift.cli.app" in loaded
    assert sorted(loaded.intersection(HEAVY)) == []


def test_what_to_type_first_is_said_without_heavy_modules(tmp_path):
    argv = [sys.executable, "-X", "importtime", "-m", "sealift"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "sealift.flows.firststeps" in loaded
    assert sorted(loaded.intersection(HEAVY)) == []


def test_a_build_without_a_registry_does_not_load_its_client(tmp_path):
    (tmp_path / "x.def").write_text("Bootstrap: scratch\n")
    environment = {"PATH": "/usr/bin:/bin", "SEALIFT_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    argv = [sys.executable, "-X", "importtime", "-m", "sealift", "build", "x.sif", "x.def"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "sealift.flows.build" in loaded
    assert sorted(loaded.intersection({"http.client", "rich", "sealift.registry", "ssl", "urllib3"})) == []

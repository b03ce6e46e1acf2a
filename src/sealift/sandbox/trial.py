"""Tries what a sandbox needs, in a fresh interpreter whose namespaces go with it: `trial.main(maps)` prints JSON.

A trial says more than a version number: distributions, containers and security modules forbid what a kernel could do.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from sealift.errors import SealiftError
from sealift.system import kernel
from sealift.system.namespaces import IdMap, UserMaps, enter_user_namespace

_NAMESPACES = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC


def main(given: str) -> int:
    """For each of the named maps (None: no user namespace) what works within; a text is the reason why it does not."""
    found: dict[str, Any] = {}
    for name, maps in json.loads(given).items():
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            # Whatever happens, this child must not go on as if it were its parent.
            try:
                os.close(out)
                os.write(into, json.dumps(_try(maps)).encode())
            except BaseException as error:  # noqa: BLE001
                os.write(into, json.dumps({"enter": f"the trial failed: {error}"}).encode())
            finally:
                os._exit(0)
        os.close(into)
        data = b""
        while part := os.read(out, 1 << 16):
            data += part
        os.close(out)
        os.waitpid(child, 0)
        found[name] = json.loads(data) if data else {"enter": "the trial process died"}
    sys.stdout.write(json.dumps(found))
    return 0


def _try(maps: dict[str, Any] | None) -> dict[str, str]:
    """Empty texts are successes."""
    try:
        if maps is None:
            kernel.unshare(_NAMESPACES)
        else:
            enter_user_namespace(
                UserMaps(
                    uids=tuple(IdMap(**line) for line in maps["uids"]),
                    gids=tuple(IdMap(**line) for line in maps["gids"]),
                    by=maps["by"],
                ),
                others=_NAMESPACES,
            )
        kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
        place = "/tmp" if os.path.isdir("/tmp") else "/"  # noqa: S108 -- covered by a tmpfs of our own
        kernel.mount("tmpfs", place, "tmpfs", 0, "size=1m")
        os.chdir(place)
        for each in ("a", "b", "over", "fuse", "proc"):
            os.mkdir(each)
    except SealiftError as error:
        return {"enter": error.message}
    except OSError as error:
        return {"enter": str(error.strerror or error)}
    return {
        "enter": "",
        "overlay": _reason(lambda: kernel.mount("overlay", "over", "overlay", 0, "lowerdir=a:b,userxattr")),
        "fuse": _reason(_fuse),
        "proc": _reason(_proc),
        "notify": _reason(kernel.seccomp_notification_sizes),
    }


def _reason(attempt: Any) -> str:
    try:
        attempt()
    except OSError as error:
        return str(error.strerror or error)
    return ""


def _fuse() -> None:
    # A mount that nobody serves yet is enough to see whether this namespace may have one.
    descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    kernel.mount("fuse", "fuse", "fuse", 0, f"fd={descriptor},rootmode=40000,user_id=0,group_id=0")
    kernel.umount("fuse")
    os.close(descriptor)


def _proc() -> None:
    # The process namespace begins with the next child.
    child = os.fork()
    if child == 0:
        try:
            kernel.mount("proc", "proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))

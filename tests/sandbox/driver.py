"""Run by a test as some user: opens a sandbox as that user, does what the test orders, prints what came of it.

    python driver.py ORDER.json     {"lowers": […], "steps": […], "environment": {…}}

It must not import anything of `tests`: that user may not be able to read it.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import Any

from sealift.errors import SealiftError
from sealift.sandbox.abilities import choose_footing, probe
from sealift.sandbox.container import Sandbox, open_sandbox
from sealift.sandbox.spec import HostPath, Lower, SandboxSpec
from sealift.sandbox.workfolder import choose_work_place, work_folder

Base = dict[str, list[int]]


def listing(inside: Any, *, base: Base | None = None, contents: bool = True) -> list[list[Any]]:
    """What the upper layer truly holds: path, mode with type, owner, device, content or target, xattrs of meaning."""

    def below(path: bytes) -> tuple[int, int, int] | None:
        found = (base or {}).get(os.fsdecode(path))
        return (found[0], found[1], found[2]) if found else None

    owners = inside.owners(below)
    rows = []
    for folder, folders, files in os.walk(inside.upper):
        for name in (*folders, *files):
            if name in (".wh..wh..opq", ".wh..opq"):  # fuse-overlayfs's marks
                continue
            path = os.path.join(folder, name)
            found = os.lstat(path)
            xattrs = {
                each: os.getxattr(path, each, follow_symlinks=False).hex()
                for each in os.listxattr(path, follow_symlinks=False)
                if "overlay" not in each
            }
            true = owners.get(found.st_ino)
            mode, uid, gid, rdev = (
                (true.mode, true.uid, true.gid, true.rdev)
                if true
                else (found.st_mode, found.st_uid, found.st_gid, found.st_rdev)
            )
            data = ""
            if stat.S_ISLNK(mode):
                data = os.readlink(path)
            elif stat.S_ISREG(mode) and contents:
                with open(path, errors="replace") as file:
                    data = file.read(2000)
            rows.append([path[len(inside.upper) :], oct(mode), uid, gid, rdev, data, xattrs])
    return sorted(rows)


def seen(inside: Any, *, path: str) -> list[str]:
    return sorted(os.listdir(os.path.join(inside.root, path)))


def talkative(inside: Any, *, count: int) -> dict[str, Any]:
    for number in range(count):
        inside.report({"number": number})
    descriptor = inside.descriptors[0]
    os.write(descriptor, b"from inside")
    return {"pid": os.getpid(), "mode": inside.footing.mode}


def failing(_inside: Any, *, kind: str) -> None:
    from sealift.errors import ImageError, ToolError

    match kind:
        case "image":
            raise ImageError("the image is damaged", hints=("fetch it again",))
        case "tool":
            raise ToolError("it failed", argv=("a", "b"), code=3, tail="tail")
        case "oserror":
            raise FileNotFoundError(2, "No such file or directory", "/missing")
        case "exit":
            os._exit(9)
        case _:
            raise ValueError("an unforeseen thing")


def do(sandbox: Sandbox, step: dict[str, Any]) -> Any:
    match step.pop("do"):
        case "sh":
            lines: list[list[str]] = []
            argv = step.pop("argv", None) or ["/bin/sh", "-ec", step.pop("script")]
            code = sandbox.run(
                [word.replace("ROOT", sandbox.root) for word in argv],
                on_line=lambda stream, line: lines.append([stream, line.decode(errors="replace")]),
                **step,
            )
            return {"code": code, "out": "".join(line for _, line in lines), "lines": lines}
        case "run":
            return {"code": sandbox.run(**step)}
        case "place":
            return sandbox.place(step["name"], step["data"].encode())
        case "call":
            reports: list[Any] = []
            value = sandbox.call(step.pop("function"), on_report=reports.append, **step)
            return {"value": value, "reports": reports}
        case "files":
            # What the outer side sees of the work folder.
            return sorted(os.listdir(os.path.join(sandbox.spec.work, step["path"])))
        case other:
            raise ValueError(other)


def main(order: dict[str, Any]) -> dict[str, Any]:
    environment = {**os.environ, **order.get("environment", {})}
    answer: dict[str, Any] = {"steps": []}
    try:
        host = probe(environment)
        place = choose_work_place(environment, file_systems=order.get("file_systems"))
        footing = choose_footing(host, place)
        answer["footing"] = [footing.mode, footing.overlay, footing.squashfs, footing.notify]
        with work_folder(place.folder) as work:
            answer["work"] = work
            spec = SandboxSpec(
                lowers=tuple(Lower(**each) for each in order.get("lowers", [])),
                footing=footing,
                work=work,
                binds=tuple(HostPath(**each) for each in order.get("binds", [])),
                bare=order.get("bare", False),
            )
            with open_sandbox(spec, environment=environment) as sandbox:
                if order.get("announce"):
                    print(json.dumps({"work": work}), flush=True)
                for step in order["steps"]:
                    try:
                        answer["steps"].append(do(sandbox, dict(step)))
                    except SealiftError as error:
                        answer["steps"].append(
                            {"error": type(error).__name__, "message": error.message, "hints": list(error.hints)}
                        )
                    except (OSError, RuntimeError) as error:
                        answer["steps"].append({"error": type(error).__name__, "message": str(error)})
    except SealiftError as error:
        answer["error"] = [type(error).__name__, error.message, list(error.hints)]
    return answer


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        order = json.load(file)
    print(json.dumps(main(order)))

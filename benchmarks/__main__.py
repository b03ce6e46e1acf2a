"""`make bench`: measures every work with every tool as one ordinary user, and prints the table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import compare, ground, image, measure, table, works
from tests import parts
from tests.ground import install, services, session, users

NEEDS = ("apptainer", "registry", "skopeo", "mmdebstrap", "mirror", "squashfuse", "fuse-overlayfs", "subuid-user")


def say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    with ground.standing(NEEDS) as folder:
        cache = parts.cache_folder().parent / "sealift-benchmarks"
        layout = {"ml": image.machine_learning, "small": image.small}[options.image](cache, say)
        with services.registry(folder / "registry") as registry:
            for tag in ("latest", "sibling"):
                registry.push(layout, tag, f"measured:{tag}")
            return _measure_all(options, folder, f"{registry.host}/measured")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--image", choices=("ml", "small"), default="ml", help="1.5 GB and 50,000 entries, or a trial")
    parser.add_argument("--only", nargs="*", choices=sorted(works.BY_KEY), default=[], help="these works alone")
    parser.add_argument("--tools", nargs="*", default=[], metavar="NAME", help="tools whose name begins so")
    parser.add_argument("--repeat", type=int, default=1, help="repetitions; the median is shown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--compare", action="store_true", help="also compare the pulled trees with Apptainer's")
    return parser.parse_args(arguments)


def _measure_all(options: argparse.Namespace, folder: Path, name: str) -> int:
    user = users.get("subuid")
    base = folder / "bench"
    base.mkdir()
    as_user = users.AsUser(bin=install.installed(), base=base)
    chosen = [
        tool
        for tool in works.TOOLS
        if not options.tools or any(tool.name.lower().startswith(start.lower()) for start in options.tools)
    ]
    benches = []
    for number, tool in enumerate(chosen):
        place = as_user.folder("subuid") / f"tool-{number}"
        place.mkdir()
        os.chown(place, user.uid, user.gid)
        benches.append(works.Bench(tool=tool, folder=place, image=name))
    results = [
        _result(work, bench, as_user, user, options.repeat) for work in works.wanted(options.only) for bench in benches
    ]
    machine = _machine(as_user)
    print(
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; "
        f"{machine['sealift']}; {machine['apptainer']}\n"
    )
    print(table.markdown(results, reference="Apptainer"))
    if options.json:
        options.json.write_text(json.dumps(table.as_json(results, machine=machine), indent=2) + "\n")
    different = _compare(benches) if options.compare else False
    return 1 if different or any(result.failed for result in results) else 0


def _result(work: works.Work, bench: works.Bench, as_user: users.AsUser, user: users.User, repeat: int) -> table.Result:
    runs: list[measure.Measured] = []
    caches = bench.folder / "cache"
    for _ in range(repeat * work.times):
        if work.after is None:
            session.remove(caches)
            caches.mkdir()
            os.chown(caches, user.uid, user.gid)
        argv = work.command(bench)
        env = as_user.environment("subuid") | bench.tool.caches(caches)
        found = shutil.which(argv[0], path=env["PATH"]) or argv[0]
        runs.append(measure.run((found, *argv[1:]), user=user, env=env, cwd=bench.folder))
        if runs[-1].code != 0:
            break
    output = work.output(bench) if work.output else None
    result = table.Result(
        work=work.key,
        title=work.title,
        tool=bench.tool.name,
        walls=tuple(run.wall for run in runs),
        cpus=tuple(run.cpu for run in runs),
        memory=max(run.memory for run in runs),
        size=output.stat().st_size if output and output.exists() else None,
        failed=f"exit code {runs[-1].code}: {runs[-1].stderr[-2000:]}" if runs[-1].code != 0 else "",
    )
    say(f"{work.title} · {bench.tool.name}: {result.failed or f'{result.wall:.2f} s'}")
    return result


def _compare(benches: Sequence[works.Bench]) -> bool:
    """Say for each tool's pulled image where its tree is not Apptainer's own; True when one is not."""
    images = {bench.tool.name: bench.pulled for bench in benches if bench.pulled.exists()}
    theirs = next((path for name, path in images.items() if name.startswith("Apptainer")), None)
    different = False
    for name, ours in images.items():
        if theirs is None or ours == theirs:
            continue
        count, lines = compare.compare(ours, theirs)
        say(f"{name}: {count} paths compared with Apptainer's, {len(lines)} differ")
        for line in lines[:50]:
            say(f"  {line}")
        different = different or bool(lines)
    return different


def _machine(as_user: users.AsUser) -> dict[str, str]:
    def version(*argv: str) -> str:
        done = as_user(argv)
        return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else f"no {argv[0]}"

    model = next(
        (line.partition(":")[2].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next((line.split()[1] for line in _read("/proc/meminfo") if line.startswith("MemTotal:")), "0")
    return {
        "cpu": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory_kib": memory,
        "kernel": platform.release(),
        "sealift": version("sealift", "--version"),
        "apptainer": version("apptainer", "--version"),
    }


def _read(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {error}")

"""`sealift mpi show IMAGE` and `sealift mpi check IMAGE`: what MPI an image has, and whether its ranks really talk."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

from sealift.core.event import Event, Said
from sealift.errors import UsageError

if TYPE_CHECKING:
    from sealift.core.mpi import MpiLibrary, Wireup
    from sealift.flows.mpi import MpiReport, MpiRequest, MpiView

INTERMIXED = True
"""Flags may stand between the words."""
EPILOG = """\
examples:
  sealift mpi show app.sif                         which MPI is in it, and how this host would start it
  sealift mpi show app.sif --site perlmutter       … and how Perlmutter would
  salloc -N 2 sealift mpi check app.sif            start ranks on two nodes and judge what they say
  sealift mpi check app.sif --tasks-per-node 4     without Slurm: by the image's own mpiexec, on this host alone
"""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add("what", choices=("show", "check"), help="look into the image, or run ranks in it")
    add("image", metavar="IMAGE", help="x.sif, x.sqfs, a folder, docker://…, oci:DIR[:TAG] …")
    add(
        "program",
        nargs="?",
        default="",
        metavar="PROGRAM",
        help="the program whose MPI counts, where there are several",
    )
    add(
        "--site",
        default="",
        metavar="NAME",
        help="the machine it is meant for (sealift sites); this host when left out",
    )
    add("--engine", default="auto", metavar="NAME", help="what runs it: apptainer, embedded, podman-hpc …")
    add("--mpi-model", default="", metavar="MODEL", help="bind, hybrid, container or injected, in place of the site's")
    add("--gpu-mpi", action="store_true", help="with buffers on GPUs")
    add("--mpi", default="", metavar="TYPE", help="for srun --mpi=, in place of what fits")
    add("--nodes", "-N", type=int, default=0, metavar="N", help="check: nodes; those of the allocation when left out")
    add("--tasks-per-node", type=int, default=2, metavar="T", help="check: ranks a node (2)")
    add("--no-https", action="store_true", help="talk plain HTTP to the registry")
    add("--json", action="store_true", help="print as JSON")


def execute(options: argparse.Namespace) -> int:
    from sealift.cli.app import end_gently
    from sealift.flows.mpi import check_mpi, show_mpi

    if options.nodes < 0 or options.tasks_per_node < 1:
        raise UsageError("`--nodes` and `--tasks-per-node` count from 1", hints=("--nodes 2 --tasks-per-node 1",))
    end_gently()
    request = _request(options)
    if options.what == "show":
        view = show_mpi(request)
        print(json.dumps(_view_json(view), indent=2) if options.json else "\n".join(_view_lines(view)))
        return 0
    report = check_mpi(request)
    print(json.dumps(_report_json(report), indent=2) if options.json else "\n".join(_report_lines(report)))
    return 0 if report.good else 1


def _request(options: argparse.Namespace) -> MpiRequest:
    from sealift.flows.mpi import MpiRequest
    from sealift.system.process import environment

    return MpiRequest(
        image=options.image,
        environment=environment(),
        program=options.program,
        site=options.site,
        engine=options.engine,
        model=options.mpi_model,
        gpu=options.gpu_mpi,
        pmi=options.mpi,
        nodes=options.nodes,
        tasks_per_node=options.tasks_per_node,
        insecure=options.no_https,
        today=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        events=_say,
    )


def _say(event: Event) -> None:
    if isinstance(event, Said) and event.level != "debug":
        print(f"{event.level}: {event.text}" if event.level == "warning" else event.text, file=sys.stderr)


# For people


def _view_lines(view: MpiView) -> list[str]:
    mpi = view.image
    lines = [line for library in mpi.libraries for line in _library_lines(library)]
    if mpi.asked:
        lines.append(f"the program asks for {mpi.asked}")
    lines += [f"{path} seems to carry its MPI inside (a guess, from the texts in it)" for path in mpi.static]
    if not (mpi.libraries or mpi.static):
        lines.append("no MPI that can be seen: no libmpi, and no program with one inside")
    tools = (("C library", f"{mpi.libc} {mpi.glibc}".strip()), ("mpiexec", mpi.launcher), ("python", mpi.python))
    lines += [f"  {name:<10} {value}" for name, value in tools if value]
    return [*lines, "", f"on {view.site} with {view.engine}", *_wireup_lines(view)]


def _library_lines(library: MpiLibrary) -> list[str]:
    rows = (
        ("file", library.path),
        ("name", library.soname),
        ("ABI", library.family),
        ("device", library.device),
        ("speaks", ", ".join(library.pmi)),
        ("carries by", ", ".join(library.transports)),
        ("wants", f"glibc {library.glibc}" if library.glibc else ""),
    )
    return [library.title, *(f"  {name:<10} {value}" for name, value in rows if value)]


def _wireup_lines(view: MpiView) -> list[str]:
    if view.refusal is not None:
        return [f"✗ {view.refusal.message}", *(f"    {hint}" for hint in view.refusal.hints)]
    wireup = view.wireup
    assert wireup is not None
    rows = [
        ("model", _MODELS[wireup.model]),
        ("srun", f"--mpi={wireup.pmi}" if wireup.pmi else ""),
        ("flags", f"--communication {wireup.communication}" if wireup.communication != "none" else ""),
        ("modules", " ".join(wireup.modules)),
        *(("bind", f"{bind.source}:{bind.destination}" + (":ro" if bind.read_only else "")) for bind in wireup.binds),
        ("library path", ":".join(wireup.library_path)),
        ("preload", wireup.preload),
        *(("set", f"{name}={value}") for name, value in wireup.env.items()),
        *(("note", note) for note in wireup.notes),
    ]
    return [f"  {name:<12} {value}" for name, value in rows if value]


_MODELS = {
    "bind": "bind: this host's MPI is bound over the image's",
    "hybrid": "hybrid: the site's MPI takes the place of the image's",
    "container": "container: the image's own MPI",
    "injected": "injected: the site's MPI, put in by its engine",
    "none": "none",
}


def _report_lines(report: MpiReport) -> list[str]:
    from sealift.cli.findings import finding_line

    lines = []
    if report.alone:
        lines.append("· no Slurm allocation here: the image's own mpiexec, on this host alone")
    lines += [finding_line(finding) for finding in report.findings]
    if report.said.pairs:
        first, last = report.said.ranks[0], report.said.ranks[-1]
        lines += ["", f"between rank {first.rank} on {first.host} and rank {last.rank} on {last.host}"]
        lines.append(f"{'bytes':>10}  {'µs':>10}  {'MB/s':>10}")
        lines += [f"{pair.bytes:>10}  {pair.microseconds:>10.2f}  {pair.rate:>10.1f}" for pair in report.said.pairs]
    if not report.good:
        lines += ["", "what was run:", f"  {shlex.join(report.command)}"]
        if report.tail:
            lines += ["its last words:", *(f"  {line}" for line in report.tail)]
    return lines


# For programs


def _view_json(view: MpiView) -> dict[str, Any]:
    refusal = view.refusal
    return {
        "image": dataclasses.asdict(view.image),
        "site": view.site,
        "engine": view.engine,
        "wireup": _wireup_json(view.wireup) if view.wireup is not None else None,
        "refusal": {"message": refusal.message, "hints": list(refusal.hints)} if refusal is not None else None,
    }


def _wireup_json(wireup: Wireup) -> dict[str, Any]:
    return dataclasses.asdict(wireup)


def _report_json(report: MpiReport) -> dict[str, Any]:
    return {
        **_view_json(report.view),
        "good": report.good,
        "tasks": report.tasks,
        "alone": report.alone,
        "command": list(report.command),
        "findings": [dataclasses.asdict(finding) for finding in report.findings],
        "said": dataclasses.asdict(report.said),
        "tail": list(report.tail),
    }

"""The results as a Markdown table for people and as JSON for programs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One piece of work by one tool: the median of its runs, but the largest of their peaks of memory."""

    work: str
    title: str
    tool: str
    walls: tuple[float, ...]
    cpus: tuple[float, ...]
    memory: int
    size: int | None
    failed: str = ""
    """The end of what it said when it failed; empty for success."""

    @property
    def wall(self) -> float:
        return statistics.median(self.walls)


def markdown(results: Sequence[Result], *, reference: str) -> str:
    """A row for each work and tool; `reference` names the tool whose wall time the factors divide."""
    base = {result.work: result.wall for result in results if result.tool == reference and not result.failed}
    rows = [
        "| work | tool | wall | CPU | peak memory | image | against " + reference + " |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        if result.failed:
            rows.append(f"| {result.title} | {result.tool} | failed | | | | |")
            continue
        size = f"{result.size / 1e6:.1f} MB" if result.size is not None else ""
        factor = f"{base[result.work] / result.wall:.1f} ×" if result.work in base else ""
        rows.append(
            f"| {result.title} | {result.tool} | {_seconds(result.wall)} | {_seconds(statistics.median(result.cpus))} "
            f"| {result.memory / 1e6:.0f} MB | {size} | {factor} |"
        )
    return "\n".join(rows) + "\n"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def as_json(results: Sequence[Result], *, machine: dict[str, Any]) -> dict[str, Any]:
    return {
        "machine": machine,
        "results": [
            {
                "work": result.work,
                "tool": result.tool,
                "wall_s": [round(wall, 4) for wall in result.walls],
                "cpu_s": [round(cpu, 4) for cpu in result.cpus],
                "peak_memory_bytes": result.memory,
                "image_bytes": result.size,
                "failed": result.failed,
            }
            for result in results
        ],
    }

"""The printed table: medians, factors, failures."""

from __future__ import annotations

import json

from benchmarks.table import Result, as_json, markdown

RESULTS = (
    Result(
        work="cold", title="pull", tool="Ours", walls=(2.0, 1.0, 9.0), cpus=(3.0,), memory=150_000_000, size=53_000_000
    ),
    Result(work="cold", title="pull", tool="Theirs", walls=(40.0,), cpus=(60.0,), memory=1_500_000_000, size=None),
    Result(work="edit", title="edit", tool="Theirs", walls=(1.0,), cpus=(1.0,), memory=1, size=None, failed="code 1"),
)


def test_markdown():
    assert markdown(RESULTS, reference="Theirs").splitlines() == [
        "| work | tool | wall | CPU | peak memory | image | against Theirs |",
        "|---|---|---:|---:|---:|---:|---:|",
        "| pull | Ours | 2.00 s | 3.00 s | 150 MB | 53.0 MB | 20.0 × |",
        "| pull | Theirs | 40.0 s | 60.0 s | 1500 MB |  | 1.0 × |",
        "| edit | Theirs | failed | | | | |",
    ]


def test_json_holds_every_run():
    value = json.loads(json.dumps(as_json(RESULTS[:1], machine={"cores": "2"})))
    assert value == {
        "machine": {"cores": "2"},
        "results": [
            {
                "work": "cold",
                "tool": "Ours",
                "wall_s": [2.0, 1.0, 9.0],
                "cpu_s": [3.0],
                "peak_memory_bytes": 150_000_000,
                "image_bytes": 53_000_000,
                "failed": "",
            }
        ],
    }

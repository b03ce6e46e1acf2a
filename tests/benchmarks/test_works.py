"""Which works are run for which wish, and each tool's command lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.works import BY_KEY, TOOLS, WORKS, Bench, wanted


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ((), [work.key for work in WORKS]),
        (("cold",), ["cold"]),
        (("exec",), ["cold", "exec"]),
        (("edit", "again"), ["cold", "again", "build", "edit"]),
    ],
)
def test_what_a_work_needs_runs_before_it(keys, order):
    assert [work.key for work in wanted(keys)] == order


def test_command_lines(tmp_path):
    (tmp_path / "app.def").touch()
    lines = {
        (tool.name, key): BY_KEY[key].command(Bench(tool=tool, folder=Path("/b"), image="h:1/n"))
        for tool in TOOLS
        for key in ("cold", "exec")
    }
    zstd = ("--mksquashfs-args", "-comp zstd -Xcompression-level 3")
    assert lines == {
        ("Sealift", "cold"): ("sealift", "pull", "-q", "-F", "/b/pulled.sif", "docker://h:1/n:latest"),
        ("Sealift", "exec"): ("sealift", "exec", "--engine", "embedded", "/b/pulled.sif", "true"),
        ("Apptainer", "cold"): (
            *("apptainer", "-q", "pull", "-F", "--no-https"),
            *("/b/pulled.sif", "docker://h:1/n:latest"),
        ),
        ("Apptainer", "exec"): ("apptainer", "exec", "/b/pulled.sif", "true"),
        ("Apptainer, zstd 3", "cold"): (
            *("apptainer", "-q", "build", "-F", "--no-https", *zstd),
            *("/b/pulled.sif", "docker://h:1/n:latest"),
        ),
        ("Apptainer, zstd 3", "exec"): ("apptainer", "exec", "/b/pulled.sif", "true"),
    }


def test_an_edit_changes_the_last_line_alone(tmp_path):
    bench = Bench(tool=TOOLS[0], folder=tmp_path, image="h:1/n")
    bench.rebuild()
    before = (tmp_path / "app.def").read_text().splitlines()
    bench.edit()
    after = (tmp_path / "app.def").read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [("    echo 0 > /opt/app/last", "    echo 1 > /opt/app/last")]

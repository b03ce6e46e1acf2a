"""Findings as text: as they are, and in lines that fit a terminal."""

from __future__ import annotations

from sealift.cli.findings import finding_lines
from sealift.core.finding import Finding

FINDING = Finding(
    id="engine.form",
    severity="note",
    what="podman-hpc takes images of registries, and this is a SIF that somebody made",
    evidence="perlmutter-gpu: engines.podman-hpc.images is oci [N20], which nobody verified there\na second line",
    remedy="sealift push app.sif podman-hpc:app   (on a login node there)\n"
    "sealift push app.sif docker://registry.nersc.gov/PROJECT/app:TAG   then there: podman-hpc pull x",
)


def test_as_they_are() -> None:
    assert list(finding_lines(FINDING)) == [
        "· podman-hpc takes images of registries, and this is a SIF that somebody made  [engine.form]",
        "    seen: perlmutter-gpu: engines.podman-hpc.images is oci [N20], which nobody verified there",
        "          a second line",
        "    do:   sealift push app.sif podman-hpc:app   (on a login node there)",
        "          sealift push app.sif docker://registry.nersc.gov/PROJECT/app:TAG   then there: podman-hpc pull x",
    ]


def test_in_a_terminal_what_is_to_be_typed_stays_on_its_line() -> None:
    assert list(finding_lines(FINDING, width=72)) == [
        "· podman-hpc takes images of registries, and this is a SIF that somebody",
        "  made  [engine.form]",
        "    seen: perlmutter-gpu: engines.podman-hpc.images is oci [N20], which",
        "          nobody verified there",
        "          a second line",
        "    do:   sealift push app.sif podman-hpc:app   (on a login node there)",
        "          sealift push app.sif docker://registry.nersc.gov/PROJECT/app:TAG",
        "            then there: podman-hpc pull x",
    ]

"""`check --probe`: what is said of what an image shows when it runs, and a real one that runs here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.core.finding import Finding
from sealift.evidence.imagefacts import ImageFacts
from sealift.flows.trial import judge_lines, try_image
from tests.preflight.images import elf, wheel

FACTS = ImageFacts(source="app.sif", path="app.sif", form="sif")


def library(file: str, names: str) -> Finding:
    return Finding(
        id="probe.libraries",
        severity="error",
        what=f"`{file}` does not find {names}",
        evidence="ldd, inside",
        remedy="install what has it in %post, and run ldconfig; or set LD_LIBRARY_PATH in %environment",
    )


@pytest.mark.parametrize(
    ("said", "gpu", "findings"),
    [
        (["STARTED"], False, []),
        (
            ["MISSING\t/opt/a\tlibx.so.1", "MISSING\t/opt/b\tliby.so.2", "MISSING\t/opt/a\tlibz.so.3"],
            False,
            [library("/opt/a", "libx.so.1, libz.so.3"), library("/opt/b", "liby.so.2")],
        ),
        (["MISSING\t/opt/a\tlibcuda.so.1"], False, []),  # no driver here, so none was brought in
        (["MISSING\t/opt/a\tlibcuda.so.1"], True, [library("/opt/a", "libcuda.so.1")]),
        (
            ["GPU\tGPU 0: A100", "GPU\tGPU 1: A100"],
            True,
            [
                Finding(
                    id="probe.gpu",
                    severity="ok",
                    what="nvidia-smi sees 2 GPUs inside",
                    evidence="GPU 0: A100\nGPU 1: A100",
                )
            ],
        ),
        (
            ["MODULE\ttorch\t2.14.1 CUDA 12.6 GPUs 4", "MODULE\tjax\t!ModuleNotFoundError: no\ttabs"],
            True,
            [
                Finding(
                    id="probe.python", severity="ok", what="Python imports torch", evidence="2.14.1 CUDA 12.6 GPUs 4"
                ),
                Finding(
                    id="probe.python",
                    severity="error",
                    what="Python cannot import jax",
                    evidence="ModuleNotFoundError: no\ttabs",
                    remedy="see all of it: sealift exec IMAGE python3 -c 'import jax'",
                ),
            ],
        ),
    ],
)
def test_what_the_script_said(said: list[str], gpu: bool, findings: list[Finding]) -> None:
    assert list(judge_lines(said, gpu=gpu)) == findings


def test_an_image_for_another_processor_is_not_tried() -> None:
    found = try_image(replace(FACTS, architecture="s390x"), "app.sif", {})
    here = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    what = f"the image was not tried on this host: it is for s390x, and this host is {here}"
    assert found == (Finding(id="probe.skipped", severity="note", what=what),)


@pytest.mark.slow
@pytest.mark.needs("gcc", "root", "mmdebstrap", "mirror")
def test_a_real_image_with_what_does_not_work(mpich_image: Path, tmp_path: Path) -> None:
    """Debian's tree with a program whose MPI no loader finds, and with two Python packages, one of them broken."""
    root = tmp_path / "app"
    sealift(tmp_path, "build", "--sandbox", str(root), str(mpich_image))
    packages = "usr/lib/python3/dist-packages"
    written = {
        "opt/app/bin/solver": elf("solver", needed="libmpi.so.12").make(),
        f"{packages}/torch/__init__.py": b"__version__ = '2.14.1'\nclass version: cuda = None\n"
        b"class cuda:\n    device_count = staticmethod(lambda: 0)\n",
        f"{packages}/jax.py": b"raise ImportError('libjax.so: cannot open')\n",
    }
    for name in ("torch", "jax"):
        (metadata,) = wheel(name, "2.14.1").values()
        assert isinstance(metadata, bytes)
        written[f"{packages}/{name}-2.14.1.dist-info/METADATA"] = metadata
    for path, data in written.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / "opt/app/bin/solver").chmod(0o755)
    done = sealift(tmp_path, "check", str(root), "--site", "slurm", "--probe", "--json", code=1)
    findings = [each for each in json.loads(done.stdout)["findings"] if each["id"].startswith("probe.")]
    (start, *others) = [(each["id"], each["severity"], each["what"], each["evidence"]) for each in findings]
    assert start[:2] == ("probe.start", "ok")
    assert others == [
        ("probe.libraries", "error", "`/opt/app/bin/solver` does not find libmpi.so.12", "ldd, inside"),
        ("probe.python", "ok", "Python imports torch", "2.14.1 CUDA None GPUs 0"),
        ("probe.python", "error", "Python cannot import jax", "ImportError: libjax.so: cannot open"),
    ]


def sealift(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sealift", *words]
    env = {**os.environ, "SEALIFT_CACHEDIR": str(folder / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == code, done.stderr
    return done

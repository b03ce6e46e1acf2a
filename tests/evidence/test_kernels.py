"""Which kernel an image can be, read from made-up trees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.core.jupyter import ImageKernel
from sealift.evidence.kernels import Python, find_kernel, find_pythons
from sealift.evidence.opening import open_image

ARGV = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
DEBIAN = ("usr/bin/python3", "usr/lib/python3/dist-packages/x", "usr/lib/python3.11/EXTERNALLY-MANAGED")
IPYKERNEL = ("ipykernel_launcher.py", "ipykernel-7.4.0.dist-info/METADATA")
CONDA = ("opt/conda/bin/python3", *(f"opt/conda/lib/python3.12/site-packages/{name}" for name in IPYKERNEL))


def tree(root: Path, *files: str, path: str = "", **texts: str) -> str:
    for file in files:
        target = root / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("")
    if path:
        script = root / ".singularity.d/env/90-environment.sh"
        script.parent.mkdir(parents=True)
        script.write_text(f"#!/bin/sh\n{path}\n")
    return str(root)


def pythons(image: str) -> tuple[Python, ...]:
    with open_image(image) as opened:
        return find_pythons(opened)


def kernel(image: str, language: str = "python") -> ImageKernel | None:
    with open_image(image) as opened:
        return find_kernel(opened, language)


@pytest.mark.parametrize(
    ("files", "path", "expected"),
    [
        ((), "", ()),
        (DEBIAN, "", (Python(program="python3", managed=True),)),
        (
            (*DEBIAN, *(f"usr/lib/python3/dist-packages/{name}" for name in IPYKERNEL)),
            "",
            (Python(program="python3", ipykernel="7.4.0", managed=True),),
        ),
        (
            (*DEBIAN, *(f"usr/local/lib/python3.11/dist-packages/{name}" for name in IPYKERNEL)),
            "",
            (Python(program="python3", ipykernel="7.4.0", managed=True),),
        ),
        (
            (*DEBIAN, "usr/lib/python3/dist-packages/ipykernel_launcher.py"),
            "",
            (Python(program="python3", ipykernel="unknown", managed=True),),
        ),
        (
            ("usr/local/bin/python3", *(f"usr/local/lib/python3.12/site-packages/{name}" for name in IPYKERNEL)),
            "",
            (Python(program="python3", ipykernel="7.4.0"),),
        ),
        # Not on the image's PATH: nobody would find it.
        (CONDA, "", ()),
        (
            (*CONDA, *DEBIAN),
            "export PATH=/opt/conda/bin:$PATH",
            (Python(program="python3", ipykernel="7.4.0"), Python(program="/usr/bin/python3", managed=True)),
        ),
        (
            (*CONDA, *DEBIAN),
            'PATH="/usr/bin:/opt/conda/bin"',
            (Python(program="python3", managed=True), Python(program="/opt/conda/bin/python3", ipykernel="7.4.0")),
        ),
    ],
)
def test_pythons(tmp_path: Path, files: tuple[str, ...], path: str, expected: tuple[Python, ...]) -> None:
    assert pythons(tree(tmp_path, *files, path=path)) == expected


def test_an_environment_has_packages_of_its_own(tmp_path: Path) -> None:
    image = tree(
        tmp_path,
        *("usr/bin/python3.11", "usr/lib/python3/dist-packages/ipykernel_launcher.py", "venv/pyvenv.cfg"),
        "venv/lib/python3.11/site-packages/x",
        path="export PATH=/venv/bin:$PATH",
    )
    (tmp_path / "venv/bin").mkdir()
    (tmp_path / "venv/bin/python3").symlink_to("/usr/bin/python3.11")
    (tmp_path / "usr/bin/python3").symlink_to("python3.11")
    assert pythons(image) == (Python(program="python3"), Python(program="/usr/bin/python3", ipykernel="unknown"))
    assert kernel(image) == ImageKernel(argv=("/usr/bin/python3", *ARGV), language="python", version="unknown")


def test_a_link_leads_to_where_the_packages_are(tmp_path: Path) -> None:
    image = tree(tmp_path, *CONDA)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3").symlink_to("/opt/conda/bin/python3")
    (tmp_path / "bin").symlink_to("usr/bin")
    assert pythons(image) == (Python(program="python3", ipykernel="7.4.0"),)


@pytest.mark.parametrize(
    ("name", "version", "interrupt"),
    [
        ("ipykernel-5.4.3.egg-info", "5.4.3", "signal"),
        ("ipykernel-5.4.3-py3.8.egg-info", "5.4.3", "signal"),
        ("ipykernel-6.17.0.dist-info", "6.17.0", "message"),
    ],
)
def test_old_kernels_know_no_messages_for_interrupts(tmp_path: Path, name: str, version: str, interrupt: str) -> None:
    files = ("ipykernel_launcher.py", f"{name}/PKG-INFO")
    found = kernel(tree(tmp_path, *DEBIAN, *(f"usr/lib/python3/dist-packages/{file}" for file in files)))
    assert found is not None
    assert (found.version, found.interrupt) == (version, interrupt)


def write_spec(root: Path, name: str, spec: object) -> None:
    folder = root / "usr/local/share/jupyter/kernels" / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(spec if isinstance(spec, str) else json.dumps(spec))


def test_what_the_images_own_kernelspec_tells_of_it_is_kept(tmp_path: Path) -> None:
    image = tree(tmp_path, *DEBIAN, *(f"usr/local/lib/python3.11/dist-packages/{name}" for name in IPYKERNEL))
    write_spec(tmp_path, "python3", {"argv": ["python"], "metadata": {"supported_encryption": "curve"}})
    found = kernel(image)
    assert found is not None
    assert (found.argv, found.metadata) == (("python3", *ARGV), {"supported_encryption": "curve"})


def test_other_languages_by_the_images_own_kernelspecs(tmp_path: Path) -> None:
    image = tree(tmp_path, "usr/bin/R")
    words = ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}", "{resource_dir}/x"]
    write_spec(tmp_path, "ir", {"argv": words, "language": "R", "display_name": "R"})
    write_spec(tmp_path, "broken", "{")
    write_spec(tmp_path, "list", [])
    write_spec(tmp_path, "wrong", {"argv": "R", "language": "julia"})
    write_spec(
        tmp_path,
        "xpython",
        {"argv": ["xpython", "{connection_file}"], "language": "python", "interrupt_mode": "message"},
    )
    folder = "/usr/local/share/jupyter/kernels/ir/x"
    assert kernel(image, "r") == ImageKernel(argv=(*words[:-1], folder), language="R", interrupt="signal")
    assert kernel(image) == ImageKernel(argv=("xpython", "{connection_file}"), language="python")
    assert kernel(image, "julia") is None

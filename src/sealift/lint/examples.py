"""How the examples of rules are written: whole definition files, from what matters in each."""

from __future__ import annotations

import textwrap

UBUNTU = "Bootstrap: docker\nFrom: ubuntu:24.04\n"
ROCKY = "Bootstrap: docker\nFrom: rockylinux:9.3\n"
PYTHON = "Bootstrap: docker\nFrom: python:3.12.7-slim-bookworm\n"
CONDA = "Bootstrap: docker\nFrom: condaforge/miniforge3:24.9.2-0\n"
CUDA = "Bootstrap: docker\nFrom: nvidia/cuda:12.6.3-runtime-ubuntu24.04\n"


def file(header: str, **sections: str) -> str:
    """A definition file: a header, then sections by name, each with its body indented."""
    parts = [header]
    for name, body in sections.items():
        parts.append(f"\n%{name}\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n")
    return "".join(parts)


def post(script: str, header: str = UBUNTU) -> str:
    return file(header, post=script)

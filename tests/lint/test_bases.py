"""What the name of a base says of its end, its distribution and its CUDA."""

from __future__ import annotations

import pytest

from sealift.deffile.parse import parse
from sealift.lint.bases import base_of
from sealift.lint.ends import end_of_life

ENDS = {
    "ubuntu:20.04": "Ubuntu 20.04",
    "ubuntu:focal-20240123": "Ubuntu 20.04",
    "docker.io/library/ubuntu:18.04": "Ubuntu 18.04",
    "nvidia/cuda:11.4.3-devel-ubuntu20.04": "Ubuntu 20.04",
    "nvcr.io/nvidia/rapidsai/rapidsai-core:22.08-cuda11.0-runtime-ubuntu20.04-py3.9": "Ubuntu 20.04",
    "rocm/dev-ubuntu-20.04:5.7": "Ubuntu 20.04",
    "debian:buster-slim": "Debian buster",
    "debian:10.13": "Debian 10",
    "python:3.11-slim-buster": "Debian buster",
    "python:3.8": "Python 3.8",
    "centos:7": "CentOS 7",
    "centos:centos7.9.2009": "CentOS 7",
    "quay.io/centos/centos:stream8": "CentOS Stream 8",
    "fedora:39": "Fedora 39",
    "alpine:3.15.0": "Alpine 3.15",
    "node:16-alpine": "Node.js 16",
    "ubuntu:24.04": "",
    "ubuntu:22.04": "",
    "ubuntu": "",
    "debian:bookworm-slim": "",
    "python:3.12-slim-bookworm": "",
    "rockylinux:8": "",
    "quay.io/centos/centos:stream9": "",
    "alpine:3.22.1": "",
    "example.org/app:7": "",
    "example.org/app:3.8": "",
    "nvidia/cuda:12.6.3-runtime-ubuntu24.04": "",
}
DISTRIBUTIONS = {
    "ubuntu:24.04": "debian",
    "python:3.12": "debian",
    "python:3.12-alpine": "alpine",
    "nvidia/cuda:12.6.3-runtime-rockylinux9": "redhat",
    "condaforge/miniforge3:24.9.2-0": "debian",
    "almalinux:9": "redhat",
    "opensuse/leap:15.6": "suse",
    "archlinux": "arch",
    "example.org/app:1": "",
}
CUDAS = {
    "nvidia/cuda:12.6.3-runtime-ubuntu24.04": "12.6",
    "pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime": "12.4",
    "nvcr.io/nvidia/pytorch:25.06-py3": "",
    "ubuntu:24.04": "",
}


def stage(name: str):
    return parse(f"Bootstrap: docker\nFrom: {name}\n").stages[0]


@pytest.mark.parametrize(("name", "wanted"), ENDS.items(), ids=ENDS)
def test_a_base_that_is_past_its_end_is_known(name: str, wanted: str) -> None:
    found = end_of_life(base_of(stage(name)), stage(name))
    assert (found[0] if found else "") == wanted


@pytest.mark.parametrize(("name", "wanted"), DISTRIBUTIONS.items(), ids=DISTRIBUTIONS)
def test_a_distribution_is_known_by_its_name(name: str, wanted: str) -> None:
    assert base_of(stage(name)).distribution == wanted


@pytest.mark.parametrize(("name", "wanted"), CUDAS.items(), ids=CUDAS)
def test_the_version_of_cuda_is_read(name: str, wanted: str) -> None:
    assert base_of(stage(name)).cuda == wanted

"""Where images come from that Sealift does not fetch: each kind's name, and what to use instead."""

from __future__ import annotations

ELSEWHERE = {
    "library": (
        "fetch it with Apptainer: apptainer pull image.sif library://…; then Bootstrap: localimage, From: image.sif",
        "or begin with the same image in a registry: Bootstrap: docker",
    ),
    "shub": (
        "Singularity Hub closed in 2021; where the image is still to be had: apptainer pull image.sif shub://…",
        "then Bootstrap: localimage, From: image.sif",
    ),
    "buildkit": (
        "build the Dockerfile with Docker or Podman: docker build -t app:1 .",
        "then Bootstrap: docker-daemon, From: app:1",
        "or write it to a file: podman save app:1 -o app.tar; then Bootstrap: docker-archive, From: app.tar",
    ),
    "dockerfile": (
        "build the Dockerfile with Docker or Podman: docker build -t app:1 .",
        "then Bootstrap: docker-daemon, From: app:1",
        "or write it to a file: podman save app:1 -o app.tar; then Bootstrap: docker-archive, From: app.tar",
    ),
    "containers-storage": (
        "let Podman write it to a file: podman save NAME -o image.tar; then docker-archive:image.tar",
        "or let it serve Docker's interface: systemctl --user start podman.socket; then docker-daemon:NAME:TAG",
    ),
    "dir": ("copy it into a layout: skopeo copy dir:… oci:LAYOUT:latest; then oci:LAYOUT:latest",),
    "ostree": ("copy it into a layout: skopeo copy ostree:… oci:LAYOUT:latest; then oci:LAYOUT:latest",),
    "http": ("fetch the file, then build from it: curl -fLO URL",),
    "https": ("fetch the file, then build from it: curl -fLO URL",),
}
"""By bootstrap agent or scheme; the hints that are shown."""

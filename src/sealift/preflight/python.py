"""Python: packages of ~/.local, JAX and the libraries of another CUDA."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.core.finding import Finding
from sealift.core.mpi import version_numbers
from sealift.preflight.question import Question, lines


def user_site(question: Question) -> Iterator[Finding]:
    """Where the home folder is inside, packages of ~/.local come before the image's."""
    program = question.image.user_site
    if not program:
        return
    engine = question.engine
    if engine.mounts_home:
        where = f"{engine.name} shows $HOME inside"
    elif "--home=$HOME" in question.site.texts(f"engines.{engine.name}.mount_flags"):
        where = f"{engine.name} shows $HOME inside with --home"
    else:
        return
    yield Finding(
        id="python.user-site",
        severity="warning" if engine.mounts_home else "note",
        what=f"packages in ~/.local come before the image's own: {where}",
        evidence=lines(f"{program} looks there, for PYTHONNOUSERSITE is not set"),
        remedy="in %environment: export PYTHONNOUSERSITE=1",
    )


def jax_versions(question: Question) -> Iterator[Finding]:
    """JAX does not start with a jaxlib newer than itself, and leaves a plugin of another version than it aside."""
    gpus = question.site.text("gpu.vendor") not in ("", "none")
    for place, packages in question.image.pythons.items():
        jax, jaxlib = packages.get("jax", ""), packages.get("jaxlib", "")
        if jax and version_numbers(jaxlib) > version_numbers(jax):
            yield Finding(
                id="python.jax-version",
                severity="error",
                what=f"jaxlib {jaxlib} is newer than jax {jax}, which does not start with it",
                evidence=place,
                remedy=f"pip install jax=={jax} jaxlib=={jax}",
            )
            return
        for name, version in packages.items():
            # Those for ROCm are not compared.
            if gpus and jaxlib and re.fullmatch(r"jax-cuda\d+-plugin", name) and _differ(version, jaxlib):
                yield Finding(
                    id="python.jax-version",
                    severity="error",
                    what=f"{name} {version} is not of jaxlib {jaxlib}: JAX leaves it aside, and computes on processors",
                    evidence=place,
                    remedy=f'pip install "jax[{name.split("-")[1]}]=={jax or jaxlib}"',
                )
                return


def _differ(one: str, other: str) -> bool:
    return version_numbers(one) != version_numbers(other)


def jax_library_path(question: Question) -> Iterator[Finding]:
    """JAX's wheels bring their own CUDA, and want LD_LIBRARY_PATH to lead to no other."""
    parts = question.image.gpu.of("cuda")
    path = question.image.environment.get("LD_LIBRARY_PATH", "")
    own = {part.version for part in parts if part.framework == "jax"}
    others = [part for part in parts if part.path.startswith("/usr/local/cuda") and part.version not in own]
    if not own or not others or "/usr/local/cuda" not in path or question.site.text("gpu.vendor") == "none":
        return
    yield Finding(
        id="python.jax-path",
        severity="warning",
        what="LD_LIBRARY_PATH leads JAX to another CUDA than the one that its wheels bring",
        evidence=lines(f"LD_LIBRARY_PATH={path}", f"{others[0].what} ({others[0].path})"),
        remedy="in %environment: unset LD_LIBRARY_PATH, and begin with a base without CUDA: the wheels have it all",
    )

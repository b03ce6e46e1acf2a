"""Python: packages of ~/.local, JAX and the libraries of another CUDA."""

from __future__ import annotations

from collections.abc import Iterator

from sealift.core.finding import Finding
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

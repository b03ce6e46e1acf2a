"""What a user asked for and what came of it, as values: the library's and the command line's common ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sealift.core.event import Events, ignore
from sealift.flows.flags import BuildFlags

Layers = Literal["one", "steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """`spec` is a definition file, an image, or `docker://…`; `target` the image to write, `""` where no file is.

    `architecture` is a name that `find_architecture` knows, None for this host's. `insecure` allows plain HTTP and
    unchecked certificates for registries that are not on loopback. `environment` is the caller's, read once.
    `as_it_is` writes a SIF that a registry holds byte for byte, as `pull` does, where `build` packs it anew.
    `compression` is that of the image; where it is made of layers, or goes to where layers go, of the layers.
    `layers` says what lies above the base of such an image: `one` layer, or one for each of the `steps`.
    `want_digest` reads the image once more for its SHA-256. `sandbox` writes a directory.
    `flags` change what the sections do.
    """

    target: str
    spec: str
    environment: Mapping[str, str]
    force: bool = False
    sandbox: bool = False
    architecture: str | None = None
    build_arguments: Mapping[str, str] = field(default_factory=dict)
    build_argument_file: str | None = None
    warn_unused_arguments: bool = False
    no_test: bool = False
    no_cache: bool = False
    insecure: bool = False
    as_it_is: bool = False
    compression: str | None = None
    layers: Layers = "one"
    block_size: str | None = None
    want_digest: bool = True
    flags: BuildFlags = field(default_factory=BuildFlags)
    events: Events = ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """`form` is that of `targets.Form`; `seconds` maps a stage of the work to its wall time.

    `digest` is the SHA-256 of the file as text, `""` when nobody wanted to know.
    """

    image: str
    form: str
    digest: str
    tree_digest: str
    size: int
    entries: int
    unchanged: bool
    layers: tuple[Mapping[str, object], ...]
    seconds: Mapping[str, float]
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        return {
            "image": self.image,
            "form": self.form,
            "digest": self.digest,
            "tree_digest": self.tree_digest,
            "size": self.size,
            "entries": self.entries,
            "unchanged": self.unchanged,
            "layers": [dict(layer) for layer in self.layers],
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "warnings": list(self.warnings),
        }

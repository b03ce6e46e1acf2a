"""What a user asked for and what came of it, as values: the library's and the command line's common ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sealift.core.digest import Digest
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequest:
    """`image` is one of any form, `target` what `destinations` reads. `force` replaces a file that is there.

    `site` and `engine` choose for whom the next line to type is said. The rest is as in `BuildRequest`.
    """

    image: str
    target: str
    environment: Mapping[str, str]
    force: bool = False
    architecture: str | None = None
    insecure: bool = False
    compression: str | None = None
    layers: Layers = "one"
    site: str = ""
    engine: str = ""
    events: Events = ignore


How = Literal["sent", "mounted", "there"]
"""What became of a blob: sent, taken over from another repository of the registry, or there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A blob that is in the registry now."""

    digest: Digest
    size: int
    how: How

    def as_json(self) -> dict[str, object]:
        return {"digest": self.digest, "size": self.size, "how": self.how}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """`reference` names exactly what is there now, for programs. `digest` is the manifest's; `tree_digest` `""` where
    it is not known. `sent` says what became of each layer, of a registry's alone; `unchanged` that all was there.
    `following` are lines to type next, each with what it is for. `library_path` is what the image sets.
    """

    image: str
    target: str
    reference: str
    digest: str
    tree_digest: str
    size: int
    unchanged: bool
    sent: tuple[Sent, ...] = ()
    following: tuple[tuple[str, str], ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    library_path: str = ""

    def as_json(self) -> dict[str, object]:
        return {
            "image": self.image,
            "target": self.target,
            "reference": self.reference,
            "digest": self.digest,
            "tree_digest": self.tree_digest,
            "size": self.size,
            "unchanged": self.unchanged,
            "layers": [each.as_json() for each in self.sent],
            "next": [{"for": name, "line": line} for name, line in self.following],
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "warnings": list(self.warnings),
        }

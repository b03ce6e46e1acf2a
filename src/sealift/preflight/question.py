"""What is asked of every check: this image, on that site, under that engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sealift.core.finding import Finding
from sealift.evidence.imagefacts import ImageFacts
from sealift.sites.profile import Fact, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTraits:
    """What an engine does with images, by its site's profile, else as it comes.

    `as_root` says that programs run as root inside; `ldconfig` when it runs the image's own: `always`, `flags` (with
    flags that bring something in), or never. `takes` are forms of images.
    """

    name: str
    as_root: bool = False
    writable: bool = False
    mounts_home: bool = True
    takes: tuple[str, ...] = ("sif", "squashfs")
    ldconfig: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`others` are the site's other engines, for what bites only there."""

    image: ImageFacts
    site: Profile
    engine: EngineTraits
    others: tuple[EngineTraits, ...] = ()

    def says(self, *keys: str) -> tuple[str, ...]:
        """What the profile says under these keys, with its sources and whether anybody saw it there; for evidence."""
        return tuple(said(self.site, fact) for key in keys if (fact := self.site.fact(key)) and fact.shown)

    def where(self, wrong: Callable[[EngineTraits], bool]) -> str:
        """The engines for which this is wrong: `""` for none, the chosen one before all."""
        if wrong(self.engine):
            return self.engine.name
        return " and ".join(each.name for each in self.others if wrong(each))


Check = Callable[[Question], Iterable[Finding]]

DEFAULTS = {
    "apptainer": EngineTraits(name="apptainer"),
    "singularity": EngineTraits(name="singularity"),
    "embedded": EngineTraits(name="embedded"),
    "docker": EngineTraits(name="docker", as_root=True, writable=True, mounts_home=False, takes=("oci",)),
    "podman": EngineTraits(name="podman", as_root=True, writable=True, mounts_home=False, takes=("oci",)),
    "podman-hpc": EngineTraits(
        name="podman-hpc", as_root=True, writable=True, mounts_home=False, takes=("oci",), ldconfig="flags"
    ),
    "shifter": EngineTraits(name="shifter", takes=("oci",)),
    "charliecloud": EngineTraits(name="charliecloud", takes=("oci", "squashfs")),
    "enroot": EngineTraits(
        name="enroot", writable=True, mounts_home=False, takes=("oci", "squashfs"), ldconfig="flags"
    ),
    "pyxis": EngineTraits(name="pyxis", writable=True, mounts_home=False, takes=("oci", "squashfs"), ldconfig="flags"),
    "edf": EngineTraits(name="edf", writable=True, mounts_home=False, takes=("oci", "squashfs"), ldconfig="flags"),
}
"""As their own documentation has them."""


def traits(site: Profile, name: str) -> EngineTraits:
    """What the site's profile says of the engine, else what it does by itself."""
    plain = DEFAULTS.get(name, EngineTraits(name=name))
    group = f"engines.{name}"
    mounts = site.fact(f"{group}.mounts")
    user = site.text(f"{group}.user")
    return EngineTraits(
        name=name,
        as_root=user == "root" if user else plain.as_root,
        writable=site.flag(f"{group}.writable", default=plain.writable),
        mounts_home="$HOME" in site.texts(f"{group}.mounts") if mounts is not None else plain.mounts_home,
        takes=site.texts(f"{group}.images") or plain.takes,
        ldconfig=site.text(f"{group}.ldconfig", plain.ldconfig),
    )


def said(site: Profile, fact: Fact) -> str:
    """`perlmutter-gpu: gpu.driver is 580.105.08 [N13], which nobody verified there`."""
    # The file of one's own profile is its source; its name is enough.
    sources = ", ".join("your own profile" if source.kind == "yours" else source.key for source in fact.sources)
    kinds = {source.kind for source in fact.sources}
    if "measured" in kinds or ("yours" in kinds and not fact.verified):
        return f"{site.name}: {fact.key} is {fact.shown} ({sources})"
    seen = f"verified {fact.verified}" if fact.verified else "which nobody verified there"
    if fact.doubtful and not fact.verified:
        seen = "which is not looked up or a conclusion, and nobody verified it there"
    return f"{site.name}: {fact.key} is {fact.shown} [{sources}], {seen}"


def lines(*parts: str) -> str:
    """Evidence: a line for each thing that was seen."""
    return "\n".join(part for part in parts if part)

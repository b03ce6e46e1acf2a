"""What is measured: each piece of work, as each tool's command lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Argv = tuple[str, ...]

DEFINITION = """\
Bootstrap: docker
From: {image}

%post
    mkdir -p /opt/app
    python3 -c 'import sys; print(sys.version)' > /opt/app/python
    echo {last} > /opt/app/last

%environment
    export APP=/opt/app

%runscript
    cat /opt/app/last
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program with the flags that make it one column of the table."""

    name: str
    pull: Callable[[str, str], Argv]
    """Target, reference."""
    build: Callable[[str, str], Argv]
    """Target, definition file."""
    execute: Callable[[str], Argv]
    """Image; runs `true` in it."""
    caches: Callable[[Path], dict[str, str]]
    """The environment that moves the tool's caches into a folder."""


def _sealift() -> Tool:
    return Tool(
        name="Sealift",
        pull=lambda target, reference: ("sealift", "pull", "-q", "-F", target, reference),
        build=lambda target, definition: ("sealift", "build", "-q", "-F", target, definition),
        execute=lambda image: ("sealift", "exec", "--engine", "embedded", image, "true"),
        caches=lambda folder: {"SEALIFT_CACHE_DIR": str(folder)},
    )


def _apptainer(name: str, *, flags: Sequence[str], default: bool) -> Tool:
    def build(target: str, specification: str) -> Argv:
        return ("apptainer", "-q", "build", "-F", "--no-https", *flags, target, specification)

    def pull(target: str, reference: str) -> Argv:
        return ("apptainer", "-q", "pull", "-F", "--no-https", target, reference)

    return Tool(
        name=name,
        pull=pull if default else build,  # `pull` has no way to choose a compressor
        build=build,
        execute=lambda image: ("apptainer", "exec", image, "true"),
        caches=lambda folder: {"APPTAINER_CACHEDIR": str(folder), "APPTAINER_TMPDIR": str(folder.parent)},
    )


TOOLS = (
    _sealift(),
    _apptainer("Apptainer", flags=(), default=True),
    _apptainer("Apptainer, zstd 3", flags=("--mksquashfs-args", "-comp zstd -Xcompression-level 3"), default=False),
)


@dataclass(slots=True, kw_only=True)
class Bench:
    """One tool's place: its caches, its images, the registry's address of the measured image."""

    tool: Tool
    folder: Path
    image: str
    """`HOST/NAME`, to which a tag is added."""
    last: int = field(default=0)
    """Counts the edits of the definition file's last line."""

    @property
    def pulled(self) -> Path:
        return self.folder / "pulled.sif"

    @property
    def built(self) -> Path:
        return self.folder / "built.sif"

    def cold(self) -> Argv:
        return self.tool.pull(str(self.pulled), f"docker://{self.image}:latest")

    def sibling(self) -> Argv:
        return self.tool.pull(str(self.folder / "sibling.sif"), f"docker://{self.image}:sibling")

    def rebuild(self) -> Argv:
        definition = self.folder / "app.def"
        definition.write_text(DEFINITION.format(image=f"{self.image}:latest", last=self.last))
        return self.tool.build(str(self.built), str(definition))

    def edit(self) -> Argv:
        self.last += 1
        return self.rebuild()

    def execute(self) -> Argv:
        return self.tool.execute(str(self.pulled))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    key: str
    title: str
    command: Callable[[Bench], Argv]
    output: Callable[[Bench], Path] | None
    """The image that it leaves, whose size is shown."""
    after: str | None = None
    """The work whose caches it finds; None for one that starts with none."""
    times: int = 1
    """Short work is repeated so often for each asked repetition."""


WORKS = (
    Work(key="cold", title="pull, nothing cached", command=Bench.cold, output=lambda bench: bench.pulled),
    Work(
        key="again",
        title="pull again, same image",
        command=Bench.cold,
        output=lambda bench: bench.pulled,
        after="cold",
    ),
    Work(
        key="sibling",
        title="pull of another image on the same base",
        command=Bench.sibling,
        output=lambda bench: bench.folder / "sibling.sif",
        after="cold",
    ),
    Work(
        key="build",
        title="first build of a definition file, base cached",
        command=Bench.rebuild,
        output=lambda bench: bench.built,
        after="cold",
    ),
    Work(
        key="rebuild",
        title="rebuild, nothing changed",
        command=Bench.rebuild,
        output=lambda bench: bench.built,
        after="build",
    ),
    Work(
        key="edit",
        title="rebuild, last line of `%post` changed",
        command=Bench.edit,
        output=lambda bench: bench.built,
        after="build",
    ),
    Work(key="exec", title="`exec IMAGE true`", command=Bench.execute, output=None, after="cold", times=10),
)
BY_KEY = {work.key: work for work in WORKS}


def wanted(keys: Sequence[str]) -> tuple[Work, ...]:
    """The works of these keys and all whose caches they need, in the order in which they run; all for none."""
    needed = set(keys or BY_KEY)
    for key in tuple(needed):
        before = BY_KEY[key].after
        while before is not None:
            needed.add(before)
            before = BY_KEY[before].after
    return tuple(work for work in WORKS if work.key in needed)

"""Which Jupyter kernel an image can be, found without running it: Python with ipykernel, or its own kernelspec."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sealift.core.jupyter import CONNECTION_FILE, ImageKernel
from sealift.evidence.opening import OpenImage
from sealift.evidence.searching import open_file
from sealift.sections.root import Root

DEFAULT_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_FOLDER = re.compile(r"/[A-Za-z0-9_./+-]+")
_SITES = re.compile(r"python3(\.\d+)?")
_VERSION = re.compile(r"ipykernel-(\d[A-Za-z0-9.]*?)(?:\.dist-info|\.egg-info|-py[\d.]+\.egg-info)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """A Python of the image. `program` is what starts it; `ipykernel` the version, empty where it has none; `managed`
    says that its packages belong to the distribution, and pip refuses to add any.
    """

    program: str
    ipykernel: str = ""
    managed: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)


def find_kernel(image: OpenImage, language: str) -> ImageKernel | None:
    """The kernel for this language: Python's where ipykernel is, every other's where the image has its kernelspec."""
    if language == "python":
        found = next((each for each in find_pythons(image) if each.ipykernel), None)
        if found is not None:
            argv = (found.program, "-m", "ipykernel_launcher", "-f", CONNECTION_FILE)
            old = found.ipykernel.partition(".")[0] in ("4", "5")
            return ImageKernel(
                argv=argv,
                language="python",
                version=found.ipykernel,
                metadata=found.metadata,
                interrupt="signal" if old else "message",
            )
    return next((each for each in _specified(image.root) if each.language.lower() == language), None)


def find_pythons(image: OpenImage) -> tuple[Python, ...]:
    """Every `python3` of the image's PATH, in its order; the first is called by its bare name, as the image has it."""
    return tuple(_pythons(image))


def _pythons(image: OpenImage) -> Iterator[Python]:
    root = image.root
    seen: set[str] = set()
    for folder in _path(root):
        if "python3" not in root.names(folder):
            continue
        real = root.look(folder).real
        if real in seen:
            continue
        prefixes = _prefixes(image, real)
        names = [name for prefix in prefixes for site in _sites(root, prefix) for name in root.names(site)]
        versions = [found[1] for name in names if (found := _VERSION.fullmatch(name))]
        yield Python(
            program=f"{folder}/python3" if seen else "python3",
            ipykernel=next(iter(versions), "unknown") if "ipykernel_launcher.py" in names else "",
            managed=any("EXTERNALLY-MANAGED" in root.names(each) for each in _libraries(root, prefixes[0])),
            metadata=next((told for prefix in prefixes if (told := _metadata(root, prefix))), {}),
        )
        seen.add(real)


def _prefixes(image: OpenImage, folder: str) -> tuple[str, ...]:
    """Below what the Python in this folder has its packages: an environment's own, or where the program really lies."""
    own = posixpath.dirname(folder)
    program = open_file(image, f"{folder}/python3")
    if program is None or "pyvenv.cfg" in image.root.names(own):
        return (own,)
    return tuple(dict.fromkeys((own, posixpath.dirname(posixpath.dirname(program.path)))))


def _path(root: Root) -> tuple[str, ...]:
    """The folders that the image's own scripts put into PATH, then the usual ones."""
    folders: dict[str, None] = {}
    for name in root.names("/.singularity.d/env"):
        text = _text(root, f"/.singularity.d/env/{name}")
        for line in re.findall(r"^\s*(?:export\s+)?PATH=(.*)$", text, re.MULTILINE):
            # What a later script puts in front stands in front.
            folders = dict.fromkeys([*_FOLDER.findall(line), *folders])
    return tuple(dict.fromkeys([*folders, *DEFAULT_PATH]))


def _libraries(root: Root, prefix: str) -> list[str]:
    return [f"{prefix}/lib/{name}" for name in root.names(f"{prefix}/lib") if _SITES.fullmatch(name)]


def _sites(root: Root, prefix: str) -> list[str]:
    """The folders of packages of a Python that lies below `prefix`."""
    libraries = [library for base in _bases(prefix) for library in _libraries(root, base)]
    return [f"{library}/{kind}" for library in libraries for kind in ("site-packages", "dist-packages")]


def _bases(prefix: str) -> tuple[str, ...]:
    """A distribution's Python has what pip installs below /usr/local."""
    return (prefix, "/usr/local") if prefix == "/usr" else (prefix,)


def _metadata(root: Root, prefix: str) -> Mapping[str, Any]:
    """What the image's own ipykernel says of itself to Jupyter: does it debug, does it encrypt."""
    for base in _bases(prefix):
        told = _json(root, f"{base}/share/jupyter/kernels/python3/kernel.json").get("metadata")
        if isinstance(told, dict):
            return told
    return {}


def _specified(root: Root) -> Iterator[ImageKernel]:
    prefixes = dict.fromkeys(posixpath.dirname(folder) for folder in _path(root))
    for prefix in prefixes:
        kernels = f"{prefix.rstrip('/')}/share/jupyter/kernels"
        for name in root.names(kernels):
            told = _json(root, f"{kernels}/{name}/kernel.json")
            argv, language, metadata = told.get("argv"), told.get("language"), told.get("metadata")
            if isinstance(argv, list) and all(isinstance(word, str) for word in argv) and isinstance(language, str):
                words = (word.replace("{resource_dir}", f"{kernels}/{name}") for word in argv)
                yield ImageKernel(
                    argv=tuple(words),
                    language=language,
                    metadata=metadata if isinstance(metadata, dict) else {},
                    interrupt="message" if told.get("interrupt_mode") == "message" else "signal",
                )


def _json(root: Root, path: str) -> dict[str, Any]:
    try:
        value = json.loads(_text(root, path) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(root: Root, path: str) -> str:
    found = root.look(path)
    return found.content.decode("utf-8", "replace") if found.kind == "file" else ""

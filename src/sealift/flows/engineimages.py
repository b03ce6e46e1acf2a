"""An image under the name that an engine with images of its own has for it, and what is known of it.

Docker and Podman are given an image that they lack: `docker-archive:` and their own `load`. podman-hpc and Shifter take
what is in a registry, or what was put into their own store; for an image that is a file, and was not pushed yet, the
line that does it is shown. Charliecloud and enroot take files.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sealift.core.architecture import find_architecture
from sealift.core.digest import sha256
from sealift.core.event import Event, Events, Said
from sealift.core.reference import as_component, parse_reference
from sealift.engines.choose import load_modules
from sealift.engines.clean.image import LIBRARY_PATH, StoredImage
from sealift.engines.clean.inside import SHELLS
from sealift.errors import HostError, UsageError

if TYPE_CHECKING:
    from sealift.core.launch import LaunchPlan
    from sealift.sections.root import Root
    from sealift.sites.profile import Profile

PROGRAMS = {"charliecloud": "ch-run", "pyxis": "srun", "edf": "srun"}
STORES = {"docker": "docker-daemon", "podman": "podman", "podman-hpc": "podman-hpc"}
"""Engines with a store whose images can be named, and the word in front of such a name."""
SQUASHFS = (".sqfs", ".squashfs", ".sqsh")
STORE_NAME = "localhost/sealift"
"""What Docker and Podman call the images that they are given for a run: this, and the tree's digest as the tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to run where. `load` says that it is to be run, and not only to be shown."""

    plan: LaunchPlan
    engine: str
    site: Profile | None
    environment: Mapping[str, str]
    load: bool
    insecure: bool
    events: Events


def engines_image(wish: Wish) -> StoredImage:
    """The image under the name that the engine has for it."""
    text, engine = wish.plan.image, wish.engine
    if text.startswith("docker://"):
        return _of_registry(wish)
    if engine in STORES and text.startswith(f"{STORES[engine]}:"):
        return _in_store(wish, text)
    match engine:
        case "docker" | "podman":
            return _loaded(wish)
        case "charliecloud" if os.path.isdir(text) or text.endswith(SQUASHFS):
            return _own_file(text)
        case "enroot" | "pyxis" | "edf" if text.endswith(SQUASHFS):
            return _own_file(text)
        case "charliecloud" | "enroot" | "pyxis" | "edf":
            raise UsageError(
                f"{engine} takes a squashfs, not `{text}`",
                hints=(f"make one: {shlex.join(('sealift', 'build', f'{_stem(text)}.sqfs', text))}",),
            )
    return _pushed(wish)


def _of_registry(wish: Wish) -> StoredImage:
    from sealift.flows.stored import image_in_registry

    text, engine = wish.plan.image, wish.engine
    parse_reference(text)  # before an engine takes a wrong name for an option
    if engine in ("charliecloud", "enroot"):
        file = f"{os.path.basename(text).partition('@')[0].partition(':')[0]}.sqfs"
        raise UsageError(
            f"{engine} runs a squashfs or a folder, and `{text}` is in a registry",
            hints=(f"make one: sealift build {file} {text}", f"then: sealift … --engine {engine} {file} …"),
        )
    if engine in ("docker", "podman") and (known := _known_to(wish, text.removeprefix("docker://"))) is not None:
        return known
    return image_in_registry(
        text,
        wish.environment,
        canonical=engine in ("podman", "podman-hpc"),
        architecture=_architecture(wish.site),
        insecure=wish.insecure,
        events=wish.events,
    )


def _architecture(site: Profile | None) -> str:
    found = find_architecture(os.uname().machine)
    here = found.oci if found is not None else "amd64"
    return site.text("node.architecture", here) if site is not None else here


def _in_store(wish: Wish, text: str) -> StoredImage:
    """An image that is in the engine's store, named as it was pushed there."""
    from sealift.flows.destinations import EngineStore, parse_destination
    from sealift.flows.pushed import library_path_of
    from sealift.store import open_store

    store_of = parse_destination(text, image="IMAGE")
    name = store_of.name if isinstance(store_of, EngineStore) else text
    if (known := _known_to(wish, name)) is not None:
        return known
    with open_store(wish.environment) as store:
        path = library_path_of(store, f"{STORES[wish.engine]}:{name}")
    return StoredImage(reference=name, prepared=path is not None, library_path=path or "")


def _known_to(wish: Wish, name: str) -> StoredImage | None:
    """What Docker or Podman says of an image in its store; None where it has none of that name, or is not here."""
    from sealift.flows.stored import stored_image
    from sealift.oci.config import parse_config
    from sealift.system.process import find_program, run

    program = find_program(wish.engine, path=wish.environment.get("PATH"))
    if wish.engine not in ("docker", "podman") or program is None:
        return None
    argv = (program, "image", "inspect", "--format", "{{json .Config}}", name)
    done = run(argv, env=wish.environment, accept=range(256))
    if done.code != 0:
        return None
    return stored_image(name, parse_config(b'{"config":%b}' % done.out))


def _own_file(path: str) -> StoredImage:
    """A squashfs or a folder. One that others made has none of Apptainer's scripts."""
    from sealift.evidence.opening import open_image
    from sealift.flows.ociconfig import EXEC

    with open_image(path) as image:
        prepared = image.root.look(EXEC).kind == "file"
        library_path = _library_path(image.root) if prepared else ""
    return StoredImage(reference=os.path.abspath(path), prepared=prepared, library_path=library_path)


def _library_path(root: Root) -> str:
    """What the image's own scripts set, as far as it is certain before they run."""
    from sealift.flows.ociconfig import image_environment

    return image_environment(root, None).values.get(LIBRARY_PATH, "")


def _pushed(wish: Wish) -> StoredImage:
    """The name of a file's image in a registry or in the engine's store; UsageError with the line that pushes it."""
    from sealift.evidence.inspection import noted_tree
    from sealift.evidence.opening import open_image
    from sealift.flows.pushed import targets_of
    from sealift.flows.run import local_image
    from sealift.store import open_store

    text, engine, site = wish.plan.image, wish.engine, wish.site
    path = local_image(text, wish.environment, wish.events, insecure=wish.insecure)
    own = f"{STORES[engine]}:" if engine in STORES else "\0"
    with open_image(path) as image, open_store(wish.environment) as store:
        tree = noted_tree(image)
        targets = targets_of(store, tree) if tree else ()
        library_path = _library_path(image.root) if targets else ""
    found = [target for target in targets if target.startswith(own)] or [
        target for target in targets if target.startswith("docker://")
    ]
    if found:
        name = found[-1].removeprefix(own)
        if name.startswith("docker://"):
            reference = parse_reference(name.removeprefix("docker://"))
            name = str(reference) if engine in STORES else reference.familiar
        return StoredImage(reference=name, library_path=library_path)
    base = as_component(os.path.basename(_stem(text)))
    registry = site.text("registry.host") if site is not None else ""
    reference_text = f"{registry or 'REGISTRY'}/PROJECT/{base}:1"
    pull = site.text(f"engines.{engine}.pull").replace("REFERENCE", reference_text) if site is not None else ""
    again = "then the same line again" if tree else f"then: sealift … --engine {engine} docker://{reference_text} …"
    hints = [f"sealift push {shlex.quote(text)} docker://{reference_text}", pull, again]
    if engine in STORES:
        hints.append(f"or into its own store, on this machine: sealift push {shlex.quote(text)} {own}{base}:1")
    raise UsageError(
        f"{engine} runs what is in a registry, and `{text}` was not pushed yet",
        hints=tuple(hint for hint in hints if hint),
    )


def _stem(path: str) -> str:
    return os.path.splitext(path.rstrip("/"))[0]


def _loaded(wish: Wish) -> StoredImage:
    """A local image as Docker or Podman have it, into whose store it is put when it is not there yet."""
    from sealift.flows.run import local_image
    from sealift.store import open_store

    text, environment, engine = wish.plan.image, wish.environment, wish.engine
    path = local_image(text, environment, wish.events, insecure=wish.insecure)
    image = _described(path)
    if not wish.load:
        return image
    program = program_of(wish)
    if _has(program, image.reference, environment):
        return image
    if engine == "docker":
        _check_daemon(program, environment)
    with (
        open_store(environment, events=wish.events) as store,
        store.alone("given", f"{engine}-{image.reference.rpartition(':')[2]}", f"{text} ready for {engine}"),
    ):
        # Another process may have done it while this one waited.
        if not _has(program, image.reference, environment):
            wish.events(Said(text=f"giving {text} to {engine} as {image.reference}, once"))
            _give(program, path, image.reference, environment, wish.events)
    return image


def _described(path: str) -> StoredImage:
    """What has to be known of an image before it is started. UsageError for a folder, whose files may change."""
    from sealift.evidence.inspection import noted_tree
    from sealift.evidence.opening import open_image
    from sealift.flows.ociconfig import image_environment
    from sealift.sif.layout import OCI_CONFIG, DataType
    from sealift.store.hashing import digest_file

    with open_image(path) as image:
        if image.form == "directory":
            raise UsageError(
                f"`{path}` is a folder",
                hints=(f"make an image of it: {shlex.join(('sealift', 'build', f'{_stem(path)}.sif', path))}",),
            )
        tree = noted_tree(image) or digest_file(path, "sha256")
        noted = image.sif.find(DataType.GENERIC_JSON, OCI_CONFIG) if image.sif is not None else None
        config = image.sif.data(noted) if image.sif is not None and noted is not None else b""
        users = tuple(image.root.look(name) for name in ("/etc/passwd", "/etc/group"))
        return StoredImage(
            reference=f"{STORE_NAME}:{_tag(tree, config)}",
            shell=next((each for each in SHELLS if image.root.look(each).kind == "file"), ""),
            variables=tuple(image_environment(image.root, None).values),
            users=(users[0].content, users[1].content) if all(each.kind == "file" for each in users) else None,
        )


def _tag(tree: str, config: bytes) -> str:
    """The tree's digest, and what names the configuration of the OCI image that it was made of: its working directory,
    ports and user are in no file of the tree.
    """
    tag = tree.partition(":")[2][:32]
    return f"{tag}-{sha256(config).partition(':')[2][:8]}" if config else tag


def _has(program: str, name: str, environment: Mapping[str, str]) -> bool:
    from sealift.system.process import run

    done = run((program, "image", "inspect", "--format", "{{.Id}}", name), env=environment, accept=range(256))
    return done.code == 0


def _check_daemon(program: str, environment: Mapping[str, str]) -> None:
    """HostError where no daemon answers, or none that this user may talk to: before an image is packed for it."""
    from sealift.system.process import run

    done = run((program, "version", "--format", "{{.Server.Version}}"), env=environment, accept=range(256))
    if done.code != 0:
        said = done.err.decode(errors="replace").strip().splitlines() or ["it does not say why"]
        raise HostError(
            f"Docker's daemon cannot be spoken to: {said[-1]}",
            hints=("is it running, and may you use it? see: docker info", "run it without: --engine embedded"),
        )


def _give(program: str, path: str, name: str, environment: Mapping[str, str], events: Events) -> None:
    """Have the engine load the image, from the file alone: the layers of its base would take the network."""
    from sealift.flows.base import open_local_image
    from sealift.flows.enginestores import load
    from sealift.flows.finish import finished
    from sealift.flows.ociimages import in_ocis_words, ready_to_send
    from sealift.flows.ociout import oci_image
    from sealift.flows.requests import BuildRequest
    from sealift.flows.workshop import open_workshop

    def take(event: Event) -> None:
        # What other engines would miss of the image is of no concern: it is started with a script of ours.
        if not (isinstance(event, Said) and event.level == "info"):
            events(event)

    with open_workshop(BuildRequest(target="", spec=path, environment=environment, events=take)) as shop:
        ready = ready_to_send(shop, replace(open_local_image(shop, path), origin=""))
        with finished(shop, ready, layered=True) as made, oci_image(shop, made) as image:
            load(in_ocis_words(image), name, program, environment, take)


def program_of(wish: Wish) -> str:
    """The engine's program: by its name where the line is only shown, else by its path."""
    name = PROGRAMS.get(wish.engine, wish.engine)
    if wish.site is not None and " " not in (told := wish.site.text(f"engines.{wish.engine}.command", name)):
        name = told
    if not wish.load:
        return name
    from sealift.system.process import find_program

    found = find_program(name, path=wish.environment.get("PATH"))
    if found is None:
        raise HostError(
            f"`{name}` is not installed",
            hints=(
                *load_modules(wish.site, wish.engine),
                "run it without: --engine embedded",
                "see what would be called: add --print",
            ),
        )
    return found

"""What an image in a registry says of itself, for engines that fetch it by themselves and hide it until it runs.

Its own library path, its entrypoint, and whether it has Apptainer's scripts inside decide the engine's command line.
One request tells whether the tag still names what is noted (records `configs` of the cache); in a job, whose ranks
would all ask at once, and where the registry does not answer, what is noted is taken as it is.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealift.core.architecture import find_architecture
from sealift.core.event import Events, Said, ignore
from sealift.core.reference import Reference, parse_reference
from sealift.engines.clean.image import LIBRARY_PATH, StoredImage
from sealift.errors import SealiftError, UsageError
from sealift.oci.config import ImageConfig
from sealift.oci.image import TREE_LABEL
from sealift.oci.manifest import Platform
from sealift.store import open_store

if TYPE_CHECKING:
    from sealift.store import Store

CONFIGS = "configs"
SCRIPTS = "/.singularity.d/"
"""An entrypoint that names something below it is Apptainer's or ours."""


def image_in_registry(
    text: str,
    environment: Mapping[str, str],
    *,
    canonical: bool = False,
    architecture: str = "amd64",
    insecure: bool = False,
    events: Events = ignore,
) -> StoredImage:
    """The image behind `docker://…`, under its whole name where the engine has no default registry (`canonical`).

    Where nothing can be found out, a warning says so, and the image counts as one that Sealift did not make.
    """
    reference = parse_reference(text.removeprefix("docker://"))
    name = str(reference) if canonical else reference.familiar
    if reference.digest and reference.tag:
        name = name.replace(f":{reference.tag}@", "@")
    try:
        said = _what_it_says(reference, environment, architecture=architecture, insecure=insecure)
    except UsageError:
        raise
    except SealiftError as error:
        events(
            Said(
                text=f"what `{reference.familiar}` sets and runs by itself is not known: {error.message}",
                level="warning",
            )
        )
        return StoredImage(reference=name, prepared=False)
    return _stored(name, said)


def stored_image(name: str, config: ImageConfig) -> StoredImage:
    """An image that has this config, by the name that an engine has for it."""
    return _stored(name, _said(config))


def _stored(name: str, said: Mapping[str, Any]) -> StoredImage:
    return StoredImage(
        reference=name,
        prepared=bool(said["prepared"]),
        library_path=str(said["library_path"]),
        variables=tuple(said["variables"]),
        entrypoint=tuple(said["entrypoint"]),
        command=tuple(said["command"]),
    )


def _said(config: ImageConfig) -> dict[str, Any]:
    env = dict(item.partition("=")[::2] for item in config.env)
    return {
        "prepared": TREE_LABEL in config.labels or any(SCRIPTS in word for word in config.entrypoint),
        "library_path": env.get(LIBRARY_PATH, ""),
        "variables": list(env),
        "entrypoint": list(config.entrypoint),
        "command": list(config.cmd),
    }


def note(store: Store, reference: Reference, architecture: str, digest: str, config: ImageConfig) -> dict[str, Any]:
    """Keep what `config` says of the image that `reference` named when it had `digest`."""
    said = {"digest": digest, **_said(config)}
    store.put_record(CONFIGS, _key(reference, architecture), said)
    return said


def _what_it_says(
    reference: Reference, environment: Mapping[str, str], *, architecture: str, insecure: bool
) -> Mapping[str, Any]:
    from sealift.bases.open import Network, opened_registry
    from sealift.registry import Patience

    with open_store(environment) as store:
        noted = store.record(CONFIGS, _key(reference, architecture))
        if noted is not None and (reference.digest or _in_job(environment)):
            return noted
        network = Network(env=environment, insecure=insecure, patience=Patience(tries=2, first=0.2))
        with opened_registry(network, threading.Event(), ignore) as (registry, _):
            if noted is not None:
                try:
                    if registry.current_digest(reference) == noted["digest"]:
                        return noted
                except SealiftError:
                    return noted
            found = find_architecture(architecture)
            platform = Platform(os="linux", architecture=architecture, variant=found.variant if found else "")
            resolved = registry.resolve(reference, platform)
        return note(store, reference, architecture, resolved.index or resolved.digest, resolved.config)


def _in_job(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("SLURM_JOB_ID") or environment.get("PBS_JOBID"))


def _key(reference: Reference, architecture: str) -> str:
    return hashlib.sha256(f"{reference}\n{architecture}".encode()).hexdigest()

"""The files that a build adds to its base, as a pure value: what is there before the sections run, and after.

    begin    directories, scripts and links; the OCI config's environment, runscript and labels; the apps' folders
    finish   help, labels, the definition file, environment, startscript, runscript, test; and what `inspect` shows

Both look at the root as it is then. In a build without sections they follow each other on one draft.
"""

from __future__ import annotations

from dataclasses import dataclass

from sealift.deffile.bodies import read_labels
from sealift.deffile.characters import decode, encode, trim
from sealift.deffile.values import Script, Stage
from sealift.oci.config import ImageConfig
from sealift.sections.apps import add_apps
from sealift.sections.base_environment import DIRECTORIES, EMPTIED, HOME, LINKS, SCRIPTS, add_base_environment
from sealift.sections.draft import Added, Draft
from sealift.sections.inspection import inspect_json
from sealift.sections.labels import BUILD_LABELS, HELP_FILE, LABELS_FILE, build_labels, read_label_file, write_labels
from sealift.sections.oci_environment import ENVIRONMENT_FILE, add_oci_config
from sealift.sections.root import RecordedRoot, Root, record

DEFINITION_FILE = f"{HOME}/Singularity"
KEEPING = ("localimage", "oras", "busybox")
"""Agents whose bases' files stay as they are where those of every image would come."""
WITHOUT_RUNSCRIPT = ("scratch", "debootstrap", "yum", "dnf", "zypper", "arch", "busybox")
"""Agents whose images do nothing when they are run, unless a section says what."""
HISTORY = f"{HOME}/bootstrap_history"
ENVIRONMENT = f"{HOME}/env/90-environment.sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """`added` are the entries of the layer; `inspect` the bytes of the SIF's `inspect-metadata.json`.

    `notices` are sentences about labels and help that were not overwritten.
    """

    added: tuple[Added, ...]
    inspect: bytes
    notices: tuple[str, ...] = ()


def begin(root: Root, stage: Stage, *, config: ImageConfig | None = None, complete: bool = False) -> tuple[Added, ...]:
    """What is added right after the bootstrap. `config` is the base's, where it is an OCI image.

    `complete` says that the base is an image of ours, whichever agent brought it: what it has stays, as of a local one.
    """
    draft = Draft(root=root)
    begin_in(draft, stage, config=config, complete=complete)
    return draft.finish()


def finish(
    root: Root,
    stage: Stage,
    *,
    definition_text: str,
    architecture: str,
    epoch: int,
    added_labels: str = "",
    force: bool = False,
    sections: frozenset[str] | None = None,
) -> Metadata:
    """What is added after `%post`. `root` is what `begin` and the sections left.

    `definition_text` is the whole file with its placeholders filled. `architecture` is OCI's name. `added_labels` is
    what the sections wrote to `$APPTAINER_LABELS`. `force` lets help and labels overwrite those of the base. `sections`
    are those that `--section` chose; None is all.
    """
    draft = Draft(root=root)
    notices = finish_in(
        draft,
        stage,
        definition_text=definition_text,
        architecture=architecture,
        epoch=epoch,
        added_labels=added_labels,
        force=force,
        sections=sections,
    )
    return Metadata(added=draft.finish(), inspect=inspect_json(draft), notices=notices)


def whole(
    root: Root,
    stage: Stage,
    *,
    definition_text: str,
    architecture: str,
    epoch: int,
    config: ImageConfig | None = None,
    complete: bool = False,
    force: bool = False,
    sections: frozenset[str] | None = None,
) -> Metadata:
    """`begin` and `finish` at once, for an image without `%setup`, `%files` and `%post`."""
    draft = Draft(root=root)
    begin_in(draft, stage, config=config, complete=complete)
    notices = finish_in(
        draft,
        stage,
        definition_text=definition_text,
        architecture=architecture,
        epoch=epoch,
        force=force,
        sections=sections,
    )
    return Metadata(added=draft.finish(), inspect=inspect_json(draft), notices=notices)


def begin_in(draft: Draft, stage: Stage, *, config: ImageConfig | None = None, complete: bool = False) -> None:
    if stage.header:  # without one, it is an update of what has all of that
        add_base_environment(draft, overwrite=stage.bootstrap not in KEEPING and not complete)
    if stage.bootstrap in WITHOUT_RUNSCRIPT:
        draft.write(f"{HOME}/runscript", b"#!/bin/sh\n", 0o755)
    if config is not None:
        add_oci_config(draft, config)
    add_apps(draft, stage)


def finish_in(
    draft: Draft,
    stage: Stage,
    *,
    definition_text: str,
    architecture: str,
    epoch: int,
    added_labels: str = "",
    force: bool = False,
    sections: frozenset[str] | None = None,
) -> tuple[str, ...]:
    """In Apptainer's order (internal/pkg/build/metadata.go, `insertMetadata`)."""
    notices: list[str] = []

    def has(name: str) -> bool:
        return bool(stage.script(name).text) and (sections is None or name in sections)

    if has("help"):
        if force or not draft.exists(HELP_FILE):
            draft.write(HELP_FILE, encode(stage.script("help").text + "\n"), 0o644)
        else:
            notices.append("the base has a help text, which stays; --force writes this one over it")
    labels = read_label_file(draft) | read_labels(added_labels)
    labels |= build_labels(stage.header or {}, architecture=architecture, epoch=epoch, has_help=has("help"))
    for key, value in stage.labels.items() if sections is None or "labels" in sections else ():
        if force or key not in labels:
            labels[key] = value
        elif labels[key] != value:
            notices.append(f"the base has the label `{key}`, which stays `{labels[key]}`; --force writes over it")
    write_labels(draft, labels)
    _add_definition(draft, definition_text)
    if has("environment"):
        text = stage.script("environment").text
        if draft.exists(ENVIRONMENT):
            draft.append(ENVIRONMENT, encode(f"\n{text}\n"))
        else:
            draft.write(ENVIRONMENT, encode(f"#!/bin/sh\n\n{text}\n"), 0o755)
    for name in ("startscript", "runscript", "test"):
        if has(name):
            draft.write(f"{HOME}/{name}", encode(executable(stage.script(name))), 0o755)
    return tuple(notices)


def executable(script: Script) -> str:
    """A `%runscript`, `%startscript` or `%test` as a file.

    A body that begins with `#!`, blanks before it aside, gives its first line as the interpreter line: when that line
    is blank, because the `#!` stands further down, so is the first line of the file. The section's arguments follow it.
    """
    first, rest = "#!/bin/sh", script.text
    if trim(script.text).startswith("#!"):
        line, _, rest = script.text.partition("\n")
        first = trim(line)
    if script.arguments:
        first += " " + script.arguments.split("#")[0]
    return f"{first}\n\n{rest}\n"


def record_metadata(root: Root) -> RecordedRoot:
    """All that `begin` and `finish` look at, as a value that can travel out of a sandbox."""
    apps = [f"/scif/apps/{name}/scif" for name in root.names("/scif/apps")]
    paths = [*DIRECTORIES, *EMPTIED, *(path for path, _ in LINKS), *(f"{HOME}/{name}" for name in SCRIPTS)]
    paths += ["/", HOME, HISTORY, HELP_FILE, LABELS_FILE, DEFINITION_FILE, ENVIRONMENT_FILE, BUILD_LABELS, "/scif"]
    paths += [f"{HOME}/test", "/scif/apps", "/scif/data", "/var"]
    paths += [f"{HOME}/env/{name}" for name in root.names(f"{HOME}/env")]
    for app in apps:
        paths += [
            f"{app}/{name}" for name in ("", "runscript", "startscript", "test", "labels.json", "runscript.help", "env")
        ]
        paths += [f"{app}/env/{name}" for name in root.names(f"{app}/env")]
    listings = [HISTORY, f"{HOME}/env", "/scif/apps", *(f"{app}/env" for app in apps)]
    return record(root, (path.rstrip("/") or "/" for path in paths), listings)


def labels_written(root: Root) -> str:
    """What the sections wrote to `$APPTAINER_LABELS`."""
    found = root.look(BUILD_LABELS)
    return decode(found.content) if found.kind == "file" else ""


def _add_definition(draft: Draft, text: str) -> None:
    old = draft.read(DEFINITION_FILE)
    if old is not None:
        number = len(draft.names(HISTORY))
        draft.write(f"{HISTORY}/Apptainer{number}", old, draft.look(DEFINITION_FILE).mode)
    draft.write(DEFINITION_FILE, encode(text), 0o644)

"""Apptainer's verbs and their flags, as data: what each becomes in Sealift, or why it is refused.

`run`, `exec`, `shell` and `test` are in `cli.runflags`. A flag's field here says what becomes of it:
- `same`: Sealift's command has it under this name, and `as NAME`: under another;
- `drop`: it asks for what happens anyway;
- `env NAME`: it is said in a variable;
- `refuse`: its help says why, or what to do instead;
- any other word is one that `cli.shimstart` knows.
"""

from __future__ import annotations

from typing import NamedTuple

from sealift.cli.flags import Flag

GLOBAL_FLAGS = (
    Flag("quiet", "switch", "quiet", short="q"),
    Flag("silent", "switch", "quiet", short="s"),
    Flag("verbose", "switch", "verbose", short="v"),
    Flag("debug", "switch", "verbose", short="d"),
    Flag("nocolor", "switch", "nocolor"),
    Flag("version", "switch", "version"),
    Flag("help", "switch", "help", short="h"),
    Flag("config", "text", "refuse", "Sealift has no apptainer.conf; what it does is said by flags", "c", "FILE"),
    Flag("build-config", "switch", "refuse", "it is for building Apptainer itself"),
)

_NO_KEYS = "Sealift has no encrypted images: keep secrets out of them, and protect the file by its permissions"
_NO_LIBRARY = "Sealift has no container library: use docker://… or oras://…"
_NO_REMOTE = "Sealift builds here, without root: leave it out"
_LOGIN = "log in once with `podman login HOST` or `docker login HOST`: Sealift reads their file"

_REGISTRY_FLAGS = (
    Flag("arch", "text", "same", metavar="ARCH"),
    Flag("arch-variant", "text", "same", metavar="V"),
    Flag("authfile", "text", "env REGISTRY_AUTH_FILE", metavar="FILE"),
    Flag("docker-host", "text", "env DOCKER_HOST", metavar="URL"),
    Flag("docker-username", "text", "env APPTAINER_DOCKER_USERNAME", metavar="NAME"),
    Flag("docker-password", "text", "env APPTAINER_DOCKER_PASSWORD", metavar="SECRET"),
    Flag("docker-login", "switch", "refuse", _LOGIN),
    Flag("force", "switch", "same", short="F"),
    Flag("help", "switch", "same", short="h"),
    Flag("library", "text", "refuse", _NO_LIBRARY, metavar="URL"),
    Flag("no-https", "switch", "same"),
    Flag("nohttps", "switch", "same"),
    Flag("tmpdir", "text", "env SEALIFT_TMPDIR", metavar="DIR"),
    # SingularityCE's
    Flag("oci", "switch", "refuse", "a SIF of Sealift's runs everywhere; for an OCI image name the target oci:DIR:TAG"),
    Flag("no-oci", "switch", "drop"),
    Flag("keep-layers", "switch", "drop"),
    Flag("platform", "text", "platform", metavar="OS/ARCH"),
)

BUILD_FLAGS = (
    *_REGISTRY_FLAGS,
    Flag("bind", "texts", "same", short="B", metavar="SRC[:DST[:OPTS]]"),
    Flag("build-arg", "list", "same", metavar="K=V"),
    Flag("build-arg-file", "text", "same", metavar="FILE"),
    Flag("disable-cache", "switch", "as no-cache"),
    Flag("encrypt", "switch", "refuse", _NO_KEYS, "e"),
    Flag("passphrase", "switch", "refuse", _NO_KEYS),
    Flag("pem-path", "text", "refuse", _NO_KEYS, metavar="FILE"),
    Flag("fakeroot", "switch", "same", short="f"),
    Flag("fix-perms", "switch", "same"),
    Flag("json", "switch", "refuse", "Sealift reads definition files as text"),
    Flag("mksquashfs-args", "text", "mksquashfs", metavar="WORDS"),
    Flag("mount", "texts", "same", metavar="SPEC"),
    Flag("no-cleanup", "switch", "same"),
    Flag("notest", "switch", "same", short="T"),
    Flag("nv", "switch", "same"),
    Flag("nvccli", "switch", "refuse", "`--nv` shows the driver without nvidia-container-cli"),
    Flag("rocm", "switch", "same"),
    Flag("sandbox", "switch", "same", short="s"),
    Flag("section", "texts", "same", metavar="NAME,…"),
    Flag("update", "switch", "same", short="u"),
    Flag("userns", "switch", "drop"),
    Flag("warn-unused-build-args", "switch", "same"),
    Flag("writable-tmpfs", "switch", "same"),
    # Hidden ones
    Flag("ignore-subuid", "switch", "drop"),
    Flag("ignore-fakeroot-command", "switch", "drop"),
    Flag("ignore-userns", "switch", "drop"),
    Flag("remote", "switch", "refuse", _NO_REMOTE, "r"),
    # SingularityCE's
    Flag("builder", "text", "refuse", _NO_REMOTE, metavar="URL"),
    Flag("detached", "switch", "refuse", _NO_REMOTE, "d"),
    Flag("no-setgroups", "switch", "drop"),
)

PULL_FLAGS = (
    *_REGISTRY_FLAGS,
    Flag("dir", "text", "folder", metavar="DIR"),
    Flag("name", "text", "name", metavar="FILE"),
    Flag("sandbox", "switch", "sandbox"),
    Flag("disable-cache", "switch", "drop"),
    Flag("no-cleanup", "switch", "drop"),
    Flag("allow-unsigned", "switch", "drop", short="U"),
    Flag("allow-unauthenticated", "switch", "drop"),
)

PUSH_FLAGS = (
    Flag("allow-unsigned", "switch", "drop", short="U"),
    Flag("authfile", "text", "env REGISTRY_AUTH_FILE", metavar="FILE"),
    Flag("description", "text", "drop", short="D", metavar="TEXT"),
    Flag("docker-host", "text", "env DOCKER_HOST", metavar="URL"),
    Flag("docker-username", "text", "env APPTAINER_DOCKER_USERNAME", metavar="NAME"),
    Flag("docker-password", "text", "env APPTAINER_DOCKER_PASSWORD", metavar="SECRET"),
    Flag("help", "switch", "same", short="h"),
    Flag("library", "text", "refuse", _NO_LIBRARY, metavar="URL"),
    Flag("no-https", "switch", "same"),
    Flag("nohttps", "switch", "same"),
)

INSPECT_FLAGS = (
    Flag("all", "switch", "same"),
    Flag("app", "text", "same", metavar="NAME"),
    Flag("deffile", "switch", "same", short="d"),
    Flag("environment", "switch", "same", short="e"),
    Flag("help", "switch", "same", short="h"),
    Flag("helpfile", "switch", "same", short="H"),
    Flag("json", "switch", "same", short="j"),
    Flag("labels", "switch", "same", short="l"),
    Flag("list-apps", "switch", "same"),
    Flag("runscript", "switch", "same", short="r"),
    Flag("startscript", "switch", "same", short="s"),
    Flag("test", "switch", "same", short="t"),
)

RUN_HELP_FLAGS = (Flag("app", "text", "same", metavar="NAME"), Flag("help", "switch", "same", short="h"))

_BY_AGE = "Sealift's cache is pruned by size, least used first: sealift cache prune --max-size 20G"
CACHE_LIST_FLAGS = (
    Flag("help", "switch", "same", short="h"),
    Flag("type", "list", "drop", short="T", metavar="KIND"),
    Flag("verbose", "switch", "drop", short="v"),
    # Before Apptainer 1.0
    Flag("all", "switch", "drop", short="a"),
)
CACHE_CLEAN_FLAGS = (
    Flag("help", "switch", "same", short="h"),
    Flag("force", "switch", "same", short="f"),
    Flag("type", "list", "all kinds", short="T", metavar="KIND"),
    Flag("days", "number", "refuse", _BY_AGE, "D", "N"),
    Flag("dry-run", "switch", "show", short="n"),
    Flag("all", "switch", "drop", short="a"),
)
SIF_FLAGS = (Flag("help", "switch", "same", short="h"),)


class Verb(NamedTuple):
    """A verb of Apptainer's that Sealift has: its words there, its flags here, and whether it may be quiet."""

    words: tuple[str, ...]
    flags: tuple[Flag, ...]
    talks: bool = False
    """Does it take `--quiet` and `--verbose`?"""


VERBS: dict[tuple[str, ...], Verb] = {
    ("build",): Verb(("build",), BUILD_FLAGS, talks=True),
    ("pull",): Verb(("pull",), PULL_FLAGS, talks=True),
    ("push",): Verb(("push",), PUSH_FLAGS, talks=True),
    ("inspect",): Verb(("inspect",), INSPECT_FLAGS),
    ("run-help",): Verb(("run-help",), RUN_HELP_FLAGS),
    ("cache", "list"): Verb(("cache", "list"), CACHE_LIST_FLAGS),
    ("cache", "clean"): Verb(("cache", "clean"), CACHE_CLEAN_FLAGS),
    ("sif", "list"): Verb(("sif", "list"), SIF_FLAGS),
    ("sif", "header"): Verb(("sif", "header"), SIF_FLAGS),
    ("sif", "info"): Verb(("sif", "info"), SIF_FLAGS),
    ("sif", "dump"): Verb(("sif", "dump"), SIF_FLAGS),
}

_NOT_YET = "Sealift does not do this yet"
_WRITTEN_ONCE = "Sealift writes an image once and whole"
_REAL = "ask your site for a real Apptainer"

REFUSED: dict[tuple[str, ...], tuple[str, str]] = {
    ("capability",): ("Sealift gives containers no capabilities", _REAL),
    ("checkpoint",): ("Sealift has no checkpoints", _REAL),
    ("completion",): ("there are no completions for it", "sealift --help"),
    ("config",): ("Sealift has no configuration", "see what this host can do: sealift doctor"),
    ("confgen",): ("Sealift has no configuration", "see what this host can do: sealift doctor"),
    ("delete",): ("Sealift has no container library", "use docker://… or oras://…"),
    ("get-login-password",): ("Sealift has no container library", "use docker://… or oras://…"),
    ("instance",): (
        "Sealift has no instances",
        "start the program as a job or in the background: apptainer run IMAGE &",
    ),
    ("key",): (_NOT_YET, "manage keys with gpg"),
    ("keyserver",): (_NOT_YET, "manage keys with gpg"),
    ("oci",): ("Sealift runs OCI images directly", "apptainer exec docker://ubuntu:24.04 cat /etc/os-release"),
    ("overlay",): ("an overlay is a folder", "mkdir changes && apptainer exec --overlay changes IMAGE …"),
    ("plugin",): ("Sealift has no plugins", _REAL),
    ("registry",): ("Sealift reads the logins of Podman and Docker", "podman login HOST"),
    ("remote",): ("Sealift has no container library", "use docker://… or oras://…"),
    ("search",): ("Sealift has no container library", "use docker://… or oras://…"),
    ("sif", "add"): (_WRITTEN_ONCE, "apptainer build NEW.sif FILE.def"),
    ("sif", "del"): (_WRITTEN_ONCE, "apptainer build NEW.sif FILE.def"),
    ("sif", "new"): (_WRITTEN_ONCE, "apptainer build NEW.sif FILE.def"),
    ("sif", "setprim"): (_WRITTEN_ONCE, "apptainer build NEW.sif FILE.def"),
    ("sign",): (_NOT_YET, "name its bytes: sha256sum IMAGE"),
    ("verify",): (_NOT_YET, "name its bytes: sha256sum IMAGE"),
}
"""Verbs that are refused: why, and what to do instead."""

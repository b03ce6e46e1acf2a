"""The words of the language: header keywords, section names, bootstrap agents; and which word was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

HEADER_KEYWORDS = (
    "bootstrap",
    "from",
    "stage",
    "include",
    "mirrorurl",
    "updateurl",
    "osversion",
    "registry",
    "namespace",
    "library",
    "fingerprints",
    "product",
    "user",
    "regcode",
    "productpgp",
    "registerurl",
    "modules",
    "confurl",
    "setopt",
    "includecmd",
    "target",
    "frontend",
    "filename",
    "buildargs",
)
"""Besides these, `otherurl` followed by digits (Apptainer 1.6; `target` and what follows it came with 1.5)."""

SHOWN_KEYWORDS = {
    "bootstrap": "Bootstrap",
    "from": "From",
    "stage": "Stage",
    "include": "Include",
    "mirrorurl": "MirrorURL",
    "updateurl": "UpdateURL",
    "osversion": "OSVersion",
    "registry": "Registry",
    "namespace": "Namespace",
    "library": "Library",
    "fingerprints": "Fingerprints",
    "productpgp": "ProductPGP",
    "registerurl": "RegisterURL",
    "confurl": "ConfURL",
    "setopt": "SetOpt",
    "includecmd": "IncludeCmd",
    "buildargs": "BuildArgs",
}
"""How people write them; the others with a capital."""

SECTIONS = (
    "help",
    "setup",
    "files",
    "labels",
    "environment",
    "pre",
    "post",
    "runscript",
    "test",
    "startscript",
    "arguments",
)
APP_SECTIONS = (
    "appinstall",
    "applabels",
    "appfiles",
    "appenv",
    "apptest",
    "apphelp",
    "apprun",
    "appstart",
)
AGENTS = (
    "docker",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "localimage",
    "scratch",
    "debootstrap",
    "yum",
    "dnf",
    "zypper",
    "arch",
    "busybox",
    "oras",
    "library",
    "shub",
    "buildkit",
    "dockerfile",
)

_NUMBERED = re.compile("[0-9]+\\Z")
_SAID_OTHERWISE = {
    "env": "environment",
    "envs": "environment",
    "environments": "environment",
    "enviroment": "environment",
    "label": "labels",
    "file": "files",
    "copy": "files",
    "run": "runscript",
    "script": "runscript",
    "cmd": "runscript",
    "entrypoint": "runscript",
    "start": "startscript",
    "tests": "test",
    "install": "post",
    "build": "post",
    "args": "arguments",
    "arg": "arguments",
    "argument": "arguments",
    "description": "help",
    "appenvironment": "appenv",
    "apprunscript": "apprun",
    "applabel": "applabels",
    "appfile": "appfiles",
    "apppost": "appinstall",
}

_DOCKERFILE = {
    "RUN": "`%post`",
    "WORKDIR": "`%post`, as `cd`",
    "USER": "`%post`; an image of Apptainer runs as the user who starts it",
    "SHELL": "`%post -c SHELL`",
    "COPY": "`%files`",
    "ADD": "`%files`",
    "ENV": "`%environment`",
    "CMD": "`%runscript`",
    "ENTRYPOINT": "`%runscript`",
    "LABEL": "`%labels`",
    "ARG": "`%arguments`",
    "EXPOSE": "nothing: ports are the host's",
    "VOLUME": "nothing: folders of the host are bound when the image runs",
    "HEALTHCHECK": "`%test`",
}


def dockerfile_word(word: str) -> str | None:
    """Where a definition file has what a Dockerfile's instruction does; None when it is none, written in capitals."""
    return _DOCKERFILE.get(word)


_LONGEST_WORD = 100
_MOST_WORDS = 250


def is_header_keyword(key: str) -> bool:
    """Is the lower-cased `key` valid? The literal `otherurl&n` is, by the way Apptainer looks numbers up."""
    return key in HEADER_KEYWORDS or _NUMBERED.sub("&n", key) == "otherurl&n"


def show_keyword(key: str) -> str:
    return SHOWN_KEYWORDS.get(key, key.capitalize())


def nearest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The known word that was probably meant, or None; only so much is compared as a person may have written."""
    import difflib  # takes longer to load than most files take to read

    if len(word) > _LONGEST_WORD:
        return None
    close = difflib.get_close_matches(word, tuple(islice(known, _MOST_WORDS)), n=1, cutoff=likeness)
    return close[0] if close else None


def named_section(name: str) -> str | None:
    """The section that `name` is, with marks around it or under another tool's word for it; None when it is none."""
    bare = name.strip(" \t:;,.{}")
    return bare if bare in (*SECTIONS, *APP_SECTIONS) else _SAID_OTHERWISE.get(bare)


def nearest_section(name: str) -> str | None:
    return named_section(name) or nearest(name.strip(" \t:;,.{}"), (*SECTIONS, *APP_SECTIONS), likeness=0.7)

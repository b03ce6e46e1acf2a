"""Pinning: what is another thing tomorrow under the same name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.deffile.characters import short
from sealift.lint.calls import Call
from sealift.lint.ends import end_of_life
from sealift.lint.examples import CONDA, PYTHON, ROCKY, UBUNTU, post
from sealift.lint.recipe import Recipe
from sealift.lint.tools import MOVING_BRANCHES, actions, conda_unpinned, downloads, installs, listed, pip_unpinned, told
from sealift.lint.values import Hit, Rule
from sealift.shell.follow import UNKNOWN

_IMAGE_AGENTS = ("docker", "oras", "library")
_MOVING_ADDRESS = re.compile(
    r"(?:^|[/_.-])latest(?:[/_.?-]|$)|/(?:raw|archive|tarball|zipball|blob)/(?:refs/heads/)?(?:master|main|develop|HEAD)\b"
    r"|raw\.githubusercontent\.com/[^/]+/[^/]+/(?:refs/heads/)?(?:master|main|develop|HEAD)/"
    r"|/archive/(?:refs/heads/)?(?:master|main|develop)\.|/(?:tarball|zipball)/?$|/-/archive/(?:master|main)/",
    re.IGNORECASE,
)

_MOVING_WORD = re.compile(r"latest|master|main|develop|HEAD|tarball|zipball", re.IGNORECASE)


_MOVING_TAGS = frozenset(
    ("latest", "stable", "oldstable", "testing", "unstable", "sid", "edge", "rolling", "rawhide", "nightly", "lts")
) | {"main", "master", "dev", "devel", "develop"}


def _moves(tag: str) -> bool:
    return tag in _MOVING_TAGS or tag.startswith(("latest-", "nightly-"))


def _untagged(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        base = stage.base
        if base.agent not in _IMAGE_AGENTS or not base.known or not base.name or base.digest:
            continue
        if not base.tag or _moves(base.tag):
            what = "has no tag, so that it means `latest`" if not base.tag else "is a name that moves"
            yield stage.hit_header(
                "from",
                f"`{base.text}` {what}: the base is another one after its next release",
                f"name a release, as in: From: {_example_tag(base.name)}",
            )


def _example_tag(name: str) -> str:
    tags = {
        "ubuntu": "24.04", "debian": "bookworm-20250203-slim", "python": "3.12.7-slim-bookworm", "alpine": "3.22.1",
        "rockylinux": "9.3", "almalinux": "9.5", "fedora": "43", "nvidia/cuda": "12.6.3-runtime-ubuntu24.04",
        "continuumio/miniconda3": "24.9.2-0", "condaforge/miniforge3": "24.9.2-0", "centos": "7.9.2009",
    }  # fmt: skip
    return f"{name}:{tags.get(name, 'VERSION')}"


def _not_by_digest(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        base = stage.base
        if base.agent in ("docker", "oras") and base.known and base.tag and not (base.digest or _moves(base.tag)):
            yield stage.hit_header(
                "from",
                f"the tag `{base.tag}` of `{base.name}` can be moved; a digest cannot",
                f"put the digest behind the tag: From: {base.text}@sha256:…",
                f"a registry tells it: skopeo inspect --format '{{{{.Digest}}}}' docker://{base.text}",
            )


def _end_of_life(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        found = end_of_life(stage.base, stage.stage)
        if found is not None:
            what, when, instead = found
            key = "from" if stage.stage.source else "osversion"
            yield stage.hit_header(
                key,
                f"{what} has had no updates since {when}: neither security fixes nor, in time, a package mirror",
                f"move to a supported release, for instance {instead}",
            )


def _pip_unpinned(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for one in installs(stage.calls, "pip", "uv"):
            names = pip_unpinned(one)
            if names:
                yield one.call.hit(
                    f"{one.tool} installs {listed(names)} in whatever version is the newest that day",
                    f"give each a version: {_plain(names[0])}==VERSION",
                    "or keep them in a file with hashes: pip install --require-hashes -r requirements.txt",
                )


def _plain(name: str) -> str:
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?", name)
    return found[0] if found and "://" not in name else "NAME"


def _pip_upgraded(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for one in installs(stage.calls, "pip", "uv"):
            names = [field.text for field in one.packages]
            if one.call.has("-U", "--upgrade") and "pip" in names and not pip_unpinned(one):
                yield one.call.hit(
                    "pip is replaced by whatever version is the newest that day",
                    "give it a version: pip install pip==24.3.1, or leave the base's pip as it is",
                )


def _conda_unpinned(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for one in actions(stage.calls):
            if one.tool == "conda" and one.verb in ("update", "upgrade") and not one.call.has("-f", "--file"):
                what = listed(conda_unpinned(one)) or ("everything" if one.call.has("--all", "-a") else "")
                if what:
                    yield one.call.hit(
                        f"conda updates {what} to whatever version is the newest that day",
                        "leave it out, and take a newer base, or say the version: conda install -y NAME=VERSION",
                    )
        for one in installs(stage.calls, "conda"):
            names = conda_unpinned(one)
            if names and not one.call.has("-f", "--file"):
                yield one.call.hit(
                    f"conda installs {listed(names)} in whatever version is the newest that day",
                    f"give each a version: {re.split('[<>=!~ ]', names[0])[0]}=VERSION",
                    "or keep all of them in one file: conda env create -f environment.yml",
                )


def _system_unpinned(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        found = installs(stage.calls, "apt", "yum", "zypper", "apk")
        packages = [field.text for one in found for field in one.packages if field.text[:1] not in "./" + UNKNOWN]
        if found and packages and not any("=" in name or re.search(r"-\d", name) for name in packages):
            yield found[0].call.hit(
                "no system package has a version: another day brings others",
                "keep the built image, and name it by its digest",
                "or build from a dated mirror, for instance snapshot.debian.org or snapshot.ubuntu.com",
            )


def _moving_branch(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall", "setup", "pre"):
        clones = [call for call in script.calls if call.name == "git" and "clone" in call.texts[:6]]
        checkouts = [
            call
            for call in script.calls
            if call.name == "git" and any(verb in call.texts for verb in ("checkout", "reset", "switch"))
        ]
        for call in clones:
            branch = call.value("-b", "--branch", "--revision")
            if branch is not None and branch not in MOVING_BRANCHES:
                continue
            later = [one for one in checkouts if one.run.pipe > call.run.pipe]
            if any(_fixes(one.texts) for one in later):
                continue
            operands = [one.text for one in call.operands(_CLONE_VALUES)]
            address = operands[1] if len(operands) > 1 else ""
            if not re.search(r"[/:]", address.lstrip("./")) or address.startswith(("/", "./", "..")):
                continue  # a folder, or no address at all
            name = re.sub(r"\.git$", "", address.rstrip("/")).rpartition("/")[2] or "it"
            if UNKNOWN in name:
                name = "the repository"
            yield call.hit(
                f"git clones `{short(name)}` as it is that day",
                "name a tag: git clone --branch v1.2.3 --depth 1 ADDRESS",
                "or a commit, behind the clone: git checkout 0123abc…",
            )
        for call in script.calls:
            if call.name == "git" and "submodule" in call.texts[:4] and "update" in call.texts and call.has("--remote"):
                yield call.hit(
                    "`--remote` takes each submodule as its branch is that day, not as the repository says",
                    "leave it out: git submodule update --init --recursive",
                )


_CLONE_VALUES = frozenset(
    ("-b", "--branch", "--depth", "-j", "--jobs", "-o", "--origin", "-c", "--config", "--reference", "--filter", "-C",
     "--recurse-submodules-path", "--shallow-since", "-u", "--upload-pack", "--separate-git-dir", "--revision")
)  # fmt: skip


def _fixes(words: tuple[str, ...]) -> bool:
    """Does a checkout name something that does not move, as far as one can tell?"""
    verb = next((row for row, word in enumerate(words) if word in ("checkout", "reset", "switch")), 0)
    named = [word for word in words[verb + 1 :] if not word.startswith("-")]
    return bool(named) and named[0].removeprefix("origin/") not in MOVING_BRANCHES


def _moving_download(recipe: Recipe) -> Iterator[Hit]:
    yield from _moving_requirements(recipe)
    for stage in recipe.stages:
        for one in downloads(stage.calls):
            found = _MOVING_ADDRESS.search(one.url)
            if found and not re.search(r"\.(asc|gpg|key|pub)$", one.url):
                yield one.call.hit_field(
                    one.field,
                    f"the address has `{_MOVING_WORD.findall(found[0])[-1]}` in it: another day it is another file",
                    "take the address of one release, and check its sum: echo 'SHA256  FILE' | sha256sum -c",
                )


def _moving_requirements(recipe: Recipe) -> Iterator[Hit]:
    """Files of requirements that pip, uv or conda fetch themselves."""
    for stage in recipe.stages:
        for one in actions(stage.calls):
            for field in one.call.fields if one.tool in ("pip", "uv", "conda") else ():
                found = _MOVING_ADDRESS.search(field.text) if re.match(r"https?://", field.text) else None
                if found:
                    yield one.call.hit_field(
                        field,
                        f"the address has `{_MOVING_WORD.findall(found[0])[-1]}` in it: another day it is another file",
                        "take the address of one release or commit, or bring the file with `%files`",
                    )


def _upgrade(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for one in actions(stage.calls):
            whole = (
                (
                    one.tool == "apt"
                    and one.verb in ("upgrade", "dist-upgrade", "full-upgrade", "safe-upgrade")
                    and not one.packages
                )
                or (one.tool == "yum" and one.verb in ("update", "upgrade", "distro-sync") and not one.packages)
                or (one.tool == "zypper" and one.verb in ("update", "up", "dup", "dist-upgrade") and not one.packages)
                or (one.tool == "apk" and one.verb == "upgrade" and not one.packages)
            )
            if whole and not (one.tool == "yum" and one.call.has("--security")):
                yield one.call.hit(
                    f"`{one.call.name} {one.verb}` changes the whole base at every build, and doubles what changed",
                    "leave it out, and take a newer base image instead",
                )


_ROCKER = re.compile(
    r"rocker/(r-ver|rstudio|tidyverse|verse|geospatial|shiny|shiny-verse|binder|ml|ml-verse|cuda):\d+\.\d+\.\d+"
)


def _r_unpinned(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        dated = re.search(
            r"packagemanager\.[a-z.]*/[^\s'\"]*/\d{4}-\d\d-\d\d|mran|/snapshot/\d{4}|renv|install_version",
            stage.build_text,
        )
        for call in stage.calls:
            if call.name not in ("R", "Rscript", "install2.r", "r", "littler") or dated:
                continue
            text = told(call)
            if _ROCKER.match(stage.base.text) and not re.search(r"repos|BiocManager|biocLite|install_github", text):
                continue  # these images take CRAN's packages as of one day
            if call.name == "install2.r" or re.search(
                r"\binstall\.packages\s*\(|BiocManager::install\s*\(|\bbiocLite\s*\(|install_github\s*\(", text
            ):
                if re.search(r"install_github\s*\([^)]*@", text) or re.search(
                    r"install\.packages\s*\(\s*['\"](/|https?:|\./)", text
                ):
                    continue
                yield call.hit(
                    "R installs its packages in whatever versions are the newest that day",
                    "take them from a dated repository: options(repos = "
                    "'https://packagemanager.posit.co/cran/2025-03-01')",
                    "or by version: remotes::install_version('NAME', '1.2.3')",
                )


def _language_unpinned(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        found: dict[str, tuple[Call, list[str]]] = {}
        for call in stage.calls:
            names = _newest(call)
            if names:
                found.setdefault(call.name, (call, []))[1].extend(names)
        for name, (call, names) in found.items():
            tool, example = _VERSIONED[name]
            yield call.hit(
                f"{tool} installs {listed(names)} in whatever version is the newest that day",
                "give each a version: " + example,
            )


_VERSIONED = {
    "npm": ("npm", "npm install -g NAME@1.2.3"),
    "yarn": ("yarn", "yarn global add NAME@1.2.3"),
    "cargo": ("cargo", "cargo install NAME --version 1.2.3 --locked"),
    "go": ("go", "go install EXAMPLE.ORG/NAME@v1.2.3"),
    "gem": ("gem", "gem install NAME -v 1.2.3"),
    "cpanm": ("cpanm", "cpanm NAME@1.23"),
    "cpan": ("cpan", "cpanm NAME@1.23"),
    "julia": ("Julia", 'Pkg.add(name="NAME", version="1.2.3"), or a Manifest.toml and Pkg.instantiate()'),
    "uv": ("uv", "uv tool install NAME==1.2.3"),
    "pipx": ("pipx", "pipx install NAME==1.2.3"),
}


def _newest(call: Call) -> list[str]:
    """What a package manager of a language would install in the newest version."""
    if call.name == "julia":
        added = re.findall(r"\bPkg\.add\(\s*(?:\[([^\]]*)\]|\"([^\"]+)\"\s*\))", told(call))
        names = [
            name for pair in added for name in re.findall(r"[A-Za-z]\w*", "".join(pair)) if "://" not in "".join(pair)
        ]
        typed = [name for line in re.findall(r"\bpkg\"add ([^\";]*)", told(call)) for name in line.split()]
        return [*names, *(name for name in typed if not re.search(r"@|://|#", name))]
    operands = [one.text for one in call.operands(_LANGUAGE_VALUES.get(call.name, ()))]
    if not operands or UNKNOWN in "".join(operands):
        return []
    verb, names = operands[0], operands[1:]
    names = [name for name in names if not name.startswith((".", "/", "~")) and "://" not in name]
    match call.name:
        case "npm" | "yarn":
            if operands[:2] == ["global", "add"]:
                verb, names = "add", names[1:]
            return [name for name in names if "@" not in name[1:]] if verb in ("install", "i", "add") else []
        case "cargo":
            fixed = call.has("--version", "--vers", "--rev", "--tag", "--path", "--git")
            return [name for name in names if "@" not in name] if verb == "install" and not fixed else []
        case "go":
            return [name for name in names if name.endswith("@latest")] if verb == "install" else []
        case "gem":
            fixed = call.has("-v", "--version")
            return [name for name in names if ":" not in name and not fixed] if verb == "install" else []
        case "cpanm" | "cpan":
            names = [name for name in operands if not name.startswith((".", "/", "~")) and "://" not in name]
            fixed = call.has("--installdeps")
            return [name for name in names if not fixed and not re.search(r"[@~]|\.(tar|zip)", name)]
        case "uv" | "pipx":
            verbs = operands[:2] == ["tool", "install"] if call.name == "uv" else verb == "install"
            names = names[1:] if call.name == "uv" else names
            return [name for name in names if "=" not in name and "@" not in name] if verbs else []
    return []


_LANGUAGE_VALUES = {
    "npm": frozenset(("--prefix", "--registry")),
    "cargo": frozenset(("--root", "--features", "-F", "--branch", "--registry", "-j", "--jobs", "--target", "--profile",
                        "--bin", "--version", "--vers")),
    "gem": frozenset(("-v", "--version", "-n", "--bindir", "-i", "--install-dir")),
    "cpanm": frozenset(("-l", "-L", "--local-lib", "--local-lib-contained", "--mirror")),
    "uv": frozenset(("--python", "-p", "--with", "--index-url", "--index")),
    "pipx": frozenset(("--python", "--pip-args", "--index-url", "-i")),
}  # fmt: skip
"""Options whose value is the next argument."""


def _archive_of_hub(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        if stage.base.agent == "shub":
            yield stage.hit_header(
                "bootstrap",
                "Singularity Hub takes no images since 2021: its bases get no updates, and nobody can make them anew",
                "take an image of a registry: Bootstrap: docker, From: ubuntu:24.04",
            )
        elif stage.base.agent == "library" and not stage.stage.key("library") and "://" not in stage.stage.source:
            yield stage.hit_header(
                "bootstrap",
                "Apptainer knows no library until somebody names one: elsewhere the build ends at once",
                "take an image of a registry: Bootstrap: docker, From: ubuntu:24.04",
                "or say which library: Library: https://library.sylabs.io",
            )


RULES = (
    Rule(
        id="base-untagged",
        family="pinning",
        level="warning",
        title="The base image has no tag, or one that moves",
        reason="A name without a tag means `latest`, and `latest`, `stable` or `edge` is whatever was released "
        "last. The same file gives another system next month, and nobody can say which one an old image "
        "came from.",
        remedy="Write the tag of one release behind the name. Best add the digest too, which can never move.",
        bad=post("echo ok", "Bootstrap: docker\nFrom: ubuntu\n"),
        good=post("echo ok", UBUNTU),
        look=_untagged,
    ),
    Rule(
        id="base-end-of-life",
        family="pinning",
        level="warning",
        title="The base is a release that gets no more updates",
        reason="Security fixes end on that day. Some months later the packages leave the mirrors, and the file "
        "does not build any more. Old C libraries also keep out what a site injects: drivers, MPI and their "
        "libraries want a newer one.",
        remedy="Move to a release that is supported, and build again. Where old software needs the old system, "
        "keep the built image, by digest, rather than the hope to build it again.",
        bad=post("echo ok", "Bootstrap: docker\nFrom: ubuntu:18.04\n"),
        good=post("echo ok", UBUNTU),
        look=_end_of_life,
    ),
    Rule(
        id="pip-unpinned",
        family="pinning",
        level="warning",
        title="pip installs packages without versions",
        reason="pip takes the newest version there is. Next month's build has other code, other numbers, and may "
        "not work at all, for one package's new version often breaks another one.",
        remedy="Give every package a version with `==`, or install from a file that has them, with hashes. `pip "
        "freeze` in an image that works tells the versions. Ranges such as `>=1.2` pin nothing.",
        bad=post("pip install --no-cache-dir numpy scipy==1.14.1", PYTHON),
        good=post("pip install --no-cache-dir numpy==2.1.3 scipy==1.14.1", PYTHON),
        look=_pip_unpinned,
    ),
    Rule(
        id="conda-unpinned",
        family="pinning",
        level="warning",
        title="conda installs packages without versions",
        reason="conda solves for the newest that fits, and the channels change every hour.",
        remedy="Give every package a version with `=`, or install from a file. `conda list --explicit` in an "
        "environment that works writes one that gives exactly the same again.",
        bad=post("conda install -y -c conda-forge numpy\nconda clean -afy", CONDA),
        good=post("conda install -y -c conda-forge numpy=2.1.3\nconda clean -afy", CONDA),
        look=_conda_unpinned,
    ),
    Rule(
        id="git-moving-branch",
        family="pinning",
        level="warning",
        title="git clones whatever the branch holds that day",
        reason="A branch moves with each commit. The image then holds code that nobody chose, and cannot be built "
        "again.",
        remedy="Clone a tag with `--branch`, or check out a commit behind the clone. A commit's hash is the "
        "surest: tags can be moved.",
        bad=post("git clone https://github.com/lammps/lammps.git /opt/lammps"),
        good=post("git clone --branch stable_29Aug2024 --depth 1 https://github.com/lammps/lammps.git /opt/lammps"),
        look=_moving_branch,
    ),
    Rule(
        id="download-moving",
        family="pinning",
        level="warning",
        title="A download's address means another file every day",
        reason="`latest`, `master` and `main` in an address are whatever is there at that time.",
        remedy="Take the address of one release and check the sum of what came. Projects list them under their "
        "releases.",
        bad=post(
            """
            wget https://repo.anaconda.com/miniconda/Miniconda3-latest-Linux-x86_64.sh
            echo "SHA256 Miniconda3-latest-Linux-x86_64.sh" | sha256sum -c
            bash Miniconda3-latest-Linux-x86_64.sh -b -p /opt/conda
            rm Miniconda3-latest-Linux-x86_64.sh
            """
        ),
        good=post(
            """
            wget https://repo.anaconda.com/miniconda/Miniconda3-py312_24.9.2-0-Linux-x86_64.sh
            echo "SHA256 Miniconda3-py312_24.9.2-0-Linux-x86_64.sh" | sha256sum -c
            bash Miniconda3-py312_24.9.2-0-Linux-x86_64.sh -b -p /opt/conda
            rm Miniconda3-py312_24.9.2-0-Linux-x86_64.sh
            """
        ),
        look=_moving_download,
    ),
    Rule(
        id="system-upgrade",
        family="pinning",
        level="warning",
        title="The whole system is upgraded in `%post`",
        reason="The base image was pinned for a reason: an upgrade replaces it by whatever the mirrors hold that "
        "day. Each upgraded file is in the image twice where layers are kept, and kernels and boot loaders "
        "come along.",
        remedy="Leave the upgrade out. Take a newer base image when you want newer packages, or upgrade single "
        "packages.",
        bad=post("apt-get update\napt-get upgrade -y"),
        good=post("echo ok", "Bootstrap: docker\nFrom: ubuntu:noble-20250127\n"),
        look=_upgrade,
    ),
    Rule(
        id="r-unpinned",
        family="pinning",
        level="warning",
        title="R installs packages without versions",
        reason="CRAN and Bioconductor serve the newest version alone under a package's name.",
        remedy="Point `repos` to a dated repository, or install versions with `remotes::install_version`, or keep "
        "an `renv` lock file.",
        bad=post("R -e \"install.packages('dplyr')\"", "Bootstrap: docker\nFrom: r-base:4.4.2\n"),
        good=post(
            "R -e \"options(repos='https://packagemanager.posit.co/cran/2025-03-01'); install.packages('dplyr')\"",
            "Bootstrap: docker\nFrom: r-base:4.4.2\n",
        ),
        look=_r_unpinned,
    ),
    Rule(
        id="language-packages-unpinned",
        family="pinning",
        level="warning",
        title="npm, cargo, go, gem, cpan, Julia, uv or pipx installs the newest version",
        reason="Without a version, these take the newest there is: next month's build has other programs, and may not "
        "build at all.",
        remedy="Give every program a version: `npm install -g NAME@1.2.3`, `cargo install NAME --version 1.2.3`, "
        "`go install ADDRESS@v1.2.3`, `gem install NAME -v 1.2.3`, `cpanm NAME@1.23`, `uv tool install NAME==1.2.3`. "
        "Or install from a lock file: `npm ci`, `Pkg.instantiate()`.",
        bad=post("npm install -g yarn"),
        good=post("npm install -g yarn@1.22.22"),
        look=_language_unpinned,
    ),
    Rule(
        id="base-not-of-a-registry",
        family="pinning",
        level="warning",
        title="The base comes from Singularity Hub or from a library",
        reason="Singularity Hub is an archive since 2021: nothing in it is mended or made anew. `library` needs a "
        "server that Apptainer does not know by itself: where nobody set one up, the build ends with `remote has no "
        "library client`.",
        remedy="Take the same system from a registry: `Bootstrap: docker` and `From: ubuntu:24.04`. Where it must be a "
        "library, name it in the header, as in `Library: https://library.sylabs.io`.",
        bad=post("echo ok", "Bootstrap: shub\nFrom: vsoch/hello-world:1.0\n"),
        good=post("echo ok", UBUNTU),
        look=_archive_of_hub,
    ),
    Rule(
        id="pip-upgraded",
        family="pinning",
        level="note",
        title="pip itself is upgraded to whatever is newest",
        reason="A new pip resolves differently, and refuses what an older one took.",
        remedy="Give it a version, or leave the base's as it is.",
        bad=post("pip install --no-cache-dir --upgrade pip", PYTHON),
        good=post("pip install --no-cache-dir --upgrade pip==24.3.1", PYTHON),
        look=_pip_upgraded,
    ),
    Rule(
        id="base-without-digest",
        family="pinning",
        level="note",
        title="The base image is named by a tag alone",
        reason="A tag is a name that its owner may move, and official images do: `ubuntu:24.04` is rebuilt every "
        "month. Only a digest names the same bytes forever.",
        remedy="Put the digest behind the tag, so that people read the tag and machines take the digest.",
        bad=post("echo ok", UBUNTU),
        good=post(
            "echo ok",
            "Bootstrap: docker\nFrom: ubuntu:24.04@sha256:"
            "80dd3c3b9c6cecb9f1667e9290b3bc61b78c2678c02cbdae5f0fea92cc6734ab\n",
        ),
        look=_not_by_digest,
    ),
    Rule(
        id="system-packages-unpinned",
        family="pinning",
        level="note",
        title="No system package has a version",
        reason="Mirrors replace packages all the time, and old versions leave them, so that a pinned version may "
        "be gone next month. Unpinned, the same file gives other libraries.",
        remedy="Build from a dated mirror (snapshot.debian.org, snapshot.ubuntu.com), or pin the packages that "
        "matter to your results, and keep the image itself.",
        bad=post("dnf install -y gcc\ndnf clean all", ROCKY),
        good=post("dnf install -y gcc-11.5.0\ndnf clean all", ROCKY),
        look=_system_unpinned,
    ),
)

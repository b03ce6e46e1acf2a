"""Size: what nobody needs in the image and everybody has to move."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterator, Sequence

from sealift.lint.calls import Call
from sealift.lint.examples import CONDA, PYTHON, ROCKY, UBUNTU, file, post
from sealift.lint.paths import folders_of, inside
from sealift.lint.recipe import Recipe, StageView
from sealift.lint.tools import downloads, installs, listed
from sealift.lint.values import Hit, Rule
from sealift.shell.follow import UNKNOWN

_ARCHIVES = re.compile(
    r"\.(tar(\.(gz|bz2|xz|zst|lz4))?|tgz|tbz2?|txz|zip|deb|rpm|whl|run|bin|sh|gz|bz2|xz|7z|jar\.zip)$", re.IGNORECASE
)
_COMPILERS = re.compile(
    r"(build-essential|gcc(-\d+)?|g\+\+(-\d+)?|gfortran(-\d+)?|gcc-c\+\+|gcc-gfortran|make|cmake|ninja-build|clang(-\d+)?"
    r"|autoconf|automake|libtool|cuda-toolkit.*|nvidia-cuda-toolkit|'?development tools'?|.+-dev|.+-devel)$",
    re.IGNORECASE,
)


_NOT_OF_THE_IMAGE = ("/tmp", "/var/tmp", "/dev")  # noqa: S108 -- names of folders in an image


def _removed(stage: StageView, *patterns: str) -> bool:
    """Does a `rm` of the stage name a path that begins in one of these ways?"""
    for call in stage.calls:
        if call.name == "rm" or (call.name == "find" and "-delete" in call.texts):
            for text in call.texts:
                if any(re.match(pattern, text) for pattern in patterns):
                    return True
    return False


def _apt_lists(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages[-1:]:
        found = [one for one in installs(stage.calls, "apt") if one.verb == "install"]
        updates = [
            call for call in stage.calls if call.name in ("apt-get", "apt", "aptitude") and "update" in call.texts
        ]
        if not found or not updates:
            continue
        if _removed(
            stage, r"/?var/lib/apt(/|$)", r"/var/lib/\{?apt(?![\w-])", r"/var/lib/\*", r"lists"
        ) or _mentions_lists(stage):
            continue
        last = found[-1].call
        command = "rm -rf /var/lib/apt/lists/*"
        yield last.hit(
            "the package lists that `apt-get update` fetched stay in the image, some tens of MB",
            f"remove them behind the last installation: {command}",
            edits=last.line_below(command),
        )


def _mentions_lists(stage: StageView) -> bool:
    """Is a list removed in a way that was not followed: a script that is copied, a variable?"""
    said = r"rm\s[^\n]*apt/lists|rm\s[^\n]*(?<![\w/-])lists/\*|/var/lib/apt[^\n]*-delete"
    return re.search(said, stage.build_text) is not None


def _apt_recommends(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages[-1:]:
        found = [one for one in installs(stage.calls, "apt") if one.verb == "install" and one.packages]
        if re.search(r"(?i)install-recommends[\"']?\s+[\"']?(false|0|no)|norecommends", stage.build_text):
            continue
        if found and not any(_without_recommends(one.call) for one in found):
            yield found[0].call.hit(
                "apt installs recommended packages too, often more than what was asked for",
                "name what you need: apt-get install -y --no-install-recommends …",
            )


def _without_recommends(call: Call) -> bool:
    return call.has("--no-install-recommends", "-R") or any(
        re.search(r"(?i)install-recommends=(0|no|false)", text) for text in call.texts
    )


def _yum_cache(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages[-1:]:
        yield from _pacman_cache(stage)
        found = installs(stage.calls, "yum")
        cleaned = any(call.name in ("yum", "dnf", "microdnf", "tdnf") and "clean" in call.texts for call in stage.calls)
        if not found or cleaned or _removed(stage, r"/var/cache/(yum|dnf|\*|\{)", r"/var/cache/?$"):
            continue
        if re.search(r"(yum|dnf)\s[^\n]*clean|rm\s[^\n]*/var/cache", stage.build_text):
            continue
        last = found[-1].call
        command = f"{last.name} clean all"
        yield last.hit(
            f"what {last.name} downloaded stays in the image",
            f"clean up behind the last installation: {command}",
            edits=last.line_below(command) if "sudo" not in last.wrappers else (),
        )


def _pacman_cache(stage: StageView) -> Iterator[Hit]:
    found = [
        call
        for call in stage.calls
        if call.name == "pacman" and re.fullmatch(r"-S[yuw]*", (*call.texts, "")[0]) and call.operands()
    ]
    if found and not re.search(r"pacman\s[^\n]*-S\w*c|rm\s[^\n]*/var/cache|paccache", stage.build_text):
        yield found[-1].hit(
            "what pacman downloaded stays in the image",
            "clean up behind the last installation: pacman -Scc --noconfirm",
            edits=found[-1].line_below("pacman -Scc --noconfirm"),
        )


def _apk_cache(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages[-1:]:
        found = installs(stage.calls, "apk")
        if _removed(stage, r"/var/cache/apk", r"/var/cache/\*", r"/etc/apk/cache"):
            continue
        for one in found:
            if not one.call.has("--no-cache"):
                yield one.call.hit(
                    "apk leaves its index in the image",
                    "write: apk add --no-cache …",
                    edits=one.call.insert_behind(one.verb_field, " --no-cache"),
                )
                break


def _pip_cache(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages[-1:]:
        if _pip_cache_is_off(stage):
            continue
        found = [
            one
            for one in installs(stage.calls, "pip")
            if not one.call.has("--no-cache-dir", "--cache-dir") and not one.call.variable("PIP_NO_CACHE_DIR")
        ]
        if found:
            yield found[0].call.hit(
                "pip leaves every wheel that it downloads in root's ~/.cache, where the image keeps it" + _times(found),
                "write: pip install --no-cache-dir …",
                "or once, at the top of `%post`: export PIP_NO_CACHE_DIR=1",
                edits=tuple(
                    edit for one in found for edit in one.call.insert_behind(one.verb_field, " --no-cache-dir")
                ),
            )


def _times(found: Sequence[object]) -> str:
    return f" ({len(found)} installations)" if len(found) > 1 else ""


def _pip_cache_is_off(stage: StageView) -> bool:
    text = stage.build_text
    return (
        "PIP_NO_CACHE_DIR" in text
        or "PIP_CACHE_DIR" in text
        or "XDG_CACHE_HOME" in text
        or re.search(r"pip[0-9.]*\s+cache\s+purge|no-cache-dir\s*=|rm\s[^\n]*\.cache|conda\s+clean", text) is not None
    )


def _uv_cache(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages[-1:]:
        text = stage.build_text
        if re.search(r"UV_NO_CACHE|UV_CACHE_DIR|XDG_CACHE_HOME|uv\s+cache\s+(clean|prune)|rm\s[^\n]*\.cache", text):
            continue
        found = [
            (call, verb)
            for call in stage.calls
            for verb in (1 if call.texts[:1] == ("pip",) else 0,)
            if call.name == "uv"
            and call.texts[verb : verb + 1] in (("install",), ("sync",))
            and not call.has("--no-cache", "-n", "--cache-dir")
        ]
        if found:
            yield found[0][0].hit(
                "uv leaves every wheel that it downloads in root's ~/.cache/uv, where the image keeps it"
                + _times(found),
                "write: uv pip install --no-cache …",
                "or once, at the top of `%post`: export UV_NO_CACHE=1",
                edits=tuple(
                    edit for call, verb in found for edit in call.insert_behind(call.fields[verb], " --no-cache")
                ),
            )


def _conda_cache(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages[-1:]:
        found = [
            call
            for call in stage.calls
            if call.name in ("conda", "mamba", "micromamba")
            and (
                call.texts[:1] in (("install",), ("create",))
                or call.texts[:2] in (("env", "create"), ("env", "update"))
            )
        ]
        if not found or re.search(r"(conda|mamba)[\"'}]*\s+clean|rm\s[^\n]*/pkgs", stage.build_text):
            continue
        last = found[-1]
        yield last.hit(
            f"what {last.name} downloaded stays in the image: often as much again as what is installed",
            f"clean up behind the last installation: {last.name} clean -afy",
            edits=last.line_below(f"{last.name} clean -afy") if last.program.text == last.name else (),
        )


_TAKERS = ("rm", "mv", "find", "unlink", "shred", "gunzip", "bunzip2", "unxz", "gzip", "bzip2", "xz", "unzstd")


def _downloads_left(recipe: Recipe) -> Iterator[Hit]:
    yield from _archives_left(recipe)
    for script in recipe.image_scripts("post", "appinstall"):
        folders = folders_of(script)
        later = [call for call in script.calls if call.name in _TAKERS]
        for one in downloads(script.calls):
            name = posixpath.basename(one.target)
            if one.call.has("--content-disposition", "-J", "--remote-header-name", "--trust-server-names"):
                continue  # the server names the file
            if UNKNOWN in one.target or not name or not _ARCHIVES.search(name) or one.call.run.is_inner:
                continue
            folder = folders.get(one.call.run.pipe)
            if folder is None:
                continue
            path = posixpath.normpath(posixpath.join(folder, one.target))
            if any(inside(path, folder) for folder in _NOT_OF_THE_IMAGE):
                continue
            gone = any(
                call.run.pipe > one.call.run.pipe and _takes_away(call, path, folders.get(call.run.pipe))
                for call in later
            )
            if not gone and not _is_data(name, script.text):
                yield one.call.hit(
                    f"the downloaded `{name}` stays in the image",
                    f"remove it when it is unpacked or installed: rm {name}",
                    "or download it below /tmp, which is not a part of the image",
                )


def _archives_left(recipe: Recipe) -> Iterator[Hit]:
    """Archives that `%files` brings and `%post` unpacks."""
    stage = recipe.last
    if stage is None:
        return
    for script in stage.scripts("post"):
        folders = folders_of(script)
        for copy in stage.host_copies:
            name = posixpath.basename(copy.source)
            target = copy.destination or f"/{copy.source}"
            path = target if _ARCHIVES.search(target) else posixpath.join(target, name)
            if (
                not re.search(r"\.(tar(\.\w+)?|tgz|tbz2?|txz|zip)$", name)
                or UNKNOWN in path
                or any(inside(path, folder) for folder in _NOT_OF_THE_IMAGE)
            ):
                continue
            unpacks = any(
                call.name in ("tar", "unzip") and any(posixpath.basename(text) == name for text in call.texts)
                for call in script.calls
            )
            gone = any(
                call.name in _TAKERS and _takes_away(call, path, folders.get(call.run.pipe)) for call in script.calls
            )
            if unpacks and not gone:
                yield recipe.hit_at(
                    copy.span,
                    f"`{name}` is unpacked, and stays in the image as well",
                    f"remove it when it is unpacked: rm {path}",
                )


def _is_data(name: str, text: str) -> bool:
    """Is the file kept because somebody wants it: nothing unpacks or runs it?"""
    stem = re.escape(name)
    return not re.search(
        rf"(tar|unzip|gunzip|bunzip2|xz|sh|bash|dpkg|apt|yum|dnf|rpm|pip|install|\./)[^\n]*({stem}|\*)", text
    ) and not re.search(r"(^|[\s;&|(])(tar|unzip|gunzip|dpkg)\s", text)


def _takes_away(call: Call, path: str, folder: str | None) -> bool:
    if call.name in ("gzip", "bzip2", "xz") and not call.has("-d", "--decompress", "--uncompress"):
        return False
    if call.has("-k", "--keep", "-c", "--stdout") and call.name not in ("rm", "mv", "find", "unlink", "shred"):
        return False
    if call.name == "find":
        return "-delete" in call.texts or "rm" in call.texts
    for one in call.operands():
        if UNKNOWN in one.text or folder is None:
            return True
        target = posixpath.normpath(posixpath.join(folder, one.text))
        if fnmatch.fnmatch(path, target) or inside(path, target.rstrip("/*") or "/"):
            return True
        if any(mark in one.text for mark in "{["):
            return True
    return False


def _build_packages(recipe: Recipe) -> Iterator[Hit]:
    if len(recipe.stages) != 1:
        return
    (stage,) = recipe.stages
    found = installs(stage.calls, "apt", "yum", "apk", "zypper")
    compilers = [(one, field.text) for one in found for field in one.packages if _COMPILERS.match(field.text)]
    builds = [
        call
        for call in stage.calls
        if call.name in ("make", "ninja", "cmake", "configure", "meson", "scons", "bazel")
        or (call.name == "autogen.sh")
    ]
    removes = any(
        call.name in ("apt-get", "apt", "yum", "dnf", "apk", "zypper", "aptitude")
        and any(verb in call.texts for verb in ("remove", "purge", "del", "erase", "autoremove"))
        for call in stage.calls
    )
    if compilers and builds and not removes:
        first = compilers[0][0].call
        yield first.hit(
            f"what is for building stays in the image: {listed(name for _, name in compilers)}",
            "build in a first stage, and copy what came out: %files from build",
        )


def _whole_context(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for copy in stage.host_copies:
            if copy.source in (".", "./", "*", "./*", "$PWD", "../", ".."):
                yield recipe.hit_at(
                    copy.span,
                    f"`{copy.source}` copies the whole folder: `.git`, data and old images with it",
                    "name what the image needs, a line each",
                )


def _devel_base(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    if stage is None or stage.base.name not in ("nvidia/cuda", "nvcr.io/nvidia/cuda") or "devel" not in stage.base.tag:
        return
    runtime = stage.base.tag.replace("devel", "runtime")
    yield stage.hit_header(
        "from",
        f"the image stands on `{stage.base.tag}`, whose compilers and static libraries weigh some GB",
        f"build in a first stage, and let the last one stand on {stage.base.name}:{runtime}",
    )


def _unused_stages(recipe: Recipe) -> Iterator[Hit]:
    taken: set[str] = set()
    known: set[str] = set()
    for stage in recipe.stages:
        names = {group.from_stage for group in stage.stage.files if group.from_stage}
        if names - known or any(UNKNOWN in name for name in (*names, stage.stage.name)):
            return  # of a name that is not there, another rule says so
        taken |= names
        known.add(stage.stage.name)
    for stage in recipe.stages[:-1]:
        if stage.stage.bootstrap and stage.stage.name not in taken:
            yield stage.hit_header(
                "bootstrap",
                "no later stage takes anything from this one: it is built, and thrown away",
                "name it, Stage: build, and copy from it below the last `Bootstrap:`: %files from build",
                "or leave the stage out",
            )


RULES = (
    Rule(
        id="unused-stage",
        family="size",
        level="warning",
        title="A stage is built and thrown away",
        reason="Only the last stage becomes the image. What an earlier one made comes into it with `%files from NAME` "
        "alone; without such a section the whole stage is work for nothing, and mostly a sign of a name that was "
        "forgotten.",
        remedy="Give the stage a name, `Stage: build`, and copy what is needed: `%files from build`. Or leave it out.",
        bad=UBUNTU + "Stage: build\n\n%post\n    touch /opt/app\n\n" + UBUNTU + "\n%post\n    echo ok\n",
        good=UBUNTU
        + "Stage: build\n\n%post\n    touch /opt/app\n\n"
        + UBUNTU
        + "\n%files from build\n    /opt/app /opt/app\n",
        look=_unused_stages,
    ),
    Rule(
        id="apt-lists-left",
        family="size",
        level="warning",
        title="The lists of `apt-get update` stay in the image",
        reason="The lists are of use until the next `apt-get update` alone, which fetches them again. They are "
        "tens of MB, differ from day to day, and so make every build another image.",
        remedy="Remove them at the end of `%post`. `apt-get clean` removes packages, not lists.",
        bad=post("apt-get update\napt-get install -y --no-install-recommends gcc"),
        good=post("apt-get update\napt-get install -y --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"),
        look=_apt_lists,
        fixes=True,
    ),
    Rule(
        id="pip-cache-left",
        family="size",
        level="warning",
        title="pip's cache stays in the image",
        reason="pip keeps each wheel that it downloads. In `%post` the home folder is /root, so the cache becomes "
        "a part of the image: with PyTorch some GB that nobody can even read.",
        remedy="Write `--no-cache-dir`, or set `PIP_NO_CACHE_DIR=1` at the top of `%post`.",
        bad=post("pip install numpy==2.1.3", PYTHON),
        good=post("pip install --no-cache-dir numpy==2.1.3", PYTHON),
        look=_pip_cache,
        fixes=True,
    ),
    Rule(
        id="uv-cache-left",
        family="size",
        level="warning",
        title="uv's cache stays in the image",
        reason="uv keeps what it downloads below root's ~/.cache/uv, which becomes a part of the image.",
        remedy="Write `--no-cache`, or set `UV_NO_CACHE=1` at the top of `%post`.",
        bad=post("uv pip install --system numpy==2.1.3", PYTHON),
        good=post("uv pip install --no-cache --system numpy==2.1.3", PYTHON),
        look=_uv_cache,
        fixes=True,
    ),
    Rule(
        id="conda-cache-left",
        family="size",
        level="warning",
        title="conda's package cache stays in the image",
        reason="conda keeps each package twice, packed and unpacked, beside the environment that it is linked into.",
        remedy="Run `conda clean -afy` behind the last installation (`mamba clean -afy`, `micromamba clean -afy`).",
        bad=post("conda install -y -c conda-forge numpy=2.1.3", CONDA),
        good=post("conda install -y -c conda-forge numpy=2.1.3\nconda clean -afy", CONDA),
        look=_conda_cache,
        fixes=True,
    ),
    Rule(
        id="yum-cache-left",
        family="size",
        level="warning",
        title="What yum, dnf or pacman downloaded stays in the image",
        reason="The metadata of the repositories alone is hundreds of MB, and differs from day to day.",
        remedy="Run `dnf clean all` (`yum clean all`, `pacman -Scc --noconfirm`) behind the last installation.",
        bad=post("dnf install -y gcc-11.5.0", ROCKY),
        good=post("dnf install -y gcc-11.5.0\ndnf clean all", ROCKY),
        look=_yum_cache,
        fixes=True,
    ),
    Rule(
        id="apk-cache-left",
        family="size",
        level="note",
        title="apk's index stays in the image",
        reason="`apk add` keeps the index of the repositories below /var/cache/apk.",
        remedy="Write `apk add --no-cache`; it needs no `apk update` before.",
        bad=post("apk add gcc=13.2.1_git20231014-r0", "Bootstrap: docker\nFrom: alpine:3.22.1\n"),
        good=post("apk add --no-cache gcc=13.2.1_git20231014-r0", "Bootstrap: docker\nFrom: alpine:3.22.1\n"),
        look=_apk_cache,
        fixes=True,
    ),
    Rule(
        id="download-left",
        family="size",
        level="warning",
        title="An archive or installer stays in the image",
        reason="What was unpacked or installed is in the image twice: once packed. That goes for what `%post` "
        "downloads, and for archives that `%files` brings.",
        remedy="Remove it in `%post` when it is unpacked, or download it below /tmp, which is not in the image.",
        bad=post(
            """
            cd /opt
            wget https://example.org/fftw-3.3.10.tar.gz
            echo "SHA256  fftw-3.3.10.tar.gz" | sha256sum -c
            tar xf fftw-3.3.10.tar.gz
            """
        ),
        good=post(
            """
            cd /opt
            wget https://example.org/fftw-3.3.10.tar.gz
            echo "SHA256  fftw-3.3.10.tar.gz" | sha256sum -c
            tar xf fftw-3.3.10.tar.gz
            rm fftw-3.3.10.tar.gz
            """
        ),
        look=_downloads_left,
    ),
    Rule(
        id="files-whole-folder",
        family="size",
        level="warning",
        title="`%files` copies the whole folder",
        reason="Everything that lies there comes along: the history of git, data, results, the image of the last "
        "build, and files with secrets. And each change of any of them makes a new image.",
        remedy="Name the files and folders that the image needs.",
        bad=file(UBUNTU, files=". /opt/app"),
        good=file(UBUNTU, files="src /opt/app/src\nrun.sh /opt/app/run.sh"),
        look=_whole_context,
    ),
    Rule(
        id="cuda-devel-base",
        family="size",
        level="warning",
        title="The image stands on a `-devel` base",
        reason="`-devel` images of NVIDIA hold the compiler, headers and static libraries: several GB, of which a "
        "running program uses the shared libraries alone. Every node loads the image, so its size is "
        "start-up time.",
        remedy="Build in a first stage on `-devel`, and copy what came out (`%files from`) into a last one on "
        "`-runtime` or `-base`. Where programs are compiled when they run (Triton, Numba, CuPy with nvcc), "
        "ignore this rule.",
        bad=post("echo ok", "Bootstrap: docker\nFrom: nvidia/cuda:12.6.3-devel-ubuntu24.04\n"),
        good="Bootstrap: docker\nFrom: nvidia/cuda:12.6.3-devel-ubuntu24.04\nStage: build\n\n%post\n"
        "    mkdir -p /opt/app\n    nvcc --version > /opt/app/version\n\n"
        "Bootstrap: docker\nFrom: nvidia/cuda:12.6.3-runtime-ubuntu24.04\n\n%files from build\n    /opt/app\n",
        look=_devel_base,
    ),
    Rule(
        id="apt-recommends",
        family="size",
        level="note",
        title="apt installs recommended packages too",
        reason="Debian's and Ubuntu's apt installs what a package recommends, such as documentation, desktops and "
        "mail servers: often more than what was asked for.",
        remedy="Write `--no-install-recommends`, and name what is then missing (often `ca-certificates`).",
        bad=post("apt-get update\napt-get install -y gcc\nrm -rf /var/lib/apt/lists/*"),
        good=post("apt-get update\napt-get install -y --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"),
        look=_apt_recommends,
    ),
    Rule(
        id="build-packages-left",
        family="size",
        level="note",
        title="What was for building stays in the image",
        reason="Compilers, headers and static libraries are often most of an image that was built from source, and "
        "nobody runs them.",
        remedy="Build in a first stage, and copy what came out into a second one: `%files from build`. Where users "
        "compile in the image, ignore this rule.",
        bad=post(
            "apt-get update\napt-get install -y --no-install-recommends make gcc\n"
            "make -C /opt/app install\nrm -rf /var/lib/apt/lists/*"
        ),
        good="Bootstrap: docker\nFrom: ubuntu:24.04\nStage: build\n\n%post\n    apt-get update\n"
        "    apt-get install -y --no-install-recommends make gcc\n    make -C /opt/app install\n\n"
        "Bootstrap: docker\nFrom: ubuntu:24.04\n\n%files from build\n    /usr/local/bin/app\n",
        look=_build_packages,
    ),
)

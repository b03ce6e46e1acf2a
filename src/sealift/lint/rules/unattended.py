"""Unattended builds: what asks where nobody answers, hides that it failed, or wants what a build has not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from sealift.lint.calls import Call
from sealift.lint.examples import CONDA, ROCKY, UBUNTU, file, post
from sealift.lint.recipe import Recipe, ScriptView
from sealift.lint.tools import PIP_ITSELF, action, actions, installs
from sealift.lint.values import Edit, Hit, Rule


def _apt_without_yes(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        if re.search(r"(?i)assume-yes", script.text):
            continue
        for one in actions(script.calls):
            call = one.call
            asks = one.verb in ("install", "remove", "purge", "upgrade", "dist-upgrade", "build-dep", "full-upgrade")
            if one.tool != "apt" or not asks or (one.verb in ("install", "remove", "purge") and not one.packages):
                continue
            if _says_yes(call, "-y", "--yes", "--assume-yes", "--force-yes"):
                continue
            if call.has("-s", "--simulate", "--dry-run", "-d", "--download-only", "--print-uris") or call.has("-qq"):
                continue
            if any(re.fullmatch(r"-[a-z]*q[a-z]*q[a-z]*", text) or text == "-q=2" for text in call.texts):
                continue
            yield call.hit(
                f"`{call.name} {one.verb}` asks, and nobody answers: the build stops there",
                f"write: {call.name} {one.verb} -y …",
                edits=call.insert_behind(one.verb_field, " -y"),
            )


def _yum_without_yes(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        if re.search(r"(?i)assumeyes", script.text):
            continue
        yield from _pacman_asks(script)
        for one in actions(script.calls):
            call = one.call
            flags: tuple[str, ...] = ("-y", "--assumeyes")
            if one.tool == "zypper":
                flags = ("-y", "-n", "--non-interactive", "--no-confirm")
            asks = one.verb in (
                "install",
                "remove",
                "erase",
                "update",
                "upgrade",
                "groupinstall",
                "localinstall",
                "reinstall",
                "in",
            )
            if one.tool not in ("yum", "zypper") or not asks or call.name == "microdnf" or _says_yes(call, *flags):
                continue
            yield call.hit(
                f"`{call.name} {one.verb}` asks, and nobody answers: the build stops there",
                f"write: {call.name} {one.verb} -y …",
                edits=call.insert_behind(one.verb_field, " -y"),
            )


def _pacman_asks(script: ScriptView) -> Iterator[Hit]:
    for call in script.calls:
        verb = call.texts[0] if call.texts else ""
        asks = re.fullmatch(r"-[SRU][a-z]*", verb) and not re.search("[silgpw]", verb[2:])
        if call.name != "pacman" or not asks or call.has("--noconfirm") or _says_yes(call):
            continue
        yield call.hit(
            f"`pacman {verb}` asks, and nobody answers: the build stops there",
            f"write: pacman {verb} --noconfirm …",
            edits=call.insert_behind(call.fields[0], " --noconfirm"),
        )


def _conda_without_yes(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        if re.search(r"always_yes|CONDA_ALWAYS_YES|MAMBA_ALWAYS_YES", script.text):
            continue
        for one in actions(script.calls):
            call = one.call
            if one.tool != "conda" or one.verb not in ("install", "create", "update", "remove", "upgrade", "uninstall"):
                continue
            if _says_yes(call, "-y", "--yes", "--dry-run"):
                continue
            if call.name == "conda" and call.has("--file"):
                continue  # a file of exact packages is installed without a question
            yield call.hit(
                f"`{call.name} {one.verb}` asks whether to go on: at a terminal the build waits for an answer",
                f"write: {call.name} {one.verb} -y …",
                edits=call.insert_behind(one.verb_field, " -y"),
            )


def _says_yes(call: Call, *flags: str) -> bool:
    if call.has(*flags):
        return True
    piped = [
        other for other in call.script.calls if other.run.pipe == call.run.pipe and other.run.place < call.run.place
    ]
    fed = any(redirect.operator in ("<", "<<", "<<<") for redirect in call.run.command.redirects)
    return fed or any(other.name in ("yes", "echo", "printf") for other in piped)


def _apt_without_update(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        base = stage.base
        if not (base.agent == "docker" and (base.name in ("ubuntu", "debian") or base.name == "nvidia/cuda")):
            continue
        updated = False
        for call in stage.calls:
            if call.name in ("apt-get", "apt", "aptitude", "add-apt-repository") and (
                "update" in call.texts or call.name == "add-apt-repository"
            ):
                updated = True
            if call.name.endswith(".sh") or (call.name in ("sh", "bash", ".", "source") and call.texts):
                updated = True  # what a script of others does is not known
            if call.name in ("apt-get", "apt", "aptitude") and "install" in call.texts and not updated:
                if any(text.endswith(".deb") for text in call.texts):
                    continue
                yield call.hit(
                    f"`{base.name}` comes without package lists, so that no package is found",
                    "write before it: apt-get update",
                )
                break


def _apt_front_end(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall", "setup"):
        verbs = ("install", "update", "upgrade", "remove", "purge", "autoremove", "clean", "autoclean")
        found = [one for one in actions(script.calls) if one.call.name == "apt" and one.verb in verbs]
        if not found:
            continue
        edits: list[Edit] = []
        for one in found:
            word = one.call.program.word
            if not one.call.run.is_inner and script.text[word.start : word.end] == "apt":
                edits += script.edit(word.start, word.end, "apt-get")
        yield found[0].call.hit(
            "`apt` is for people at a terminal: its options and output change between releases",
            "write `apt-get`, which takes the same words",
            edits=tuple(dict.fromkeys(edits)),
        )


def _frontend_missing(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        text = stage.build_text
        if re.search(r"DEBIAN_FRONTEND|noninteractive|debconf-set-selections|DEBCONF_NONINTERACTIVE", text):
            continue
        found = [one for one in installs(stage.calls, "apt") if one.verb == "install"]
        if found:
            yield found[0].call.hit(
                "a package such as `tzdata` may ask while it is installed, and the build waits",
                "write at the top of `%post`: export DEBIAN_FRONTEND=noninteractive",
            )


_HIDERS = frozenset(("true", ":", "echo", "printf"))
_FILTERS = frozenset(("tee", "tail", "head", "grep", "cat", "awk", "sed", "sort"))
"""What ends well whatever comes before it in a pipe, as `grep` does where it finds a line."""


def _hidden_failures(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        for call, following in pairwise(script.calls):
            if following.run.operator != "||" or following.name not in _HIDERS or following.run.start < call.run.end:
                continue
            if _matters(call) or call.name == "wget":
                yield call.hit(
                    f"`|| {following.name}` hides it when this fails: the build ends well, and the image lacks "
                    "something",
                    "leave it out: `%post` stops at the first command that fails",
                )
        if script.name == "post":
            yield from _hidden_by_settings(script)
            yield from _hidden_by_pipes(script)


def _matters(call: Call) -> bool:
    """Does the image lack something where this fails?"""
    one = action(call)
    names = {field.text for field in one.packages} if one is not None else set[str]()
    return (
        (one is not None and one.installs and not (names and names <= PIP_ITSELF))
        or (call.name == "make" and "install" in call.texts)
        or (call.name == "git" and "clone" in call.texts)
    )


def _hidden_by_settings(script: ScriptView) -> Iterator[Hit]:
    off: Call | None = None
    for call in script.calls:
        if call.name == "set" and not call.run.is_inner:
            if re.search(r"(^| )\+[a-z]*e|\+o errexit", " ".join(call.texts)):
                off = call if call.run.certain else None
            elif re.search(r"(^| )-[a-z]*e|-o errexit", " ".join(call.texts)):
                off = None
        elif off is not None and _matters(call):
            yield off.hit(
                "from here on `%post` goes on where a command fails: the build ends well, and the image lacks "
                "something",
                "leave it out; where one command may fail, say so behind it: COMMAND || true",
            )
            return


_BUILDERS = frozenset(("make", "ninja", "cmake", "configure", "meson", "scons", "cargo"))


def _hidden_by_pipes(script: ScriptView) -> Iterator[Hit]:
    if "pipefail" in script.text:
        return
    rows: dict[int, list[Call]] = {}
    for call in script.calls:
        rows.setdefault(call.run.pipe, []).append(call)
    for row in rows.values():
        last = row[-1]
        if len(row) > 1 and last.run.place + 1 == last.run.pipe_length and last.name in _FILTERS:
            for call in row[:-1]:
                builds = call.name in _BUILDERS and not call.has("-n", "--version", "--help")
                if (_matters(call) or builds) and call.run.operator != "||":
                    yield call.hit(
                        f"of a pipe the last command counts, `{last.name}`: where this fails, the build goes on, and "
                        "the image lacks something",
                        "write it without the pipe: > FILE 2>&1",
                        "or under bash: %post -c /bin/bash, and first of all: set -o pipefail",
                    )
                    break


def _sudo(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall", "test"):
        found = [call for call in script.calls if call.wrappers[:1] == ("sudo",)]
        if not found:
            continue
        edits: list[Edit] = []
        for call in found:
            if call.run.is_inner:
                continue
            match = re.compile(r"sudo[ \t]+(?=[A-Za-z./])").match(script.text, call.run.start)
            if match:
                edits += script.edit(match.start(), match.end(), "")
        first = found[0]
        yield first.script.hit(
            first.run.start,
            first.run.end,
            f"`sudo` is not needed in `{script.shown}`, and base images do not have it",
            "leave it out: `%post` runs as root",
            edits=tuple(edits),
        )


def _services(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        for call in script.calls:
            starts = call.name == "systemctl" and any(
                verb in call.texts for verb in ("start", "restart", "enable", "daemon-reload", "reload", "stop")
            )
            if starts and call.run.operator != "||" and not call.run.is_inner:
                yield call.hit(
                    f"`{call.name}` talks to the system's init, and there is none in a build or in a container",
                    "start the program itself, in `%startscript` or `%runscript`",
                )


RULES: tuple[Rule, ...] = (
    Rule(
        id="failure-hidden",
        family="shell",
        level="warning",
        title="A failed installation is hidden",
        reason="`%post` stops at the first command that fails, so that an image is whole or is not there. Behind "
        "`|| true`, in a pipe before `tee`, and below `set +e`, an installation may fail, today or when a mirror is "
        "down, and nobody sees it before the program is missing.",
        remedy="Leave out what hides it: write to a file with `> build.log 2>&1` rather than through `tee`. What "
        "may be missing is better asked for: `if command -v NAME; then …`.",
        bad=post("apt-get update\napt-get install -y --no-install-recommends gcc || true\nrm -rf /var/lib/apt/lists/*"),
        good=post("apt-get update\napt-get install -y --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"),
        look=_hidden_failures,
    ),
    Rule(
        id="apt-without-yes",
        family="shell",
        level="error",
        title="apt asks, and nobody answers",
        reason="Without `-y` apt asks whether to go on. A build has no terminal, or nobody at it: apt gives up, "
        "and the build fails. At a terminal it waits for ever.",
        remedy="Write `-y` behind `install`.",
        bad=post("apt-get update\napt-get install --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"),
        good=post("apt-get update\napt-get install -y --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"),
        look=_apt_without_yes,
        fixes=True,
    ),
    Rule(
        id="yum-without-yes",
        family="shell",
        level="error",
        title="yum, dnf, zypper or pacman asks, and nobody answers",
        reason="Without `-y` they ask whether to go on, take no answer for a no, and the build fails.",
        remedy="Write `-y` behind the verb; for pacman, `--noconfirm`.",
        bad=post("dnf install gcc-11.5.0\ndnf clean all", ROCKY),
        good=post("dnf install -y gcc-11.5.0\ndnf clean all", ROCKY),
        look=_yum_without_yes,
        fixes=True,
    ),
    Rule(
        id="conda-without-yes",
        family="shell",
        level="warning",
        title="conda asks before it installs",
        reason="Without `-y` conda, mamba and micromamba ask whether to go on; in a build that is an end or a wait.",
        remedy="Write `-y` behind the verb.",
        bad=post("conda install -c conda-forge numpy=2.1.3\nconda clean -afy", CONDA),
        good=post("conda install -y -c conda-forge numpy=2.1.3\nconda clean -afy", CONDA),
        look=_conda_without_yes,
        fixes=True,
    ),
    Rule(
        id="apt-without-update",
        family="shell",
        level="error",
        title="apt installs before it knows any package",
        reason="Official images come without package lists. Until `apt-get update` ran, apt finds no package: "
        "`Unable to locate package`.",
        remedy="Run `apt-get update` before the first installation, in the same file.",
        bad=post("apt-get install -y --no-install-recommends gcc"),
        good=post("apt-get update\napt-get install -y --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"),
        look=_apt_without_update,
    ),
    Rule(
        id="service-in-post",
        family="shell",
        level="warning",
        title="`%post` starts a service",
        reason="There is no init in a build, so `systemctl` fails. And what runs while the image is built does not "
        "run when the image does.",
        remedy="Start the program itself in `%startscript` (for `instance start`) or `%runscript`.",
        bad=post("systemctl enable munge"),
        good=file(UBUNTU, startscript='exec munged --foreground "$@"'),
        look=_services,
    ),
    Rule(
        id="sudo-in-post",
        family="shell",
        level="warning",
        title="`sudo` is used in `%post`",
        reason="`%post` runs as root already. Base images have no `sudo`, and where the host gives one root by a "
        "user namespace alone, an installed one fails.",
        remedy="Leave the word out.",
        bad=post("sudo mkdir -p /opt/app"),
        good=post("mkdir -p /opt/app"),
        look=_sudo,
        fixes=True,
    ),
    Rule(
        id="apt-front-end",
        family="portability",
        level="note",
        title="`apt` is used in a script",
        reason="`apt` says itself that its interface is not stable, and prints for a terminal.",
        remedy="Write `apt-get`, which takes the same words.",
        bad=post("apt update\napt install -y --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"),
        good=post("apt-get update\napt-get install -y --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"),
        look=_apt_front_end,
        fixes=True,
    ),
    Rule(
        id="debian-frontend-missing",
        family="portability",
        level="note",
        title="Packages may ask while they are installed",
        reason="`tzdata`, `keyboard-configuration` and others ask at a terminal, and the build waits for an answer.",
        remedy="Write `export DEBIAN_FRONTEND=noninteractive` at the top of `%post`.",
        bad=post("apt-get update\napt-get install -y --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"),
        good=post(
            "export DEBIAN_FRONTEND=noninteractive\napt-get update\n"
            "apt-get install -y --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"
        ),
        look=_frontend_missing,
    ),
)

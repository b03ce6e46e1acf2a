"""Shell: what a section's script does otherwise than it reads, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from sealift.deffile.vocabulary import dockerfile_word
from sealift.lint.bashisms import bashisms
from sealift.lint.calls import Call
from sealift.lint.examples import CONDA, ROCKY, UBUNTU, file, post
from sealift.lint.recipe import (
    BUILD_SCRIPTS,
    ENVIRONMENT_SCRIPTS,
    HOST_SCRIPTS,
    RUN_SCRIPTS,
    TEST_SCRIPTS,
    Recipe,
    ScriptView,
)
from sealift.lint.tools import action, actions
from sealift.lint.values import Edit, Hit, Rule
from sealift.shell.follow import UNKNOWN
from sealift.shell.values import Parameter, Simple
from sealift.shell.walk import commands, words

_ALL = (*HOST_SCRIPTS, *BUILD_SCRIPTS, *ENVIRONMENT_SCRIPTS, *RUN_SCRIPTS, *TEST_SCRIPTS)
_IN_IMAGE = (*BUILD_SCRIPTS, *RUN_SCRIPTS, *TEST_SCRIPTS)


def _syntax(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts(*_ALL):
        if script.interpreter not in ("sh", "bash", "dash", "ash"):
            continue  # others have a grammar of their own
        faults = [fault for fault in script.reading.faults if not fault.warning]
        if faults:
            first = faults[0]
            yield script.hit(
                first.start,
                first.end,
                f"no shell reads `{script.shown}`: {first.message}",
                "a shell says the same: bash -n FILE",
            )


def _bash_in_sh(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts(*_IN_IMAGE):
        if script.interpreter not in ("sh", "dash", "ash") or any(not one.warning for one in script.reading.faults):
            continue
        if _SH_IS_BASH.search(script.stage.build_text):
            continue
        distribution = script.stage.distribution
        if distribution in ("redhat", "suse", "arch"):
            continue
        found = list(bashisms(script.reading.script, ash=distribution == "alpine"))
        if found:
            start, end, _ = found[0]
            kinds = list(dict.fromkeys(what for _, _, what in found))
            shell = {"debian": "dash", "alpine": "busybox's ash"}.get(distribution, "")
            yield script.hit(
                start,
                start + min(end - start, 200),
                f"`{script.shown}` runs under /bin/sh"
                + (f", which is {shell} here and" if shell else "; where that is not bash, it")
                + f" does not know {_and(kinds)}",
                _bash_hint(script),
                level="warning" if distribution else "note",
            )


_SH_IS_BASH = re.compile(r"(ln|cp|mv)\s[^\n]*\s/(usr/)?bin/sh\s*($|[;&|])|dpkg-reconfigure[^\n]*\bdash\b", re.MULTILINE)
"""A `%post` that makes bash the plain shell; the lines before it are a matter of luck."""


def _and(kinds: list[str]) -> str:
    shown = ", ".join(kinds[:3])
    return shown + (f" and {len(kinds) - 3} more" if len(kinds) > 3 else "")


def _bash_hint(script: ScriptView) -> str:
    if script.name in ("post", "appinstall"):
        return "write: %post -c /bin/bash"
    return f"write `#!/bin/bash` directly below `{script.shown}`, or use what every shell knows"


def _bash_in_environment(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages[-1:]:
        for script in stage.scripts(*ENVIRONMENT_SCRIPTS):
            if any(not one.warning for one in script.reading.faults):
                continue
            found = list(bashisms(script.reading.script))
            if found:
                start, end, what = found[0]
                yield script.hit(
                    start,
                    start + min(end - start, 200),
                    f"`{script.shown}` is read by the plain shell of whatever engine runs the image, which need not "
                    "know "
                    f"{what}",
                    "write assignments alone: export NAME=value",
                )


def _apt_without_yes(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        if re.search(r"(?i)assume-yes", script.text):
            continue
        for one in actions(script.calls):
            call = one.call
            asks = one.verb in (
                "install",
                "remove",
                "purge",
                "upgrade",
                "dist-upgrade",
                "build-dep",
                "full-upgrade",
            )
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


def _says_yes(call: Call, *flags: str) -> bool:
    if call.has(*flags):
        return True
    piped = [
        other for other in call.script.calls if other.run.pipe == call.run.pipe and other.run.place < call.run.place
    ]
    fed = any(redirect.operator in ("<", "<<", "<<<") for redirect in call.run.command.redirects)
    return fed or any(other.name in ("yes", "echo", "printf") for other in piped)


def _yum_without_yes(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        if re.search(r"(?i)assumeyes", script.text):
            continue
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


def _dockerfile(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall", "setup", "runscript", "test"):
        for call in script.calls:
            place = dockerfile_word(call.name)
            if place is not None and call.program.text == call.name and not call.run.is_inner:
                yield call.hit(
                    f"`{call.name}` is a word of Dockerfiles, and no command",
                    f"a definition file has for it {place}",
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


_BETTER_UNEXPORTED = frozenset(("PATH", "HOME", "PS1", "IFS", "DEBIAN_FRONTEND"))
"""Names that are exported anyway, are the shell's own, or had better not be there at all."""


def _not_exported(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    for script in stage.scripts(*ENVIRONMENT_SCRIPTS) if stage is not None else ():
        if re.search(r"\bset\s+(-[a-z]*a|-o\s+allexport)", script.text):
            continue
        exported = {
            field.text.partition("=")[0]
            for run in script.runs
            if run.name in ("export", "declare", "typeset", "readonly")
            for field in run.fields[1:]
        }
        used = {
            part.name.partition("[")[0]
            for command in commands(script.reading.script)
            for word in words(command)
            for part in word.parts
            if isinstance(part, Parameter)
        }
        for run in script.runs:
            if run.fields or run.is_inner or not run.certain:
                continue
            for one in run.command.assignments:
                if one.name in exported | used | _BETTER_UNEXPORTED or one.array is not None or one.index:
                    continue
                edits = script.edit(run.start, run.start, "export ") if len(run.command.assignments) == 1 else ()
                yield script.hit(
                    one.start,
                    one.end,
                    f"`{one.name}` is not exported: programs see it only where the host or the base exports it already",
                    f"write: export {one.name}=…",
                    edits=edits,
                )


_QUIET = frozenset(
    [
        "export",
        "unset",
        ".",
        "source",
        ":",
        "true",
        "false",
        "[",
        "test",
        "set",
        "shopt",
        "ulimit",
        "umask",
        "alias",
        "unalias",
        "eval",
        "local",
        "declare",
        "typeset",
        "readonly",
        "return",
        "shift",
        "read",
        "printf",
        "exit",
        "trap",
        "let",
        "hash",
        "setenv",
    ]
)


def _environment_runs(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    for script in stage.scripts("environment") if stage is not None else ():
        seen: set[str] = set()
        for call in script.calls:
            if call.name in _QUIET or call.name in seen or UNKNOWN in call.name or call.run.is_inner:
                continue
            if call.name in ("conda", "mamba", "micromamba", "source"):
                continue
            if call.run.depth and call.name in (
                "dirname",
                "readlink",
                "basename",
                "pwd",
                "realpath",
                "id",
                "uname",
                "whoami",
            ):
                continue
            if call.name in ("apt-get", "apt", "yum", "dnf", "pip", "pip3", "apk", "zypper"):
                yield call.hit(
                    "this runs each time that the image starts, as an ordinary user, and fails",
                    "move it to `%post`",
                    level="error",
                )
            elif not call.run.depth:
                what = {
                    "cd": "moves every command to another folder",
                    "echo": "prints into the output of every command, which breaks what reads it",
                    "module": "needs the host's modules, which are not in the image",
                }.get(call.name, "runs each time that the image starts: every rank and every `exec` waits for it")
                yield call.hit(
                    f"`{call.name}` in `%environment` {what}",
                    "keep to export NAME=value there; run programs in `%post` or `%runscript`",
                )
            seen.add(call.name)


_HOST_NAMES = frozenset(
    [
        "HOME",
        "USER",
        "PATH",
        "PWD",
        "OLDPWD",
        "SHELL",
        "TERM",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "TMP",
        "TEMP",
        "HOSTNAME",
        "LOGNAME",
        "DISPLAY",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "MANPATH",
        "SCRATCH",
        "PSCRATCH",
        "CFS",
        "WORK",
        "EDITOR",
        "PS1",
        "IFS",
        "UID",
        "EUID",
        "RANDOM",
        "PKG_CONFIG_PATH",
        "CPATH",
        "LIBRARY_PATH",
        "CUDA_HOME",
        "INFOPATH",
        "LD_PRELOAD",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "OMP_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "PERL5LIB",
        "JAVA_HOME",
        "CONDA_PREFIX",
        "TZ",
        "DEBIAN_FRONTEND",
        "CC",
        "CXX",
        "FC",
        "CFLAGS",
        "CXXFLAGS",
        "LDFLAGS",
        "SINGULARITY_NAME",
        "APPTAINER_NAME",
        "SINGULARITY_CONTAINER",
        "APPTAINER_CONTAINER",
        "DOTNET_ROOT",
        "R_LIBS",
        "R_LIBS_USER",
        "CMAKE_PREFIX_PATH",
        "CLASSPATH",
    ]
)


def _only_in_post(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    if stage is None or re.search(
        r"(SINGULARITY|APPTAINER)_ENVIRONMENT|/\.singularity\.d/env|/environment\b", stage.build_text
    ):
        return
    built = {
        name
        for script in stage.scripts("post")
        for run in script.runs
        for name in _set_by(run.command, run.texts)
        if not run.is_inner
    } - _HOST_NAMES
    known: set[str] = set()
    for script in stage.scripts("environment", "runscript", "startscript"):
        own = {name for run in script.runs for name in _set_by(run.command, run.texts)} | {
            name
            for name in re.findall(r"\bfor\s+(\w+)\b|\bread\s+(?:-\w+\s+)*(\w+)", script.text)
            for name in name
            if name
        }
        if script.name == "environment":
            known |= own
        for command in commands(script.reading.script):
            for word in words(command):
                for part in word.parts:
                    if not isinstance(part, Parameter) or part.operator not in ("", "#", "%", "/", "##", "%%", "//"):
                        continue
                    if part.name in built and part.name not in known | own:
                        yield script.hit(
                            part.start,
                            part.end,
                            f"`{part.name}` is set in `%post` alone: here it is empty",
                            f"set it in `%environment` too: export {part.name}=…",
                            "or take it from `%arguments` in both: {{ " + part.name + " }}",
                        )
                        known.add(part.name)


def _set_by(command: Simple, texts: tuple[str, ...]) -> list[str]:
    names = [one.name for one in command.assignments] if not texts else []
    if texts[:1] in (("export",), ("declare",), ("readonly",), ("local",)):
        names += [text.partition("=")[0] for text in texts[1:] if "=" in text]
    return names


def _rootfs(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts(*BUILD_SCRIPTS, *ENVIRONMENT_SCRIPTS, *RUN_SCRIPTS, *TEST_SCRIPTS):
        for command in commands(script.reading.script):
            found = next(
                (
                    part
                    for word in words(command)
                    for part in word.parts
                    if isinstance(part, Parameter) and part.name in ("SINGULARITY_ROOTFS", "APPTAINER_ROOTFS")
                ),
                None,
            )
            if found is not None:
                yield script.hit(
                    found.start,
                    found.end,
                    f"`{found.name}` is empty in `{script.shown}`: it is set in `%setup` alone",
                    "leave it out: paths are the image's here",
                )
                break


_PRINTS = frozenset(("echo", "printf", "cat", "true", "exit", "return", ":", "more", "less", "help"))


def _drops_arguments(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    for script in stage.scripts("runscript") if stage is not None else ():
        if script.interpreter not in ("sh", "bash", "dash", "ash") or script.reading.faults:
            continue
        if re.search(r"\$(\{?[@*#1-9]|\{[#!]?[@*1-9])|\bshift\b|\bgetopts\b|BASH_ARGV", script.text):
            continue
        programs = [
            call for call in script.calls if call.name not in _PRINTS and not call.run.depth and not call.run.is_inner
        ]
        programs = [call for call in programs if call.name not in _QUIET | {"cd", "mkdir", "export", "conda", "module"}]
        if programs:
            last = programs[-1]
            yield last.hit(
                "what people write behind `run IMAGE` goes nowhere",
                f'pass it on: exec {last.name} … "$@"',
            )


def _unquoted_arguments(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    for script in stage.scripts(*RUN_SCRIPTS) if stage is not None else ():
        for command in commands(script.reading.script):
            if (
                not isinstance(command, Simple)
                or not command.words
                or command.words[0].literal in ("echo", "printf", "set", "[", "test")
            ):
                continue
            for word in command.words[1:] or command.words:
                lone = word.parts[0] if len(word.parts) == 1 else None
                if isinstance(lone, Parameter) and lone.name in ("@", "*") and not lone.operator and not lone.quote:
                    yield script.hit(
                        lone.start,
                        lone.end,
                        f"`${lone.name}` breaks arguments with blanks into pieces",
                        'write: "$@"',
                        edits=script.edit(lone.start, lone.end, '"$@"'),
                    )


_NO_PROGRAMS = frozenset(
    ("cd", "mkdir", "rm", "cp", "wait", "service", "systemctl", "printenv", "env", "spack", "module", "conda", "mamba")
)


def _without_exec(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    for script in stage.scripts("runscript", "startscript") if stage is not None else ():
        found = _last_program(script)
        if found is None or re.search(r"\btrap\b|\bset\s+-\w*x|\(\)\s*\{|&\s*$", script.text, re.MULTILINE):
            continue
        # What a sourced file defines may be a function, which cannot be executed.
        may_be_function = "/" not in found.program.text and any(
            call.name in (".", "source", "eval") for call in script.calls
        )
        start = found.run.command.start
        yield found.hit(
            f"a shell stays between the engine and `{found.name}`: signals, such as Slurm's before the time is up, do "
            "not reach it",
            f"write: exec {found.name} …",
            edits=() if may_be_function else script.edit(start, start, "exec "),
        )


def _last_program(script: ScriptView) -> Call | None:
    """The program that ends the script, where it stands on a line of its own."""
    lines = script.reading.script.lines
    if script.interpreter not in ("sh", "bash", "dash", "ash") or script.reading.faults or not lines:
        return None
    last = lines[-1]
    pipeline = last.pipelines[-1]
    command = pipeline.commands[-1]
    if len(last.pipelines) != 1 or len(pipeline.commands) != 1 or last.terminator == "&" or pipeline.negated:
        return None
    if not isinstance(command, Simple) or command.assignments or not command.words or command.words[0].literal is None:
        return None
    calls = [call for call in script.calls if call.run.command == command]
    if len(calls) != 1 or calls[0].wrappers or calls[0].name in _PRINTS | _QUIET | _NO_PROGRAMS:
        return None
    return None if calls[0].texts in (("--version",), ("--help",)) else calls[0]


_HIDERS = frozenset(("true", ":", "echo", "printf"))


def _hidden_failures(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        for call, following in pairwise(script.calls):
            if following.run.operator != "||" or following.name not in _HIDERS or following.run.start < call.run.end:
                continue
            one = action(call)
            installs_it = (one is not None and one.installs) or (call.name == "make" and "install" in call.texts)
            if installs_it or call.name == "wget" or (call.name == "git" and "clone" in call.texts):
                yield call.hit(
                    f"`|| {following.name}` hides it when this fails: the build ends well, and the image lacks "
                    "something",
                    "leave it out: `%post` stops at the first command that fails",
                )


RULES: tuple[Rule, ...] = (
    Rule(
        id="failure-hidden",
        family="shell",
        level="warning",
        title="A failed installation is hidden",
        reason="`%post` stops at the first command that fails, so that an image is whole or is not there. Behind "
        "`|| true` an installation may fail, today or when a mirror is down, and nobody sees it before the "
        "program is missing.",
        remedy="Leave `|| true` out. What may be missing is better asked for: `if command -v NAME; then …`.",
        bad=post("apt-get update\napt-get install -y --no-install-recommends gcc || true\nrm -rf /var/lib/apt/lists/*"),
        good=post("apt-get update\napt-get install -y --no-install-recommends gcc\nrm -rf /var/lib/apt/lists/*"),
        look=_hidden_failures,
    ),
    Rule(
        id="shell-syntax",
        family="shell",
        level="error",
        title="No shell can read the section",
        reason="A quote, a parenthesis or a word such as `fi` is missing or too much. The build, or the image's "
        "start, ends there.",
        remedy="The message says what is not closed or not expected; mostly the fault is a quote some lines above.",
        bad=post("if true; then\n    echo yes"),
        good=post("if true; then\n    echo yes\nfi"),
        look=_syntax,
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
        title="yum, dnf or zypper asks, and nobody answers",
        reason="Without `-y` they ask whether to go on, take no answer for a no, and the build fails.",
        remedy="Write `-y` behind the verb.",
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
        id="dockerfile-word",
        family="shell",
        level="error",
        title="A Dockerfile's instruction stands in a script",
        reason="The shell looks for a program of that name, finds none, and the build ends.",
        remedy="`RUN` is the line without the word; `COPY` is `%files`, `ENV` is `%environment`, `WORKDIR` is `cd`.",
        bad=post("RUN echo hello"),
        good=post("echo hello"),
        look=_dockerfile,
    ),
    Rule(
        id="rootfs-outside-setup",
        family="shell",
        level="error",
        title="`$APPTAINER_ROOTFS` is used where it is empty",
        reason="The variable names the image's folder on the host, for `%setup` and `%pre`. Elsewhere it is empty, "
        "so that `cp file $APPTAINER_ROOTFS/opt` copies from and to the image itself.",
        remedy="In `%post` leave it out. Files of the host come with `%files`.",
        bad=post("cp /etc/hosts $APPTAINER_ROOTFS/opt/hosts"),
        good=post("cp /etc/hosts /opt/hosts"),
        look=_rootfs,
    ),
    Rule(
        id="variable-only-in-post",
        family="shell",
        level="warning",
        title="A variable of `%post` is used at run time, where it is empty",
        reason="Variables of `%post` end with it, exported or not. `%environment` and `%runscript` run in another "
        "shell, on another day, and find nothing.",
        remedy="Set it in `%environment`, or give it in `%arguments` and write `{{ NAME }}` in both places.",
        bad=file(UBUNTU, post="APP=/opt/app-1.2\nmkdir -p $APP", environment="export PATH=$APP/bin:$PATH"),
        good=file(
            UBUNTU,
            post="APP=/opt/app-1.2\nmkdir -p $APP",
            environment="export APP=/opt/app-1.2\nexport PATH=$APP/bin:$PATH",
        ),
        look=_only_in_post,
    ),
    Rule(
        id="bash-in-sh",
        family="shell",
        level="warning",
        title="The script needs bash, and runs under /bin/sh",
        reason="`%post` and `%runscript` run under /bin/sh unless the file says otherwise; a `#!` line in `%post` "
        "is only a comment. On Debian and Ubuntu /bin/sh is dash: `source` is not found, `[[` is no test, "
        "`{a,b}` is a name, and `&>` starts a process in the background.",
        remedy="Say `%post -c /bin/bash`, or `#!/bin/bash` directly below `%runscript`. Or write what every shell "
        "knows: `.` for `source`, `[ a = b ]` for `[[ a == b ]]`, `>file 2>&1` for `&>file`.",
        bad=post("source /etc/os-release\necho $VERSION_CODENAME"),
        good="Bootstrap: docker\nFrom: ubuntu:24.04\n\n%post -c /bin/bash\n"
        "    source /etc/os-release\n    echo $VERSION_CODENAME\n",
        look=_bash_in_sh,
    ),
    Rule(
        id="environment-not-exported",
        family="shell",
        level="warning",
        title="A variable of `%environment` is not exported",
        reason="Without `export` it is the shell's own: no program sees it, unless the host or the base happens to "
        "export a variable of that name.",
        remedy="Write `export` before it.",
        bad=file(UBUNTU, environment="OMP_NUM_THREADS=1"),
        good=file(UBUNTU, environment="export OMP_NUM_THREADS=1"),
        look=_not_exported,
        fixes=True,
    ),
    Rule(
        id="environment-runs-programs",
        family="shell",
        level="warning",
        title="`%environment` runs programs",
        reason="It is read at every start of the image: by each rank of a job, by each `exec`. What it prints goes "
        "into the output of every command, what it waits for everybody waits for, and what fails there "
        "fails everywhere. Engines that know only variables (podman-hpc, Shifter, Docker) do not run it at "
        "all.",
        remedy="Keep to `export NAME=value`. Compute values in `%post` and write them down there; print in "
        "`%runscript`.",
        bad=file(UBUNTU, environment="export LC_ALL=C.UTF-8\necho welcome"),
        good=file(UBUNTU, environment="export LC_ALL=C.UTF-8", runscript='echo welcome\nexec bash "$@"'),
        look=_environment_runs,
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
        id="runscript-drops-arguments",
        family="shell",
        level="warning",
        title="`%runscript` does not pass its arguments on",
        reason="People type `run IMAGE --help` or `./IMAGE input.dat` and get the same run as without.",
        remedy='Write `"$@"` behind the program.',
        bad=file(UBUNTU, runscript="exec python3 /opt/app/main.py"),
        good=file(UBUNTU, runscript='exec python3 /opt/app/main.py "$@"'),
        look=_drops_arguments,
    ),
    Rule(
        id="runscript-unquoted-arguments",
        family="shell",
        level="warning",
        title="Arguments with blanks are broken into pieces",
        reason="`$@` without quotes, and `$*`, are split at blanks, and patterns in them are expanded: a file `my "
        "data.csv` becomes two.",
        remedy='Write `"$@"`, with the quotes.',
        bad=file(UBUNTU, runscript="exec python3 /opt/app/main.py $@"),
        good=file(UBUNTU, runscript='exec python3 /opt/app/main.py "$@"'),
        look=_unquoted_arguments,
        fixes=True,
    ),
    Rule(
        id="bash-in-environment",
        family="shell",
        level="note",
        title="`%environment` needs bash",
        reason="Apptainer reads it with a shell of its own that knows much of bash; other engines, and older ones, "
        "with the image's /bin/sh.",
        remedy="Write assignments alone: `export NAME=value`, with `.` for `source`.",
        bad=file(UBUNTU, environment="source /opt/app/env.sh"),
        good=file(UBUNTU, environment=". /opt/app/env.sh"),
        look=_bash_in_environment,
    ),
    Rule(
        id="runscript-without-exec",
        family="shell",
        level="note",
        title="`%runscript` starts its program without `exec`",
        reason="A shell stays as its parent. A batch system's signal before the end of the time goes to that "
        "shell, and the program cannot save its work.",
        remedy="Write `exec` before the last command.",
        bad=file(UBUNTU, runscript='python3 /opt/app/main.py "$@"'),
        good=file(UBUNTU, runscript='exec python3 /opt/app/main.py "$@"'),
        look=_without_exec,
        fixes=True,
    ),
)

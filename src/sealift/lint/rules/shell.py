"""Shell: what no shell reads, or the one that runs it does not know."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator

from sealift.deffile.vocabulary import dockerfile_word
from sealift.lint.bashisms import bashisms
from sealift.lint.examples import UBUNTU, file, post
from sealift.lint.recipe import (
    BUILD_SCRIPTS,
    ENVIRONMENT_SCRIPTS,
    HOST_SCRIPTS,
    RUN_SCRIPTS,
    TEST_SCRIPTS,
    Recipe,
    ScriptView,
)
from sealift.lint.values import Hit, Rule
from sealift.shell.values import Function, Parameter, Simple
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
        found = [
            one
            for one in bashisms(script.reading.script, ash=distribution == "alpine")
            # Of `source activate`, the rule for conda says what to write instead.
            if distribution != "debian" or not re.match(r"source\s+activate\b", script.text[one[0] :])
        ]
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


_POSITIONAL = frozenset(("@", "*", "#", *"123456789"))


def _filled_too_early(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        if re.search(r"\bset\s+--|\bshift\b", script.text):
            continue
        functions = [(one.start, one.end) for one in commands(script.reading.script) if isinstance(one, Function)]
        for command in commands(script.reading.script):
            if not isinstance(command, Simple) or not command.words:
                continue
            if any(start <= command.start < end for start, end in functions):
                continue
            name = command.words[0].literal
            texts = [one.document.body for one in command.redirects if one.document] if name in ("cat", "tee") else []
            if name in ("echo", "printf") and any(one.operator in (">", ">>", ">|") for one in command.redirects):
                texts = list(command.words[1:])
            found = [
                part
                for word in texts
                for part in word.parts
                if isinstance(part, Parameter) and part.name in _POSITIONAL and part.quote == '"' and not part.operator
            ]
            if found:
                first = found[0]
                yield script.hit(
                    first.start,
                    first.end,
                    f"`${first.name}` is filled while the image is built, and empty: the file does not hold it",
                    f"write: \\${first.name}",
                    "or put quotes around the here-document's mark: <<'EOF'",
                    edits=tuple(edit for one in found for edit in script.edit(one.start, one.start, "\\")),
                )


_BLANKS_BEHIND = re.compile(r"(?<!\\)(?:\\\\)*\\([ \t]+)\n")


def _continued(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts(*_ALL):
        if script.interpreter not in ("sh", "bash", "dash", "ash"):
            continue
        found = [(match.start(1) - 1, match) for match in _BLANKS_BEHIND.finditer(script.text)]
        if not found:
            continue
        texts = sorted(_texts(script))
        starts = [start for start, _ in texts]
        for place, match in found:
            row = bisect.bisect_right(starts, place) - 1
            if row >= 0 and place < texts[row][1]:
                continue
            yield script.hit(
                place,
                match.end(1),
                "a blank stands behind the backslash: the command ends here, and the next line is one of its own",
                "end the line with the backslash",
                edits=script.edit(match.start(1), match.end(1), ""),
            )


def _texts(script: ScriptView) -> Iterator[tuple[int, int]]:
    """Places where the end of a line means nothing: comments, here-documents and what stands in quotes."""
    for piece in script.reading.pieces:
        if piece.kind in ("comment", "here-document"):
            yield piece.start, piece.end
    for command in commands(script.reading.script):
        for word in words(command):
            for part in word.parts:
                if getattr(part, "quote", "") in ("'", '"'):
                    yield part.start, part.end


def _dockerfile(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall", "setup", "runscript", "test"):
        for call in script.calls:
            place = dockerfile_word(call.name)
            if place is not None and call.program.text == call.name and not call.run.is_inner:
                yield call.hit(
                    f"`{call.name}` is a word of Dockerfiles, and no command",
                    f"a definition file has for it {place}",
                )


_HOST_NAMES = frozenset(
    ("HOME", "USER", "PATH", "PWD", "OLDPWD", "SHELL", "TERM", "LANG", "LC_ALL", "TMPDIR", "TMP", "TEMP", "HOSTNAME",
     "LOGNAME", "DISPLAY", "LD_LIBRARY_PATH", "PYTHONPATH", "MANPATH", "SCRATCH", "PSCRATCH", "CFS", "WORK", "EDITOR",
     "PS1", "IFS", "UID", "EUID", "RANDOM", "PKG_CONFIG_PATH", "CPATH", "LIBRARY_PATH", "CUDA_HOME", "INFOPATH",
     "LD_PRELOAD", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "OMP_NUM_THREADS",
     "CUDA_VISIBLE_DEVICES", "PERL5LIB", "JAVA_HOME", "CONDA_PREFIX", "TZ", "DEBIAN_FRONTEND", "CC", "CXX", "FC",
     "CFLAGS", "CXXFLAGS", "LDFLAGS", "SINGULARITY_NAME", "APPTAINER_NAME", "SINGULARITY_CONTAINER",
     "APPTAINER_CONTAINER", "DOTNET_ROOT", "R_LIBS", "R_LIBS_USER", "CMAKE_PREFIX_PATH", "CLASSPATH")
)  # fmt: skip


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


RULES: tuple[Rule, ...] = (
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
        id="blank-behind-backslash",
        family="shell",
        level="error",
        title="A blank stands behind the backslash that continues a line",
        reason="A backslash continues a line only where it is the line's last character. With a blank behind it, the "
        "command ends there with a lone blank as its last argument, and the next line is run as a command: mostly one "
        "that is not found.",
        remedy="Remove the blanks at the end of the line.",
        bad=post("cp /etc/hosts \\ \n    /opt/hosts"),
        good=post("cp /etc/hosts \\\n    /opt/hosts"),
        look=_continued,
        fixes=True,
    ),
    Rule(
        id="argument-filled-early",
        family="shell",
        level="warning",
        title="A script that `%post` writes loses its `$@` or `$1`",
        reason="Without quotes around the here-document's mark, and in double quotes of `echo`, the shell of `%post` "
        "fills in `$@` and `$1` when it writes the file. `%post` has no arguments, so that nothing is left of them, "
        "and the written script runs without its own.",
        remedy="Write `<<'EOF'`, or a backslash before the dollar: `\\$@`.",
        bad=post('echo "exec python3 /opt/app/main.py $@" > /usr/local/bin/app'),
        good=post('echo "exec python3 /opt/app/main.py \\$@" > /usr/local/bin/app'),
        look=_filled_too_early,
        fixes=True,
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
)

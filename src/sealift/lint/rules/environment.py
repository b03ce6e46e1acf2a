"""`%environment`: what is set for whoever runs the image, by whatever shell reads it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from sealift.deffile.characters import short
from sealift.lint.bases import Base
from sealift.lint.bashisms import bashisms
from sealift.lint.calls import OF_SHELL
from sealift.lint.examples import UBUNTU, file, post
from sealift.lint.recipe import ENVIRONMENT_SCRIPTS, RUN_SCRIPTS, TEST_SCRIPTS, Recipe
from sealift.lint.values import Hit, Rule
from sealift.shell.follow import UNKNOWN
from sealift.shell.values import Parameter, Simple, Substitution, Word
from sealift.shell.walk import commands, words

_BETTER_UNEXPORTED = frozenset(("PATH", "HOME", "PS1", "IFS", "DEBIAN_FRONTEND"))
"""Names that are exported anyway, are the shell's own, or had better not be there at all."""


def _not_exported(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts(*ENVIRONMENT_SCRIPTS):
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


def _environment_runs(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("environment"):
        seen: set[str] = set()
        for call in script.calls:
            if call.name in OF_SHELL or call.name in seen or UNKNOWN in call.name or call.run.is_inner:
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


def _bash_in_environment(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts(*ENVIRONMENT_SCRIPTS):
        if any(not one.warning for one in script.reading.faults):
            continue
        found = list(bashisms(script.reading.script))
        if found:
            start, end, what = found[0]
            yield script.hit(
                start,
                start + min(end - start, 200),
                f"`{script.shown}` is read by the plain shell of whatever engine runs the image, which need not "
                f"know {what}",
                "write assignments alone: export NAME=value",
            )


def _path_overwritten(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts(*ENVIRONMENT_SCRIPTS):
        for start, end, word in script.assigned("PATH"):
            text = script.text[word.start : word.end].strip("\"'").removeprefix("PATH=") if word is not None else ""
            if _mentions(word, "PATH"):
                continue
            write = f"write: export PATH={text.strip(chr(34))}:$PATH"
            if not re.search(r"\bPATH=\S*/usr/bin\b", script.text):
                yield script.hit(
                    start, end, "this `PATH` leaves out the image's own: `ls`, `env` and the rest are not found", write
                )
            elif _folder_of(script.stage.base) and _folder_of(script.stage.base) not in text:
                message = f"this `PATH` leaves out `{_folder_of(script.stage.base)}`, which the base put there"
                yield script.hit(start, end, message, write, level="note")
            break


def _folder_of(base: Base) -> str:
    """What the base has on its path for what it is for, as far as its name tells."""
    if base.is_cuda:
        return "/usr/local/cuda/bin"
    if re.search(r"conda|mamba", base.name):
        return "/opt/conda/bin"
    return "/usr/local/bin" if base.is_official else ""


def _library_path_overwritten(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("environment"):
        seen = False
        for start, end, word in script.assigned("LD_LIBRARY_PATH"):
            if not seen and word is not None and not _mentions(word, "LD_LIBRARY_PATH") and word.parts:
                yield script.hit(
                    start,
                    end,
                    "this `LD_LIBRARY_PATH` leaves out what the base, the engine or the site put there",
                    "keep it: export LD_LIBRARY_PATH=/opt/app/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}",
                )
            seen = True


def _mentions(word: Word | None, name: str) -> bool:
    for part in word.parts if word is not None else ():
        if isinstance(part, Parameter) and (part.name == name or _mentions(part.argument, name)):
            return True
        if isinstance(part, Substitution):
            return True  # what a command gives is not known
    return False


def _in_tmp(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("environment", "runscript", "startscript"):
        for command in commands(script.reading.script):
            if not isinstance(command, Simple):
                continue
            values = [(one.start, one.end, one.value, one.name) for one in command.assignments]
            if command.words and command.words[0].literal == "export":
                values += [
                    (word.start, word.end, word, script.text[word.start : word.end].partition("=")[0])
                    for word in command.words[1:]
                ]
            for start, end, word, name in values:
                text = script.text[word.start : word.end] if word is not None else ""
                if name in ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH") and re.search(r"(^|[:=\"'])/(var/)?tmp/\w", text):
                    yield script.hit(
                        start,
                        end,
                        "when the image runs, the host's own /tmp lies over this one",
                        "install below /opt",
                    )


def _relative(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts(*ENVIRONMENT_SCRIPTS):
        for name in ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH"):
            for start, end, word in script.assigned(name):
                text = script.text[word.start : word.end] if word is not None else ""
                value = text.removeprefix(f"{name}=").strip("\"'")
                folder = next((one for one in value.split(":") if re.match(r"\.?\w[\w.-]*/|\.{1,2}(/|$)", one)), "")
                if folder:
                    yield script.hit(
                        start,
                        end,
                        f"`{short(folder)}` is sought below the folder in which somebody happens to be",
                        f"write the whole path: /{short(folder.lstrip('./'))}",
                    )


_FOR_BUILDING = re.compile(r"cmake|spack|devtoolset|gcc|rust|cargo|/go/|maven|gradle|ninja|node|flang|llvm|nvcc|bazel")


def _is_of_base(folder: str, base: Base) -> bool:
    """May the base have it on its path already?"""
    return folder == _folder_of(base) or (
        not base.is_official and re.match(r"/opt/(conda|micromamba)/bin|/usr/local/(cuda|nvidia)", folder) is not None
    )


def _path_lost(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    if stage is None or re.search(
        r"(SINGULARITY|APPTAINER)_ENVIRONMENT|bashrc|profile|\.singularity\.d/env|/environment\b", stage.build_text
    ):
        return
    later = list(stage.scripts("environment", "appenv", *RUN_SCRIPTS, *TEST_SCRIPTS))
    text = "\n".join(script.text for script in later)
    if re.search(r"\bPATH=|activate|\bsource\b|^\s*\.\s", text, re.MULTILINE):
        return
    named = {run.name for script in later for run in script.runs if run.fields and not run.is_inner}
    for script in stage.scripts("post"):
        for run in script.runs:
            value = next((one.text for one in run.fields[1:] if one.text.startswith("PATH=")), "")
            if run.name != "export" or not value or run.is_inner:
                continue
            for folder in value.removeprefix("PATH=").split(":"):
                if not folder.startswith(("/opt/", "/usr/local/")) or folder.startswith("/usr/local/bin"):
                    continue
                words = set(re.split(r"[/_-]", folder))
                building = _FOR_BUILDING.search(folder + "/") is not None
                if UNKNOWN in folder or folder in text or _is_of_base(folder, stage.base) or not named:
                    continue
                if not (words & named or not building):
                    continue
                yield script.hit(
                    run.start,
                    run.end,
                    f"`{folder}` is on the path while `%post` runs, and not when the image does",
                    f"write to `%environment`: export PATH={folder}:$PATH",
                )
                return


_WITHOUT_LOCALES = frozenset(
    ("ubuntu", "debian", "python", "gcc", "golang", "node", "rust", "perl", "julia", "nvidia/cuda")
)
"""Bases of Debian and Ubuntu that have the locales `C`, `C.UTF-8` and `POSIX` alone."""


def _locale_missing(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    if stage is None or stage.base.name not in _WITHOUT_LOCALES or stage.distribution != "debian":
        return
    if re.search(r"locale|language-pack|conda|mamba", stage.build_text):
        return
    for script in stage.scripts(*ENVIRONMENT_SCRIPTS, *RUN_SCRIPTS):
        for name in ("LC_ALL", "LANG", "LC_CTYPE"):
            for start, end, word in script.assigned(name):
                text = script.text[word.start : word.end] if word is not None else ""
                found = re.search(r"\b[a-z]{2}_[A-Z]{2}(\.[A-Za-z0-9-]+)?", text)
                if found:
                    yield script.hit(
                        start,
                        end,
                        f"the base has no locale `{found[0]}`, and `%post` does not make it",
                        f"write: export {name}=C.UTF-8",
                        f"or make it in `%post`: apt-get install -y locales && localedef -i "
                        f"{found[0].partition('.')[0]} -f UTF-8 {found[0].partition('.')[0]}.UTF-8",
                    )
                    return


def _frontend_kept(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("environment"):
        for run in script.runs:
            names = [one.text.partition("=")[0] for one in run.fields[1:]]
            if "DEBIAN_FRONTEND" in names and run.name == "export":
                yield script.hit(
                    run.start,
                    run.end,
                    "`DEBIAN_FRONTEND` is for the build; here it silences every installer that somebody runs in the "
                    "image",
                    "move it to the top of `%post`",
                )


def _profile(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        seen: set[str] = set()
        later = "\n".join(one.text for one in script.stage.scripts("environment", *RUN_SCRIPTS, *TEST_SCRIPTS))
        if re.search(r"\b(bash|sh|zsh)\s+(-\w*l|--login|-\w*i\b|--rcfile|--init-file)", later):
            continue  # such a shell reads them
        for run in script.runs:
            targets = [
                redirect.target.literal or script.text[redirect.target.start : redirect.target.end]
                for redirect in run.command.redirects
                if redirect.operator in (">", ">>")
            ]
            if run.name == "tee":
                targets += [one.text for one in run.fields[1:] if not one.text.startswith("-")]
            for target in targets:
                found = re.search(
                    r"(?:(?:~|\$HOME|\$\{HOME\}|/root|/etc/skel)/(?:\.bashrc|\.bash_profile|\.profile|\.zshrc|\.bash_aliases|\.login|\.cshrc)"
                    r"|/etc/(?:profile|bash\.bashrc|bashrc|environment)|/etc/profile\.d/\S+)$",
                    target.strip("\"'"),
                )
                if found and found[0] not in seen and posixpath.basename(found[0]) not in later:
                    seen.add(found[0])
                    yield script.hit(
                        run.start,
                        run.end,
                        f"`{found[0]}` is read by shells that one logs in to or types at, not by `exec` and `run`",
                        "write it to `%environment`, or behind: >> $APPTAINER_ENVIRONMENT",
                    )
        for call in script.calls:
            starts = call.texts[:1] == ("init",) or call.texts[:2] == ("shell", "init")
            if call.name in ("conda", "mamba", "micromamba") and starts:
                yield call.hit(
                    f"`{call.name} init` writes to root's .bashrc, which nobody reads when the image runs",
                    "put its programs on the path: export PATH=/opt/conda/bin:$PATH in `%environment`",
                )


def _old_environment(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        for run in script.runs:
            targets = [
                redirect.target.literal for redirect in run.command.redirects if redirect.operator in (">", ">>")
            ]
            if run.name == "tee":
                targets += [one.text for one in run.fields[1:]]
            if "/environment" in targets:
                yield script.hit(
                    run.start,
                    run.end,
                    "`/environment` is of Singularity 2: what is written there today has no effect in new images",
                    "write it to `%environment`, or behind: >> $APPTAINER_ENVIRONMENT",
                )
                break


RULES: tuple[Rule, ...] = (
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
        id="profile-written",
        family="portability",
        level="warning",
        title="A login shell's file is written",
        reason="`~/.bashrc`, `/etc/profile` and their like are read by shells that people log in to. `exec`, `run` "
        "and batch jobs start programs without one. /root's files are not even seen.",
        remedy="Write variables to `%environment`. What only `%post` knows, append to the file that "
        "`$APPTAINER_ENVIRONMENT` names.",
        bad=post("echo 'export PATH=/opt/app/bin:$PATH' >> ~/.bashrc"),
        good=file(UBUNTU, environment="export PATH=/opt/app/bin:$PATH"),
        look=_profile,
    ),
    Rule(
        id="environment-file-of-singularity-2",
        family="portability",
        level="warning",
        title="`/environment` is written",
        reason="Singularity 2 read that file. Today the environment is made of the files below "
        "`/.singularity.d/env`, and `/environment` is a link to one of them that the build writes itself.",
        remedy="Write it to `%environment`; from `%post`, append to the file that `$APPTAINER_ENVIRONMENT` names.",
        bad=post("echo 'export A=1' >> /environment"),
        good=post("echo 'export A=1' >> $APPTAINER_ENVIRONMENT"),
        look=_old_environment,
    ),
    Rule(
        id="environment-overwrites-path",
        family="portability",
        level="error",
        title="`PATH` is overwritten in `%environment`",
        reason="Without the image's own folders nothing is found, not even `ls`; a base's own, such as "
        "/usr/local/cuda/bin or /opt/conda/bin, are lost as well.",
        remedy="Write `:$PATH` behind your own folders.",
        bad=file(UBUNTU, environment="export PATH=/opt/app/bin"),
        good=file(UBUNTU, environment="export PATH=/opt/app/bin:$PATH"),
        look=_path_overwritten,
    ),
    Rule(
        id="path-is-relative",
        family="portability",
        level="warning",
        title="A folder on the path has no `/` before it",
        reason="A name without a leading `/` is sought below the folder in which somebody happens to be when the image "
        "runs: the programs are found in one folder and not in the next, or others of the same name are run.",
        remedy="Write the whole path, from `/` on.",
        bad=file(UBUNTU, environment="export PATH=opt/app/bin:$PATH"),
        good=file(UBUNTU, environment="export PATH=/opt/app/bin:$PATH"),
        look=_relative,
    ),
    Rule(
        id="path-only-in-post",
        family="portability",
        level="warning",
        title="A folder is added to the path in `%post` alone",
        reason="What `%post` exports ends with it. When the image runs, the programs in that folder are not found by "
        "their names.",
        remedy="Write the folder to `%environment`: `export PATH=/opt/app/bin:$PATH`. Where it is only for building, "
        "ignore the rule.",
        bad=file(
            UBUNTU,
            post="mkdir -p /opt/app/bin\nexport PATH=/opt/app/bin:$PATH",
            runscript='exec app "$@"',
        ),
        good=file(
            UBUNTU,
            post="mkdir -p /opt/app/bin",
            environment="export PATH=/opt/app/bin:$PATH",
            runscript='exec app "$@"',
        ),
        look=_path_lost,
    ),
    Rule(
        id="locale-missing",
        family="portability",
        level="warning",
        title="The environment names a locale that the image does not have",
        reason="Images of Debian and Ubuntu have `C.UTF-8` and no language's own locale. With one that is missing, "
        "perl and R complain at each start, C programs fall back to ASCII, and some Python programs stop.",
        remedy="Write `C.UTF-8`, which is always there. Where a language's own rules are needed, install `locales` "
        "and make it with `localedef`.",
        bad=file(UBUNTU, environment="export LC_ALL=en_US.UTF-8"),
        good=file(UBUNTU, environment="export LC_ALL=C.UTF-8"),
        look=_locale_missing,
    ),
    Rule(
        id="path-below-tmp",
        family="portability",
        level="warning",
        title="The environment points below /tmp",
        reason="While the image is built and while it runs, the host's own /tmp lies over the image's.",
        remedy="Install below /opt.",
        bad=file(UBUNTU, environment="export PATH=/tmp/app/bin:$PATH"),
        good=file(UBUNTU, environment="export PATH=/opt/app/bin:$PATH"),
        look=_in_tmp,
    ),
    Rule(
        id="environment-overwrites-library-path",
        family="portability",
        level="note",
        title="`LD_LIBRARY_PATH` is overwritten in `%environment`",
        reason="What the base set is lost; so is, under some engines, what the site put there for its MPI and GPU.",
        remedy="Keep what is there: `${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}` behind your own folders. Best do "
        "without: `/etc/ld.so.conf.d` and `ldconfig` in `%post` last.",
        bad=file(UBUNTU, environment="export LD_LIBRARY_PATH=/opt/app/lib"),
        good=file(UBUNTU, environment="export LD_LIBRARY_PATH=/opt/app/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"),
        look=_library_path_overwritten,
    ),
    Rule(
        id="debian-frontend-kept",
        family="portability",
        level="note",
        title="`DEBIAN_FRONTEND` is set in `%environment`",
        reason="It is for the build. In the image it makes each installer silent that somebody runs there.",
        remedy="Move it to the top of `%post`.",
        bad=file(UBUNTU, environment="export DEBIAN_FRONTEND=noninteractive"),
        good=file(UBUNTU, post="export DEBIAN_FRONTEND=noninteractive\necho ok"),
        look=_frontend_kept,
    ),
)

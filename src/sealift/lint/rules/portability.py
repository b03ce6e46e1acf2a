"""Portability: what works here, for this user, on this processor, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.deffile.characters import short
from sealift.lint.examples import UBUNTU, file, post
from sealift.lint.recipe import RUN_SCRIPTS, TEST_SCRIPTS, Recipe
from sealift.lint.tools import downloads
from sealift.lint.values import Hit, Rule
from sealift.shell.follow import UNKNOWN

_HOST_HOME = re.compile(r"^(/(home|Users|root|global|work|mnt|data)/|/scratch|/gpfs|/lustre|/pscratch|/project|/nfs|~)")


def _native(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        for run in script.runs:
            texts = [*run.texts, *(one.value.literal or "" for one in run.command.assignments if one.value is not None)]
            if run.name in ("echo", "printf", "grep"):
                continue
            said = " ".join(texts)
            found = re.search(
                r"(?<![\w-])(-march=native|-mcpu=native|-xHost|-xHOST|-axHost|-tp=(?:host|native)|-fast)(?![\w-])", said
            )
            if found and run.name != "sed":
                if found[1] == "-fast" and run.name not in ("icc", "ifort", "icpc"):
                    continue
                yield script.hit(
                    run.start,
                    run.end,
                    f"`{found[1]}` compiles for the processor that builds: elsewhere the program may end with an "
                    "illegal instruction",
                    "name the processor it is for, as in -march=x86-64-v3 (Perlmutter: -march=znver3)",
                )


def _users(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        for call in script.calls:
            if call.name in ("useradd", "adduser", "groupadd", "addgroup", "usermod") and not call.has("--help"):
                system = call.has("-r", "--system")
                if system or call.run.is_inner:
                    continue
                yield call.hit(
                    f"`{call.name}` makes a user of the image, and who runs it stays who they are",
                    "leave it out: on supercomputers everybody runs images under their own name",
                )
                break


def _host_files(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for copy in stage.host_copies:
            # Of a `~`, `files-expansion` says that it depends on who builds.
            if _HOST_HOME.match(copy.source) and UNKNOWN not in copy.source and not copy.source.startswith("~"):
                yield recipe.hit_at(
                    copy.span,
                    f"`{short(copy.source)}` is a place on your machine: nobody else can build this file",
                    "put it beside the definition file, and write its path from there",
                )


def _no_destination(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for copy in stage.host_copies:
            if (
                copy.source
                and not copy.destination
                and not copy.source.startswith(("/", "~", "$"))
                and copy.source.strip("./*")
                and UNKNOWN not in copy.source
            ):
                name = copy.source.removeprefix("./")
                yield recipe.hit_at(
                    copy.span,
                    f"without a destination `{short(copy.source)}` goes to `/{short(name)}`, at the root of the image",
                    f"say where it belongs: {short(copy.source)} /opt/{short(name)}",
                )


def _local_base(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        source = stage.stage.source
        if stage.stage.bootstrap in ("localimage", "docker-archive", "oci-archive", "oci") and _HOST_HOME.match(source):
            if UNKNOWN in source:
                continue
            yield stage.hit_header(
                "from",
                f"`{short(source)}` is a place on your machine: nobody else can build this file",
                "push the image to a registry and name it there, or put it beside the definition file",
            )


def _modules(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        if re.search(
            r"(?i)lmod|environment-modules|modulecmd|modules\.sh|/init/(ba)?sh|module\s*\(\)|spack", recipe.text
        ):
            return
        for script in stage.scripts("post", "appinstall", *RUN_SCRIPTS, *TEST_SCRIPTS):
            for call in script.calls:
                if call.name in ("module", "ml") and call.texts[:1] in (
                    ("load",),
                    ("use",),
                    ("swap",),
                    ("add",),
                    ("purge",),
                ):
                    yield call.hit(
                        f"`{call.name} {call.texts[0]}`: the host's modules are not in the image",
                        "install what the module brings, or load it on the host and bind its folder",
                    )
                    break


def _other_architecture(recipe: Recipe) -> Iterator[Hit]:
    site = recipe.facts.get("node.architecture", "")
    other = {"arm64": r"x86[_-]64|amd64|linux64|linux-64|x64", "amd64": r"aarch64|arm64"}.get(site)
    if other is None:
        return
    for stage in recipe.stages:
        for one in downloads(stage.calls):
            found = re.search(rf"(?<![a-z0-9])({other})(?![a-z0-9])", one.url.lower())
            if found and one.call.run.certain:
                yield one.call.hit_field(
                    one.field,
                    f"this is for {found[1]}, and the nodes of {recipe.site[0]} are {site}",
                    "take the file for the processor that builds: $(uname -m)",
                )


RULES: tuple[Rule, ...] = (
    Rule(
        id="module-in-image",
        family="portability",
        level="warning",
        title="The host's modules are loaded in the image",
        reason="`module` is a function of the host's shells, and what it loads lies in folders of the host. In the "
        "image there is neither.",
        remedy="Install in `%post` what the module would bring. Where a site's own library must be used, load the "
        "module on the host and bind its folder.",
        bad=file(UBUNTU, runscript='module load cray-fftw\nexec /opt/app/main "$@"'),
        good=file(UBUNTU, runscript='exec /opt/app/main "$@"'),
        look=_modules,
    ),
    Rule(
        id="architecture-of-another-site",
        family="portability",
        level="error",
        title="A download is for another processor than the site's",
        reason="The nodes of some sites are of Arm (GH200, Grace), those of others x86-64. A program for the other "
        "one ends with `Exec format error`.",
        remedy="Take the file that `uname -m` names, so that the recipe builds on both; build for the site with "
        "`sealift build --arch`.",
        bad=post("curl -fsSL -o /tmp/app.sh https://example.org/app-1.0-linux-x86_64.sh"),
        good=post('curl -fsSL -o /tmp/app.sh "https://example.org/app-1.0-linux-$(uname -m).sh"'),
        look=_other_architecture,
        site="any",
        facts={"node.architecture": "arm64"},
    ),
    Rule(
        id="native-processor",
        family="portability",
        level="warning",
        title="The program is compiled for the processor that builds",
        reason="`-march=native` takes every instruction that the building machine has. On another one the program "
        "ends with `Illegal instruction`, perhaps only on some nodes; built twice on two machines, it is "
        "not the same.",
        remedy="Name the processor that it is for: `-march=x86-64-v3` for all of the last ten years, "
        "`-march=znver3` for Perlmutter, LUMI and Frontier, `-mcpu=neoverse-v2` for Grace.",
        bad=post("gcc -O3 -march=native -o /usr/local/bin/app app.c"),
        good=post("gcc -O3 -march=x86-64-v3 -o /usr/local/bin/app app.c"),
        look=_native,
    ),
    Rule(
        id="files-from-your-machine",
        family="portability",
        level="warning",
        title="`%files` names a place on your machine",
        reason="The file can be built in your account on this machine alone.",
        remedy="Put the files beside the definition file, and write paths from there.",
        bad=file(UBUNTU, files="/home/me/src/app.py /opt/app.py"),
        good=file(UBUNTU, files="app.py /opt/app.py"),
        look=_host_files,
    ),
    Rule(
        id="base-on-your-machine",
        family="portability",
        level="warning",
        title="The base is a file on your machine",
        reason="Nobody else can build the file, and nobody can tell what the base is.",
        remedy="Push the base to a registry and name it there; or put it beside the definition file.",
        bad=post("echo ok", "Bootstrap: localimage\nFrom: /home/me/images/base.sif\n"),
        good=post("echo ok", "Bootstrap: localimage\nFrom: base.sif\n"),
        look=_local_base,
    ),
    Rule(
        id="user-made",
        family="portability",
        level="note",
        title="A user or a group is made",
        reason="Images of supercomputers run under the name of who starts them, so the made user does nothing. "
        "Where a build has one user ID alone, the files that are given to it cannot keep their owner.",
        remedy="Leave it out, and make files readable for all: `chmod -R a+rX`.",
        bad=post("useradd -m app"),
        good=post("mkdir -p /opt/app"),
        look=_users,
    ),
    Rule(
        id="files-without-destination",
        family="portability",
        level="note",
        title="`%files` says no destination",
        reason="The path is then the same as on the host, from the image's root on: `src/app` becomes `/src/app`.",
        remedy="Write where it belongs behind it.",
        bad=file(UBUNTU, files="src"),
        good=file(UBUNTU, files="src /opt/app/src"),
        look=_no_destination,
    ),
)

"""What Apptainer refuses only when it builds: stages without a header, agents, missing keywords, unknown stages."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from itertools import islice

from sealift.deffile.arguments import has_placeholder
from sealift.deffile.characters import quoted, words
from sealift.deffile.findings import Caution, Fault
from sealift.deffile.headertraps import is_read
from sealift.deffile.values import Definition, FileGroup, Stage
from sealift.deffile.vocabulary import AGENTS, nearest, show_keyword

_FROM_NEEDED = {
    "docker": "ubuntu:24.04",
    "docker-archive": "image.tar",
    "docker-daemon": "name:tag",
    "oci": "layout:tag",
    "oci-archive": "image.tar:tag",
    "localimage": "base.sif",
    "oras": "registry/name:tag",
    "library": "alpine:3.20",
    "shub": "collection/image",
    "buildkit": ".",
    "dockerfile": ".",
}
_REQUIRED = {
    "yum": ("mirrorurl",),
    "dnf": ("mirrorurl",),
    "busybox": ("mirrorurl",),
    "debootstrap": ("osversion",),
}
"""`MirrorURL` of debootstrap is not among them: where it is missing, the host's own mirror is taken."""

_EXAMPLES = {
    ("yum", "mirrorurl"): "http://YOUR-MIRROR/rocky/%{OSVERSION}/BaseOS/x86_64/os/",
    ("dnf", "mirrorurl"): "http://YOUR-MIRROR/rocky/%{OSVERSION}/BaseOS/x86_64/os/",
    ("zypper", "mirrorurl"): "http://YOUR-MIRROR/distribution/leap/%{OSVERSION}/repo/oss/",
    ("busybox", "mirrorurl"): "https://busybox.net/downloads/binaries/1.35.0-x86_64-linux-musl/busybox",
    ("yum", "osversion"): "9",
    ("dnf", "osversion"): "9",
    ("zypper", "osversion"): "15.6",
    ("debootstrap", "osversion"): "bookworm",
    ("zypper", "product"): "SLES",
    ("zypper", "user"): "you@example.org",
    ("zypper", "regcode"): "YOUR-REGISTRATION-CODE",
}
_ENTERPRISE = ("product", "user", "regcode")
"""All of them or none: SUSE Linux Enterprise."""

_OF_THE_IMAGE = ("help", "labels", "runscript", "startscript")

_NAMED = 20
"""So many stages are named at most where one is not found."""

_DISTRIBUTIONS = ("ubuntu", "debian", "centos", "fedora", "alpine", "rockylinux", "almalinux", "opensuse")


def find_build_faults(definition: Definition, *, unsure: Container[int] = ()) -> list[Fault]:
    """The faults that no parser minds, stage by stage.

    `unsure` are the numbers of stages whose header has faults of its own: what it lacks may be there. Nor is anything
    said of values that hold a placeholder without a value.
    """
    faults: list[Fault] = []
    stages = definition.stages
    numbers: dict[str, int] = {}
    for number, stage in enumerate(stages):
        numbers.setdefault(stage.name, number)  # the first stage of a name is the one that is found
    names_known = not any(number in unsure or has_placeholder(stage.name) for number, stage in enumerate(stages))
    for number, stage in enumerate(stages):
        agent = stage.bootstrap
        if agent and agent not in AGENTS and not has_placeholder(agent):
            faults.append(_unknown_agent(stage))
        elif number in unsure:
            pass
        elif stage.header is None:
            faults.append(_no_header(stage, is_last=number == len(stages) - 1))
        elif not agent:
            faults.append(_no_bootstrap(stage, is_last=number == len(stages) - 1))
        else:
            above = stages[number - 1].header or {} if number and not stages[number - 1].bootstrap else {}
            faults += _missing_keys(stage, above)
        for group in stage.files:
            name = group.from_stage
            if name is not None and (name in numbers or (names_known and not has_placeholder(name))):
                faults += _unknown_stage(numbers, number, name, group)
        faults += _app_faults(stage)
        faults += _nul_faults(stage)
        faults += _shell_faults(stage)
    return faults


def find_build_cautions(definition: Definition) -> Iterator[Caution]:
    """Sections of earlier stages that leave no trace in the image, which is the last stage's."""
    for stage in definition.stages[:-1]:
        # A `%test` runs in its own stage, with that stage's environment.
        names = _OF_THE_IMAGE if stage.script("test").spans else (*_OF_THE_IMAGE, "environment")
        for section in stage.sections:
            if section.name in names and section.body.strip():
                yield Caution(
                    id="section-of-earlier-stage",
                    message=f"`%{section.name}` of an earlier stage has no effect: the last stage becomes the image",
                    where=section.span,
                    hints=("move it below the last `Bootstrap:`",),
                )


def _no_header(stage: Stage, *, is_last: bool) -> Fault:
    section = stage.sections[0] if stage.sections else None
    if not is_last and section is not None:
        message = f"`%{section.name}` stands above `Bootstrap:`, so it is a stage of its own, without a header"
        hint = f"move `%{section.name}` below the lines `Bootstrap:` and `From:`"
    else:
        message = "the file has no header"
        hint = "write above the first section: Bootstrap: docker, and on the next line From: ubuntu:24.04"
    return Fault(
        id="no-header",
        message=message,
        apptainer="multiple stages detected, all must have headers",
        where=section.span if section is not None else stage.span,
        hints=(hint,),
    )


def _no_bootstrap(stage: Stage, *, is_last: bool) -> Fault:
    field = stage.field("bootstrap")
    if field is not None:
        message, hint = "`Bootstrap:` has no value", "write: Bootstrap: docker"
    elif not is_last:
        message = "`Bootstrap:` must be the first line of its stage: what stands above it is a stage of its own"
        hint = "put the `Bootstrap:` line first"
    else:
        message, hint = "the header has no `Bootstrap:`", "write as its first line: Bootstrap: docker"
    return Fault(
        id="no-bootstrap",
        message=message,
        apptainer="unable to get conveyorpacker: no bootstrap specification found",
        where=field.span if field else stage.fields[0].span,
        hints=(hint,),
    )


def _unknown_agent(stage: Stage) -> Fault:
    agent = stage.bootstrap
    field = stage.field("bootstrap")
    lowered = agent.lower()
    meant = nearest(lowered, AGENTS)
    if "\r" in agent:
        return Fault(
            id="lone-carriage-returns",
            message="the lines end in lone carriage returns, so that the whole file is one line",
            apptainer=f"unable to get conveyorpacker: invalid build source {agent}",
            where=field.span if field else stage.span,
            hints=(f"convert it: tr '\\r' '\\n' < {quoted(stage.span.file)} > NEW",),
        )
    if lowered in AGENTS:
        hint = f"write it in lower case: Bootstrap: {lowered}"
    elif lowered.partition(":")[0] in _DISTRIBUTIONS:
        hint = f"a distribution is an image: Bootstrap: docker, and From: {lowered}"
    elif meant:
        hint = f"did you mean `{meant}`?"
    else:
        hint = "agents are " + ", ".join(f"`{name}`" for name in AGENTS[:12]) + " and others"
    return Fault(
        id="unknown-agent",
        message=f"unknown bootstrap agent `{agent}`",
        apptainer=f"unable to get conveyorpacker: invalid build source {agent}",
        where=field.span if field else stage.span,
        hints=(hint,),
    )


def _missing_keys(stage: Stage, above: Mapping[str, str]) -> Iterator[Fault]:
    """`above` is the header of a stage that was begun by mistake: what it has is not missed here too."""
    agent = stage.bootstrap
    field = stage.field("bootstrap")
    where = field.span if field else stage.span
    if agent in _FROM_NEEDED and not stage.source and "from" not in above:
        yield Fault(
            id="missing-header-key",
            message=f"`Bootstrap: {agent}` needs `From:`",
            apptainer="conveyor failed to get",
            where=where,
            hints=(f"write: From: {_FROM_NEEDED[agent]}",),
        )
    needed = list(_REQUIRED.get(agent, ()))
    if agent == "zypper":
        enterprise = any(stage.key(key) for key in _ENTERPRISE)
        needed += (*_ENTERPRISE, "osversion") if enterprise else ("mirrorurl",)
    urls = stage.key("mirrorurl") + stage.key("updateurl")
    if agent in ("yum", "dnf", "zypper") and "%{OSVERSION}" in urls.upper():
        needed.append("osversion")
    for key in dict.fromkeys(needed):
        if not stage.key(key) and key not in above:
            yield Fault(
                id="missing-header-key",
                message=f"`Bootstrap: {agent}` needs `{show_keyword(key)}:`",
                apptainer=f"conveyor failed to get: invalid {agent} header, no {show_keyword(key)} specified",
                where=where,
                hints=(f"write: {show_keyword(key)}: {_EXAMPLES[agent, key]}",),
            )
    match = re.match(r"(docker|oras|shub|library|docker-archive|oci|oci-archive)://", stage.source)
    if agent in ("docker", "oras", "shub") and match:
        source = stage.field("from")
        yield Fault(
            id="repeated-agent",
            message=f"`From:` repeats the agent: `{stage.source}`",
            apptainer="conveyor failed to get: could not parse reference",
            where=source.span if source else where,
            hints=(f"write: From: {stage.source[match.end() :]}",),
        )


def _unknown_stage(numbers: Mapping[str, int], number: int, name: str, group: FileGroup) -> Iterator[Fault]:
    found = numbers.get(name)
    if found is None:
        names = [earlier for earlier, row in islice(numbers.items(), _NAMED) if earlier and row < number]
        close = nearest(name, names)
        if close:
            hint = f"did you mean `{close}`?"
        elif names:
            hint = "earlier stages are " + ", ".join(f"`{one}`" for one in names)
        else:
            hint = f"name the earlier stage: Stage: {name}"
        yield Fault(
            id="unknown-stage",
            message=f"stage `{name}` was not found",
            apptainer=f"unable to copy files from stage to container fs: stage {name} was not found",
            where=group.span,
            hints=(hint,),
        )
    elif found >= number and any(copy.source for copy in group.copies):
        yield Fault(
            id="later-stage",
            message=f"stage `{name}` is not built yet where its files are wanted",
            apptainer="while copying",
            where=group.span,
            hints=("only stages that stand above can give files; move that stage up",),
        )


def _app_faults(stage: Stage) -> Iterator[Fault]:
    for app in stage.apps:
        if not app.name:
            section, span = next(iter(app.spans.items()))
            yield Fault(
                id="app-without-name",
                message=f"two spaces follow `%{section}`, so that the app has no name",
                apptainer="Unable to create apps: No BuildApp record for app ",
                where=span,
                hints=(f"write one space: %{section} NAME",),
            )


def _nul_faults(stage: Stage) -> Iterator[Fault]:
    """NUL characters where the system is given a path, an address or an argument, none of which can hold one."""
    places = [field.span for field in stage.fields if "\0" in field.value and is_read(stage.bootstrap, field.key)]
    for group in stage.files:
        for copy in group.copies if not group.is_ignored else ():
            # A shell expands the host's sources, and drops the character.
            if "\0" in copy.destination or ("\0" in copy.source and not group.from_host):
                places.append(copy.span)
    scripts = [stage.script(name) for name in ("pre", "setup", "post")]
    places += [one.spans[-1] for one in scripts if one.text and "\0" in one.arguments.split("#")[0]]
    places += [next(iter(app.spans.values())) for app in stage.apps if "\0" in app.name]
    for place in places:
        yield Fault(
            id="nul-character",
            message="a NUL character, shown as `\u2400`, can be part of no path, address or argument",
            apptainer="invalid argument",
            where=place,
            hints=(f"remove it: tr -d '\\0' < {quoted(place.file)} > NEW",),
        )


def _shell_faults(stage: Stage) -> Iterator[Fault]:
    for name in ("pre", "setup", "post"):
        script = stage.script(name)
        given = words(script.arguments.split("#")[0])
        if script.text and "-c" in given and given.index("-c") == len(given) - 1:
            yield Fault(
                id="missing-interpreter",
                message=f"`%{name} -c` names no interpreter",
                apptainer=f"while processing section %{name} arguments: bad {name} section '-c' parameter: "
                "missing arguments",
                where=script.spans[-1],
                hints=(f"write: %{name} -c /bin/bash",),
            )

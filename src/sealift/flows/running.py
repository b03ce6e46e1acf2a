"""Runs one script of a section in a sandbox: its environment, its output, and what is said when it fails."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from sealift.core.event import Began, Ended, Said
from sealift.errors import SectionError, TestFailed, ToolError
from sealift.flows.variables import ordered_variables
from sealift.flows.workshop import Workshop
from sealift.sandbox.container import Sandbox
from sealift.sections.plan import RunScript


def run_script(shop: Workshop, sandbox: Sandbox, step: RunScript) -> None:
    """Run `%pre`, `%setup` or `%post`; SectionError when it fails."""
    sandbox.place(step.section, step.text.encode("utf-8", "surrogateescape"))
    env = dict(step.env)
    epoch = shop.request.environment.get("SOURCE_DATE_EPOCH")
    if step.where == "inside":
        env |= ordered_variables(shop.request.environment)
        env |= {"SOURCE_DATE_EPOCH": epoch} if epoch else {}
    run_step(shop, sandbox, step, env)


def run_step(
    shop: Workshop, sandbox: Sandbox, step: RunScript, env: Mapping[str, str], *, read_only: bool = False
) -> None:
    """Run a script with `env`; TestFailed when it is a `%test` that fails, SectionError for all others."""
    name = f"%{step.section}"
    shop.events(Began(task=name, label=name))
    tail: list[bytes] = []

    def take(_stream: str, line: bytes) -> None:
        tail.append(line)
        del tail[:-40]
        shop.events(Said(text=line.decode("utf-8", "replace").rstrip("\n"), level="output"))

    try:
        with shop.watch.measure(name):
            code = sandbox.run(
                step.argv,
                env=env,
                cwd=step.cwd or os.getcwd(),
                inside=step.where == "inside",
                read_only=read_only,
                umask=step.umask,
                on_line=take,
            )
    except ToolError as error:
        raise SectionError(
            f"`{name}` cannot be run: {error.message}",
            section=step.section,
            code=error.code,
            tail="",
            hints=("begin with a base that has a shell",) if step.where == "inside" else (),
        ) from error
    if code == 0:
        shop.events(Ended(task=name, note=f"done in {shop.watch.seconds[name]:.1f} s"))
        return
    shop.events(Ended(task=name, note="failed"))
    if step.section == "test":
        raise TestFailed(
            f"`%test` said no: it ended with {_ending(code)}",
            hints=("look into it without a test: add --notest, then: sealift shell IMAGE",),
        )
    raise SectionError(
        f"`{name}` failed: its script ended with {_ending(code)}",
        section=step.section,
        code=code,
        tail=b"".join(tail).decode("utf-8", "replace"),
        hints=section_hints(tail, code),
    )


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


_SAID = (
    (
        r"(?i)CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "name your site's CA bundle: export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
    ),
    (r"\[Y/n\] Abort\.", "nobody can answer during a build: apt-get install -y PACKAGE"),
    (
        r"E: Unable to locate package|E: Package '.*' has no installation candidate",
        "the package lists of the image may be empty or old: apt-get update && apt-get install -y PACKAGE",
    ),
    (
        r"Temporary failure (in name resolution|resolving)|[Cc]ould not resolve ",
        "a host was not found; behind a proxy: export http_proxy=http://HOST:PORT https_proxy=$http_proxy",
    ),
    (
        r"(?m)^(chown|chgrp|install|tar|rsync|useradd|groupadd|usermod|cp|mv)\b.*: Invalid argument",
        "without root a build has no user and group numbers above those of /etc/subuid: groupadd -g 6000 NAME",
    ),
)
"""What programs say in the output of a script that fails, and what helps."""


def section_hints(tail: Sequence[bytes], code: int) -> tuple[str, ...]:
    """What helps with a script whose last lines are `tail`: its last command, and advice for well-known complaints."""
    text = b"".join(tail).decode("utf-8", "replace")
    commands = [line[2:] for line in text.splitlines() if line.startswith("+ ")]
    hints = []
    if commands:
        hints.append(f"the last command was: {commands[-1]}")
    if code == 127:
        hints.append("127 means that a command was not found in the image")
    hints += [hint for pattern, hint in _SAID if re.search(pattern, text)]
    return tuple(hints)

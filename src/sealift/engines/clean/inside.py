"""What a shell of the image's does in the container before the program: the environment, as Apptainer 1.4 makes it.

Engines that keep images of their own give a program what the image's configuration and the command line set. Under
Apptainer the image's scripts begin with nothing, the caller's orders come behind them, and a variable of the host stays
only where the image has no word on it. This text makes it so, from names and orders that are written into it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from sealift.core.launch import Action
from sealift.engines.environment import KEPT_DURING_SCRIPTS, Voices, is_name, order_lines

SHELLS = ("/bin/bash", "/bin/sh")
"""Apptainer's own shell speaks bash, and so do many recipes."""

_SETTLE = r"""sealift_host="@HOST@"
for sealift_name in $sealift_host; do
    eval "sealift_$sealift_name=\${$sealift_name-}"
    unset "$sealift_name"
done
unset SHLVL PATH PS1 PS2 PS4 @IMAGE@
umask @UMASK@
sealift_fix_path() {
    for sealift_folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
        case ":${PATH-}:" in
        *":$sealift_folder:"*) ;;
        *) PATH="${PATH:+$PATH:}$sealift_folder" ;;
        esac
    done
    export PATH
}
for sealift_script in /.singularity.d/env/*.sh; do
    [ -f "$sealift_script" ] || continue
    case "$sealift_script" in
    */90-environment.sh) [ "${PATH+set}" = set ] || sealift_fix_path ;;
    esac
    . "$sealift_script"
    case "$sealift_script" in
    */10-docker2singularity.sh | */10-docker.sh) sealift_fix_path ;;
    */99-base.sh)
        [ "${PATH+set}" = set ] || sealift_fix_path@ORDERS@
        ;;
    esac
done
unset IFS
set +efu
for sealift_name in $sealift_host; do
    if eval "[ \"\${$sealift_name+set}\" != set ]"; then
        eval "export $sealift_name=\"\$sealift_$sealift_name\""
    elif eval "[ -z \"\$$sealift_name\" ]"; then
        unset "$sealift_name"
    fi
done
"""

_BECOME = r"""IFS= read -r sealift_line <@PROGRAM@
case "$sealift_line" in
"#!"* | *ELF*) exec @PROGRAM@ "$@" ;;
*) exec /bin/sh @PROGRAM@ "$@" ;;
esac"""
"""A script without `#!` is read by /bin/sh, as Apptainer has it; bash would read it itself."""

_STARTED = f"""\
if [ ! -x @PROGRAM@ ]; then
    echo @MISSING@ >&2
    exit 1
fi
{_BECOME}"""

_TESTED = f"""\
if [ ! -x @PROGRAM@ ]; then
    echo "No test found in container, executing /bin/sh -c true"
    exit 0
fi
{_BECOME}"""

_SHELL = """\
if [ -x /bin/bash ]; then
    export SHELL=/bin/bash
    exec /bin/bash --norc "$@"
fi
export SHELL=/bin/sh
exec /bin/sh "$@\""""


def script(action: Action, *, voices: Voices, variables: Iterable[str], umask: int, app: str = "") -> str:
    """The text for `sh -c`. `variables` are those that the image's configuration gives; the host's are in `voices`."""
    host = [name for name in voices.host if is_name(name) and name not in KEPT_DURING_SCRIPTS]
    given = [name for name in variables if is_name(name) and name not in {*KEPT_DURING_SCRIPTS, "PATH", *host}]
    settle = _filled(
        _SETTLE,
        HOST=" ".join(host),
        IMAGE=" ".join(given),
        UMASK=f"{umask:04o}",
        ORDERS="".join(f"\n{line}" for line in order_lines(voices)),
    )
    return settle + _start(action, app)


def _start(action: Action, app: str) -> str:
    match action:
        case "exec":
            return 'exec "$@"'
        case "shell":
            return _SHELL
        case "test" if not app:
            return _filled(_TESTED, PROGRAM="/.singularity.d/test")
        case "test":
            return _app(app, "test", "no tests")
        case "run" if app:
            return _app(app, "runscript", "no runscript")
        case "run":
            return _filled(_STARTED, PROGRAM="/.singularity.d/runscript", MISSING='"ERROR:   there is no runscript"')


def _app(app: str, name: str, missing: str) -> str:
    path = shlex.quote(f"/scif/apps/{app}/scif/{name}")
    return _filled(_STARTED, PROGRAM=path, MISSING=shlex.quote(f"ERROR:   {missing} for contained app: {app}"))


def _filled(text: str, **parts: str) -> str:
    """In one pass, so that no part is looked at for marks."""
    return re.sub("@([A-Z]+)@", lambda mark: parts[mark[1]], text)

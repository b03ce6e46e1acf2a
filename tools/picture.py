"""Makes docs/pictures/build.svg anew: `make picture`. Real commands, typed by an ordinary user into a real terminal.

The terminal is tmux, whose screen is drawn as an SVG. The base is a Debian of this machine's mirror, which a registry
on loopback serves as docker.io's `debian:12`; the user's PATH has no engine in it. All else is what any user gets.
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from benchmarks import ground
from tests import parts
from tests.ground import debian, install, layouts, services, users

TARGET = Path(__file__).parents[1] / "docs" / "pictures" / "build.svg"
NEEDS = ("root", "registry", "skopeo", "mmdebstrap", "mirror", "squashfuse", "subuid-user", "tmux")
WIDTH, HEIGHT = 100, 70
PROGRAMS = ("bash", "cat", "touch", "sleep", "squashfuse", "fusermount3", "fusermount", "newuidmap", "newgidmap")
"""All that the user has beside Sealift."""
RECIPE = """\
Bootstrap: docker
From: debian:12

%post
    mkdir -p /opt/wave
    perl -e 'print sin($_ / 100), "\\n" for 0 .. 314' > /opt/wave/samples

%runscript
    awk '{ sum += $1 } END { print "the integral is", sum / 100 }' /opt/wave/samples
"""
COMMANDS = (
    "cat wave.def",
    "sealift build wave.sif wave.def",
    "sealift run wave.sif",
    "sealift check wave.sif --site perlmutter",
)
# Colours that keep their contrast, whatever the page around the picture looks like.
THEME = TerminalTheme(
    (24, 26, 31),
    (222, 226, 232),
    [
        (24, 26, 31),
        (255, 107, 107),
        (126, 211, 126),
        (240, 198, 96),
        (110, 168, 254),
        (214, 140, 235),
        (94, 205, 214),
        (222, 226, 232),
    ],
    [
        (128, 134, 145),
        (255, 140, 140),
        (150, 230, 150),
        (250, 215, 130),
        (145, 190, 255),
        (225, 165, 245),
        (130, 225, 232),
        (255, 255, 255),
    ],
)


def main() -> int:
    with ground.standing(NEEDS) as folder:
        layout = layouts.write_layout(
            folder / "base", [debian.kept_tree(parts.cache_folder(), "apt")], config={"Cmd": ["/bin/bash"]}
        )
        with services.registry(folder / "registry") as registry:
            registry.push(layout, "latest", "library/debian:12")
            screen = record(folder, registry)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(drawn(screen), encoding="utf-8")
    sys.stderr.write(f"wrote {TARGET}\n")
    return 0


def record(folder: Path, registry: services.Registry) -> str:
    """The screen after all commands, with the terminal's own codes for colours."""
    as_user = users.AsUser(bin=install.installed(), base=folder)
    home = as_user.folder()
    (home / "wave.def").write_text(RECIPE, encoding="utf-8")
    conf = home / "registries.conf"
    conf.write_text(f'[[registry]]\nprefix = "docker.io"\nlocation = "{registry.host}"\ninsecure = true\n')
    lines = [f"printf '\\033[1;32m$\\033[0m \\033[1m%s\\033[0m\\n' {_quoted(line)}; {line}; echo" for line in COMMANDS]
    script = home / "script"
    script.write_text("\n".join((*lines, "touch done; read -r _")), encoding="utf-8")
    tmux = [parts.program("tmux") or "tmux", "-f", "/dev/null", "-S", str(home / "tmux")]
    path = home / "bin"
    path.mkdir()
    for name in PROGRAMS:
        if program := parts.program(name):
            (path / name).symlink_to(program)
    env = {
        "CONTAINERS_REGISTRIES_CONF": str(conf),
        "PATH": f"{install.installed()}:{path}",
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "SHELL": "/bin/sh",
    }
    size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
    start = as_user([*tmux, "new-session", "-d", *size, f"cd {home} && exec bash script"], cwd=home, env=env)
    assert start.returncode == 0, start.stderr
    while not (home / "done").exists():
        time.sleep(0.2)
    shown = as_user([*tmux, "capture-pane", "-e", "-p"], cwd=home)
    server = as_user([*tmux, "display-message", "-p", "#{pid} #{pane_pid}"], cwd=home).stdout.split()
    as_user([*tmux, "kill-server"], cwd=home)
    while any(Path(f"/proc/{pid.decode()}").exists() for pid in server):
        time.sleep(0.1)
    return shown.stdout.decode().rstrip()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def drawn(screen: str) -> str:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in screen.splitlines():
        console.print(Text.from_ansi(line), soft_wrap=True)
    # The page that shows it may load no fonts; every system has a monospaced one.
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace("Fira Code", "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono")
    svg = console.export_svg(title="sealift", theme=THEME, code_format=form, unique_id="sealift")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())

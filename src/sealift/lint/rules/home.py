"""Root's home and root's rights: what works for the one who built the image, and for nobody else."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from sealift.deffile.characters import short
from sealift.lint.calls import Call
from sealift.lint.examples import UBUNTU, file, post
from sealift.lint.paths import folders_of, inside
from sealift.lint.recipe import ENVIRONMENT_SCRIPTS, RUN_SCRIPTS, Recipe, ScriptView, StageView
from sealift.lint.tools import told
from sealift.lint.values import Hit, Rule
from sealift.shell.follow import UNKNOWN
from sealift.shell.values import Simple
from sealift.shell.walk import commands

_PRIVATE = re.compile(r"^(/root|~)(/(?P<name>[^/]+))?")
_PROGRAMS = (".local", ".cargo", ".rustup", ".julia", ".nvm", ".pyenv", ".pixi", ".TinyTeX", ".sdkman")
"""Hidden folders that hold programs; the others hold settings and caches."""


def _home(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for script in stage.scripts("post", "appinstall"):
            removed = [
                _as_root(one.text).rstrip("/*") for call in script.calls if call.name == "rm" for one in call.operands()
            ]
            seen: set[str] = set()
            folders = folders_of(script)
            for call in script.calls:
                for one in (*_targets(call, folders.get(call.run.pipe, "")), *_by_default(call)):
                    path = _as_root(one)
                    found = _PRIVATE.match(path)
                    name = (found["name"] or "") if found else ""
                    if found is None or not name or (name.startswith(".") and name not in _PROGRAMS):
                        continue
                    if any(gone and inside(path, gone) for gone in removed if gone.startswith("/root")):
                        continue
                    if name in seen or UNKNOWN in name:
                        continue
                    seen.add(name)
                    yield call.hit(
                        f"`{short(path)}` lies in root's home, which other users may not enter, "
                        "and over which engines lay the user's own",
                        "install below /opt, which is everybody's",
                    )
        for copy in stage.host_copies:
            path = _as_root(copy.destination)
            if stage is recipe.last and inside(path, "/root") and not path.removeprefix("/root").startswith("/."):
                yield recipe.hit_at(
                    copy.span,
                    f"`{short(path)}` lies in root's home, which other users may not enter, and over which engines lay "
                    "the user's own",
                    "copy it below /opt, which is everybody's",
                )


_DEFAULTS = (
    ("cargo", ("install",), r"CARGO_HOME|CARGO_INSTALL_ROOT", ("--root", "--path"), "~/.cargo/bin"),
    ("uv", ("tool", "install"), r"UV_TOOL_DIR|XDG_DATA_HOME", (), "~/.local/share/uv/tools"),
    ("uv", ("python", "install"), r"UV_PYTHON_INSTALL_DIR|XDG_DATA_HOME", ("--install-dir", "-i"),
     "~/.local/share/uv/python"),
    ("pipx", ("install",), r"PIPX_HOME", ("--global",), "~/.local/share/pipx"),
    ("go", ("install",), r"GOBIN|GOPATH|GOMODCACHE", (), "~/go/bin"),
)  # fmt: skip
"""Program, its verb, what would say another place, as variable or as option, and where things go without it."""
_SET_BY_BASE = {"cargo": "rust", "go": "golang"}
"""Programs, and the official image that says another place."""
_JULIA_INSTALLS = re.compile(r"\bPkg\.(add|instantiate|develop|update|build)\b|\bpkg\"(add|dev|instantiate|up)\b")


def _by_default(call: Call) -> Iterator[str]:
    """Where programs install that are told no place."""
    text = call.script.stage.build_text
    if call.script.stage.base.name == _SET_BY_BASE.get(call.name):
        return
    for name, verb, variables, options, place in _DEFAULTS:
        if call.name != name or call.texts[: len(verb)] != verb or (options and call.has(*options)):
            continue
        folder = place.removeprefix("~/")
        copied = rf"(cp|mv|install|ln)\s[^\n]*{re.escape(folder.partition('/')[0])}"
        if not re.search(variables, text) and not re.search(copied, text):
            yield place
    of_julia = call.name == "julia" and _JULIA_INSTALLS.search(told(call))
    if of_julia and "JULIA_DEPOT_PATH" not in text + _run_text(call.script):
        yield "~/.julia"


def _as_root(path: str) -> str:
    return "/root" + path[1:] if path == "~" or path.startswith("~/") else path


def _targets(call: Call, folder: str) -> Iterator[str]:
    """Where a command installs or unpacks something that stays."""
    texts = call.texts
    match call.name:
        case "git" if "clone" in texts[:6]:
            operands = [one.text for one in call.operands(("-b", "--branch", "--depth", "-c", "-j", "-o"))]
            name = posixpath.basename((operands[1:2] or [""])[0].rstrip("/")).removesuffix(".git")
            said = (operands[2:3] or [""])[0]
            target = posixpath.normpath(posixpath.join(folder, said or name))
            # What is cloned somewhere may be built there and installed elsewhere; what runs from there is named again.
            if said.startswith(("/", "~")):
                yield said
            elif re.search(
                rf"(/root|~|\$HOME|\$\{{HOME\}})/{re.escape(posixpath.basename(target))}\b", _run_text(call.script)
            ):
                yield target
        case "mkdir":
            yield from (one.text for one in call.operands(("-m",)) if one.text.startswith(("/", "~")))
        case "sh" | "bash":
            if texts and re.search(r"(?i)(conda|mamba|forge)", texts[0] + " ".join(texts[:2])):
                prefix = call.value("-p")
                if prefix and prefix != "bashrc":
                    yield prefix
        case "configure" | "cmake" | "meson" | "make" | "pip" | "pip3" | "conda" | "mamba":
            for text in texts:
                named = re.match(
                    r"(?:--prefix|-DCMAKE_INSTALL_PREFIX(?::PATH)?|PREFIX|DESTDIR|prefix|--target|--root)=(.+)", text
                )
                if named:
                    yield named[1]
            prefix = call.value("-p", "--target", "-t") if call.name in ("pip", "pip3", "conda", "mamba") else None
            if prefix and call.name in ("conda", "mamba"):
                yield prefix
        case "tar":
            yield from filter(None, [call.value("-C", "--directory")])
        case "unzip":
            yield from filter(None, [call.value("-d")])
        case _:
            if re.search(r"(?i)(miniconda|miniforge|mambaforge|anaconda).*\.sh$", call.program.text):
                yield from filter(None, [call.value("-p")])


def _run_text(script: ScriptView) -> str:
    return "\n".join(one.text for one in script.stage.scripts("environment", *RUN_SCRIPTS))


_OF_ROOT = re.compile(r"(?:^|[:=\"'])((?:/|~)root/[^\s:\"';]+)")
_IN_HOME = re.compile(r"(?:~|\$HOME|\$\{HOME\})/([\w.-]+)")
_BRINGS = {
    ".cargo": r"rustup|\bcargo\s+install", ".juliaup": r"juliaup|install\.julialang", ".julia": r"\bPkg\.",
    ".nvm": r"\bnvm\b", ".pyenv": r"pyenv",
    ".pixi": r"pixi", ".sdkman": r"sdkman", ".rbenv": r"rbenv", ".ghcup": r"ghcup",
    ".local": r"astral\.sh/uv|\buv\s+tool|\bpipx\b|pip[0-9.]*\s+install\s[^\n]*--user|install\.python-poetry",
}  # fmt: skip
"""What puts programs into a hidden folder of the home."""


def _is_made(stage: StageView, name: str) -> bool:
    """Does `%post` make this in root's home: by its name, or by an installer that is known for it?"""
    brings = _BRINGS.get(name)
    if brings is not None and stage.base.name not in ("rust", "golang"):
        return re.search(brings, stage.build_text) is not None
    place = rf"(?:~|\$HOME|\$\{{HOME\}}|/root)/{re.escape(name)}(?![\w.-])"
    return not name.startswith(".") and re.search(place, stage.build_text) is not None


def _below_root(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    if stage is None:
        return
    for script in recipe.image_scripts(*ENVIRONMENT_SCRIPTS, *RUN_SCRIPTS):
        seen: set[str] = set()
        other_home = re.search(r"\bHOME=", script.text + stage.build_text) is not None
        for command in commands(script.reading.script):
            if not isinstance(command, Simple):
                continue
            places = [(one.start, one.end) for one in command.assignments]
            places += [(word.start, word.end) for word in command.words]
            for start, end in places:
                text = script.text[start:end]
                of_root = _OF_ROOT.search(text)
                users = _IN_HOME.search(text) if script.name in ENVIRONMENT_SCRIPTS and not other_home else None
                top = "/".join(of_root[1].removeprefix("/").split("/")[:2]) if of_root else ""
                if of_root and top not in seen:
                    seen.add(top)
                    yield script.hit(
                        start,
                        end,
                        f"`{short(of_root[1])}` is in root's home, which nobody but root may enter",
                        "install below /opt, and name that folder here",
                    )
                elif users and users[0] not in seen and _is_made(stage, users[1]):
                    seen.add(users[0])
                    yield script.hit(
                        start,
                        end,
                        f"`{users[0]}` is in the home of who runs the image; what `%post` installed is in root's",
                        "install below /opt, and name that folder here",
                    )


_PRIVATE_PLACES = ("/root", "/etc", "/tmp", "/var", "/run")  # noqa: S108 -- names of folders in an image


def _closed(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("post", "appinstall"):
        modes = [(call, *_mode_of(call)) for call in script.calls if call.name in ("chmod", "install", "mkdir")]
        opened = [(call.run.pipe, path) for call, mode, paths in modes if _lets_in(mode) for path in paths]
        for call, mode, named in modes:
            paths = [
                path
                for path in named
                if not any(inside(path, one) for one in _PRIVATE_PLACES)
                and not re.search(r"\.ssh|\.gnupg|\.(key|pem|sh|run|bin)$", path)
                and not any(pipe > call.run.pipe and inside(path, one) for pipe, one in opened)
            ]
            if mode and paths and UNKNOWN not in paths[0] and _shuts_out(mode):
                yield call.hit(
                    f"with mode `{mode}` only the owner of `{short(paths[0])}` may read it: who runs the image is "
                    "somebody else",
                    "let everybody read and enter: chmod -R a+rX " + short(paths[0]),
                )
        for call in script.calls:
            narrow = re.fullmatch(r"0*[0-7]{0,2}7", (*call.texts, "")[0])
            if call.name == "umask" and narrow and not any(pipe > call.run.pipe for pipe, _ in opened):
                yield call.hit(
                    f"below `umask {call.texts[0]}` nobody but the owner may read what is made: who runs the image is "
                    "somebody else",
                    "leave it out, or write: umask 022",
                )


def _mode_of(call: Call) -> tuple[str, list[str]]:
    """The mode that a command sets, and for which paths."""
    if call.name == "chmod":
        operands = [one.text for one in call.operands()]
        removed = [text for text in call.texts if re.fullmatch(r"-[rwxX]+", text)]
        return (removed[0], operands) if removed else ((operands or [""])[0], operands[1:])
    paths = [one.text for one in call.operands(("-m", "--mode", "-o", "-g"))]
    return call.value("-m", "--mode") or "", paths[-1:] if call.name == "install" and not call.has("-d") else paths


def _shuts_out(mode: str) -> bool:
    octal = re.fullmatch(r"[0-7]{0,2}([4-7])[0-7]([0-7])", mode)
    if octal:
        return octal[2] == "0"
    return re.search(r"(^|,)(g?o|og|go)(=($|,)|-[rX]*r)|(^|,)[ug]*o[ug]*-\w*r", mode) is not None


def _lets_in(mode: str) -> bool:
    return re.search(r"[0-7]{2}[4-7]$|(^|,)[ug]*[ao][ugoa]*[+=][wxX]*r|(^|,)\+r", mode) is not None


_PYTHONS = {"22.04": "3.10", "jammy": "3.10", "24.04": "3.12", "noble": "3.12", "bookworm": "3.11", "trixie": "3.13"}
"""The version of Python that a release brings."""


def _pythons_of_uv(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    if stage is None or stage.base.name not in ("ubuntu", "debian", "nvidia/cuda"):
        return
    text = stage.build_text
    if re.search(r"UV_PYTHON_INSTALL_DIR|XDG_DATA_HOME|uv\s+python\s+install|UV_PYTHON_PREFERENCE|conda|mamba", text):
        return
    own = next((version for name, version in _PYTHONS.items() if name in stage.base.tag), "")
    has_own = re.search(r"install[^;&|]*\bpython3(?![.\d])", text) is not None
    for call in stage.calls:
        if call.name != "uv" or call.texts[:1] not in (("venv",), ("sync",)):
            continue
        version = call.value("--python", "-p") or ""
        wanted = re.fullmatch(r"3\.\d+", version)
        if (
            wanted
            and own
            and not (version == own and has_own)
            and not re.search(rf"python{re.escape(version)}\b", text)
        ):
            yield call.hit(
                f"the image has no Python {version}, so uv fetches one into root's ~/.local/share/uv/python, which "
                "other users may not enter",
                "say another place before it: export UV_PYTHON_INSTALL_DIR=/opt/python",
            )
            return


RULES: tuple[Rule, ...] = (
    Rule(
        id="installed-in-home",
        family="portability",
        level="warning",
        title="Something is installed in root's home",
        reason="`/root` is closed to everybody but root (mode 700), and who runs the image is not root. Engines "
        "also lay the user's own home over what the image has. It works for the one who built it, and for "
        "nobody else.",
        remedy="Install below /opt or /usr/local. Installers take a prefix: `-p /opt/conda`, "
        "`CARGO_HOME=/opt/cargo`, `UV_INSTALL_DIR=/usr/local/bin`.",
        bad=post("git clone --branch v1.0 https://example.org/app.git ~/app"),
        good=post("git clone --branch v1.0 https://example.org/app.git /opt/app"),
        look=_home,
    ),
    Rule(
        id="environment-in-root-home",
        family="portability",
        level="warning",
        title="The image looks for something in root's home when it runs",
        reason="`%post` runs as root, and installers put programs into `~/.cargo`, `~/.local` and the like, which is "
        "`/root` then. Who runs the image is not root, may not enter `/root` (mode 700), and has another `$HOME`: "
        "for everybody but the one who tests as root, the program is not there.",
        remedy="Tell the installer another place, such as `CARGO_HOME=/opt/cargo`, `UV_INSTALL_DIR=/usr/local/bin`, "
        "`JULIA_DEPOT_PATH=/opt/julia` or `--prefix=/opt/app`, and name that one.",
        bad=file(UBUNTU, environment="export PATH=~root/.cargo/bin:$PATH"),
        good=file(UBUNTU, environment="export PATH=/opt/cargo/bin:$PATH"),
        look=_below_root,
    ),
    Rule(
        id="closed-to-others",
        family="portability",
        level="warning",
        title="Files are closed to everybody but root",
        reason="What `%post` makes is root's, and who runs the image is somebody else. With a mode such as 700 or "
        "750, below `umask 077`, or after `chmod go-rwx`, they get `Permission denied`, and the one who tests as root "
        "never sees it.",
        remedy="Let everybody read and enter: `chmod -R a+rX /opt/app`. What must stay secret does not belong into an "
        "image.",
        bad=post("mkdir -p /opt/app\nchmod -R 700 /opt/app"),
        good=post("mkdir -p /opt/app\nchmod -R a+rX /opt/app"),
        look=_closed,
    ),
    Rule(
        id="uv-python-in-home",
        family="python",
        level="warning",
        title="uv fetches a Python into root's home",
        reason="Where the image lacks the Python that is asked for, uv downloads one below "
        "root's `~/.local/share/uv/python`, and the environment's `python` is a link to it. Nobody but root may enter "
        "`/root`: for who runs the image the link leads nowhere.",
        remedy="Write `export UV_PYTHON_INSTALL_DIR=/opt/python` above, or take a base that has this Python: "
        "`From: python:3.12-slim-bookworm`.",
        bad=post("uv venv --python 3.11 /opt/venv"),
        good=post("export UV_PYTHON_INSTALL_DIR=/opt/python\nuv venv --python 3.11 /opt/venv"),
        look=_pythons_of_uv,
    ),
)

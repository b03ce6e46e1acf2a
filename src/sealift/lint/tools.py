"""Package managers and downloaders as they are called: what is installed, with which version, from where."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace

from sealift.lint.calls import Call
from sealift.shell.follow import UNKNOWN, Field

_PIP = re.compile(r"pip[0-9]*(\.[0-9]+)?\Z")
_PYTHON = re.compile(r"python[0-9]*(\.[0-9]+)?\Z")
_PIP_VALUES = frozenset(
    ("-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "--find-links",
     "-t", "--target", "--prefix", "--root", "--src", "--upgrade-strategy", "--trusted-host", "--timeout",
     "--retries", "--no-binary", "--only-binary", "--python", "--platform", "-e", "--editable", "--global-option",
     "--install-option", "--config-settings", "-C", "--progress-bar", "--log", "--cert", "--proxy",
     "--implementation", "--abi", "--python-version", "--cache-dir", "-d", "--dest", "--default-timeout",
     "--build-option", "--index-strategy", "--torch-backend", "-p", "--override", "--index")
)  # fmt: skip
_APT_VALUES = frozenset(
    ("-o", "-t", "-c", "-a", "--target-release", "--option", "--default-release", "--host-architecture")
)
_YUM_VALUES = frozenset(
    ("-c", "-x", "--exclude", "--enablerepo", "--disablerepo", "--repo", "--setopt", "--releasever", "--installroot")
)
_CONDA_VALUES = frozenset(
    ("-n", "--name", "-c", "--channel", "-p", "--prefix", "-f", "--file", "-r", "--root-prefix", "--solver",
     "--platform")
)  # fmt: skip
_INSTALLS = {
    "apt": ("install", "build-dep"),
    "yum": ("install", "localinstall", "groupinstall", "group", "reinstall", "builddep"),
    "zypper": ("install", "in"),
    "apk": ("add",),
    "pip": ("install",),
    "uv": ("install",),
    "conda": ("install", "create"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """`apt-get install -y a b`: `tool` is `apt`, `verb` `install`, `packages` `a` and `b`."""

    call: Call
    tool: str
    verb: str
    verb_field: Field
    packages: tuple[Field, ...]

    @property
    def installs(self) -> bool:
        return self.verb in _INSTALLS.get(self.tool, ())


def actions(calls: Iterable[Call]) -> Iterator[Action]:
    for call in calls:
        found = action(call)
        if found is not None:
            yield found


def installs(calls: Iterable[Call], *tools: str) -> list[Action]:
    return [one for one in actions(calls) if one.installs and one.tool in tools]


def action(call: Call) -> Action | None:
    """What a package manager is told to do; None where the call is none of one."""
    call = _without_runner(call)
    name = call.name
    if name in ("apt-get", "apt", "aptitude"):
        return _action(call, "apt", _APT_VALUES)
    if name in ("yum", "dnf", "microdnf", "tdnf", "dnf5"):
        return _action(call, "yum", _YUM_VALUES)
    if name == "zypper":
        return _action(call, "zypper", frozenset(("-R", "--root", "-r", "--repo", "--from")))
    if name == "apk":
        return _action(call, "apk", frozenset(("-t", "--virtual", "-X", "--repository", "-p", "--root")))
    if _PIP.match(name):
        return _action(call, "pip", _PIP_VALUES)
    if _PYTHON.match(name):
        row = next((row for row, text in enumerate(call.texts) if text == "-m"), None)
        if row is not None and call.texts[row + 1 : row + 2] == ("pip",):
            return _action(replace(call, fields=call.fields[row + 2 :]), "pip", _PIP_VALUES)
        return None
    if name == "uv":
        if call.texts[:1] == ("pip",):
            return _action(replace(call, fields=call.fields[1:]), "uv", _PIP_VALUES)
        return None
    if name in ("conda", "mamba", "micromamba"):
        return _action(call, "conda", _CONDA_VALUES)
    return None


def _without_runner(call: Call) -> Call:
    """`conda run -n env pip install a` is a call of pip."""
    if call.name not in ("conda", "mamba", "micromamba") or call.texts[:1] != ("run",):
        return call
    rest = list(call.fields[1:])
    while rest and rest[0].text.startswith("-"):
        option = rest.pop(0).text
        if option in ("-n", "--name", "-p", "--prefix", "-r", "--root-prefix", "--cwd") and rest:
            rest.pop(0)
    if not rest:
        return call
    return replace(call, name=rest[0].text.rpartition("/")[2], program=rest[0], fields=tuple(rest[1:]))


def _action(call: Call, tool: str, with_value: Container[str]) -> Action | None:
    operands = call.operands(with_value)
    if not operands:
        return None
    return Action(call=call, tool=tool, verb=operands[0].text, verb_field=operands[0], packages=operands[1:])


MOVING_BRANCHES = frozenset(("main", "master", "develop", "dev", "devel", "trunk", "HEAD", "nightly"))
PIP_ITSELF = frozenset(("pip", "setuptools", "wheel"))


def pip_unpinned(one: Action) -> list[str]:
    """Names that pip would install in whatever version is the newest."""
    if one.call.has("-c", "--constraint", "--no-index", "--require-hashes"):
        return []
    found = []
    for field in one.packages:
        text = field.text.strip()
        if UNKNOWN in text or not text or text[0] in ".~/*" or text.endswith((".whl", ".zip", ".gz", ".txt", ".bz2")):
            continue
        if "://" in text or text.startswith("git+"):
            path = text.partition("#")[0].partition("://")[2]
            ref = path.partition("/")[2].rpartition("@")
            if "git+" in text and (not ref[1] or ref[2] in MOVING_BRANCHES):
                found.append(text)
            continue
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?", text)
        rest = text[name.end() :].strip() if name else text
        bare = re.sub(r"\[.*", "", name[0]).lower() if name else ""
        if not name or bare in PIP_ITSELF or rest.startswith(("==", "@", "/", "=")) or "\\" in text:
            continue
        if "==" in rest:
            continue
        found.append(text)
    return found


def conda_unpinned(one: Action) -> list[str]:
    """Specifications without a version that is fixed."""
    found = []
    for field in one.packages:
        text = field.text.strip()
        if UNKNOWN in text or not text or "/" in text or text.endswith((".conda", ".bz2")):
            continue
        spec = text.rpartition("::")[2]
        if not re.match(r"[A-Za-z0-9_]", spec):
            continue
        if re.search(r"[<>~!]", spec) or "=" not in spec:
            found.append(spec)
    return found


def listed(names: Iterable[str], most: int = 4) -> str:
    """Names for a message: `a`, `b` and 3 more."""
    unique = list(dict.fromkeys(names))
    shown = ", ".join(f"`{name}`" for name in unique[:most])
    return shown + (f" and {len(unique) - most} more" if len(unique) > most else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file fetched: `field` is where the address is written, `target` the file, "" where none is said."""

    call: Call
    url: str
    field: Field
    target: str
    to_stdout: bool = False


def downloads(calls: Iterable[Call]) -> Iterator[Download]:
    """What wget and curl fetch."""
    for call in calls:
        if call.name not in ("wget", "curl", "aria2c", "axel"):
            continue
        for field in _addresses(call):
            url = field.text
            name = re.sub(r"[?#].*", "", url).rpartition("/")[2]
            target, to_stdout = "", False
            if call.name == "curl":
                said = call.value("-o", "--output")
                if said is None:
                    target = name if call.has("-O", "--remote-name", "--remote-name-all") else ""
                    to_stdout = not target
                else:
                    target = said
            else:
                said = _wget_output(call) if call.name == "wget" else call.value("-o", "--out")
                folder = call.value("-P", "--directory-prefix") if call.name == "wget" else None
                target = said if said is not None else (f"{folder.rstrip('/')}/{name}" if folder else name)
            if target in ("-", "/dev/stdout"):
                target, to_stdout = "", True
            redirect = [one for one in call.run.command.redirects if one.operator in (">", ">>", ">|")]
            if to_stdout and redirect and redirect[0].number in ("", "1"):
                target, to_stdout = redirect[0].target.literal or UNKNOWN, False
            yield Download(call=call, url=url, field=field, target=target, to_stdout=to_stdout)


def _wget_output(call: Call) -> str | None:
    """What stands behind `-O`, be it the last of a cluster such as `-qO`."""
    texts = call.texts
    for row, text in enumerate(texts):
        cluster = re.fullmatch(r"-[A-Za-z]*O(.*)", text)
        if cluster and not text.startswith("--"):
            return cluster[1] or (texts[row + 1] if row + 1 < len(texts) else "")
        if text.startswith("--output-document"):
            return text.partition("=")[2] or (texts[row + 1] if row + 1 < len(texts) else "")
    return None


def _addresses(call: Call) -> Iterator[Field]:
    for field in call.fields:
        if re.match(r"(https?|ftp)://", field.text):
            yield field


def told(call: Call) -> str:
    """What a program is told: its arguments, and what it reads from here-documents, as far as it stands there."""
    documents = [one.document.body.literal or "" for one in call.run.command.redirects if one.document is not None]
    return "\n".join((*call.texts, *documents))

"""Apptainer's words become Sealift's, for all verbs but those that start programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from sealift.cli.flags import FlagError, Parsed, Use, parse, refused, split_list
from sealift.cli.shimverbs import REFUSED, VERBS, Verb
from sealift.system.caller import hand_down

_GROUPS = ("cache", "sif")


def sealift_words(
    command: str, verb: str, words: Sequence[str], *, quiet: bool = False, verbose: bool = False
) -> list[str]:
    """The words for `cli.app.call`; FlagError for a verb or a flag that Sealift does not take.

    Flags that are said in variables are set for this process.
    """
    path, words = _path(verb, words)
    if path in REFUSED:
        why, hint = REFUSED[path]
        raise FlagError(f"`{command} {' '.join(path)}` is not to be had here: {why}", hints=(hint,))
    found = VERBS.get(path)
    if found is None:
        raise _no_verb(command, path)
    parsed = parse(found.flags, words, verb=" ".join(path), mixed=True, command=command)
    if parsed.value("help"):
        return [*found.words, "--help"]
    ours = [word for use in parsed.uses for word in _words_for(use, f"{command} {' '.join(path)}")]
    for field, change in _CHANGES.items():
        if parsed.value(field) is not None:
            found, parsed, ours = change(found, parsed, ours)
    talk = (["--quiet"] if quiet else ["--verbose"] if verbose else []) if found.talks else []
    rest = ["--", *parsed.rest] if any(word.startswith("-") for word in parsed.rest) else list(parsed.rest)
    return [*found.words, *talk, *ours, *rest]


def overview(command: str) -> str:
    """What `--help` without a verb prints."""
    verbs = ["exec", "run", "shell", "test", "version", *(" ".join(path) for path in VERBS)]
    return (
        f"usage: {command} [-q] [-v] VERB [FLAG …] …\n\n"
        f"Sealift stands in for {command} here, because no Apptainer or Singularity is installed.\n\n"
        f"verbs: {', '.join(sorted(verbs))}\n"
        f"refused, each with what to do instead: {', '.join(sorted(' '.join(path) for path in REFUSED))}\n\n"
        f"flags of a verb: {command} VERB --help"
    )


def _path(verb: str, words: Sequence[str]) -> tuple[tuple[str, ...], Sequence[str]]:
    """`cache clean -f` is the verb (cache, clean) with the words (-f)."""
    if verb in _GROUPS:
        for place, word in enumerate(words):
            if not word.startswith("-"):
                return (verb, word), [*words[:place], *words[place + 1 :]]
    return (verb,), words


def _no_verb(command: str, path: tuple[str, ...]) -> FlagError:
    import difflib

    known = [" ".join(each) for each in VERBS] + ["run", "exec", "shell", "test", "version"]
    if path[0] in _GROUPS:
        below = [each for each in known if each.startswith(path[0])]
        return FlagError(f"`{command} {path[0]}` wants one of: {', '.join(below)}", hints=(f"{command} {below[0]}",))
    close = difflib.get_close_matches(path[0], known, n=1)
    return FlagError(
        f"`{command}` has no verb `{path[0]}`",
        hints=(f"did you mean `{command} {close[0]}`?",) if close else (f"{command} --help",),
    )


def _words_for(use: Use, command: str) -> list[str]:
    flag, value = use
    if flag.field == "refuse":
        raise refused(use, command)
    if flag.field.startswith("env "):
        hand_down(flag.field.removeprefix("env "), value)
        return []
    if flag.field == "mksquashfs":
        return _compression(value)
    if flag.field == "platform":
        return [f"--arch={value.split('/')[1]}"] if "/" in value else [f"--arch={value}"]
    name = flag.name if flag.field == "same" else flag.field.removeprefix("as ")
    if flag.field != "same" and name == flag.field:
        return []  # nothing to say, or a change of the whole line
    if flag.kind == "switch":
        return [f"--{name}"] if value.lower() in ("1", "t", "true") else []
    return [f"--{name}={part}" for part in (split_list(value) if flag.kind == "list" else [value])]


def _compression(text: str) -> list[str]:
    """Words for mksquashfs as ours: `-comp zstd -Xcompression-level 3 -b 128k`."""
    words = iter(text.split())
    name, level, block = "", "", ""
    for word in words:
        match word:
            case "-comp":
                name = next(words, "")
            case "-Xcompression-level":
                level = next(words, "")
            case "-b":
                block = next(words, "")
            case "-processors" | "-mem":
                next(words, "")
            case _:
                raise FlagError(
                    f"`{word}` of `--mksquashfs-args` means nothing here: Sealift writes squashfs itself",
                    hints=('--mksquashfs-args "-comp zstd -Xcompression-level 3 -b 128K"',),
                )
    ours = []
    if name or level:
        ours.append(f"--compression={name or 'gzip'}:{level or (9 if name in ('', 'gzip') else 15)}")
    if block:
        ours.append(f"--block-size={block.upper()}")
    return ours


_Line = tuple[Verb, Parsed, list[str]]


def _in_folder(verb: Verb, parsed: Parsed, ours: list[str]) -> _Line:
    """`pull --dir DIR`, with or without a name."""
    folder = str(parsed.value("folder"))
    match parsed.rest:
        case [spec]:
            from sealift.core.reference import default_image_name

            rest = (os.path.join(folder, default_image_name(spec)), spec)
        case [name, spec]:
            rest = (os.path.join(folder, name), spec)
        case _:
            return verb, parsed, ours
    return verb, Parsed(parsed.uses, rest), ours


def _named(verb: Verb, parsed: Parsed, ours: list[str]) -> _Line:
    return verb, Parsed(parsed.uses, (str(parsed.value("name")), *parsed.rest[-1:])), ours


def _as_folder(verb: Verb, parsed: Parsed, ours: list[str]) -> _Line:
    """`pull --sandbox [DIR] SPEC` is a build."""
    if parsed.value("sandbox") is False:
        return verb, parsed, ours
    rest = parsed.rest
    if len(rest) == 1:
        from sealift.core.reference import default_image_name

        rest = (default_image_name(rest[0]).removesuffix(".sif"), rest[0])
    return Verb(("build",), verb.flags, talks=True), Parsed(parsed.uses, rest), ["--sandbox", *ours]


def _shown_only(verb: Verb, parsed: Parsed, _ours: list[str]) -> _Line:
    """`cache clean --dry-run`."""
    return Verb(("cache", "show"), verb.flags), parsed, []


def _all_kinds(verb: Verb, parsed: Parsed, ours: list[str]) -> _Line:
    """`cache clean --type all` alone: Sealift's cache has other kinds, and more must not go than was asked for."""
    kinds = parsed.value("all kinds")
    if kinds != ("all",):
        raise FlagError(
            "Sealift's cache has no kinds that can be cleaned alone",
            hints=(
                "clean it all: sealift cache clean",
                "or keep what was used last: sealift cache prune --max-size 20G",
            ),
        )
    return verb, parsed, ours


_CHANGES: dict[str, Callable[[Verb, Parsed, list[str]], _Line]] = {
    "name": _named,
    "sandbox": _as_folder,
    "folder": _in_folder,
    "show": _shown_only,
    "all kinds": _all_kinds,
}

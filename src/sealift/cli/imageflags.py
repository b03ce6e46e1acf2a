"""Apptainer's options about images and registries, so that its command lines work as they are typed.

Each is understood, or is what happens anyway, or is refused by name with the reason.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

from sealift.errors import UsageError

_ENCRYPTED = (
    "Sealift writes no encrypted images",
    ("Apptainer encrypts one that is there: apptainer build --encrypt secret.sif image.sif",),
)
_LIBRARY = ("Sealift fetches nothing from container libraries", ("a registry's image: docker://NAME, oras://NAME",))
_GZIP_LEVELS = range(1, 10)
_ZSTD_LEVELS = range(1, 23)
_HARMLESS = {"-processors": 1, "-mem": 1, "-no-progress": 0, "-quiet": 0, "-info": 0, "-noappend": 0}
"""mksquashfs's options that change no byte of the image, and how many values each takes."""


class _Refused(argparse.Action):
    """An option that is known and refused: `const` is the reason and its hints."""

    def __call__(self, *_arguments: Any, **_more: Any) -> None:
        reason, hints = self.const
        raise UsageError(f"`{self.option_strings[-1]}`: {reason}", hints=hints)


def add_registry_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("registries")
    group.add_argument("--no-https", "--nohttps", action="store_true", help="talk plain HTTP to the registry")
    group.add_argument("--authfile", metavar="FILE", help="logins, as `docker login` and `podman login` keep them")
    group.add_argument("--docker-login", action="store_true", help="ask for a name and a password")
    group.add_argument("--docker-username", metavar="NAME", help="log in as NAME")
    group.add_argument("--docker-password", metavar="SECRET", help="better: $APPTAINER_DOCKER_PASSWORD")
    group.add_argument("--docker-host", metavar="URL", help="the Docker that docker-daemon: means")
    group.add_argument("--library", action=_Refused, const=_LIBRARY, metavar="URL", help="refused: there is none")


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """The options that every command which writes an image has."""
    group = parser.add_argument_group("the image")
    group.add_argument("-F", "--force", action="store_true", help="replace IMAGE when it exists")
    group.add_argument("-s", "--sandbox", action="store_true", help="write a directory that can be changed")
    group.add_argument("--arch", metavar="ARCH", help="amd64, arm64, …; this host's when left out")
    group.add_argument("--arch-variant", metavar="V", help="of arm: 5, 6 or 7")
    group.add_argument("--compression", metavar="NAME:LEVEL", help="zstd:1…22 or gzip:1…12")
    group.add_argument(
        "--layers",
        choices=("one", "steps"),
        default="one",
        help="of oci:… and archives: above the base",
    )
    group.add_argument("--block-size", metavar="SIZE", help="4K … 1M, a power of two")
    group.add_argument("--mksquashfs-args", metavar="WORDS", help="-comp, -Xcompression-level and -b are understood")
    group.add_argument("--reproducible", action="store_true", help="accepted; every image is")
    for names, takes in ((("-e", "--encrypt"), 0), (("--passphrase",), 0), (("--pem-path",), 1)):
        group.add_argument(
            *names, action=_Refused, nargs=takes, const=_ENCRYPTED, help="refused: no image is encrypted"
        )


def add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but warnings and errors")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def check_authfile(path: str) -> None:
    if not os.path.isfile(path):
        raise UsageError(
            f"there is no file `{path}` with logins",
            hints=(f"write one: podman login --authfile {shlex.quote(path)} REGISTRY",),
        )


def registry_environment(options: argparse.Namespace, environment: Mapping[str, str]) -> Mapping[str, str]:
    """The caller's environment, with what the options say of logins."""
    added: dict[str, str] = {}
    if options.authfile is not None:
        check_authfile(options.authfile)
        added["REGISTRY_AUTH_FILE"] = options.authfile
    if options.docker_host is not None:
        added["APPTAINER_DOCKER_HOST"] = options.docker_host
    name, secret = options.docker_username, options.docker_password
    if options.docker_login:
        name, secret = _ask(name, secret)
    if (name is None) != (secret is None):
        missing = "--docker-password" if secret is None else "--docker-username"
        if missing == "--docker-password" and environment.get("APPTAINER_DOCKER_PASSWORD"):
            secret = environment["APPTAINER_DOCKER_PASSWORD"]
        else:
            raise UsageError(f"`{missing}` is missing", hints=("both are needed; or be asked: --docker-login",))
    if name is not None and secret is not None:
        added |= {"APPTAINER_DOCKER_USERNAME": name, "APPTAINER_DOCKER_PASSWORD": secret}
    return {**environment, **added} if added else environment


def _ask(name: str | None, secret: str | None) -> tuple[str, str]:
    import getpass
    import sys

    if not sys.stdin.isatty():
        raise UsageError(
            "`--docker-login` asks for a name and a password, and there is nobody to ask",
            hints=("export APPTAINER_DOCKER_USERNAME=… APPTAINER_DOCKER_PASSWORD=…",),
        )
    if name is None:
        print("name: ", end="", file=sys.stderr, flush=True)
        name = sys.stdin.readline().strip()
    return name, getpass.getpass("password: ") if secret is None else secret


def asked_architecture(options: argparse.Namespace) -> str | None:
    """`--arch` and `--arch-variant` as one name."""
    arch, variant = options.arch, options.arch_variant
    if variant is None:
        return str(arch) if arch is not None else None
    level = variant.removeprefix("v")
    if arch in ("arm", "armhf", "arm32", None) and level in ("5", "6", "7"):
        return f"arm32v{level}"
    if arch in ("arm64", "aarch64") and level == "8":
        return "arm64"
    raise UsageError(
        f"there is no variant `{variant}` of `{arch or 'this architecture'}`",
        hints=("variants: --arch arm --arch-variant 5, 6 or 7",),
    )


def asked_packing(options: argparse.Namespace) -> tuple[str | None, str | None]:
    """Compression and block size; where `--mksquashfs-args` says one of them, too, Sealift's own option wins."""
    compression, block_size = _of_mksquashfs(options.mksquashfs_args or "")
    return options.compression or compression, options.block_size or block_size


def _of_mksquashfs(text: str) -> tuple[str | None, str | None]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"`--mksquashfs-args {text}`: {error}", hints=('--mksquashfs-args "-comp zstd"',)) from error
    name, level, block_size = "", "", None
    words.reverse()

    def value(option: str) -> str:
        if not words:
            raise UsageError(f"`--mksquashfs-args`: `{option}` wants a value", hints=(_EXAMPLE,))
        return words.pop()

    while words:
        option = words.pop()
        match option:
            case "-comp":
                name = value(option)
            case "-Xcompression-level":
                level = value(option)
            case "-b":
                block_size = value(option)
            case _ if option in _HARMLESS:
                for _number in range(_HARMLESS[option]):
                    value(option)
            case _:
                raise UsageError(
                    f"`--mksquashfs-args`: Sealift packs without mksquashfs and has no `{option}`", hints=(_EXAMPLE,)
                )
    if name not in ("", "gzip", "zstd"):
        raise UsageError(f"`--mksquashfs-args`: Sealift does not compress with `{name}`", hints=(_EXAMPLE,))
    if not name and not level:
        return None, block_size
    # mksquashfs's own defaults: gzip, level 9; zstd's is 15.
    name = name or "gzip"
    level = level or {"gzip": "9", "zstd": "15"}[name]
    levels = _GZIP_LEVELS if name == "gzip" else _ZSTD_LEVELS
    if not re.fullmatch(r"[0-9]+", level) or int(level) not in levels:
        raise UsageError(
            f"`--mksquashfs-args`: `{level}` is not a level of {name}", hints=(f"levels: 1 … {levels[-1]}",)
        )
    return f"{name}:{level}", block_size


_EXAMPLE = '--mksquashfs-args "-comp zstd -Xcompression-level 3 -b 1M"'

"""Whom we trust: the system's certificate authorities, a site's bundle, and what is kept for single registries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sealift.errors import HostError
from sealift.system.home import home_folder

if TYPE_CHECKING:
    import ssl

BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def certificate_folder(env: Mapping[str, str], host: str, *, root: str = "/") -> str:
    """The folder of certificates for `HOST[:PORT]` (containers-certs.d(5), Docker's certs.d), or `""`.

    It may hold CAs (`*.crt`) and what we show the server (`*.cert` with `*.key`).
    """
    config = env.get("XDG_CONFIG_HOME") or os.path.join(home_folder(env), ".config")
    folders = (
        os.path.join(config, "containers"),
        os.path.join(root, "etc/containers"),
        os.path.join(root, "etc/docker"),
    )
    paths = (os.path.join(folder, "certs.d", host) for folder in folders)
    return next((path for path in paths if os.path.isdir(path)), "")


def make_context(env: Mapping[str, str], *, insecure: bool = False, folder: str = "") -> ssl.SSLContext:
    """What is trusted: the system's authorities, the bundle that `env` names, and those in `folder`.

    `insecure` trusts everybody. Raises HostError for files that cannot be read.
    """
    import ssl

    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for variable in BUNDLES:
        if env.get(variable):
            _load(context, env[variable], named=f"${variable} names", hint=f"unset {variable}")
    if env.get("SSL_CERT_DIR"):
        context.load_verify_locations(capath=env["SSL_CERT_DIR"])
    for name in sorted(os.listdir(folder)) if folder else ():
        path = os.path.join(folder, name)
        if name.endswith(".crt"):
            _load(context, path, named="lie there", hint=f"look at {folder}")
        elif name.endswith(".cert"):
            _load_own(context, path)
    return context


def _load(context: ssl.SSLContext, path: str, *, named: str, hint: str) -> None:
    try:
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except OSError as error:
        raise HostError(
            f"the certificates that {named} cannot be read: `{path}`: {error.strerror or error}", hints=(hint,)
        ) from error


def _load_own(context: ssl.SSLContext, path: str) -> None:
    key = path.removesuffix(".cert") + ".key"
    try:
        context.load_cert_chain(path, key)
    except OSError as error:
        raise HostError(
            f"our certificate `{path}` with its key `{key}` cannot be read: {error.strerror or error}",
            hints=(f"look at {os.path.dirname(path)}",),
        ) from error

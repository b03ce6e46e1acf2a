"""The variables that sections see, as Apptainer gives them, and the host's proxies and certificates beside them.

Measured with `apptainer build --fakeroot` 1.4.5: `%post` starts from nothing but these; `%pre` and `%setup` see the
builder's own environment.
"""

from __future__ import annotations

from collections.abc import Mapping

SECTION_ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C",
    "LD_LIBRARY_PATH": "/.singularity.d/libs",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PS1": "Apptainer> ",
}

PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")

CERTIFICATE_FILES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "NIX_SSL_CERT_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
)
"""Variables by which programs are told of another CA bundle; a site whose proxy re-signs TLS sets some of them."""

_WHOLE = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
"""Those that stand for all authorities that are trusted, where others name some more."""
_FOR_ALL = (*_WHOLE, "GIT_SSL_CAINFO")


def section_environment(host: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command inside: Apptainer's defaults, the terminal's name, the proxies."""
    found = dict(SECTION_ENVIRONMENT)
    for name in ("TERM", *PROXIES, *(each.upper() for each in PROXIES)):
        if name in host:
            found[name] = host[name]
    return found


def certificate_files(host: Mapping[str, str]) -> dict[str, str]:
    """The CA bundles that the host names, by variable; none where the host names none.

    A host that names its bundle for some programs means it for all: each program looks at a variable of its own.
    """
    named = {name: host[name] for name in CERTIFICATE_FILES if host.get(name, "").startswith("/")}
    whole = next((named[name] for name in _WHOLE if name in named), None)
    return named if whole is None else {**dict.fromkeys(_FOR_ALL, whole), **named}

"""The OCI distribution client: names → endpoints (registries.conf) → credentials → manifests and blobs."""

from sealift.registry.access import Access
from sealift.registry.client import Fetched, Registry, Resolved
from sealift.registry.credentials import Credentials, Login, load_credentials
from sealift.registry.download import Sink, download_blob
from sealift.registry.mirrors import Endpoint, RegistriesConf, load_registries_conf
from sealift.registry.retry import Pacing, Patience
from sealift.registry.upload import Content, Repository

__all__ = [
    "Access",
    "Content",
    "Credentials",
    "Endpoint",
    "Fetched",
    "Login",
    "Pacing",
    "Patience",
    "RegistriesConf",
    "Registry",
    "Repository",
    "Resolved",
    "Sink",
    "download_blob",
    "load_credentials",
    "load_registries_conf",
]

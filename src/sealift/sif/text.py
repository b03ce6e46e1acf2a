"""What is in a SIF, as text: the forms of `apptainer sif list`, `header` and `info`, for people and for scripts.

Source of the forms: Apptainer 1.4's output; of the fields behind a descriptor: github.com/apptainer/sif, pkg/sif.
"""

from __future__ import annotations

import struct
import uuid
from datetime import UTC, datetime, timedelta

from sealift.core.architecture import by_sif_code
from sealift.sif.layout import PARTITION, DataType, Descriptor, FileSystem, Header, PartitionKind

_TYPES: dict[int, str] = {
    DataType.DEFINITION_FILE: "Def.FILE",
    DataType.ENVIRONMENT: "Env.Vars",
    DataType.LABELS: "JSON.Labels",
    DataType.PARTITION: "FS",
    DataType.SIGNATURE: "Signature",
    DataType.GENERIC_JSON: "JSON.Generic",
    DataType.GENERIC: "Generic/Raw",
    DataType.CRYPTO_MESSAGE: "Cryptographic Message",
    DataType.SBOM: "SBOM",
    DataType.OCI_ROOT_INDEX: "OCI.RootIndex",
    DataType.OCI_BLOB: "OCI.Blob",
}
_FILE_SYSTEMS: dict[int, str] = {
    FileSystem.SQUASHFS: "Squashfs",
    FileSystem.EXT3: "Ext3",
    FileSystem.ARCHIVE: "Archive",
    FileSystem.RAW: "Raw",
    FileSystem.ENCRYPTED_SQUASHFS: "Encrypted squashfs",
}
_KINDS: dict[int, str] = {
    PartitionKind.SYSTEM: "System",
    PartitionKind.PRIMARY_SYSTEM: "*System",
    PartitionKind.DATA: "Data",
    PartitionKind.OVERLAY: "Overlay",
}
_HASHES = {1: "SHA-256", 2: "SHA-384", 3: "SHA-512", 4: "BLAKE2s-256", 5: "BLAKE2b-256"}
_MESSAGE_FORMATS = {1: "OpenPGP", 2: "PEM"}
_MESSAGES = {0x100: "Clear Signature", 0x200: "RSA-OAEP"}
_SBOM_FORMATS = {
    1: "cyclonedx-json",
    2: "cyclonedx-xml",
    3: "github-json",
    4: "spdx-json",
    5: "spdx-rdf",
    6: "spdx-tag-value",
    7: "spdx-yaml",
    8: "syft-json",
}
_RULE = "-" * 78
_NO_TIME = -62135596800
"""Go's zero time, which means that none was set."""
_FINGERPRINT = 20


def list_text(descriptors: tuple[Descriptor, ...]) -> str:
    """The table of all objects."""
    lines = [_RULE, f"{'ID':<4} {'|GROUP':<8} {'|LINK':<8} {'|SIF POSITION (start-end)':<26} |TYPE", _RULE]
    for one in descriptors:
        position = f"|{one.offset}-{one.offset + one.size}"
        link = f"|{one.link:<3} (G)" if one.links_group and one.link else f"|{one.link or 'NONE'}"
        lines.append(f"{one.id:<4} |{one.group or 'NONE':<7} {link:<8} {position:<26} |{_kind_text(one)}")
    return "\n".join(lines) + "\n"


def header_text(header: Header) -> str:
    """The fields of the global header."""
    architecture = by_sif_code(header.architecture)
    rows = [
        ("Launch Script", header.launch_script.decode("utf-8", "replace").rstrip("\n")),
        ("Version", header.version),
        ("Primary Architecture", architecture.oci if architecture else ""),
        ("ID", str(uuid.UUID(bytes=header.id))),
        ("Created At", _time(header.created)),
        ("Modified At", _time(header.modified)),
        ("Descriptors Free", str(header.descriptors_free)),
        ("Descriptors Total", str(header.descriptors_total)),
        ("Descriptors Offset", str(header.descriptors_offset)),
        ("Descriptors Size", _size(header.descriptors_size)),
        ("Data Offset", str(header.data_offset)),
        ("Data Size", _size(header.data_size)),
    ]
    return _rows(rows, gap=1)


def info_text(one: Descriptor) -> str:
    """All that is known of one object."""
    link = f"{one.link} (G)" if one.links_group and one.link else str(one.link or "NONE")
    rows = [
        ("  Data Type", _TYPES.get(one.data_type, "Unknown")),
        ("  ID", str(one.id)),
        ("  Group ID", str(one.group or "NONE")),
        ("  Linked ID", link),
        ("  Offset", str(one.offset)),
        ("  Size", str(one.size)),
        ("  Created At", _time(one.created)),
        ("  Modified At", _time(one.modified)),
        ("  Name", one.name),
        *((f"  {name}", value) for name, value in _details(one)),
    ]
    return _rows(rows, gap=2)


def _kind_text(one: Descriptor) -> str:
    name = _TYPES.get(one.data_type, "Unknown")
    match one.data_type:
        case DataType.PARTITION | DataType.CRYPTO_MESSAGE:
            return f"{name} ({'/'.join(value for _, value in _details(one))})"
        case DataType.SIGNATURE:
            return f"{name} ({_details(one)[0][1]})"
        case DataType.SBOM:
            return f"{name} ({_details(one)[0][1]})"
        case _:
            return name


def _details(one: Descriptor) -> list[tuple[str, str]]:
    """What the extra field of this type of object says."""
    extra = one.extra.ljust(PARTITION.size, b"\0")
    first, second = struct.unpack_from("<ii", extra)
    match one.data_type:
        case DataType.PARTITION:
            architecture = by_sif_code(extra[8:11].rstrip(b"\0").decode("ascii", "replace"))
            return [
                ("Filesystem Type", _FILE_SYSTEMS.get(first, "Unknown")),
                ("Partition Type", _KINDS.get(second, "Unknown")),
                ("Architecture", architecture.oci if architecture else "unknown"),
            ]
        case DataType.SIGNATURE:
            entity = extra[4 : 4 + _FINGERPRINT].hex().upper()
            return [("Hash Type", _HASHES.get(first, "Unknown")), *([("Entity", entity)] if entity.strip("0") else [])]
        case DataType.CRYPTO_MESSAGE:
            return [
                ("Format Type", _MESSAGE_FORMATS.get(first, "Unknown")),
                ("Message Type", _MESSAGES.get(second, "Unknown")),
            ]
        case DataType.SBOM:
            return [("Format", _SBOM_FORMATS.get(first, "unknown"))]
        case DataType.OCI_ROOT_INDEX | DataType.OCI_BLOB:
            return [("Digest", one.extra.rstrip(b"\0").decode("utf-8", "replace"))]
        case _:
            return []


def _rows(rows: list[tuple[str, str]], *, gap: int) -> str:
    shown = [(f"{name}:", value) for name, value in rows if value]
    width = max(len(name) for name, _ in shown) + gap
    return "".join(f"{name:<{width}}{value}\n" for name, value in shown)


def _time(seconds: int) -> str:
    if seconds == _NO_TIME:
        return ""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return f"{seconds} seconds after 1970"
    return f"{moment:%Y-%m-%d %H:%M:%S} +0000 UTC"


def _size(count: int) -> str:
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}"

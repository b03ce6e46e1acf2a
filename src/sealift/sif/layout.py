r"""The layout of a SIF file: the drawing, its numbers, and its records as values.

    0        global header, 128 bytes
             launch script, 32 bytes    `#!/usr/bin/env run-singularity\n`, zero-padded
             magic, 10 bytes            `SIF_MAGIC\0`
             version, 3 bytes           `01\0`
             architecture, 3 bytes      of the primary partition, two digits; `00` where there is none
             ID, 16 bytes               a UUID
             i64 created · i64 modified                   seconds since 1970
             i64 free descriptors · i64 descriptors
             i64 offset of the descriptors · i64 their bytes
             i64 offset of the data · i64 its bytes
    4096     48 descriptors of 585 bytes
             i32 data type · u8 used · u32 ID, from 1 · u32 group · u32 link
             i64 offset · i64 size · i64 size with the padding before it
             i64 created · i64 modified · i64 uid · i64 gid (both 0)
             name, 128 bytes · extra, 384 bytes; for a partition: i32 file system · i32 kind · architecture, 3 bytes
    32176    data objects, each at its alignment: 1 byte, a partition's 4096

All numbers are little-endian. The upper four bits of a group are set, and those of a link that names a group.

Source: github.com/apptainer/sif, pkg/sif.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

LAUNCH_SCRIPT = b"#!/usr/bin/env run-singularity\n"
MAGIC = b"SIF_MAGIC\0"
VERSION = b"01\0"
NO_ARCHITECTURE = "00"
HEADER = struct.Struct("<32s10s3s3s16s8q")
DESCRIPTOR = struct.Struct("<i?III7q128s384s")
PARTITION = struct.Struct("<ii3s")
DESCRIPTORS_OFFSET = 4096
DESCRIPTORS = 48
DATA_OFFSET = DESCRIPTORS_OFFSET + DESCRIPTORS * DESCRIPTOR.size
PARTITION_ALIGNMENT = 4096
NAME_LIMIT = 128
GROUP = 0xF000_0000

INSPECT_METADATA = "inspect-metadata.json"
"""Name of the JSON object that holds what `apptainer inspect --json --all` shows, so that it need not be computed."""
OCI_CONFIG = "oci-config.json"
"""Name of the JSON object that holds the OCI image config of an image that came from a registry."""


class DataType(IntEnum):
    """What a data object is; the names are those that `apptainer sif list` shows."""

    DEFINITION_FILE = 0x4001
    ENVIRONMENT = 0x4002
    LABELS = 0x4003
    PARTITION = 0x4004
    SIGNATURE = 0x4005
    GENERIC_JSON = 0x4006
    GENERIC = 0x4007
    CRYPTO_MESSAGE = 0x4008
    SBOM = 0x4009
    OCI_ROOT_INDEX = 0x400A
    OCI_BLOB = 0x400B


class FileSystem(IntEnum):
    SQUASHFS = 1
    EXT3 = 2
    ARCHIVE = 3
    RAW = 4
    ENCRYPTED_SQUASHFS = 5


class PartitionKind(IntEnum):
    SYSTEM = 1
    PRIMARY_SYSTEM = 2
    DATA = 3
    OVERLAY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SifObject:
    """A data object to be written, partitions aside."""

    data_type: DataType
    data: bytes
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """`architecture` is SIF's two-digit code; times are seconds since 1970, and may be negative in foreign files."""

    launch_script: bytes
    version: str
    architecture: str
    id: bytes
    created: int
    modified: int
    descriptors_free: int
    descriptors_total: int
    descriptors_offset: int
    descriptors_size: int
    data_offset: int
    data_size: int

    def pack(self) -> bytes:
        return HEADER.pack(
            self.launch_script,
            MAGIC,
            self.version.encode(),
            self.architecture.encode(),
            self.id,
            self.created,
            self.modified,
            self.descriptors_free,
            self.descriptors_total,
            self.descriptors_offset,
            self.descriptors_size,
            self.data_offset,
            self.data_size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """One data object's record.

    `data_type` is a plain number where this file knows no name for it. `group` is 0 for none; `link` is the ID of an
    object, or of a group where `links_group` says so, and 0 for none. `extra` is filled up with zeros on disk.
    """

    data_type: DataType | int
    id: int
    group: int
    link: int = 0
    links_group: bool = False
    offset: int
    size: int
    size_with_padding: int
    created: int
    modified: int
    name: str = ""
    extra: bytes = b""

    def pack(self) -> bytes:
        return DESCRIPTOR.pack(
            self.data_type,
            True,
            self.id,
            GROUP | self.group,
            GROUP | self.link if self.links_group else self.link,
            self.offset,
            self.size,
            self.size_with_padding,
            self.created,
            self.modified,
            0,
            0,
            self.name.encode(),
            self.extra,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A file system inside a SIF; `architecture` is SIF's two-digit code."""

    id: int
    offset: int
    size: int
    file_system: FileSystem | int
    kind: PartitionKind | int
    architecture: str

"""Messages between the two sides of a sandbox: JSON behind its length, with open files beside it."""

from __future__ import annotations

import array
import json
import socket
import struct
import traceback
from typing import Any

from sealift.errors import (
    DefinitionError,
    HostError,
    ImageError,
    SealiftError,
    SectionError,
    StoreError,
    ToolError,
    UsageError,
)

LARGEST = 1 << 28

_PLAIN: tuple[type[SealiftError], ...] = (HostError, ImageError, StoreError, UsageError, DefinitionError)


class Channel:
    """One end of the socket pair. `receive` gives None when the other side is gone."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def patience(self, seconds: float) -> None:
        """How long `send` and `receive` may wait from now on; TimeoutError then, which is an OSError."""
        self._socket.settimeout(seconds)

    def send(self, message: dict[str, Any], files: tuple[int, ...] = ()) -> None:
        data = json.dumps(message).encode()
        # Files travel with the first bytes; the rest may need several writes.
        head = struct.pack("<IH", len(data), len(files))
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        self._socket.sendmsg([head], ancillary)
        self._socket.sendall(data)

    def receive(self) -> tuple[dict[str, Any], tuple[int, ...]] | None:
        head = b""
        files: list[int] = []
        while len(head) < 6:
            data, ancillary, _, _ = self._socket.recvmsg(
                6 - len(head), socket.CMSG_SPACE(16 * 4), socket.MSG_CMSG_CLOEXEC
            )
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    got = array.array("i")
                    got.frombytes(payload[: len(payload) - len(payload) % 4])
                    files.extend(got)
            if not data:
                return None
            head += data
        length, _ = struct.unpack("<IH", head)
        if length > LARGEST:
            raise ValueError("a message of the sandbox is too long")
        body = bytearray()
        while len(body) < length:
            part = self._socket.recv(min(length - len(body), 1 << 20))
            if not part:
                return None
            body += part
        return json.loads(body), tuple(files)


def error_to_json(error: BaseException) -> dict[str, Any]:
    """An exception as a message; one that is not ours keeps its class name and text."""
    if isinstance(error, ToolError):
        return {
            "class": "ToolError",
            "message": error.message,
            "hints": list(error.hints),
            "argv": list(error.argv),
            "code": error.code,
            "tail": error.tail,
        }
    if isinstance(error, SectionError):
        return {
            "class": "SectionError",
            "message": error.message,
            "hints": list(error.hints),
            "section": error.section,
            "code": error.code,
            "tail": error.tail,
        }
    if isinstance(error, SealiftError):
        name = next((each.__name__ for each in _PLAIN if isinstance(error, each)), "SealiftError")
        return {"class": name, "message": error.message, "hints": list(error.hints)}
    if isinstance(error, OSError):
        return {
            "class": "OSError",
            "errno": error.errno,
            "strerror": error.strerror,
            "filename": str(error.filename or ""),
        }
    return {"class": "", "message": "".join(traceback.format_exception(error))}


def error_from_json(message: dict[str, Any]) -> Exception:
    name, hints = message["class"], tuple(message.get("hints", ()))
    match name:
        case "ToolError":
            return ToolError(
                message["message"],
                argv=tuple(message["argv"]),
                code=message["code"],
                tail=message["tail"],
                hints=hints,
            )
        case "SectionError":
            return SectionError(
                message["message"],
                section=message["section"],
                code=message["code"],
                tail=message["tail"],
                hints=hints,
            )
        case "SealiftError":
            return SealiftError(message["message"], hints=hints)
        case "OSError":
            return OSError(message["errno"], message["strerror"], message["filename"] or None)
        case _:
            for each in _PLAIN:
                if each.__name__ == name:
                    return each(message["message"], hints=hints)
            return RuntimeError(f"the sandbox failed inside:\n{message['message']}")

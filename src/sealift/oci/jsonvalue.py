"""Typed access to JSON that strangers wrote: every complaint names the place, as in `layers[2].size`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sealift.core.digest import Digest, parse_digest
from sealift.errors import ImageError


class Fields:
    """One JSON object and where it stands; a missing or null field gives the default."""

    __slots__ = ("_value", "_where")

    def __init__(self, value: Mapping[str, Any], where: str) -> None:
        self._value = value
        self._where = where

    def at(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def text(self, name: str, default: str = "") -> str:
        value = self._value.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise ImageError(f"`{self.at(name)}` must be a string, not {_kind(value)}")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._value.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ImageError(f"`{self.at(name)}` must be a whole number of 0 or more, not {_kind(value)}")
        return value

    def digest(self, name: str) -> Digest:
        value = self.text(name)
        try:
            return parse_digest(value)
        except ValueError:
            raise ImageError(f"`{self.at(name)}` is not a digest: `{value[:100]}`") from None

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(_text(value, f"{self.at(name)}[{i}]") for i, value in enumerate(self._list(name)))

    def mapping(self, name: str) -> dict[str, str]:
        value = self._value.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ImageError(f"`{self.at(name)}` must be an object, not {_kind(value)}")
        return {key: _text(item, f"{self.at(name)}.{key}") for key, item in value.items() if item is not None}

    def keys(self, name: str) -> tuple[str, ...]:
        """The keys of an object that is used as a set (`ExposedPorts`, `Volumes`)."""
        value = self._value.get(name)
        return tuple(value) if isinstance(value, dict) else ()

    def child(self, name: str) -> Fields | None:
        value = self._value.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ImageError(f"`{self.at(name)}` must be an object, not {_kind(value)}")
        return Fields(value, self.at(name))

    def children(self, name: str) -> Iterator[Fields]:
        for i, value in enumerate(self._list(name)):
            where = f"{self.at(name)}[{i}]"
            if not isinstance(value, dict):
                raise ImageError(f"`{where}` must be an object, not {_kind(value)}")
            yield Fields(value, where)

    def has(self, name: str) -> bool:
        return self._value.get(name) is not None

    def flag(self, name: str) -> bool:
        return self._value.get(name) is True

    def _list(self, name: str) -> list[Any]:
        value = self._value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise ImageError(f"`{self.at(name)}` must be a list, not {_kind(value)}")
        return value


def parse_object(data: bytes, what: str) -> Fields:
    """Read one JSON object; ImageError that says what it should have been."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ImageError(f"{what} must be a JSON object, not {_kind(value)}")
    return Fields(value, "")


def parse_list(data: bytes, what: str) -> Fields:
    """Read a JSON list; its items are the children called `items` of the answer."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, list):
        raise ImageError(f"{what} must be a JSON list, not {_kind(value)}")
    return Fields({"items": value}, "")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ImageError(f"`{where}` must be a string, not {_kind(value)}")
    return value


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return f"the number {value}"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"

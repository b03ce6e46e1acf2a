"""What NVIDIA's drivers run: the tables of data/gpu/cuda.toml, and the questions that they answer."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Literal

from sealift.core.mpi import version_numbers
from sealift.elf.gpucode import GpuCode

Runs = Literal["full", "minor", "no"]
"""A toolkit on a driver: with all that it can, by minor-version compatibility, not at all."""


@functools.cache
def tables() -> Mapping[str, Any]:
    text = resources.files("sealift").joinpath("data/gpu/cuda.toml").read_text("utf-8")
    return tomllib.loads(text)


def at_least(have: str, need: str) -> bool:
    """Is a driver new enough? A branch (`590`) counts as the one of its releases that is asked for."""
    ours, theirs = version_numbers(have), version_numbers(need)
    return bool(ours) and ours >= theirs[: len(ours)]


def runs(cuda: str, driver: str, driver_cuda: str = "") -> Runs | None:
    """How `driver` runs programs of this CUDA version; None for a version of which nothing is known.

    `driver_cuda` is the newest version that it runs in full, where that was said of it.
    """
    numbers = version_numbers(cuda)
    least = least_driver(cuda)
    if not numbers or not least:
        return None
    if not at_least(driver, least):
        return "no"
    if len(numbers) == 1:  # only the major version is known
        return "full"
    full = tables()["drivers"].get(f"{numbers[0]}.{numbers[1]}")
    if full is not None and at_least(driver, full["driver"]):
        return "full"
    if driver_cuda and numbers[:2] <= version_numbers(driver_cuda)[:2]:
        return "full"
    newest = max((version_numbers(key) for key in tables()["drivers"] if at_least(driver, _driver(key))), default=())
    return "full" if numbers[:2] <= newest else "minor"


def _driver(key: str) -> str:
    return str(tables()["drivers"][key]["driver"])


def least_driver(cuda: str) -> str:
    """The oldest driver for all of a major version; empty for one of which nothing is known."""
    row = tables()["majors"].get(str(next(iter(version_numbers(cuda)), "")))
    return str(row["least"]) if row else ""


def full_driver(cuda: str) -> str:
    """The driver with which this version runs in full; empty where it is not known."""
    row = tables()["drivers"].get(".".join(str(part) for part in version_numbers(cuda)[:2]))
    return str(row["driver"]) if row else ""


def newest_full(driver: str) -> str:
    """The newest CUDA version that this driver runs in full."""
    fitting = [key for key in tables()["drivers"] if at_least(driver, _driver(key))]
    return max(fitting, key=version_numbers, default="")


def oldest_capability(cuda: str) -> str:
    """The oldest GPU that compilers and libraries of this version know."""
    row = tables()["majors"].get(str(next(iter(version_numbers(cuda)), "")))
    return str(row["capability"]) if row else ""


def first_for(capability: str) -> str:
    """The first CUDA whose compilers know this GPU; empty where it is not known."""
    row = tables()["capabilities"].get(capability)
    return str(row["cuda"]) if row else ""


def meets(requirement: str, driver: str, driver_cuda: str = "") -> bool:
    """Does a driver meet NVIDIA_REQUIRE_CUDA: groups parted by blanks, of which one has to hold, each of terms parted
    by commas, which all have to? The brand is taken for that of data-centre cards. What is not understood holds.
    """
    newest = driver_cuda or newest_full(driver)
    return any(all(_holds(term, driver, newest) for term in group.split(",")) for group in requirement.split())


def _holds(term: str, driver: str, newest: str) -> bool:
    found = re.fullmatch(r"(cuda|driver|brand)(>=|<=|<|>|!=|=)(\S+)", term)
    if found is None:
        return True
    name, operator, value = found.groups()
    if name == "brand":
        return (value == "tesla") == (operator == "=")
    ours, theirs = version_numbers(newest if name == "cuda" else driver), version_numbers(value)
    ours, theirs = ours[: len(theirs)], theirs[: len(ours)]
    return {
        ">=": ours >= theirs,
        "<=": ours <= theirs,
        "<": ours < theirs,
        ">": ours > theirs,
        "=": ours == theirs,
        "!=": ours != theirs,
    }[operator]


def torch_code(cuda: str, architecture: str) -> GpuCode | None:
    """What PyTorch's own wheels have; None where it is not known."""
    row = tables()["torch"].get(architecture, {}).get(cuda)
    if row is None:
        return None
    ptx = (f"compute_{row['ptx'].replace('.', '')}",) if "ptx" in row else ()
    return GpuCode(code=tuple(f"sm_{each.replace('.', '')}" for each in row["code"]), ptx=ptx)


def wheels_for(capability: str, architecture: str) -> tuple[str, ...]:
    """The versions of CUDA for which PyTorch's own wheels run on this GPU."""
    rows = tables()["torch"].get(architecture, {})
    codes = {version: torch_code(version, architecture) for version in rows}
    return tuple(version for version, code in codes.items() if code and covers(code, capability) != "no")


def torch_default(version: str) -> str:
    """The CUDA version of the wheel that the package index gives for this version; empty where it is not known."""
    row = tables()["torch_default"].get(".".join(version.split(".")[:2]))
    return str(row["cuda"]) if row else ""


def covers(code: GpuCode, capability: str) -> Literal["code", "ptx", "no"]:
    """Is there machine code for this GPU (8.6 runs that of 8.0), else PTX that a driver makes it of?"""
    major, minor = version_numbers(capability)[:2]
    wanted = major * 10 + minor
    for number in _numbers(code.code):
        if number // 10 == major and number <= wanted:
            return "code"
    return "ptx" if any(number <= wanted for number in _numbers(code.ptx)) else "no"


def _numbers(targets: Sequence[str]) -> list[int]:
    return [int(number) for each in targets if (number := each.rpartition("_")[2]).isdecimal()]

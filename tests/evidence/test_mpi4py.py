"""Which MPI mpi4py's wheels open, by the order in which they look."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from sealift.evidence.files import ImageFiles
from sealift.evidence.mpi4py import opened_by_path
from sealift.evidence.packages import find_packages
from tests.evidence.conftest import Content


def python(prefix: str, packages: str = "site-packages", module: str = "MPI.mpich.cpython-312-x86_64-linux-gnu.so"):
    place = f"{prefix}/lib/python3.12/{packages}"
    return {
        f"{place}/mpi4py-4.1.2.dist-info/METADATA": b"Metadata-Version: 2.1\nName: mpi4py\nVersion: 4.1.2\n",
        f"{place}/mpi4py/{module}": b"",
    }


def settings(system: str) -> dict[str, Content]:
    text = f"home = /usr/local/bin\ninclude-system-site-packages = {system}\nversion = 3.12.3\n"
    return {"opt/env/pyvenv.cfg": text.encode()}


ENV: dict[str, Content] = {**python("opt/env"), **settings("false")}
OWN: dict[str, Content] = {"opt/env/lib/libmpi.so.12": b""}
LOCAL: dict[str, Content] = {"usr/local/lib/libmpi.so": "libmpi.so.12", "usr/local/lib/libmpi.so.12": b""}


@pytest.mark.parametrize(
    ("content", "variable", "expected"),
    [
        pytest.param({**ENV, **OWN}, "", "/opt/env/lib/libmpi.so.12", id="environment"),
        pytest.param({**ENV, **LOCAL}, "", "", id="outside-of-the-environment"),
        pytest.param({**ENV, **settings("true"), **LOCAL}, "", "/usr/local/lib/libmpi.so", id="system-packages-too"),
        pytest.param({**python("usr/local"), **LOCAL}, "", "/usr/local/lib/libmpi.so", id="prefix"),
        pytest.param({**python("usr/local", "dist-packages"), **LOCAL}, "", "", id="debian"),
        pytest.param({**python("usr"), "usr/lib/libmpi.so.12": b""}, "", "", id="usr"),
        pytest.param({**python("opt/env", module="MPI.cpython-312.so"), **OWN}, "", "", id="from-source"),
        pytest.param({**ENV, **OWN}, "libmpi.so.12", "", id="by-name"),
        pytest.param({**ENV, **OWN, **LOCAL}, "/usr/local/lib/libmpi.so.12", "/usr/local/lib/libmpi.so.12", id="path"),
        pytest.param(OWN, "", "", id="no-mpi4py"),
    ],
)
def test_what_is_opened(
    content: Mapping[str, Content],
    variable: str,
    expected: str,
    image_files: Callable[[Mapping[str, Content]], ImageFiles],
) -> None:
    files = image_files(content)
    environment = {"MPI4PY_LIBMPI": variable} if variable else {}
    assert opened_by_path(files, find_packages(files).packages, environment) == expected

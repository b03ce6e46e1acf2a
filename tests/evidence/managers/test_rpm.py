"""RPM's database: headers, the log beside it, and what is damaged. Real databases are read in test_packages."""

from __future__ import annotations

import shutil
import sqlite3
import struct

import pytest

from sealift.evidence.managers.rpm import Header, headers, parse_header, read
from sealift.evidence.packages import Listed, Told
from tests.evidence.managers.rpmmade import Value, database, header

BASH: dict[int, Value] = {
    1000: "bash",
    1001: "5.2",
    1002: "1.el9",
    1003: [1],
    1022: "x86_64",
    1116: [0, 0, 1],
    1117: ["bash", "sh", "README"],
    1118: ["/usr/bin/", "/usr/share/doc/bash/"],
}
OLD: dict[int, Value] = {1000: "old", 1001: "1", 1002: "2", 1022: "noarch", 1027: ["/old/a", "/old/b"]}
LISTED = (
    Listed(
        name="bash",
        version="1:5.2-1.el9",
        architecture="x86_64",
        paths=["/usr/bin/bash", "/usr/bin/sh", "/usr/share/doc/bash/README"],
    ),
    Listed(name="old", version="1-2", architecture="noarch", paths=["/old/a", "/old/b"]),
)


@pytest.mark.parametrize("folder", ["usr/lib/sysimage/rpm", "var/lib/rpm", "usr/share/rpm"])
def test_packages_and_their_files(image_files, tmp_path, folder) -> None:
    files = image_files({f"{folder}/rpmdb.sqlite": database(tmp_path / "db", [header(BASH), header(OLD)])})
    assert read(files) == Told(listed=LISTED)


def test_one_database_under_two_names_is_read_once(image_files, tmp_path) -> None:
    content = database(tmp_path / "db", [header(OLD)])
    files = image_files({"usr/lib/sysimage/rpm/rpmdb.sqlite": content, "var/lib/rpm": "../../usr/lib/sysimage/rpm"})
    assert read(files) == Told(listed=LISTED[1:])


def test_what_stands_in_the_log_alone(image_files, tmp_path) -> None:
    """As a process leaves it that was killed: copied while it is open."""
    database(tmp_path / "db", [header(OLD)])
    writer = sqlite3.connect(tmp_path / "db")
    writer.execute("INSERT INTO Packages (blob) VALUES (?)", (header(BASH),))
    writer.commit()
    for name in ("db", "db-wal"):
        shutil.copy(tmp_path / name, tmp_path / f"copy-{name}")
    writer.execute("DELETE FROM Packages")
    writer.close()
    content, log = (tmp_path / "copy-db").read_bytes(), (tmp_path / "copy-db-wal").read_bytes()
    assert log
    files = image_files({"var/lib/rpm/rpmdb.sqlite": content, "var/lib/rpm/rpmdb.sqlite-wal": log})
    assert sorted(one.name for one in read(files).listed) == ["bash", "old"]


@pytest.mark.parametrize(("name", "form"), [("Packages", "Berkeley DB"), ("Packages.db", "ndb")])
def test_other_forms_are_named(image_files, name, form) -> None:
    files = image_files({f"var/lib/rpm/{name}": b"x"})
    assert read(files).unread == (f"RPM's database `/var/lib/rpm/{name}` is in the form {form}, which is not read",)


def test_damage_is_told(image_files, tmp_path) -> None:
    files = image_files({"var/lib/rpm/rpmdb.sqlite": b"no database" * 100})
    assert read(files) == Told(
        unread=("RPM's database `/var/lib/rpm/rpmdb.sqlite` is damaged: file is not a database",)
    )


ENDLESS = """CREATE VIEW Packages AS WITH RECURSIVE n(hnum, blob) AS
(SELECT 1, x'00' UNION ALL SELECT hnum + 1, x'00' FROM n) SELECT * FROM n"""


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("CREATE TABLE Other (x)", "it has no table of packages"),
        (ENDLESS, "it has no table of packages"),
        ("CREATE TABLE Packages (hnum, blob); INSERT INTO Packages VALUES (1, 'text')", "a header is no bytes"),
        ("CREATE TABLE Packages (hnum)", "no such column: blob"),
    ],
)
def test_a_database_of_something_else(image_files, tmp_path, script, why) -> None:
    connection = sqlite3.connect(tmp_path / "db")
    connection.executescript(script)
    connection.close()
    files = image_files({"var/lib/rpm/rpmdb.sqlite": (tmp_path / "db").read_bytes()})
    assert read(files) == Told(unread=(f"RPM's database `/var/lib/rpm/rpmdb.sqlite` is damaged: {why}",))


def test_a_header() -> None:
    assert parse_header(header({1000: "x", 1117: ["a", "b"], 1003: [1, 2], 9: []})) == Header(
        {1003: (1, 2)}, {9: (), 1000: ("x",), 1117: ("a", "b")}
    )


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        header(BASH)[:-1],
        struct.pack(">II", 1 << 30, 0),
        struct.pack(">IIIIII", 1, 4, 1000, 6, 4, 1) + b"abc\0",
        struct.pack(">IIIIII", 1, 4, 1000, 6, 0, 9) + b"abc\0",
        struct.pack(">IIIIII", 1, 4, 1003, 4, 0, 2) + b"abcd",
        header({**BASH, 1116: [0, 0, 2]}),
        header({**BASH, 1116: [0]}),
    ],
)
def test_a_damaged_header(damaged, image_files, tmp_path) -> None:
    content = database(tmp_path / "db", [damaged])
    found = read(image_files({"var/lib/rpm/rpmdb.sqlite": content}))
    assert (found.listed, len(found.unread)) == ((), 1)
    assert found.unread[0].startswith("RPM's database `/var/lib/rpm/rpmdb.sqlite` is damaged: ")


def test_headers_come_in_the_order_in_which_packages_were_installed(tmp_path) -> None:
    found = headers(database(tmp_path / "db", [header(BASH), header(OLD), header(BASH)]))
    assert [one.text(1000) for one in found] == ["bash", "old", "bash"]

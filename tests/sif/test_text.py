"""The text of `sif list|header|info|dump` beside Apptainer's own."""

from __future__ import annotations

import pytest

OBJECTS = (
    ("--datatype", "1"),
    ("--datatype", "2", "--filename", "variables.sh", "--groupid", "1"),
    ("--datatype", "3", "--link", "1"),
    ("--datatype", "5", "--signhash", "1", "--signentity", "12045C8C0B1004D058DE4BEDA20C27EE7FF7BA84", "--link", "1"),
    ("--datatype", "6", "--groupid", "3"),
    ("--datatype", "7"),
    ("--datatype", "8"),
    ("--datatype", "9", "--sbomformat", "spdx-json"),
    ("--datatype", "10"),
    ("--datatype", "11"),
    *(("--datatype", "4", "--partfs", str(fs), "--parttype", "1", "--partarch", str(fs)) for fs in range(1, 5)),
    ("--datatype", "4", "--partfs", "1", "--parttype", "3", "--partarch", "7", "--filename", "data"),
    ("--datatype", "4", "--partfs", "2", "--parttype", "4", "--partarch", "12"),
    ("--datatype", "4", "--partfs", "1", "--parttype", "2", "--partarch", "4", "--groupid", "2"),
)


@pytest.mark.slow
@pytest.mark.needs("apptainer")
def test_every_kind_of_object_is_shown_as_apptainer_shows_it(apptainer, as_user):
    folder = as_user.folder()
    as_user.give((folder / "data").parent)
    (folder / "data").write_bytes(bytes(range(256)) * 4)
    assert apptainer("sif", "new", "all.sif", cwd=folder).returncode == 0
    wanted: list[tuple[str, ...]] = [("list",), ("header",)]
    for number, words in enumerate(OBJECTS, 1):
        added = apptainer("sif", "add", *words, "all.sif", "data", cwd=folder)
        assert added.returncode == 0, added.stderr.decode()
        wanted.append(("info", str(number)))
    wanted += [("dump", "1"), ("dump", str(len(OBJECTS)))]
    for words in wanted:
        theirs = apptainer("sif", *words, "all.sif", cwd=folder)
        ours = as_user([str(as_user.bin / "sealift"), "sif", *words, "all.sif"])
        assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout), (words, ours.stderr)

"""Records of owners, read back onto a folder that stands for an upper layer."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.sandbox.owners import Owner, Record, read_owners, read_records
from sealift.system import kernel

Base = dict[str, tuple[int, int, int]]


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    folder = tmp_path / "upper"
    folder.mkdir()
    return folder


@pytest.fixture
def note(tmp_path: Path) -> Callable[..., None]:
    def write(path: Path, **wish: object) -> None:
        inode, birth = kernel.birth(path.as_posix())
        record = replace(Record(inode=inode, birth=birth), **wish)  # type: ignore[arg-type]
        with (tmp_path / "journal").open("ab") as journal:
            journal.write(record.line())

    return write


def read(tmp_path: Path, base: Base | None = None, **more: object) -> dict[str, tuple[int, int]]:
    below = None if base is None else lambda path: base.get(os.fsdecode(path))
    found = read_owners(f"{tmp_path}/journal", f"{tmp_path}/upper", below, **more)  # type: ignore[arg-type]
    names = {}
    for folder, folders, files in os.walk(tmp_path / "upper"):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            owner = found.get(os.lstat(path).st_ino)
            if owner is not None:
                names[os.path.relpath(path, tmp_path / "upper")] = (owner.uid, owner.gid)
    return names


def test_a_journal_that_is_missing_or_cut_off(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    assert read_records(journal.as_posix()) == {}
    whole = Record(inode=1, birth=2, uid=3, gid=None, at=4)
    journal.write_bytes(whole.line() + Record(inode=5, birth=6, uid=7).line()[:-3])
    assert read_records(journal.as_posix()) == {(1, 2): whole}


def test_the_last_record_wins_and_what_it_does_not_say_stays(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_bytes(
        Record(inode=1, birth=2, uid=3, gid=4, at=1).line()
        + Record(inode=1, birth=2, uid=5, at=2).line()
        + Record(inode=1, birth=2, kind=stat.S_IFCHR, rdev=259, at=3).line()
    )
    assert read_records(journal.as_posix())[1, 2] == Record(
        inode=1, birth=2, uid=5, gid=4, kind=stat.S_IFCHR, rdev=259, at=3
    )


def test_records_follow_renames_and_links(tmp_path: Path, upper: Path, note: Callable[..., None]) -> None:
    (upper / "f").touch()
    note(upper / "f", uid=5, gid=6)
    (upper / "f").rename(upper / "g")
    os.link(upper / "g", upper / "h")
    assert read(tmp_path) == {"g": (5, 6), "h": (5, 6)}


def test_a_number_that_is_used_again_is_not_mistaken(tmp_path: Path, upper: Path) -> None:
    (upper / "f").touch()
    inode, birth = kernel.birth(f"{upper}/f")
    (tmp_path / "journal").write_bytes(Record(inode=inode, birth=birth - 1, uid=5).line())
    assert read(tmp_path) == {}


def test_a_device_keeps_the_permissions_that_it_has_now(tmp_path: Path, upper: Path, note: Callable[..., None]) -> None:
    (upper / "null").touch()
    (upper / "null").chmod(0o640)
    note(upper / "null", kind=stat.S_IFCHR, rdev=os.makedev(1, 3))
    found = os.lstat(upper / "null")
    assert read_owners(f"{tmp_path}/journal", upper.as_posix()) == {
        found.st_ino: Owner(uid=found.st_uid, gid=found.st_gid, mode=stat.S_IFCHR | 0o640, rdev=os.makedev(1, 3))
    }


FILE, FOLDER = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755


def copied_up(path: Path) -> None:
    os.setxattr(path, "user.overlay.origin", b"")


def test_what_was_copied_up_is_the_bases(tmp_path: Path, upper: Path, note: Callable[..., None]) -> None:
    for name in ("copied", "changed", "new", "linked"):
        (upper / name).touch()
    (upper / "folder").mkdir()
    for name in ("copied", "changed", "folder"):
        copied_up(upper / name)
    note(upper / "changed", uid=5)
    note(upper / "linked", gid=0)
    base: Base = dict.fromkeys(("copied", "changed", "new"), (FILE, 42, 43)) | {
        "folder": (FOLDER, 44, 45),
        "linked": (stat.S_IFLNK | 0o777, 46, 47),
    }
    mine = (os.getuid(), os.getgid())
    expected = {"copied": (42, 43), "changed": (5, 43), "folder": (44, 45)}
    assert read(tmp_path, base) == expected | ({} if mine[1] == 0 else {"linked": (mine[0], 0)})
    assert "copied" not in read(tmp_path)


def test_without_marks_the_inodes_that_were_kept_tell(tmp_path: Path, upper: Path) -> None:
    (upper / "f").touch()
    inode = (upper / "f").stat().st_ino
    assert read(tmp_path, {"f": (FILE, 5, 6)}) == {}
    assert read(tmp_path, {"f": (FILE, 5, 6)}, kept=frozenset({inode})) == {"f": (5, 6)}


def test_fuse_overlayfs_marks_the_folders_that_are_new(tmp_path: Path, upper: Path) -> None:
    for name in ("new", "old"):
        (upper / name).mkdir()
    os.setxattr(upper / "new", "user.fuseoverlayfs.opaque", b"y")
    base: Base = {"new": (FOLDER, 5, 6), "old": (FOLDER, 7, 8)}
    assert read(tmp_path, base, marked_folders=False) == {"old": (7, 8)}


def test_a_rewritten_file_keeps_the_owner_that_the_program_saw(
    tmp_path: Path, upper: Path, note: Callable[..., None]
) -> None:
    """`useradd` writes a new /etc/shadow and gives it the old one's owner, which it saw as root's."""
    for name in ("shadow", "shadow-", "reset", "plain"):
        (upper / name).touch()
    note(upper / "shadow", uid=0, gid=0, soft=True)
    note(upper / "shadow-", uid=0, gid=0, soft=True, like="shadow")
    note(upper / "reset", uid=0, gid=0)
    note(upper / "plain", uid=0, gid=0, soft=True, like="missing")
    base: Base = {"shadow": (FILE, 0, 42), "reset": (FILE, 5, 6)}
    found = read(tmp_path, base)
    assert {name: found.get(name, (0, 0)) for name in ("shadow", "shadow-", "reset", "plain")} == {
        "shadow": (0, 42),
        "shadow-": (0, 42),
        "reset": (0, 0),
        "plain": (0, 0),
    }


def test_new_entries_of_setgid_folders_have_the_folders_group(
    tmp_path: Path, upper: Path, note: Callable[..., None]
) -> None:
    folder = upper / "mail"
    folder.mkdir()
    (folder / "before").touch()
    at = kernel.birth(f"{folder}/before")[1] + 1
    note(folder, gid=8, at=at)
    folder.chmod(0o2775)
    while kernel.birth(f"{folder}/before")[1] + 10_000_000 > _now(folder):
        pass
    (folder / "after").touch()
    (folder / "own").touch()
    note(folder / "own", gid=9)
    (folder / "sub").mkdir()
    (folder / "sub").chmod(0o2755)
    (folder / "sub" / "deep").touch()
    found = {name: gid for name, (_, gid) in read(tmp_path, {}).items()}
    assert found == {"mail": 8, "mail/after": 8, "mail/own": 9, "mail/sub": 8, "mail/sub/deep": 8}


def _now(folder: Path) -> int:
    probe = folder.parent / "probe"
    probe.touch()
    born = kernel.birth(probe.as_posix())[1]
    probe.unlink()
    return born


@pytest.mark.needs("root")
def test_a_whiteout_is_never_given_an_owner(tmp_path: Path, upper: Path) -> None:
    """It would no longer be one: a pack takes an entry with an owner of its own for a device."""
    folder = upper / "mail"
    folder.mkdir()
    folder.chmod(0o2775)
    copied_up(folder)
    os.mknod(folder / "gone", stat.S_IFCHR, os.makedev(0, 0))
    assert read(tmp_path, {"mail": (FOLDER, 0, 8), "mail/gone": (FILE, 5, 6)}) == {"mail": (0, 8)}

"""What is done in a new root when its package manager is done: its records get times that mean the packages, not today.

Called by name inside the sandbox, see `Sandbox.call`.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re

from sealift.bases.pacman import build_time, with_install_time
from sealift.bases.rpms import DATABASES
from sealift.sandbox.inside import Inside

HISTORY = "var/lib/dnf/history.sqlite"


def settle_rpm(inside: Inside, *, epoch: int) -> list[str]:
    """Make one file of each of SQLite's databases, bring rpm's to where the image's own rpm looks for it.

    Gives sentences to warn of.
    """
    root = inside.root
    for folder in DATABASES:
        _as_one_file(f"{root}{folder}/rpmdb.sqlite")
    _settle_history(os.path.join(root, HISTORY), epoch)
    return _move_database(root)


def _as_one_file(path: str, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Make the database one file, without a log beside it, after running `statements` on it.

    With a log, SQLite cannot read it where the file system is read-only, as in a running image.
    """
    if not os.path.isfile(path):
        return
    import sqlite3

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement, values in statements:
            database.execute(statement, values)
        database.execute("PRAGMA journal_mode = DELETE")


def _settle_history(path: str, epoch: int) -> None:
    """Take out of dnf's notes when it ran, and its command line, which holds the path of this very sandbox."""
    import sqlite3

    with contextlib.suppress(sqlite3.Error):  # a later dnf's history may have other tables
        _as_one_file(
            path,
            ("UPDATE trans SET dt_begin = ?, dt_end = ?, cmdline = ''", (epoch, epoch)),
            # Else what stood there before is still in the file.
            ("VACUUM", ()),
        )


def _move_database(root: str) -> list[str]:
    own = _own_database(root)
    if own is None:
        return []
    warnings = []
    if own.backend in ("bdb", "ndb"):
        warnings.append(
            f"the image's own rpm keeps its database in the form `{own.backend}`, which this host's rpm does not write:"
            " rpm in the image will not see what is installed"
        )
    made = next((each for each in DATABASES if os.path.isfile(f"{root}{each}/rpmdb.sqlite")), None)
    if made is not None and own.path in DATABASES and own.path != made and not os.path.islink(root + made):
        target = root + own.path
        os.makedirs(target, mode=0o755, exist_ok=True)
        for name in sorted(os.listdir(root + made)):
            os.replace(os.path.join(root + made, name), os.path.join(target, name))
        os.rmdir(root + made)
        os.symlink(os.path.relpath(own.path, os.path.dirname(made)), root + made)
    return warnings


class _OwnDatabase:
    def __init__(self, path: str, backend: str) -> None:
        self.path = path
        self.backend = backend


def _own_database(root: str) -> _OwnDatabase | None:
    """Where and how the image's own rpm keeps its database, as its macros say; None where it has no rpm."""
    try:
        with open(os.path.join(root, "usr/lib/rpm/macros"), encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    path = re.search(r"(?m)^%_dbpath\s+(\S+)", text)
    backend = re.search(r"(?m)^%_db_backend\s+(\S+)", text)
    if path is None:
        return None
    known = {"%{_var}": "/var", "%{_usr}": "/usr", "%{_prefix}": "/usr", "%{_localstatedir}": "/var"}
    place = re.sub(r"%\{\w+\}", lambda found: known.get(found[0], found[0]), path[1])
    return _OwnDatabase(place, backend[1] if backend else "")


def settle_pacman(inside: Inside) -> int | None:
    """Say of every package that it was installed when the newest of them was built; gives that time."""
    records = sorted(glob.glob(os.path.join(glob.escape(inside.root), "var/lib/pacman/local/*/desc")))
    texts = {}
    for path in records:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            texts[path] = file.read()
    times = [time for text in texts.values() if (time := build_time(text)) is not None]
    if not times:
        return None
    newest = max(times)
    for path, text in texts.items():
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(with_install_time(text, newest))
    return newest

"""Where progress is kept between calls: one small file, written whole, by one process at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping

from sealift.core.event import Events, Said
from sealift.learn.progress import Record, read_record, write_record
from sealift.system.files import atomic_file, locked_folder
from sealift.system.home import home_folder

FILE = "learn.json"
_LIMIT = 4 << 20


def state_folder(environment: Mapping[str, str]) -> str:
    """`sealift` in the state folder of the XDG Base Directory Specification, by which a relative path is ignored."""
    state = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.join(home_folder(environment), ".local", "state")
    return os.path.join(state, "sealift")


def load(environment: Mapping[str, str], events: Events) -> Record:
    """What is known; nothing where there is no file, or a damaged one, which is said."""
    path = os.path.join(state_folder(environment), FILE)
    try:
        with open(path, "rb") as file:
            return read_record(file.read(_LIMIT))
    except FileNotFoundError:
        return Record()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        events(Said(text=f"what was known of your progress cannot be read: `{path}`: {why}", level="warning"))
        return Record()


def update(environment: Mapping[str, str], change: Callable[[Record], Record], events: Events) -> Record:
    """Read, change and write in one piece. A damaged file is kept aside; a folder that cannot be written is said."""
    folder = state_folder(environment)
    path = os.path.join(folder, FILE)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with locked_folder(folder):
            try:
                with open(path, "rb") as file:
                    record = read_record(file.read(_LIMIT))
            except FileNotFoundError:
                record = Record()
            except ValueError:
                with contextlib.suppress(OSError):
                    os.replace(path, f"{path}.damaged")
                events(Said(text=f"your progress was damaged, and is in `{path}.damaged` now", level="warning"))
                record = Record()
            changed = change(record)
            if changed != record:
                with atomic_file(path, mode=0o600) as out:
                    out.write(write_record(changed))
    except OSError as error:
        events(Said(text=f"your progress is not kept: `{path}`: {error.strerror or error}", level="warning"))
        return change(Record())
    return changed

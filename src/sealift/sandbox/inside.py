"""What a function that is called inside a sandbox is given, and how it is called.

The function runs in a process of its own, in the sandbox's namespaces, with the host's files still in view: it can read
the upper layer as the sections left it (owners and file capabilities as they are inside) and write to the store.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sealift.sandbox.assemble import Assembly
from sealift.sandbox.owners import BaseOwner, Owner, read_owners
from sealift.sandbox.spec import Footing


@dataclass(frozen=True, kw_only=True)
class Inside:
    """Paths are absolute and valid in the calling process.

    `root` is the merged tree, `upper` the folder of what the sections changed, `lowers` the mounted layers below,
    lowest first. `descriptors` are the files handed to `Sandbox.call`. `report` sends a small JSON value outwards.
    """

    root: str
    upper: str
    lowers: tuple[str, ...]
    work: str
    footing: Footing
    descriptors: tuple[int, ...] = ()
    report: Callable[[Any], None] = lambda _value: None

    @property
    def overrides(self) -> Mapping[int, Owner]:
        """What the namespace could not hold of what the sections asked for, by inode number of entries of `upper`."""
        return self.owners(None)

    def owners(self, base: BaseOwner | None) -> Mapping[int, Owner]:
        """The true owners (and devices) of entries of `upper`, by inode number, where they are not what `lstat` says.

        `base` tells the owners of the layers below; it is asked in mode `single` only, see `read_owners`.
        """
        from sealift.sandbox.copied import kept_inodes

        return read_owners(
            os.path.join(self.work, "owners"),
            self.upper,
            base if self.footing.mode == "single" else None,
            kept=kept_inodes(self.work),
            marked_folders=self.footing.overlay != "fuse",
        )


def serve_call(
    made: Assembly, footing: Footing, request: Mapping[str, Any], files: tuple[int, ...], answer: int
) -> int:
    """Run the function that `request` names and write its outcome to the descriptor `answer`, one JSON text a line."""
    from sealift.sandbox.wire import error_to_json

    def say(message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(answer, data) :]

    try:
        upper = made.upper
        if made.copied:
            from sealift.sandbox.copied import changes_as_upper

            upper = changes_as_upper(made)
        inside = Inside(
            root=made.root,
            upper=upper,
            lowers=made.lowers,
            work=made.work,
            footing=footing,
            descriptors=files,
            report=lambda value: say({"said": "report", "value": value}),
        )
        module, _, name = request["function"].partition(":")
        function = getattr(importlib.import_module(module), name)
        value = function(inside, **request["args"])
        say({"said": "result", "value": value})
    except BaseException as error:  # noqa: BLE001 -- whatever it is, the outer side must hear of it
        say({"said": "error", "error": error_to_json(error)})
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0

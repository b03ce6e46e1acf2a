"""Whether this host may be one of the known sites, found out without reading what is known of them.

Reading all profiles takes longer than starting a container; the variables by which sites are known are found as text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from sealift.system.home import home_folder

PROFILES = os.path.join(os.path.dirname(__file__), "..", "data", "sites")
_SECTION = re.compile(rb'^\[detect\]\s*^(?:\s|#[^\n]*\n)*variable\s*=[^"\n]*"([^"\n]*)"', re.MULTILINE)


def own_folder(environment: Mapping[str, str]) -> str:
    """Where the user's profiles lie: `sealift/sites` of the configuration folder (XDG Base Directory Specification)."""
    config = environment.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(config):
        config = os.path.join(home_folder(environment), ".config")
    return os.path.join(config, "sealift", "sites")


def may_be_known(environment: Mapping[str, str], own: str) -> bool:
    """Is a variable set by which a profile knows its site? `own` is the folder of the user's profiles.

    Where a profile words it in another way, the answer is yes.
    """
    for folder in (PROFILES, own):
        try:
            names = [name for name in os.listdir(folder) if name.endswith(".toml") and name != "schema.toml"]
        except OSError:
            continue
        for name in names:
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    text = file.read()
            except OSError:
                return True
            if b"detect" in text:
                found = _SECTION.search(text)
                if found is None or os.fsdecode(found[1]) in environment:
                    return True
    return False

"""Where the user's own files lie."""

from __future__ import annotations

import os
from collections.abc import Mapping


def home_folder(env: Mapping[str, str]) -> str:
    """`$HOME`, else what the user database says, else `/`: containers and batch systems may have neither."""
    if env.get("HOME"):
        return env["HOME"]
    try:
        import pwd
    except ImportError:  # Windows
        return os.path.expanduser("~")
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"

"""Where what can be made or fetched again is kept, and how a person's paths are read.

In: what the caller gave and the environment. Out: paths. It stands alone because data sets,
networks and plans keep things in one folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from headstart.errors import InputError


def cache_folder(given: Path | str | None = None) -> Path:
    """Where decoded arrays and downloads go: `given`, else HEADSTART_CACHE, else the user's own.

    Raises:
        InputError: nobody says where, and the user has no home.
    """
    named = given or os.environ.get("HEADSTART_CACHE")
    if named:
        return expanded(named)
    user_cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if user_cache.startswith("~"):
        raise InputError(
            "there is no home folder to keep decoded data in; set HEADSTART_CACHE to a folder that "
            "can be written"
        )
    return Path(user_cache) / "headstart"


def expanded(path: Path | str) -> Path:
    """`path` with `~` and `~user` in full; as it is where there is no such user."""
    return Path(os.path.expanduser(path))

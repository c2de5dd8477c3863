"""A file of a model of the Hugging Face hub: in a folder, in its cache, else fetched.

In: a folder or a name of the hub, and a file's name. Out: where the file lies, or None. It stands
alone because timm and transformers keep what they fetch in the same cache.
"""

from __future__ import annotations

import re
import socket
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from headstart.errors import ModelError

TIMEOUT_S = 10.0
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def file_of(source: str, file: str, name: str, *, may_fetch: bool = True) -> Path | None:
    """Where a file of a folder, or of a model of the hub, lies; None where it has none.

    Args:
        name: as the user wrote it, for messages.

    Raises:
        ModelError: there is no such folder, and no such name in the cache or on the hub.
    """
    folder = Path(source).expanduser()
    if source and folder.is_dir():
        return folder / file if (folder / file).is_file() else None
    if not _NAME.fullmatch(source):
        raise ModelError(f"{name}: there is no folder {source or 'named'}; a folder or OWNER/NAME "
                         "of the hub is expected")  # fmt: skip
    return cached(source, file) or (_fetched(source, file, name) if may_fetch else None)


def cached(source: str, file: str) -> Path | None:
    """The file in the hub's cache; None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(source, file)
    return Path(path) if isinstance(path, str) else None


@cache
def _is_reached() -> bool:
    """Whether the hub answers, asked once in a process."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE or not host.hostname:
        return False
    try:
        port = host.port or (80 if host.scheme == "http" else 443)
        with socket.create_connection((host.hostname, port), TIMEOUT_S):
            return True
    except OSError:
        return False


def _fetched(source: str, file: str, name: str) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    away = f"{name}: there is no folder {source}, it is not in the hub's cache, and the hub cannot "
    away += "be reached"
    if not _is_reached():  # its client would try for a minute
        raise ModelError(away)
    try:
        return Path(hf_hub_download(source, file, etag_timeout=TIMEOUT_S))
    except LocalEntryNotFoundError as err:
        raise ModelError(away) from err
    except EntryNotFoundError:
        return None
    except Exception as err:  # the hub's client raises many kinds
        text = (str(err).strip() or type(err).__name__).splitlines()[0]
        raise ModelError(f"{name}: there is no folder {source}, and the hub says: {text}") from err

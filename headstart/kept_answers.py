"""Answers that take seconds to find and follow from little, kept in the cache folder.

In: a kind of question and a key, which is all that the answer follows from. Out: the answer that
was kept, if any. An answer carries a digest: one that was damaged is none. It stands alone because
networks and plans keep such answers alike.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from headstart.caches import cache_folder
from headstart.digests import check_sealed, digest_of, is_sealed, write_sealed_json
from headstart.errors import HeadstartError
from headstart.files import make_folder, read_mapping


def kept_answer(kind: str, key: str) -> tuple[Any] | None:
    """The answer alone in a tuple, of JSON's types; None: none is kept."""
    place = _place(kind, key)
    with suppress(ValueError):
        kept = read_mapping(place) if place is not None else {}
        check_sealed(kept)
        if is_sealed(kept) and kept.get("key") == key and "answer" in kept:
            return (kept["answer"],)
    return None


def keep_answer(kind: str, key: str, answer: object) -> None:
    """For the next time; without a cache folder that may be written nothing is kept."""
    place = _place(kind, key)
    if place is not None:
        with suppress(OSError, HeadstartError):
            make_folder(place.parent)
            write_sealed_json(place, {"key": key, "answer": answer})


def _place(kind: str, key: str) -> Path | None:
    """Where an answer is kept; None: there is no cache folder."""
    with suppress(HeadstartError):
        return cache_folder() / kind / f"{digest_of(key.encode())[:32]}.json"
    return None

"""Which files are read as images, by the endings of their names, and how that is said.

In: names of files. Out: whether each is read, and words for messages. It stands alone because all
that lists files asks it, and decodes none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal

Also = Literal["gif", "pdf"]
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif", ".avif"),
)
# Read where a setting asks for them: a GIF is often a placeholder or a film, a PDF a document.
ALSO: dict[Also, str] = {"gif": ".gif", "pdf": ".pdf"}
ENDINGS = (*SUFFIXES, *ALSO.values())  # each with one dot
KINDS_READ = (
    ".png, .jpg (.jpeg, .jpe, .jfif), .bmp, .tif, .webp, .ppm (.pgm, .pbm), .heic and .avif, and "
    "with also: [gif, pdf] .gif and .pdf"
)
_NAMED = 5  # kinds that a message names
_SHOWN = 3  # files
_LONG = 60  # characters of a name


def is_image_name(name: str, also: Collection[Also] = ()) -> bool:
    """Whether a file of this name is read as an image; `also` adds kinds to the usual ones."""
    read = (*SUFFIXES, *(ALSO[kind] for kind in also)) if also else SUFFIXES
    return name.lower().endswith(read)


def ending_of(name: str) -> str:
    """`.jpg` of `a/b.JPG`, empty where there is none: a path's suffix in a tenth of its time."""
    stem, _, ending = name.rpartition("/")[2].lower().rpartition(".")
    return f".{ending}" if stem and ending else ""


def kinds_of(names: Iterable[str]) -> str:
    """The kinds of files by their endings, the most frequent first: `.xyz (30 files), …`."""
    counts = Counter(ending_of(name) or "no ending" for name in names)
    ordered = sorted(counts.items(), key=lambda kind: (-kind[1], kind[0]))
    shown = [f"{kind} ({n:,} file{'s' * (n > 1)})" for kind, n in ordered[:_NAMED]]
    return ", ".join(shown) + (" …" if len(ordered) > _NAMED else "")


def left_out_by_setting(names: Iterable[str], also: Collection[Also]) -> tuple[str, ...]:
    """A note for each kind that is there and that only the setting `also` reads."""
    names = list(names)
    notes = []
    for kind, suffix in ALSO.items():
        files = [name for name in names if name.lower().endswith(suffix)]
        n = len(files)
        if n and kind not in also:
            ends = [name if len(name) <= _LONG else f"…{name[-_LONG:]}" for name in files]
            shown = f"{', '.join(ends[:_SHOWN])}{' …' if n > _SHOWN else ''}"
            notes.append(
                f"{n:,} {suffix} file{'s' * (n > 1)} in it {'were' if n > 1 else 'was'} not read "
                f"({shown}); also: [{kind}] reads {'them' if n > 1 else 'it'}"
            )
    return tuple(notes)


def stem_of(name: str) -> str:
    """A file's name without the ending of an image."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and f".{ending.lower()}" in ENDINGS else name

"""One photograph of a sheet: its labels, whether its digits fit them, and the digits cut out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.preprocess import mnist_style
from datasets.sheet.labels import Labels, few, n_of

if TYPE_CHECKING:
    from datasets.sheet.reading.read import Reading
    from datasets.sheet.write import Digit

_SCATTERED = 2.5  # digits a row: on a page of rows there are more


@dataclass(frozen=True)
class Photo:
    """A photograph, uint8 (H, W, 3) RGB, upright as its EXIF entry says, and its labels.

    `name` is unique among the photos of a call and safe as a part of file names. `digest`: SHA-256
    of the file, 64 hexadecimal characters.
    """

    path: Path
    name: str
    image: np.ndarray
    labels: Labels
    digest: str

    @property
    def noun(self) -> str:
        """What the lines of digits are that the labels count."""
        return "column" if self.labels.kind == "columns" else "row"


def as_rgb(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W) or (H, W, 3) → (H, W, 3)."""
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def what_does_not_fit(photo: Photo, reading: Reading) -> str:
    """Why a photo does not fit its labels: which row has how many digits."""
    if not reading.rows:
        return (
            f"{photo.path}: no digits found; are they dark on light or light on dark, and in focus?"
        )
    expected = photo.labels.expectation()
    row_counts = ", ".join(
        few([f"{photo.noun} {i} has {n}" for i, n in enumerate(reading.counts, 1)])
    )
    if photo.labels.of_lines(reading.counts) is None:
        return (
            f"{photo.path}: {n_of(len(reading.counts), photo.noun)} found where there should be "
            f"{expected}: {row_counts}; {_what_to_do(photo, reading)}"
        )
    if not reading.looks_like:
        return (
            f"{photo.path}: the marks do not look like {expected} ({row_counts}); is it dark ink "
            "on light paper, in focus, and are the labels those of this photo?"
        )
    return (
        f"{photo.path}: the rows fit, but they look like {reading.looks_like}, not like {expected} "
        f"({row_counts}); are the labels in the order of the sheet?"
    )


def _what_to_do(photo: Photo, reading: Reading) -> str:
    if len(reading.counts) > 2 and sum(reading.counts) < _SCATTERED * len(reading.counts):
        return (
            "digits that lie scattered are not read, only rows (each from left to right, the next "
            "below it), columns, or one class a photo, wherever it stands: photograph one row at a "
            f"time, or each {photo.labels.things.removesuffix('s')} alone with --label"
        )
    if photo.labels.n_lines is not None and len(reading.counts) > photo.labels.n_lines:
        return (
            "give the labels that are on the sheet, - for a "
            f"{photo.noun} that holds none of its digits, such as a heading"
        )
    return "give the labels that are on the sheet, or a better photo"


def how_to_go_on_without(n_refused: int, n_photos: int) -> str:
    """What a person can do where only some of several photos do not fit; empty where all do not."""
    n_others = n_photos - n_refused
    if not n_others:
        return ""
    them = "it" if n_refused == 1 else "them"
    if n_others == 1:
        return f"the other photo fits its labels: leave {them} out to go on with that alone"
    return f"the other {n_others} photos fit their labels: leave {them} out to go on with those"


def cut_digits(photos: Sequence[Photo], readings: Sequence[Reading], size: int) -> list[Digit]:
    """Every digit of photos that fit their labels, `size` pixels a side, as MNIST shows digits."""
    from datasets.sheet.strokes.cut import cut_out, original, thickened
    from datasets.sheet.write import Digit

    digits = []
    for photo, reading in zip(photos, readings, strict=True):
        upright = np.rot90(photo.image, reading.quarters)
        assert reading.labels is not None, "photos that do not fit were refused before"
        for row, (marks, labels) in enumerate(zip(reading.rows, reading.labels, strict=True), 1):
            for place, (mark, label) in enumerate(zip(marks, labels, strict=True), 1):
                name = f"{photo.name}-{photo.noun}{row:02d}-{place:02d}"
                image = mnist_style(thickened(cut_out(reading.ink, mark)), size)
                digits.append(Digit(name, label, image, original(upright, reading.ink, mark)))
    return digits

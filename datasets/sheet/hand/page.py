"""The page on which a person puts the boxes right: one HTML file that works without a network.

In: the photographs of a call, what was read on them, and the corrections that the call was given.
Out: HTML as text, with the photographs, made small, inside. The page gives back the text of
`corrections.yaml`, with boxes in pixels of the photographs as they were. It stands alone because it
alone knows the templates.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from datasets.sheet.hand.boxes import box_of
from datasets.sheet.hand.corrections import Correction, classes_of
from datasets.sheet.hand.fates import fates_of_marks
from datasets.sheet.photos import Photo
from datasets.sheet.reading.read import Reading
from datasets.sheet.strokes.marks import Mark

_MOST_BYTES = 1_000_000  # of a photograph in the page
_MOST_TOGETHER = 40_000_000  # bytes of all photographs
_SIZES = ((1600, 80), (1600, 60), (1200, 60), (1000, 40), (700, 30))  # longer side, JPEG quality


def correction_page(
    photos: Sequence[Photo],
    readings: Sequence[Reading],
    corrections: Mapping[str, Correction],
    problems: Mapping[str, str],
) -> str:
    """The page as HTML text.

    Every text enters as JSON whose `<` are escaped, and the page's script shows it as text. The
    page may load nothing, and run its own script alone: its Content-Security-Policy says so.

    Args:
        photos: of this call.
        readings: of each of them, before any correction.
        corrections: by the digest of a photograph, as this call was given them.
        problems: by the digest of a photograph, why it was refused.
    """
    names = _names(photos)
    most_bytes = min(_MOST_BYTES, _MOST_TOGETHER // len(photos))
    data = {
        "classes": classes_of(photos),
        "photos": [
            {
                "name": name,
                "problem": problems.get(photo.digest, "").removeprefix(f"{photo.path}: "),
                "picture": _picture(np.rot90(photo.image, reading.quarters), most_bytes),
                **_sheet(photo, reading, corrections.get(photo.digest, Correction())),
            }
            for name, photo, reading in zip(names, photos, readings, strict=True)
        ],
    }
    return _html(data)


def _html(data: Mapping[str, object]) -> str:
    style, script = _asset("correct.css"), _asset("correct.js")
    environment = Environment(
        loader=PackageLoader("datasets.sheet.hand"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("correct.html.j2").render(
        css=Markup(style),
        js=Markup(script),
        data=Markup(json.dumps(data).replace("<", "\\u003c")),
        policy=f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'",
    )


def _names(photos: Sequence[Photo]) -> list[str]:
    """A key for each photograph: its file name, else its path, else that and a number.

    What is no plain character of a line is shown as �: the name is for people alone.
    """
    names = [_plain(photo.path.name) for photo in photos]
    taken = Counter(names)
    names = [
        name if taken[name] == 1 else _plain(str(photo.path))
        for name, photo in zip(names, photos, strict=True)
    ]
    taken = Counter(names)
    return [
        name if taken[name] == 1 else f"{name} ({number})" for number, name in enumerate(names, 1)
    ]


def _plain(name: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in name)


def _sheet(photo: Photo, reading: Reading, correction: Correction) -> dict[str, object]:
    """One photograph as correct.js reads it; boxes in pixels of the photograph as it lies."""
    fates = fates_of_marks(reading, photo, correction)
    within = {id(mark) for claim in fates.claims for mark in claim}
    height, width = photo.image.shape[:2]

    doubts = {id(item.mark): item.why for item in reading.doubts}

    def boxed(mark: Mark, label: str | None, row: int, why: str) -> dict[str, object]:
        return {
            "box": box_of(mark, photo, reading),
            "label": label,
            "row": row,
            "why": why or doubts.get(id(mark), ""),
            "leftOut": bool(why),
            "fate": "within" if id(mark) in within else "gone" if id(mark) in fates.gone else "",
        }

    read = [
        boxed(mark, reading.labels[n][k] if reading.labels else None, n, "")
        for n, row in enumerate(reading.rows)
        for k, mark in enumerate(row)
    ]
    left_out = [boxed(item.mark, None, -1, item.why) for item in reading.left_out]
    return {
        "sha256": photo.digest,
        "width": width,
        "height": height,
        "quarters": reading.quarters,
        "line": photo.noun,
        "expected": photo.labels.expectation(),
        "read": [*read, *left_out],
        "placed": [{"box": placed.box, "label": placed.label} for placed in correction.digits],
    }


def _picture(image: np.ndarray, most_bytes: int) -> str:
    """A photograph, uint8 (H, W, 3) RGB, made small, as a data: address."""
    for longest_side, quality in _SIZES:
        scale = min(1.0, longest_side / max(image.shape[:2]))
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small = cv2.resize(image[..., ::-1], size, interpolation=cv2.INTER_AREA)
        _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if content.nbytes <= most_bytes:
            break
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()


def _asset(name: str) -> str:
    return (files("datasets.sheet.hand") / "templates" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """As a Content-Security-Policy names what stands between two tags."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

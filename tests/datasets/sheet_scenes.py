"""Photographs of handwritten sheets, made up: the truth about every digit is known.

In: a NumPy generator and a source of digits. Out: a `Scene`: a photograph with uneven light,
shadows, slanted and bent rows, paper edges, ruled paper, pens of all kinds, and where each digit
lies. The sheets are meant to be worse than those that people take with care.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

Rng = np.random.Generator
DigitSource = Callable[[Rng, str], np.ndarray]
"""(rng, label) → ink of one digit, float32 (h, w) in 0..1, cropped to its ink."""


@dataclass(frozen=True)
class Digit:
    """One written digit: its middle and size in the photograph's pixels."""

    x: float
    y: float
    size: float
    label: str


@dataclass(frozen=True)
class Scene:
    """A photograph (uint8 (H, W, 3), BGR) and what is written on it, row by row."""

    photo: np.ndarray
    row_labels: str
    digits: tuple[Digit, ...]
    about: str


@dataclass(frozen=True)
class Hardness:
    """What is wrong with a sheet; each field is a probability or a limit."""

    slant: float = 7.0
    row_slant: float = 1.5
    bend: float = 0.5
    lines: float = 0.35
    squares: float = 0.1
    table: float = 0.4
    strip: float = 0.15
    shadow: float = 0.5
    overwritten: float = 0.05
    specks: float = 0.5
    near: float = 0.2
    turned: float = 0.3
    one_class: float = 0.0


# ---------------------------------------------------------------- digits

# Strokes in a box 1 high, x to the right and y down. Separate strokes need not touch.
_STROKES: dict[str, list[list[list[tuple[float, float]]]]] = {
    "0": [[[(.3, 0), (.05, .2), (0, .55), (.15, .95), (.4, 1), (.6, .7), (.6, .25), (.3, 0)]],
          [[(.4, .03), (.1, .2), (0, .6), (.2, 1), (.5, .9), (.6, .4), (.45, .06)]]],
    "1": [[[(.1, 0), (.05, .5), (0, 1)]], [[(0, .25), (.25, 0), (.25, .5), (.25, 1)]],
          [[(0, .25), (.2, 0), (.2, 1)], [(0, 1), (.45, 1)]]],
    "2": [[[(0, .25), (.2, 0), (.5, .05), (.55, .3), (.3, .65), (0, 1), (.3, .95), (.65, 1)]]],
    "3": [[[(0, .1), (.3, 0), (.55, .15), (.5, .4), (.2, .5), (.55, .6), (.6, .85), (.3, 1),
            (0, .9)]],
          [[(0, 0), (.55, 0), (.2, .42), (.55, .6), (.5, .95), (.2, 1), (0, .9)]]],
    "4": [[[(.35, 0), (.15, .35), (0, .65), (.35, .65), (.7, .65)], [(.5, .3), (.48, 1)]],
          [[(.05, 0), (0, .5), (.4, .52)], [(.5, 0), (.48, .5), (.46, 1)]],
          [[(.0, .05), (.0, .5), (.36, .5)], [(.46, 0), (.46, 1)]]],
    "5": [[[(.1, .05), (.05, .45), (.4, .4), (.6, .65), (.4, .97), (0, .95)], [(.1, .0), (.6, 0)]],
          [[(.12, .12), (.05, .5), (.4, .42), (.6, .7), (.4, 1), (0, .95)], [(.2, 0), (.65, .0)]]],
    "6": [[[(.5, 0), (.15, .3), (0, .7), (.2, 1), (.5, .9), (.5, .6), (.25, .52), (.03, .7)]]],
    "7": [[[(0, .03), (.55, 0), (.35, .5), (.25, 1)]],
          [[(0, .03), (.55, 0), (.35, .5), (.2, 1)], [(.15, .5), (.55, .47)]],
          [[(0, .0), (.5, 0)], [(.56, .08), (.35, .5), (.2, 1)]]],
    "8": [[[(.5, .12), (.25, 0), (.05, .2), (.3, .45), (.55, .75), (.3, 1), (.02, .8), (.3, .45),
            (.5, .2), (.45, .08)]]],
    "9": [[[(.5, .2), (.25, 0), (.0, .25), (.2, .5), (.5, .3), (.5, .15), (.48, .6), (.4, 1)]]],
}  # fmt: skip


def drawn_digit(rng: Rng, label: str) -> np.ndarray:
    """A digit of smooth, shaky strokes drawn with a round pen."""
    height = 120
    variants = _STROKES[label]
    strokes = variants[rng.integers(len(variants))]
    width = rng.uniform(0.75, 1.25)
    lean = rng.uniform(-0.25, 0.1)
    pen = int(rng.integers(5, 15))
    canvas = np.zeros((260, 300), np.uint8)
    for stroke in strokes:
        points = np.array(stroke) * [width, 1.0] + rng.normal(0, 0.02, (len(stroke), 2))
        points[:, 0] += lean * (points[:, 1] - 0.5)
        curve = _smooth(points) * height + [100, 60]
        scaled = np.round(curve * 16).astype(np.int32)[:, None]
        cv2.polylines(canvas, [scaled], False, 255, pen, cv2.LINE_AA, shift=4)
    return _cropped(canvas.astype(np.float32) / 255)


def _smooth(points: np.ndarray) -> np.ndarray:
    """Chaikin's corner cutting, ends kept."""
    for _ in range(3 if len(points) > 3 else 0):
        near, far = points[:-1], points[1:]
        cut = np.stack((0.75 * near + 0.25 * far, 0.25 * near + 0.75 * far), 1).reshape(-1, 2)
        points = np.vstack((points[:1], cut, points[-1:]))
    return points


def mnist_digits(data: Path) -> DigitSource:
    """Real digits of MNIST's test set, enlarged."""
    raw = data / "mnist" / "MNIST" / "raw"
    images = np.fromfile(raw / "t10k-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 28, 28)
    labels = np.fromfile(raw / "t10k-labels-idx1-ubyte", np.uint8)[8:]

    def draw(rng: Rng, label: str) -> np.ndarray:
        image = images[rng.choice(np.flatnonzero(labels == int(label)))]
        large = cv2.resize(image.astype(np.float32) / 255, None, fx=6, fy=6,
                           interpolation=cv2.INTER_CUBIC)  # fmt: skip
        return _cropped(np.clip((large - 0.35) / 0.3, 0, 1))

    return draw


def handwritten_digits(data: Path) -> DigitSource:
    """Real pen strokes of the 62-class set, at full resolution."""
    archive = data / "handwritten62" / "trainPart1.zip"

    @cache
    def load(label: str) -> list[np.ndarray]:
        part = f"Sample{int(label) + 1:03d}/"
        with zipfile.ZipFile(archive) as file:
            names = [n for n in file.namelist() if part in n and n.lower().endswith(".png")]
            return [_from_png(file.read(name)) for name in names[:25]]

    def draw(rng: Rng, label: str) -> np.ndarray:
        images = load(label)
        return images[rng.integers(len(images))]

    return draw


def _from_png(content: bytes) -> np.ndarray:
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    ink = _cropped(1 - grey.astype(np.float32) / 255)
    scale = 160 / max(ink.shape)
    return cv2.resize(ink, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _cropped(ink: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(ink.max(1) > 0.3), np.flatnonzero(ink.max(0) > 0.3)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


# ---------------------------------------------------------------- the page


def make_scene(
    rng: Rng, source: DigitSource, row_labels: str = "", hardness: Hardness | None = None
) -> Scene:
    """One photograph: digits on a page, the page before a camera, light and noise on top.

    `row_labels` empty: drawn, ten rows 1 2 … 9 0 half of the time, else some of them.
    """
    hard = hardness or Hardness()
    about: list[str] = []
    if not row_labels:
        row_labels = "1234567890" if rng.random() < 0.5 else _some_labels(rng)
    ink, digits = _write(rng, source, row_labels, hard, about)
    page = _paper(rng, ink, hard, about)
    photo, digits = _photograph(rng, page, digits, hard, about)
    photo, digits = _turn(rng, photo, digits, hard, about)
    return Scene(_jpeg(rng, photo), row_labels, tuple(digits), " ".join(about))


def one_class_scene(rng: Rng, source: DigitSource, label: str, hardness: Hardness) -> Scene:
    """A photograph with two to four rows of one class."""
    rows = int(rng.integers(2, 5))
    return make_scene(rng, source, label * rows, hardness)


def _some_labels(rng: Rng) -> str:
    n = int(rng.integers(3, 11))
    return "".join(rng.permutation(list("0123456789"))[:n])


def _write(
    rng: Rng, source: DigitSource, row_labels: str, hard: Hardness, about: list[str]
) -> tuple[np.ndarray, list[Digit]]:
    """Ink of the page, float32 (H, W) in 0..1, and the digits on it."""
    size = 80.0
    n_columns = int(rng.integers(4, 11))
    near = rng.random() < hard.near
    pitch_x = size * (rng.uniform(0.95, 1.1) if near else rng.uniform(1.15, 2.2))
    pitch_y = size * rng.uniform(1.45, 2.3)
    slant = np.deg2rad(rng.uniform(-hard.slant, hard.slant))
    bend = rng.uniform(-hard.bend, hard.bend) * size
    length = pitch_x * (n_columns - 1)
    margin = size * rng.uniform(1.2, 3)
    drop = abs(np.sin(slant)) * length + abs(bend)
    height = int(2 * margin + pitch_y * (len(row_labels) - 1) + drop + size)
    width = int(2 * margin + length + size)
    ink = np.zeros((height, width), np.float32)
    digits: list[Digit] = []
    about.append(f"{len(row_labels)}x{n_columns} slant={np.rad2deg(slant):.1f} near={near}")
    for row, label in enumerate(row_labels):
        tilt = slant + np.deg2rad(rng.uniform(-hard.row_slant, hard.row_slant))
        y0 = margin + size / 2 + pitch_y * row + (drop if slant < 0 else 0) + max(0.0, -bend)
        n = n_columns - int(rng.random() < 0.15)
        indent = rng.uniform(-0.3, 0.3) * size
        right = -1e9
        for column in range(n):
            glyph = source(rng, label)
            scale = size * rng.uniform(0.82, 1.18) / max(glyph.shape)
            glyph = cv2.resize(glyph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            x = margin + size / 2 + indent + pitch_x * column + rng.normal(0, 0.05) * size
            t = pitch_x * column / max(length, 1)
            y = y0 + np.tan(tilt) * pitch_x * column + 4 * bend * t * (1 - t)
            y += rng.normal(0, 0.05) * size
            x = max(x, right + 0.06 * size + glyph.shape[1] / 2)
            right = x + glyph.shape[1] / 2
            if right > width - 0.3 * size:
                break
            _stamp(ink, glyph, x, y)
            if rng.random() < hard.overwritten:
                again = cv2.resize(source(rng, label), glyph.shape[::-1])
                _stamp(ink, again, x + rng.normal(0, 0.05) * size, y + rng.normal(0, 0.05) * size)
            digits.append(Digit(x, y, max(glyph.shape), label))
    return ink, digits


def _stamp(ink: np.ndarray, glyph: np.ndarray, x: float, y: float) -> None:
    """Draw over what is there; what lies outside of the page is lost."""
    height, width = glyph.shape
    top, left = round(y - height / 2), round(x - width / 2)
    y0, y1 = max(top, 0), min(top + height, ink.shape[0])
    x0, x1 = max(left, 0), min(left + width, ink.shape[1])
    if y1 > y0 and x1 > x0:
        part = ink[y0:y1, x0:x1]
        np.maximum(part, glyph[y0 - top : y1 - top, x0 - left : x1 - left], out=part)


def _paper(rng: Rng, ink: np.ndarray, hard: Hardness, about: list[str]) -> np.ndarray:
    """The page's reflectance, float32 (H, W, 3) in 0..1."""
    height, width = ink.shape
    page = np.ones((height, width, 3), np.float32) * rng.uniform([0.85] * 3, [0.93, 0.95, 0.97])
    fine = rng.normal(0, 1, (height, width)).astype(np.float32)
    page *= 1 + 0.01 * cv2.GaussianBlur(fine, (0, 0), 1.5)[..., None] * rng.uniform(0, 3)
    page *= 1 - _ruling(rng, height, width, hard, about)
    if rng.random() < hard.specks:
        for _ in range(rng.integers(1, 25)):
            spot = (int(rng.integers(width)), int(rng.integers(height)))
            cv2.circle(page, spot, int(rng.integers(1, 4)), (0.4, 0.4, 0.4), -1, cv2.LINE_AA)
    pencil = rng.random() < 0.35
    strength = rng.uniform(0.35, 0.65) if pencil else rng.uniform(0.6, 0.92)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 1.2)
    amount = ink * strength * np.clip(1 + grain * (0.8 if pencil else 0.2), 0.2, 1.2)
    colour = rng.choice([[0.1, 0.1, 0.1], [0.55, 0.15, 0.1], [0.2, 0.2, 0.2], [0.1, 0.1, 0.5]])
    about.append(f"pencil={pencil} ink={strength:.2f}")
    amount = np.clip(amount, 0, 1)[..., None]
    return (page * (1 - amount * (1 - colour))).astype(np.float32)


def _ruling(rng: Rng, height: int, width: int, hard: Hardness, about: list[str]) -> np.ndarray:
    """How much light printed lines take, float32 (H, W, 3)."""
    lines = np.zeros((height, width), np.float32)
    squares = rng.random() < hard.squares
    if not squares and rng.random() >= hard.lines:
        return np.zeros((height, width, 3), np.float32)
    pitch = rng.uniform(35, 60) if squares else rng.uniform(70, 150)
    thick = int(rng.integers(1, 4))
    for y in np.arange(rng.uniform(0, pitch), height, pitch):
        cv2.line(lines, (0, round(y)), (width, round(y)), 1.0, thick, cv2.LINE_AA)
    if squares:
        for x in np.arange(rng.uniform(0, pitch), width, pitch):
            cv2.line(lines, (round(x), 0), (round(x), height), 1.0, thick, cv2.LINE_AA)
    elif rng.random() < 0.5:
        x = int(rng.uniform(20, 70))
        cv2.line(lines, (x, 0), (x, height), 1.0, thick, cv2.LINE_AA)
    strength = rng.uniform(0.1, 0.25) if squares else rng.uniform(0.12, 0.55)
    about.append(f"{'squares' if squares else 'lines'}={strength:.2f}/{thick}")
    colour = rng.choice([[0.3, 0.8, 1.0], [1.0, 1.0, 1.0]])
    return (lines * strength)[..., None] * colour.astype(np.float32)


# ---------------------------------------------------------------- the photograph


def _photograph(
    rng: Rng, page: np.ndarray, digits: list[Digit], hard: Hardness, about: list[str]
) -> tuple[np.ndarray, list[Digit]]:
    height, width = page.shape[:2]
    long_side = rng.choice([900, 1200, 1600, 2400, 3200])
    scale = long_side / max(height, width)
    table = rng.random() < hard.table
    out_w, out_h = round(width * scale), round(height * scale)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inset = rng.uniform(0.01, 0.07, (4, 2)) if table else rng.uniform(-0.025, 0.0, (4, 2))
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    target = corners * scale + signs * inset * [out_w, out_h]
    matrix = cv2.getPerspectiveTransform(corners, target.astype(np.float32))
    photo = cv2.warpPerspective(
        page, matrix, (out_w, out_h), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT if table else cv2.BORDER_REPLICATE,
    )  # fmt: skip
    if table:
        inside = cv2.warpPerspective(np.ones((height, width), np.float32), matrix, (out_w, out_h))
        photo += (1 - inside)[..., None] * _table(rng, out_h, out_w)
        about.append("table")
    if rng.random() < hard.strip:
        _strip(rng, photo)
        about.append("strip")
    photo *= _light(rng, out_h, out_w, hard, about)[..., None]
    blur = rng.uniform(0.3, 1.2) * long_side / 1600
    photo = cv2.GaussianBlur(photo, (0, 0), blur)
    photo += rng.normal(0, rng.uniform(0.003, 0.02), photo.shape[:2])[..., None]
    centres = np.array([[(d.x, d.y)] for d in digits], np.float32)
    moved = cv2.perspectiveTransform(centres, matrix)[:, 0]
    placed = [Digit(float(x), float(y), d.size * scale, d.label)
              for (x, y), d in zip(moved, digits, strict=True)]  # fmt: skip
    about.append(f"{out_w}x{out_h}")
    return np.clip(photo * 255, 0, 255).astype(np.uint8), placed


def _table(rng: Rng, height: int, width: int) -> np.ndarray:
    """A dark or brown table with a grain along x, float32 (H, W, 3)."""
    coarse = rng.normal(0, 1, (max(height // 6, 1), max(width // 60, 1))).astype(np.float32)
    grain = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    colour = rng.uniform(0.06, 0.4) * rng.uniform([0.5, 0.7, 0.9], 1.0)
    return colour.astype(np.float32) * (1 + 0.12 * grain[..., None])


def _strip(rng: Rng, photo: np.ndarray) -> None:
    """A dark strip along one edge, as scanners leave."""
    thick = round(rng.uniform(0.003, 0.02) * max(photo.shape[:2]))
    side = rng.integers(4)
    view = np.rot90(photo, side)
    view[:thick] *= rng.uniform(0.05, 0.5)


def _light(rng: Rng, height: int, width: int, hard: Hardness, about: list[str]) -> np.ndarray:
    """Illumination, float32 (H, W): a gradient, a vignette and perhaps the shadow of a hand."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 - rng.uniform(0, 0.3) * (x * np.cos(angle) + y * np.sin(angle))
    light *= 1 - rng.uniform(0, 0.3) * (x**2 + y**2)
    light *= rng.uniform(0.75, 1.0) / light.max()
    if rng.random() < hard.shadow:
        depth, soft = rng.uniform(0.15, 0.5), rng.uniform(0.004, 0.06)
        mask = np.zeros((height, width), np.float32)
        middle = rng.uniform(0, 1, 2) * [width, height]
        spread = rng.uniform(0.15, 0.6, (6, 1)) * max(width, height)
        turns = np.sort(rng.uniform(0, 2 * np.pi, 6))
        corners = middle + spread * np.stack((np.cos(turns), np.sin(turns)), 1)
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1.0)
        mask = cv2.GaussianBlur(mask, (0, 0), soft * max(width, height))
        light *= 1 - depth * mask
        about.append(f"shadow={depth:.2f}/{soft:.3f}")
    return light.astype(np.float32)


def _turn(
    rng: Rng, photo: np.ndarray, digits: list[Digit], hard: Hardness, about: list[str]
) -> tuple[np.ndarray, list[Digit]]:
    """Turn the photograph by a quarter, a half or three quarters, counter-clockwise."""
    if rng.random() >= hard.turned:
        return photo, digits
    quarters = int(rng.integers(1, 4))
    about.append(f"turned={90 * quarters}")
    for _ in range(quarters):
        width = photo.shape[1]
        photo = np.rot90(photo)
        digits = [Digit(d.y, width - 1 - d.x, d.size, d.label) for d in digits]
    return np.ascontiguousarray(photo), digits


def _jpeg(rng: Rng, photo: np.ndarray) -> np.ndarray:
    quality = int(rng.integers(40, 95))
    _, content = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(content, cv2.IMREAD_COLOR)

"""A photograph of a sheet → how dark the ink is at each pixel, whatever the light.

In: a photograph, uint8 (H, W, 3). Out: `Ink`: darkness relative to the paper around each
pixel at a working size that is the same for every photograph, and which pixels are stroke. A dark
page (chalk, a tablet) is inverted first. Light is divided out, printed lines are taken off, and
nothing is assumed about the pen: thresholds come from the noise of the paper and from the darkest
strokes of the photograph itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from datasets.sheet.paper.dark import is_dark_page
from datasets.sheet.paper.light import paper_light
from datasets.sheet.paper.lines import printed_lines

WORKING_SIDE = 1600  # pixels of the longer side; all other lengths here are at this scale
_LEAST_DARKNESS = 0.05  # paper grain, creases and JPEG blocks stay below
_BLOCK = 48  # pixels: noise is measured in squares of this side
_TABLE_LEVELS = (0.25, 0.35, 0.45)  # of the paper's light
_TABLE_STEP = 1.7  # light of the paper over that of the table, nearly all along the border
_GRAIN = 60  # pixels: smaller pieces may be the grain of coarse paper, or dirt
_EDGE = 3  # pixels: what comes this close to the photograph's edge leaves the photograph


@dataclass(frozen=True)
class Ink:
    """What is written, at working size.

    `darkness` float32 (H, W): 0 paper, 1 black; share of the light that the ink takes.
    `mask` bool (H, W): the strokes. `peak`: darkness of a firm stroke. `scale`: working pixels a
    pixel of the photograph. `has_table`: whether dark surroundings of the paper were left out.
    `cut_off` bool (H, W): strokes that run off the photograph. `picture` uint8 (H, W, 3): the
    photograph, dark on light. `inverted`: the page was dark.
    """

    darkness: np.ndarray
    mask: np.ndarray
    peak: float
    scale: float
    has_table: bool
    cut_off: np.ndarray
    picture: np.ndarray
    inverted: bool

    @classmethod
    def none(cls) -> Ink:
        """An empty sheet."""
        nothing = np.zeros((0, 0), bool)
        picture = np.zeros((0, 0, 3), np.uint8)
        return cls(nothing.astype(np.float32), nothing, 1.0, 1.0, False, nothing, picture, False)

    def turned(self, quarters: int) -> Ink:
        """The same ink with the sheet turned counter-clockwise by so many quarter turns."""
        darkness, mask, cut_off, picture = (
            np.ascontiguousarray(np.rot90(image, quarters))
            for image in (self.darkness, self.mask, self.cut_off, self.picture)
        )
        return replace(self, darkness=darkness, mask=mask, cut_off=cut_off, picture=picture)


def find_ink(photo: np.ndarray, sensitivity: float = 1.0, *, off_table: bool = True) -> Ink:
    """The ink on a photographed sheet.

    Args:
        photo: uint8 (H, W, 3), RGB or BGR.
        sensitivity: above 1 finds fainter strokes (and more that is none).
        off_table: leave out what lies beside the paper, on a much darker table.
    """
    picture, scale = _to_working_size(photo)
    inverted = is_dark_page(picture)
    picture = 255 - picture if inverted else picture
    working = picture.min(axis=2).astype(np.float32) + 1
    light = paper_light(working)
    darkness = np.clip(1 - working / light, 0, 1)
    darkness = cv2.GaussianBlur(darkness, (0, 0), 1.0)
    floor = np.maximum(_LEAST_DARKNESS, 5 * _noise(darkness))
    # On a dark table small differences are large shares of the light: ask for a real difference.
    visible = darkness * light > 0.4 * floor * np.percentile(light, 90)
    faint = (darkness > floor) & visible
    table = _table(light) if off_table else np.zeros(light.shape, bool)
    lines = printed_lines(darkness, faint & ~table)
    faint &= ~lines
    firm = _without_edge(faint & (darkness > 0.35 * _percentile(darkness, faint, 90)), table)
    peak = _percentile(darkness, _without_grain(firm), 80)
    strokes = faint & (darkness > 0.2 * peak / sensitivity)
    weak = _without_edge(strokes, table)
    mask = _touched_by(weak, weak & (darkness > 0.4 * peak / sensitivity))
    if lines.any():
        mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 3))) > 0
    cut_off = _touched_by(strokes & ~weak & ~table, strokes & (darkness > 0.4 * peak))
    return Ink(darkness, mask, peak, scale, bool(table.any()), cut_off, picture, inverted)


def _without_grain(firm: np.ndarray) -> np.ndarray:
    """`firm` without its specks where they are most of it, as the fibres of cardboard are.

    Their darkness says nothing about the pen's, which would be taken for too faint by far.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(firm.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= _GRAIN
    large[0] = False
    strokes: np.ndarray = large[labels]
    return strokes if 0 < strokes.sum() < firm.sum() / 2 else firm


def _without_edge(mask: np.ndarray, table: np.ndarray) -> np.ndarray:
    """`mask` without what runs off the photograph or the paper: strips, thumbs, paper edges."""
    outside = table.copy()
    outside[:_EDGE], outside[-_EDGE:], outside[:, :_EDGE], outside[:, -_EDGE:] = (True,) * 4
    kept: np.ndarray = mask & ~_touched_by(mask, outside)
    return kept


def _table(light: np.ndarray) -> np.ndarray:
    """bool (H, W): what the paper lies on, if it is much darker, and the paper's very edge.

    A table is a dark region at the photograph's edge whose border is a sharp step to less than
    half of the light. A vignette or a soft shadow has no such step, a hard shadow is not as dark.
    """
    small = cv2.resize(light, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    kernel = np.ones((7, 7), np.uint8)
    step = cv2.dilate(small, kernel) / cv2.erode(small, kernel)
    paper = float(np.percentile(small, 90))
    table = np.zeros(small.shape, bool)
    for level in _TABLE_LEVELS:
        dark = (small < level * paper).astype(np.uint8)
        n, labels = cv2.connectedComponents(dark, connectivity=8)
        rim = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
        for region in range(1, n):
            if not (rim == region).any():
                continue
            inside = labels == region
            border = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            border &= ~inside
            if border.any() and np.percentile(step[border], 15) > _TABLE_STEP:
                table |= inside
    grown = cv2.dilate(table.astype(np.uint8), kernel)
    return cv2.resize(grown, light.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0


def _to_working_size(photo: np.ndarray) -> tuple[np.ndarray, float]:
    """The photograph, uint8 (H, W, 3), its longer side `WORKING_SIDE`; and how much it shrank."""
    scale = WORKING_SIDE / max(photo.shape[:2])
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(photo, size, interpolation=method), scale


def _noise(darkness: np.ndarray) -> np.ndarray:
    """float32 (H, W): standard deviation of what bears no ink around each pixel.

    From the median difference of near pixels, block by block: strokes cover too little of a block
    to matter, while a table's grain counts as noise.
    """
    height, width = darkness.shape
    blocks = (-(-height // _BLOCK), -(-width // _BLOCK))
    padding = [(0, n * _BLOCK - side) for n, side in zip(blocks, darkness.shape, strict=True)]
    padded = np.pad(darkness, padding, mode="symmetric")
    level = np.zeros(blocks, np.float32)
    for axis in (0, 1):
        steps = np.abs(padded - np.roll(padded, 4, axis))
        tiles = steps.reshape(blocks[0], _BLOCK, blocks[1], _BLOCK)[:, ::2, :, ::2]
        level = np.maximum(level, np.median(tiles, axis=(1, 3)))
    smooth = cv2.medianBlur(level.astype(np.float32), 3) if min(blocks) >= 3 else level
    noise: np.ndarray = cv2.resize(smooth, (width, height)) / (0.6745 * np.sqrt(2))
    return noise


def _percentile(darkness: np.ndarray, mask: np.ndarray, percent: float) -> float:
    """Of the darkness where `mask` holds; 1 where it holds nowhere."""
    return float(np.percentile(darkness[mask], percent)) if mask.any() else 1.0


def _touched_by(weak: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """The connected pieces of `weak` that hold a pixel of `strong` (hysteresis)."""
    _, labels = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    keep = np.zeros(labels.max() + 1, bool)
    keep[np.unique(labels[strong])] = True
    keep[0] = False
    kept: np.ndarray = keep[labels]
    return kept

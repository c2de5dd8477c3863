"""Drawn characters, any number, any size, seeded: a set that needs no files and no network.

Each image is one way of writing a character (`glyph_strokes`), its points shaken, slanted, turned
and bent by a smooth field, drawn with OpenCV in a random stroke width, and given some noise.
White on black, as MNIST is. A stand-in for handwriting where there is none, never a proof.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import model_validator

from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.cache.cached import cached
from datasets.preprocess import mnist_style_on, resize, shape_images
from datasets.sets.glyph_strokes import ways_to_write
from headstart.settings import key

VERSION = 3
OWN_SIZE = (28, 28)
_CHARACTERS = {
    "digits": string.digits,
    "all": string.digits + string.ascii_uppercase + string.ascii_lowercase,
}
_MIDDLE = np.array([3.5, 6.0])  # of tops and tails, in the box of `glyph_strokes`
_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel
INFO = DatasetInfo(is_ink=True)


class Options(DatasetOptions):
    """What is drawn."""

    classes: Literal["digits", "all"] = key("The ten digits, or all 62 characters.", "digits",
        example="all")  # fmt: skip
    count: int = key("Number of images; classes take turns, so they are equally many.", 3000,
        example=14000, unit="images", ge=2, le=1_000_000)  # fmt: skip
    seed: int = key("Of the drawing's own generator.", 0, example=1, ge=0)
    preprocess: Literal["mnist_style", "resize"] = key("`mnist_style`: cropped, fitted and "
        "centred as MNIST's digits are; `resize`: the whole page, where small letters stay small.",
        "mnist_style", example="resize")  # fmt: skip
    noise: float = key("Standard deviation of the pixel noise.", 0.02, example=0.05,
        unit="fraction of the full range", ge=0, le=0.5)  # fmt: skip
    test_part: int = key("How many of the last images are a test part of the set's own "
        "(`corrupt_labels` leaves the labels of such a part right); 0: none.", 0, example=2000,
        unit="images", ge=0)  # fmt: skip

    @model_validator(mode="after")
    def _leaves_a_train_part(self) -> Options:
        if self.test_part >= self.count:
            raise ValueError(f"test_part {self.test_part} leaves nothing of {self.count} images")
        return self


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """No files: the set is drawn."""
    return ()


def load(options: Options, request: Request) -> Dataset:
    """`count` images, classes in turn; no parts of its own unless `test_part` is given."""
    return cached(
        "glyphs",
        VERSION,
        options,
        request,
        (),
        lambda asked: _draw_all(options, asked),
        may_repeat=False,
    )


def draw_character(character: str, side: int, rng: np.random.Generator) -> np.ndarray:
    """One `character` as uint8 (side, side), ink bright, drawn differently each time."""
    import cv2

    canvas = np.zeros((side, side), np.uint8)
    ways = ways_to_write(character)
    strokes = ways[rng.integers(len(ways))]
    height = side * rng.uniform(0.45, 0.55)  # of a capital; tails need room below
    to_pixels = _handwriting(height / 10, rng)
    bend = rng.normal(0, 0.02 * height, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
    thickness = max(1, round(height * rng.uniform(0.06, 0.17)))
    for points, weights in strokes:
        shaken = points + rng.normal(0, 0.22, points.shape)
        line = (weights @ shaken - _MIDDLE) @ to_pixels.T + side / 2
        line += _bent(line / side, *bend)
        cv2.polylines(
            canvas,
            [np.round(line * (1 << _SHIFT)).astype(np.int32)],
            isClosed=False,
            color=255,
            thickness=thickness,
            lineType=cv2.LINE_AA,
            shift=_SHIFT,
        )
    return canvas


def _handwriting(scale: float, rng: np.random.Generator) -> np.ndarray:
    """float (2, 2): width, slant and rotation of one hand, from the box to pixels."""
    angle = np.radians(np.clip(rng.normal(0, 5), -12, 12))
    slant = np.clip(rng.normal(-0.15, 0.2), -0.5, 0.2)  # most hands lean to the right
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    hand: np.ndarray = scale * turn @ np.array([[rng.uniform(0.65, 1.1), slant], [0, 1]])
    return hand


def _bent(places: np.ndarray, amplitude: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """A smooth displacement at `places` (M, 2) in page units: one slow wave along each axis."""
    waves = np.sin(2 * np.pi * places[:, None, :] + phase)
    moved: np.ndarray = (waves * amplitude).sum(axis=2)
    return moved


def _draw_all(options: Options, request: Request) -> Dataset:
    rng = np.random.default_rng(options.seed)
    characters = _CHARACTERS[options.classes]
    size = request.image_size or OWN_SIZE
    side = max(112, 2 * max(size))
    labels = np.arange(options.count) % len(characters)
    images = np.empty((options.count, *size), np.uint8)
    for index, label in enumerate(labels):
        page = draw_character(characters[label], side, rng)
        mnist_like = options.preprocess == "mnist_style"
        images[index] = mnist_style_on(page, size) if mnist_like else resize(page, size)
    noise = rng.standard_normal(images.shape, np.float32) * (255 * options.noise)
    return build_dataset(
        "glyphs",
        shape_images(np.clip(images + noise, 0, 255).astype(np.uint8), size, request.channels),
        labels,
        characters,
        source=f"drawn with seed {options.seed}",
        parts=_parts(options),
    )


def _parts(options: Options) -> dict[str, np.ndarray]:
    if not options.test_part:
        return {}
    train, test = np.split(np.arange(options.count), [options.count - options.test_part])
    return {"train": train, "test": test}

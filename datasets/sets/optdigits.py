"""1,797 handwritten digits, 8×8, that come inside scikit-learn: no files, no network.

The test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998), ink 0 …
16, white on black. Scaled up to 28×28 where the network asks for no other size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.cache.cached import cached
from datasets.preprocess import mnist_style_on, resize, shape_images
from headstart.settings import key

VERSION = 2
OWN_SIZE = (28, 28)
_MOST_INK = 16
_ENLARGED = (80, 80)  # smooth strokes first, so that cropping works in fractions of a source pixel
INFO = DatasetInfo(is_ink=True)


class Options(DatasetOptions):
    """How the 8×8 digits become larger images."""

    preprocess: Literal["mnist_style", "resize"] = key("`mnist_style`: fitted and centred as "
        "MNIST's digits are; `resize`: scaled.", "mnist_style", example="resize")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """No files: the set is part of a package that Headstart depends on."""
    return ()


def load(options: Options, request: Request) -> Dataset:
    """All 1,797 images; no parts of its own."""
    return cached(
        "optdigits",
        VERSION,
        options,
        request,
        (),
        lambda asked: _decode(options, asked),
        may_repeat=False,
    )


def _decode(options: Options, request: Request) -> Dataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = np.round(bunch.images * (255 / _MOST_INK)).astype(np.uint8)
    size = request.image_size or OWN_SIZE
    if options.preprocess == "resize":
        images = [resize(image, size) for image in small]
    else:
        images = [mnist_style_on(resize(image, _ENLARGED), size) for image in small]
    return build_dataset(
        "optdigits",
        shape_images(np.stack(images), size, request.channels),
        bunch.target,
        tuple("0123456789"),
        source="scikit-learn, load_digits()",
    )

"""A data set's test images, small enough to lie beside the records.

In: a data set. Out: arrays for `images/FINGERPRINT.npz`. The report shows the images that are most
often wrong, and a run folder needs nothing from outside. So it keeps the images that trials may
have been tested on: the official test part, or every image where seeds draw test parts.
"""

from __future__ import annotations

import numpy as np

from datasets.base import Dataset

MAX_SIDE = 64
MAX_BYTES = 64_000_000  # before compression; handwriting shrinks to about a sixth


def test_images(dataset: Dataset) -> dict[str, np.ndarray]:
    """`indices` int64 (n,), `images` uint8 (n, C, h, w), `labels` int64 (n,), `class_names`.

    Images over 64 pixels a side are shrunk by a whole factor; more than 64 MB of them are thinned
    to every k-th.
    """
    indices = dataset.parts.get("test", np.arange(len(dataset.labels)))
    stride = -(-max(dataset.images.shape[2:]) // MAX_SIDE)
    shape = dataset.images[:1, :, ::stride, ::stride].shape
    n_bytes = len(indices) * int(np.prod(shape[1:]))
    indices = indices[:: -(-n_bytes // MAX_BYTES)]
    return {
        "indices": indices,
        "images": np.stack([shrunk(dataset.images[i], stride) for i in indices]),
        "labels": dataset.labels[indices],
        "class_names": np.array(dataset.class_names),
    }


def shrunk(image: np.ndarray, stride: int) -> np.ndarray:
    """Each block of stride × stride pixels as its mean; uint8 (C, H, W) → (C, ⌈H/s⌉, ⌈W/s⌉)."""
    if stride == 1:
        return image
    channels, height, width = image.shape
    padding = ((0, 0), (0, -height % stride), (0, -width % stride))
    padded = np.pad(image, padding, mode="edge").astype(np.float32)
    blocks = padded.reshape(channels, padded.shape[1] // stride, stride, -1, stride)
    small: np.ndarray = blocks.mean(axis=(2, 4)).round().astype(np.uint8)
    return small

"""What can be measured of a set of characters: ink, size, place and thickness, image by image.

In: uint8 images with a dark background. Out: one number an image and measure. `describe` prints
their means, and the differences of two sets in units of the first one's spread.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from datasets.base import Dataset

_INK = 127  # brighter than this is ink


def measure_images(images: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of uint8 (N, H, W), each float64 (N,); NaN where an image has no ink.

    Returns:
        `brightness`: mean, as a fraction of white; `ink`: fraction of pixels over half white;
        `height`, `width`: of the ink's bounding box, as fractions of the image's;
        `off_centre`: distance of the ink's centre of mass from the middle, as a fraction of the
        image's height; `stroke`: thickness in pixels, four times the mean distance of ink pixels
        to the nearest paper, which is exact for a long straight stroke of even thickness.
    """
    rows = [_measure(image) for image in images]
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def differences(
    own: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """For each measure (mean of own − mean of reference) / SD of reference (ddof 1).

    Images without ink are left out. Infinite where the reference does not vary and the means
    differ, 0 where they do not differ.
    """
    result = {}
    for key in reference:
        gap = mean_of_known(own[key]) - mean_of_known(reference[key])
        spread = float(np.nanstd(reference[key], ddof=1)) if len(reference[key]) > 1 else 0.0
        result[key] = (
            0.0 if gap == 0 else gap / spread if spread else float(np.copysign(np.inf, gap))
        )
    return result


def mean_of_known(values: np.ndarray) -> float:
    """Mean without the NaNs; NaN where there is nothing else."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def class_means(dataset: Dataset) -> np.ndarray:
    """Mean image of each class, float32 (n_classes, H, W), over all channels."""
    return np.stack(
        [
            dataset.images[dataset.labels == label].mean(axis=(0, 1), dtype=np.float32)
            for label in range(len(dataset.class_names))
        ]
    )


def nearest_mean_accuracy(means: np.ndarray, images: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of uint8 images (N, H, W) whose nearest class mean (Euclid) is that of its label."""
    flat_means = means.reshape(len(means), -1)
    flat = images.reshape(len(images), -1).astype(np.float32)
    distances = (flat_means**2).sum(axis=1) - 2 * flat @ flat_means.T
    return float((distances.argmin(axis=1) == labels).mean())


def _measure(image: np.ndarray) -> dict[str, float]:
    import cv2

    height, width = image.shape
    ink = (image > _INK).astype(np.uint8)
    n_ink = int(ink.sum())
    measures = {"brightness": float(image.mean()) / 255, "ink": n_ink / image.size}
    if n_ink == 0:
        return measures | dict.fromkeys(("height", "width", "off_centre", "stroke"), np.nan)
    _, _, box_width, box_height = cv2.boundingRect(ink)
    y, x = (places.mean() for places in np.nonzero(ink))
    framed = cv2.copyMakeBorder(ink, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return measures | {
        "height": box_height / height,
        "width": box_width / width,
        "off_centre": float(np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)) / height,
        "stroke": 4 * float(distance[framed > 0].mean() - 0.5),
    }

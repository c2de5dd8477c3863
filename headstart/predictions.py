"""What a trial answered on its test images, and the images themselves: arrays of a run folder.

In: the bytes of `predictions.npz` or of `images/FINGERPRINT.npz`. Out: arrays whose types, lengths
and class numbers fit each other. It stands in the leaf because the analysis and `harness.evaluate`
read the same files.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headstart.errors import RunFolderError
from headstart.packed import BROKEN, read_arrays

Arrays = dict[str, np.ndarray]


def read_predictions(path: Path, content: bytes) -> Arrays:
    """indices, labels, predicted: integers (n,); probabilities: float (n, classes).

    Raises:
        RunFolderError: the file is damaged, or its arrays do not fit each other.
    """
    arrays = _read(path, content, ("indices", "labels", "predicted", "probabilities"))
    numbers = [arrays[key] for key in ("indices", "labels", "predicted")]
    shares = arrays["probabilities"]
    n = len(shares) if shares.ndim == 2 else -1
    if shares.dtype.kind != "f" or n < 1:
        raise _damaged(path, f"probabilities are {shares.dtype} {shares.shape}")
    for key, array in zip(("indices", "labels", "predicted"), numbers, strict=True):
        if array.dtype.kind not in "iu" or array.shape != (n,):
            raise _damaged(path, f"{key} are {array.dtype} {array.shape}, for {n} probabilities")
    for key in ("labels", "predicted"):
        if arrays[key].min() < 0 or arrays[key].max() >= shares.shape[1]:
            raise _damaged(path, f"{key} name a class that has none of {shares.shape[1]} columns")
    if not np.isfinite(shares).all():
        raise _damaged(path, "probabilities are not finite (NaN or infinity)")
    return arrays


def read_answers(path: Path, content: bytes) -> Arrays:
    """Of several labels or numbers: indices integers (n,); right and answers float (n, outputs).

    Raises:
        RunFolderError: the file is damaged, or its arrays do not fit each other.
    """
    arrays = _read(path, content, ("indices", "right", "answers"))
    indices, right, answers = arrays["indices"], arrays["right"], arrays["answers"]
    fits = answers.ndim == 2 and right.shape == answers.shape and len(answers) == len(indices)
    if not fits or indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise _damaged(path, f"answers are {answers.shape}, for right {right.shape}")
    if {right.dtype.kind, answers.dtype.kind} != {"f"}:
        raise _damaged(path, f"answers are {answers.dtype}, and right is {right.dtype}")
    if not (np.isfinite(right).all() and np.isfinite(answers).all()):
        raise _damaged(path, "answers are not finite (NaN or infinity)")
    return arrays


def read_images(path: Path, content: bytes) -> Arrays:
    """indices integers (n,), images uint8 (n, C, H, W).

    Raises:
        RunFolderError: the file is damaged, or its arrays do not fit each other.
    """
    arrays = _read(path, content, ("indices", "images"))
    indices, images = arrays["indices"], arrays["images"]
    fits = images.ndim == 4 and images.shape[1] in (1, 3) and indices.shape == images.shape[:1]
    if images.dtype != np.uint8 or indices.dtype.kind not in "iu" or not fits:
        shapes = f"{images.dtype} {images.shape} for indices {indices.dtype} {indices.shape}"
        raise _damaged(path, f"images are {shapes}")
    return arrays


def _read(path: Path, content: bytes, keys: Sequence[str]) -> Arrays:
    try:
        return read_arrays(io.BytesIO(content), keys)
    except BROKEN as err:
        raise _damaged(path, " ".join(str(err).split())[:200] or type(err).__name__) from err


def _damaged(path: Path, reason: str) -> RunFolderError:
    where = "it" if path.parent.name == "images" else f"the folder {path.parent}"
    return RunFolderError(
        f"{path}: damaged ({reason}); remove {where} and run the sweep's command again, "
        "which makes it anew"
    )

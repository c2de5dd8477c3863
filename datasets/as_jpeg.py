"""Images as JPEG files of 28×28 gray pixels hold them: `as_jpeg: true` in a `data` entry.

In: a `Dataset` of such size, as its own module gives it. Out: the same images encoded and decoded
again, then brought to what a network takes. It stands alone because images that are handed in as
JPEG files lose a little: who trains on what the files hold gets the same bits from the files.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from datasets.base import Dataset, Request, first_copies, image_digests
from datasets.preprocess import shape_images

SIZE = (28, 28)
QUALITY = 95


def jpeg_request(request: Request) -> Request:
    """What a set's own module is asked for: the files' size, whatever the network takes."""
    return dataclasses.replace(request, image_size=SIZE, channels=1)


def as_jpeg(dataset: Dataset, request: Request) -> Dataset:
    """`dataset` of uint8 (N, 1, 28, 28) as its JPEG files hold it, at the size of `request`."""
    images = np.stack([decode(encode(image[0])) for image in dataset.images])
    shaped = shape_images(images, request.image_size, request.channels)
    return dataclasses.replace(
        dataset,
        images=shaped,
        fingerprint=_fingerprint(dataset.fingerprint, images, shaped.shape[1:]),
        first_copy=first_copies(image_digests(images)),
        notes=(*dataset.notes, f"its images are as gray JPEG files of 28×28 hold them ({QUALITY})"),
    )


def encode(image: np.ndarray) -> bytes:
    """The JPEG file of a uint8 (H, W)."""
    import cv2

    _, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return content.tobytes()


def decode(content: bytes) -> np.ndarray:
    """uint8 (H, W) of a JPEG file."""
    import cv2

    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(image, np.uint8)


def _fingerprint(before: str, images: np.ndarray, shape: tuple[int, ...]) -> str:
    """Of what the files hold and the shape in which it is given, asked for or not."""
    content = before.encode() + str(shape).encode() + images.tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()

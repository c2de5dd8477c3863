"""Images of any size, depth and colour → uint8 images of the size and channels a network wants.

In: one image as a NumPy array. Out: one uint8 image. Every data set shapes its images with these
functions, and so does the tool that cuts photographed sheets, so that a digit from a photograph
and a digit from a zip meet the network in the same form.

"Ink" below is an image whose background is 0 and whose strokes are bright, as in MNIST.
"""

from __future__ import annotations

import math

import numpy as np

from datasets.base import Preprocess, Request

MNIST_SIZE = 28  # pixels, both ways
MNIST_BOX = 20  # the digit itself is fitted into 20×20 of the 28×28
_INK_SHARE = 0.1  # of the brightest ink: anything fainter is paper, not stroke, when cropping
_WINDOW = 5 / 6  # of a page's shorter side: what `centred` shows of it
_OVERSAMPLED = 8  # source pixels for each target pixel, each way, that suffice for an average


def mnist_style(ink: np.ndarray, size: int = MNIST_SIZE) -> np.ndarray:
    """The character as MNIST would show it: cropped to its ink, fitted into a box, centred.

    As in LeCun et al. (1998, section III.A): the ink's bounding box is scaled, its proportions
    kept, until its longer side is 20 of 28 pixels; then its centre of mass is moved to pixel
    (14, 14), counted from 0, to the nearest whole pixel and never so far that ink is lost. Grey
    levels are stretched so that the strongest stroke is 255.

    Args:
        ink: uint8 (H, W), background 0 and ink bright.
        size: side of the square result in pixels; the box is 20/28 of it.

    Returns:
        uint8 (size, size), background 0. All zero where `ink` holds no ink at all.
    """
    canvas = np.zeros((size, size), np.uint8)
    if ink.size == 0 or not ink.any():
        return canvas
    fitted = _fit(_crop_to_ink(ink), round(size * MNIST_BOX / MNIST_SIZE))
    height, width = fitted.shape
    centre_y, centre_x = _centre_of_mass(fitted)
    top = int(np.clip(round(size / 2 - centre_y), 0, size - height))
    left = int(np.clip(round(size / 2 - centre_x), 0, size - width))
    canvas[top : top + height, left : left + width] = fitted
    return canvas


def centred(ink: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """The page moved so that its ink stands in the middle, the ink's size on the page kept.

    Where a character stands on its page says nothing; how large it is tells o from O. A window of
    the proportions of `image_size`, its shorter side 5/6 of the page's, is laid around the middle
    of the ink's bounding box and shrunk. It is larger where the ink would not fit into it. What
    lies beyond the page is 0.

    Args:
        ink: uint8 (H, W), background 0 and ink bright.
        image_size: (height, width) of the result in pixels.

    Returns:
        uint8 (height, width). The middle of the page where there is no ink at all.
    """
    page_height, page_width = ink.shape
    has_ink = ink.size > 0 and bool(ink.any())
    left, top, width, height = _ink_box(ink) if has_ink else (0, 0, page_width, page_height)
    shorter = _WINDOW * min(page_height, page_width) / min(image_size)
    fitting = max(height / image_size[0], width / image_size[1]) if has_ink else 0.0
    scale = max(shorter, fitting)  # page pixels to a pixel of the result
    window = [max(1, round(scale * side)) for side in image_size]
    y, x = top + (height - window[0]) // 2, left + (width - window[1]) // 2
    shown = np.zeros(window, np.uint8)
    y0, x0 = max(0, y), max(0, x)
    part = ink[y0 : max(0, y + window[0]), x0 : max(0, x + window[1])]
    shown[y0 - y : y0 - y + part.shape[0], x0 - x : x0 - x + part.shape[1]] = part
    return resize(shown, image_size)


def resize(image: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """`image`, uint8 (H, W) or (H, W, C), at `image_size` = (height, width).

    Proportions may change. Area interpolation where the image shrinks (every source pixel counts,
    thin strokes survive), linear where it grows. A page that is many times too large is first
    shrunk by a whole factor, for which OpenCV has a path ten times as fast; the result differs
    from that of one step by a few of 255 grey levels, at edges.
    """
    import cv2

    height, width = image_size
    if image.shape[:2] == (height, width):
        return image
    if image.shape[0] < height or image.shape[1] < width:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    factor = _whole_factor(image.shape[0], image.shape[1], height, width)
    if factor > 1:
        smaller = (image.shape[1] // factor, image.shape[0] // factor)
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def centre_crop(image: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """`image` scaled until it just covers `image_size`; what lies beyond at both ends is cut off.

    Proportions stay, as under torchvision's `Resize` of the shorter side and `CenterCrop`.

    Args:
        image: uint8 (H, W) or (H, W, C).
        image_size: (height, width) of the result in pixels.
    """
    height, width = image.shape[:2]
    scale = max(image_size[0] / height, image_size[1] / width)
    rows = min(height, max(1, round(image_size[0] / scale)))
    columns = min(width, max(1, round(image_size[1] / scale)))
    top, left = (height - rows) // 2, (width - columns) // 2
    part = image[top : top + rows, left : left + columns]
    return resize(np.ascontiguousarray(part), image_size)


def _whole_factor(old_height: int, old_width: int, height: int, width: int) -> int:
    """The largest whole factor that leaves `_OVERSAMPLED` source pixels a target pixel, or 1."""
    largest = min(old_height // height, old_width // width) // _OVERSAMPLED
    both = math.gcd(old_height, old_width)
    return next((factor for factor in range(largest, 1, -1) if both % factor == 0), 1)


def mnist_style_on(ink: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """`mnist_style` on a canvas of any (height, width): the square of its shorter side, centred."""
    height, width = image_size
    side = min(height, width)
    canvas = np.zeros((height, width), np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    canvas[top : top + side, left : left + side] = mnist_style(ink, side)
    return canvas


def sized(ink: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """`mnist_style`, and a bar at either side that shows how the ink stood on its page.

    Cropping makes an o of an O. The bar on the left runs from where the ink begins to where it ends
    down the page, as if the canvas were the page; the one on the right does so across the page. A
    network reads the cropped character as without them, and size and place beside it. Make the
    canvas wider than high: the character stands in the square in its middle.

    Args:
        ink: uint8 (H, W), background 0 and ink bright: the whole page.
        image_size: (height, width) of the result in pixels.

    Returns:
        uint8 (height, width). All zero where `ink` holds no ink at all.
    """
    canvas = mnist_style_on(ink, image_size)
    if ink.size == 0 or not ink.any():
        return canvas
    page_height, page_width = ink.shape
    left, top, width, height = _ink_box(ink)
    rows, columns = image_size
    edge, thick = round(columns / 24), max(1, round(columns / 16))
    down = _covered_rows(rows, top / page_height, (top + height) / page_height)
    across = _covered_rows(rows, left / page_width, (left + width) / page_width)
    for first, bar in ((edge, down), (columns - edge - thick, across)):
        place = canvas[:, first : first + thick]
        np.maximum(place, bar[:, None], out=place)
    return canvas


def _covered_rows(n: int, begin: float, end: float) -> np.ndarray:
    """uint8 (n,): how much of each of n rows lies between two fractions of all of them."""
    row = np.arange(n)
    cover = np.minimum(row + 1, end * n) - np.maximum(row, begin * n)
    covered: np.ndarray = np.round(255 * np.clip(cover, 0, 1)).astype(np.uint8)
    return covered


_SHAPES = {
    "resize": resize,
    "centre_crop": centre_crop,
    "mnist_style": mnist_style_on,
    "centred": centred,
    "sized": sized,
}


def shape_ink(ink: np.ndarray, image_size: tuple[int, int], preprocess: Preprocess) -> np.ndarray:
    """`ink`, uint8 (H, W), at `image_size`, in the way that `preprocess` names."""
    return _SHAPES[preprocess](ink, image_size)


def shape_images(
    images: np.ndarray, image_size: tuple[int, int] | None, channels: int | None
) -> np.ndarray:
    """A stack of equal images in the size and number of channels that a network wants.

    Args:
        images: uint8 (N, H, W) or (N, H, W, C), C is 1 or 3 (RGB).
        image_size: (height, width); None: as it is.
        channels: 1 or 3; None: as it is.

    Returns:
        uint8 (N, C, H, W). Three channels made of one are a view that repeats it, not copies.
    """
    images = images if images.ndim == 4 else images[..., None]
    if channels == 1 and images.shape[3] == 3:
        images = np.stack([gray(image) for image in images])[..., None]
    if image_size is not None and images.shape[1:3] != tuple(image_size):
        shape = (len(images), *image_size, images.shape[3])
        resized = np.empty(shape, np.uint8)
        for index, image in enumerate(images):
            resized[index] = resize(image, image_size).reshape(shape[1:])
        images = resized
    stacked = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if channels == 3 and stacked.shape[1] == 1:
        return np.broadcast_to(stacked, (len(stacked), 3, *stacked.shape[2:]))
    return stacked


def shape_for(images: np.ndarray, request: Request) -> np.ndarray:
    """As `shape_images`, of the size and channels of a request; into its file where it has one.

    Then memory holds some blocks of the result, and the result is the file as a read-only map.
    """
    size, channels = request.image_size, request.channels
    if request.pages is None or images.size == 0:
        return shape_images(images, size, channels)

    def shape(block: np.ndarray) -> np.ndarray:
        shaped = shape_images(block, size, channels)
        return shaped[:, :1] if shaped.strides[1] == 0 else shaped  # a repeated one is kept once

    n_channels = shape_images(images[:1], size, channels).shape[1]
    request.pages.put(images, shape)
    stored = request.pages.images
    assert stored is not None, "it is whole"
    return np.broadcast_to(stored, (len(stored), n_channels, *stored.shape[2:]))


def gray(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W) luma (ITU-R BT.601) of a uint8 (H, W, 3) RGB image."""
    import cv2

    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _crop_to_ink(ink: np.ndarray) -> np.ndarray:
    """The part of `ink` in its bounding box."""
    left, top, width, height = _ink_box(ink)
    return ink[top : top + height, left : left + width]


def _ink_box(ink: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, width, height) of what is at least a tenth as bright as the brightest ink."""
    import cv2

    faint = max(0.0, _INK_SHARE * float(ink.max()) - 1)
    _, strong = cv2.threshold(ink, faint, 255, cv2.THRESH_BINARY)
    left, top, width, height = cv2.boundingRect(strong)
    return left, top, width, height


def _fit(ink: np.ndarray, box: int) -> np.ndarray:
    """`ink` scaled so that its longer side is `box` pixels, grey levels stretched to 255."""
    height, width = ink.shape
    scale = box / max(height, width)
    fitted = resize(ink, (max(1, round(height * scale)), max(1, round(width * scale))))
    strongest = int(fitted.max())
    if strongest == 0:
        return fitted
    return np.round(fitted.astype(np.float32) * (255.0 / strongest)).astype(np.uint8)


def _centre_of_mass(ink: np.ndarray) -> tuple[float, float]:
    """(y, x) of the mean of the ink, in pixels; the middle where there is no ink."""
    total = float(ink.sum(dtype=np.float64))
    height, width = ink.shape
    if total == 0:
        return (height - 1) / 2, (width - 1) / 2
    y = float((ink.sum(axis=1, dtype=np.float64) * np.arange(height)).sum() / total)
    x = float((ink.sum(axis=0, dtype=np.float64) * np.arange(width)).sum() / total)
    return y, x

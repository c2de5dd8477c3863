"""The drawn changes of a batch, as tensors with a row for each image.

In: what was drawn. Out: slices and copies of it on other devices. It stands alone because every
family of changes adds its part, and training, graphs and teams move them all alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

ON_DEVICE = ("matrix", "field", "boxes", "crops")
ON_HOST = ("ops", "strengths")


@dataclass(frozen=True)
class Draws:
    """The drawn changes of n images; a field is None where the settings leave it alone.

    Attributes:
        matrix: float32 (n, 2, 3): from each output pixel to the place in the input it shows, in
            `grid_sample` coordinates (-1 to 1 across the image, x before y).
        field: float32 (n, 2, 5, 5): displacement (x, y) at the control points, same coordinates.
        boxes: float32 (n, 4): erased rectangle (left, top, right, bottom) in fractions of the
            image; all 0 where nothing is erased.
        crops: float32 (n, 4): the part that is taken (left, top, width, height) in whole pixels of
            the given image; of a mirrored one `left` is its right edge and `width` below 0.
        ops: int64 (n, k) on the CPU: k changes of each image one after another, by their place in
            `pixels.OPS`; 0 is none. The host looks at them.
        strengths: float32 (n, k) on the CPU: of each of them.
        size: (height, width) of the result; None: the image's own.
        resizes: whether a part that is taken is scaled to `size`; else it has that size.
    """

    n: int
    fill: float
    matrix: Tensor | None = None
    field: Tensor | None = None
    boxes: Tensor | None = None
    crops: Tensor | None = None
    ops: Tensor | None = None
    strengths: Tensor | None = None
    size: tuple[int, int] | None = None
    resizes: bool = False

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: slice) -> Draws:
        """The draws of these rows of the batch."""
        return self._changed(lambda t: t[rows], ON_DEVICE + ON_HOST, len(range(self.n)[rows]))

    def to(self, device: object) -> Draws:
        """The same draws on another device."""
        return self.each(lambda tensor: tensor.to(device))  # type: ignore[call-overload]

    def tensors(self) -> list[Tensor]:
        """The fields on the device that are not None, always in the same order."""
        return [t for t in (getattr(self, name) for name in ON_DEVICE) if t is not None]

    def each(self, change: Callable[[Tensor], Tensor]) -> Draws:
        """The draws of which each tensor on the device is what `change` makes of it."""
        return self._changed(change, ON_DEVICE, self.n)

    def _changed(self, change: Callable[[Tensor], Tensor], names: tuple[str, ...], n: int) -> Draws:
        kept = ((name, getattr(self, name)) for name in names)
        changed: dict[str, Any] = {name: change(t) for name, t in kept if t is not None}
        return replace(self, n=n, **changed)

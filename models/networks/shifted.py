"""A row of layers that, once trained, answers with the mean over small changes of the image.

In: a row of layers from images to logits. Out: the same row, with the same names, parameters and
training. In evaluation it looks at each image in up to three sizes, each moved by some pixels along
both axes, and gives the logarithm of the mean of the probabilities. Pooling makes a network's
answer depend on where an edge falls between two pixels; the mean does not (Krizhevsky, Sutskever
and Hinton 2012, section 4.1, average ten crops of each image for the same reason; Simonyan and
Zisserman 2015, section 3.2, add other sizes).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor, fx, nn
from torch.nn import functional


class Shifted(nn.Sequential):
    """`nn.Sequential` whose evaluation is a mean over small changes of the image.

    Args:
        layers: by name.
        n: pixels of the largest move; (2 n + 1)² places.
        zoom: fraction; the square in the middle is seen as it is, smaller by so much, and larger.
    """

    def __init__(self, layers: OrderedDict[str, nn.Module], n: int, zoom: float = 0.0) -> None:
        super().__init__(layers)
        self.n = n
        self.sizes = (1.0, 1 - zoom, 1 + zoom) if zoom else (1.0,)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (N, C, H, W) → logits; in evaluation log-probabilities, which are logits too.

        Raises:
            TypeError: it is traced, which would fix one of the two.
        """
        if isinstance(x, fx.Proxy):
            raise TypeError("shifts and zooms make its answer a mean over changed images")
        if self.training:
            return self._once(x)
        total: Tensor | None = None
        for changed in self._changed(x):
            answer = self._once(changed).float().log_softmax(dim=1)
            total = answer if total is None else torch.logaddexp(total, answer)
        assert total is not None
        return total - math.log(len(self.sizes) * (2 * self.n + 1) ** 2)

    def _changed(self, x: Tensor) -> Iterator[Tensor]:
        """The images in each size and place."""
        height, width = x.shape[2:]
        for size in self.sizes:
            # What comes in from outside is as the border: the background, whatever its value is.
            seen = x if size == 1 else zoomed(x, size)
            wide = functional.pad(seen, (self.n,) * 4, mode="replicate")
            for top, left in product(range(2 * self.n + 1), repeat=2):
                yield wide[:, :, top : top + height, left : left + width]

    def _once(self, x: Tensor) -> Tensor:
        """Logits of the images where they are."""
        for layer in self:
            x = layer(x)
        return x


def zoomed(x: Tensor, size: float) -> Tensor:
    """Images (N, C, H, W) whose square in the middle shows things `size` times as large.

    What stands beside the square stays: the bars of `preprocess: sized` are lengths on a page. What
    comes in from outside is as the image's corner: the edge of the square may hold a bar's.
    """
    side = min(x.shape[2:])
    top, left = ((length - side) // 2 for length in x.shape[2:])
    square = x[:, :, top : top + side, left : left + side]
    # Places of the pixels' centres in the square, whose sides run from -1 to 1.
    centres = torch.arange(side, device=x.device, dtype=x.dtype)
    places = ((2 * centres + 1) / side - 1) / size
    grid = torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1)
    grid = grid.expand(len(x), side, side, 2)
    corner = x[:, :, :1, :1]
    changed = x.clone()
    changed[:, :, top : top + side, left : left + side] = corner + functional.grid_sample(
        square - corner, grid, padding_mode="zeros", align_corners=False
    )
    return changed

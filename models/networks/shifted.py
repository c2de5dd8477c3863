"""A row of layers that, once trained, answers with the mean over small moves of the image.

In: a row of layers from images to logits. Out: the same row, with the same names, parameters and
training. In evaluation it looks at each image moved by -n … n pixels along both axes and gives the
logarithm of the mean of the probabilities. Pooling makes a network's answer depend on where an edge
falls between two pixels; the mean does not (Krizhevsky, Sutskever and Hinton 2012, section 4.1,
average ten crops of each image for the same reason).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import product

import torch
from torch import Tensor, fx, nn
from torch.nn import functional


class Shifted(nn.Sequential):
    """`nn.Sequential` whose evaluation is a mean over (2 n + 1)² places of the image."""

    def __init__(self, layers: OrderedDict[str, nn.Module], n: int) -> None:
        super().__init__(layers)
        self.n = n  # pixels, 1 at least

    def forward(self, x: Tensor) -> Tensor:
        """float32 (N, C, H, W) → logits; in evaluation log-probabilities, which are logits too.

        Raises:
            TypeError: it is traced, which would fix one of the two.
        """
        if isinstance(x, fx.Proxy):
            raise TypeError(f"shifts: {self.n} makes its answer a mean over moved images")
        if self.training:
            return self._once(x)
        height, width = x.shape[2:]
        # What comes in from outside is as the border: the background, whatever its value is.
        wide = functional.pad(x, (self.n,) * 4, mode="replicate")
        total: Tensor | None = None
        for top, left in product(range(2 * self.n + 1), repeat=2):
            moved = wide[:, :, top : top + height, left : left + width]
            answer = self._once(moved).float().log_softmax(dim=1)
            total = answer if total is None else torch.logaddexp(total, answer)
        assert total is not None
        return total - math.log((2 * self.n + 1) ** 2)

    def _once(self, x: Tensor) -> Tensor:
        """Logits of the images where they are."""
        for layer in self:
            x = layer(x)
        return x

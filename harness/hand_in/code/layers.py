"""Layers that PyTorch has in another form, and the seeds of all random draws."""

import hashlib
import math

import torch
from torch import nn


class Dropout(nn.Module):
    """Dropout (Srivastava et al., 2014) with a generator of its own: the run's masks come again.

    dimensions: of the input, of which each entry is drawn; None: all (nn.Dropout), 2: whole
    channels (nn.Dropout2d), 1: whole images (stochastic depth).
    """

    generator = torch.Generator()  # the same for all layers; seeded for each step

    def __init__(self, p, dimensions=None):
        super().__init__()
        self.p, self.dimensions = p, dimensions

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        n = self.dimensions or x.dim()
        shape = tuple(x.shape[:n]) + (1,) * (x.dim() - n)
        # 16 random bits for each entry, four entries from a word.
        words = torch.empty(-(-math.prod(shape) // 4), dtype=torch.int64)
        words.random_(-(2**63), None, generator=self.generator)
        bits = words.view(torch.int16)[: math.prod(shape)].view(shape)
        n_dropped = round(self.p * 65536)
        return x * (bits >= n_dropped - 32768).to(x.dtype).div_(1 - n_dropped / 65536)


class GrayConv2d(nn.Conv2d):
    """A first layer over three channels, each of them made of a gray image as it expects it."""

    def __init__(self, *arguments, scale, shift, **keywords):
        super().__init__(*arguments, **keywords)
        self.register_buffer("scale", torch.tensor(scale).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor(shift).view(1, -1, 1, 1), persistent=False)

    def forward(self, x):
        return super().forward(x * self.scale + self.shift)


def with_seeded_dropout(module):
    """The same network, its dropout layers replaced by those above."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout):
                setattr(parent, name, Dropout(child.p))
            elif isinstance(child, (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)):
                setattr(parent, name, Dropout(child.p, 2))
            elif type(child).__name__ == "StochasticDepth":
                setattr(parent, name, Dropout(child.p, 1))
    return module


def seed_of(stream, kind, position):
    """The seed of one draw of a stream: of epoch 7, of step 412."""
    text = "%d\x1f%s\x1f%d" % (stream, kind, position)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

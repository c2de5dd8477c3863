"""Random changes to a batch of images, drawn from one generator and applied on the device.

In: float32 images (N, C, H, W) in 0..1 and a `torch.Generator`. Out: images (N, C, h, w), of the
same size but where a part is cut out. Drawing and applying are apart: `draw` is the only place that
touches the generator, `apply` is a pure function of images and draws. Row i of the draws belongs to
row i of the batch, so any slice of a batch with the same slice of its draws gives the same images.

The order is fixed: cut and mirrored (`crops.py`), turned, moved and bent (`moves.py`), all in one
resampling; a policy, jitter, grayscale and blur (`policies.py`, `pixels.py`); partly covered.
"""

from __future__ import annotations

from datasets.augment.batch import apply, draw, draw_batches
from datasets.augment.draws import Draws
from datasets.augment_settings import Augment

__all__ = ["Augment", "Draws", "apply", "draw", "draw_batches"]

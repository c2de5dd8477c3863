"""What the four evaluations of Assignment 4 are called, in its order.

It stands in the leaf because the workbook (analysis) and the code that is handed in (harness) say
the same of the same row.
"""

from __future__ import annotations

_TITLES = (
    "Pretrained network, test images of {}",
    "Pretrained network, own test images",
    "Last layer fine-tuned, own test images",
    "Last {} layers fine-tuned, own test images",
)


def titles(dataset: str = "mnist", n_layers: int | str = "n") -> tuple[str, str, str, str]:
    """The four. dataset: what the network was pretrained on; n_layers: of the fourth."""
    shown = "MNIST" if dataset == "mnist" else dataset
    first, second, third, fourth = _TITLES
    return first.format(shown), second, third, fourth.format(n_layers)

"""A network of a run as an ONNX file, its normalisation inside, compared before it is believed.

In: a `SavedModel`. Out: a file whose answers ONNX Runtime and PyTorch agree on. It stands alone
because ONNX Runtime is an optional package.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from harness.evaluate.models import SavedModel, network_of, scale_of
from harness.training.arrays import Normalise
from harness.training.loop import both_ways
from headstart.errors import MissingPackageError, ModelError

MOST_APART = 1e-4  # of probabilities, or of numbers in standard deviations of their training images
N_COMPARED = 5  # pictures of noise; not the number that the network is traced with


class FromPixels(nn.Module):
    """float32 (n, C, H, W) in 0..255 → logits and probabilities, as `harness.evaluate` has them.

    Of a number the second output is the number in its unit, (n, 1).
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model: SavedModel):
        super().__init__()
        self.network = network_of(model).eval()
        self.is_mirrored = model.condition.train.evaluate_mirrored
        normalise = Normalise(model.info.mean, model.info.std, torch.device("cpu"))
        self.register_buffer("scale", normalise.scale)
        self.register_buffer("shift", normalise.shift)
        self.target = model.row.target
        self.answer_name = "numbers" if self.target == "number" else "probabilities"
        self.mean, self.sd = scale_of(model.row)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        shown = both_ways(self.network) if self.is_mirrored else self.network
        logits = shown(pixels * self.scale + self.shift)
        if self.target == "number":
            return logits, logits * self.sd + self.mean
        return logits, logits.sigmoid() if self.target == "labels" else logits.softmax(dim=1)


def needs_onnx() -> None:
    """Raises MissingPackageError where ONNX Runtime is not installed."""
    if find_spec("onnxruntime") is None:
        raise MissingPackageError(
            "--format onnx: needs a package that is not installed: uv pip install -r "
            "pyproject.toml --extra onnx"
        )


def write_onnx(model: SavedModel, path: Path) -> None:
    """Write the network, for any number of pictures at once.

    Raises:
        ModelError: it cannot be written as ONNX, or ONNX Runtime gives other answers.
    """
    network = FromPixels(model).eval()
    shape = (model.channels, *model.image_size)
    try:
        with warnings.catch_warnings(), torch.no_grad(), _nothing_printed():
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            torch.onnx.export(
                network,
                (torch.zeros(2, *shape),),
                str(path),
                input_names=["pixels"],
                output_names=["logits", network.answer_name],
                dynamic_axes={key: {0: "n"} for key in ("pixels", "logits", network.answer_name)},
                dynamo=False,
            )
            apart = _apart(network, path, shape)
    except Exception as err:  # PyTorch and ONNX Runtime each have their own kinds
        text = (str(err).strip() or type(err).__name__).splitlines()[0].split("  [Caused by")[0]
        name = model.condition.model.name
        raise ModelError(f"--format onnx: {name} cannot be written as ONNX: {text[:300]}") from err
    finally:
        logging.disable(logging.NOTSET)
    if not apart <= MOST_APART:
        raise ModelError(
            f"--format onnx: ONNX Runtime's probabilities differ from PyTorch's by {apart:.2g}"
        )


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Where PyTorch's exporter fails, its C++ prints the whole graph on standard output."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


def _apart(network: FromPixels, path: Path, shape: tuple[int, ...]) -> float:
    import onnxruntime  # type: ignore[import-untyped]

    noise = np.random.default_rng(0).integers(0, 256, (N_COMPARED, *shape)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answered = session.run([network.answer_name], {"pixels": noise})[0]
    apart = float(np.abs(answered - network(torch.from_numpy(noise))[1].numpy()).max())
    return apart / network.sd

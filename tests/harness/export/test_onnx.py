"""A network that cannot be written as ONNX is one line."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from torch import Tensor, nn

from harness.export import onnx
from headstart.errors import ModelError


class _KernelsOfTheImage(nn.Module):
    """A convolution whose kernels are computed, as in timm's CondConv networks."""

    answer_name, sd = "probabilities", 1.0

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Linear(3, 4 * 3 * 9)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        n, _, height, width = pixels.shape
        kernels = self.kernels(pixels.mean((2, 3))).view(n * 4, 3, 3, 3)
        maps = nn.functional.conv2d(pixels.reshape(1, n * 3, height, width), kernels, groups=n)
        logits = maps.view(n, 4, -1).mean(2)
        return logits, logits.softmax(1)


@pytest.mark.slow
def test_the_exporters_graph_is_not_printed(monkeypatch, capfd, tmp_path) -> None:
    """Slow: PyTorch's exporter is imported."""
    condition = SimpleNamespace(model=SimpleNamespace(name="own"))
    model = SimpleNamespace(channels=3, image_size=(8, 8), condition=condition)
    monkeypatch.setattr(onnx, "FromPixels", lambda model: _KernelsOfTheImage())
    with pytest.raises(ModelError) as caught:
        onnx.write_onnx(model, tmp_path / "model.onnx")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "--format onnx: own cannot be written as ONNX: Unsupported: ONNX export of convolution "
        "for kernel of unknown shape."
    )
    assert capfd.readouterr() == ("", "")
    print("and standard output is there again", flush=True)
    assert capfd.readouterr().out == "and standard output is there again\n"

"""A saved network's answers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from harness.evaluate import models
from harness.sweepfile.settings import Train
from models.info import ModelInfo


class Refused(torch.nn.Module):
    """Needs what has no deterministic kernel on a GPU."""

    def forward(self, x):
        if torch.get_deterministic_debug_mode() == 2:
            raise RuntimeError("x_cuda does not have a deterministic implementation, but you set")
        return x.flatten(1)[:, :3]


def test_an_operation_without_a_deterministic_kernel_can_be_evaluated(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "_network", lambda model: Refused())
    saved = SimpleNamespace(
        condition=SimpleNamespace(train=Train(), runs_users_code=False),
        info=ModelInfo((2, 2), 1, (0.0,), (1.0,), None),
        path=tmp_path / "model.safetensors",
    )
    images = np.zeros((4, 1, 2, 2), np.uint8)
    got = models.answers(saved, images, np.zeros(4, np.int64))
    np.testing.assert_allclose(got.probabilities, 1 / 3)

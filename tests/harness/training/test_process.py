"""How a process is set up for a trial: what it refuses."""

from __future__ import annotations

import pytest
import torch

from harness.training import process
from harness.training.cards import Cards
from headstart.errors import InputError


def test_a_gpu_that_is_asked_for_and_cannot_be_used_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(process, "look", lambda torch: Cards(remark="the driver is too old"))
    with pytest.raises(InputError, match=r"PyTorch sees none here: the driver is too old"):
        process.make_accelerator("float32", "cuda")

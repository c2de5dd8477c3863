"""Dropout from a generator that the caller seeds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from headstart.errors import ModelError
from models.dropout import SeededDropout, Unit, seed_dropout, set_dropout_generator


def seeded(p: float, unit: Unit = "element", seed: int = 0) -> SeededDropout:
    layer = SeededDropout(p, unit)
    layer.generator = torch.Generator().manual_seed(seed)
    return layer


def test_kept_units_are_scaled_so_that_the_mean_stays() -> None:
    out = seeded(0.75)(torch.ones(400, 100))
    assert set(out.unique().tolist()) == {0.0, 4.0}
    assert out.mean().item() == pytest.approx(1.0, abs=0.03)  # SD of the mean: 0.0087


def test_the_mask_follows_from_the_generators_seed() -> None:
    x = torch.ones(10, 10)
    assert torch.equal(seeded(0.5, seed=1)(x), seeded(0.5, seed=1)(x))
    assert not torch.equal(seeded(0.5, seed=1)(x), seeded(0.5, seed=2)(x))


@pytest.mark.parametrize(("unit", "n_values"), [("channel", 2 * 30), ("image", 2)])
def test_whole_units_are_dropped_together(unit: Unit, n_values: int) -> None:
    out = seeded(0.5, unit)(torch.ones(2, 30, 4, 4))
    shape = (2, 30, 16) if unit == "channel" else (2, 1, 480)
    rows = out.reshape(shape).flatten(0, 1)
    assert len(rows) == n_values
    assert all(len(row.unique()) == 1 for row in rows)


def test_evaluation_mode_and_p_of_zero_and_one() -> None:
    x = torch.randn(5, 5)
    assert seeded(0.5).eval()(x) is x
    assert seeded(0.0)(x) is x
    assert torch.equal(seeded(1.0)(x), torch.zeros(5, 5))


def test_training_without_a_generator_is_a_bug_of_ours() -> None:
    model = seed_dropout(nn.Sequential(nn.Dropout(0.5)))
    set_dropout_generator(model, torch.Generator())
    set_dropout_generator(model, None)
    with pytest.raises(RuntimeError, match="set_dropout_generator"):
        model(torch.ones(2))


def test_every_kind_is_replaced_wherever_it_is() -> None:
    model = nn.Sequential(nn.Sequential(nn.Dropout(0.1)), nn.Dropout2d(0.2), nn.Linear(2, 2))
    seed_dropout(model)
    found = [(m.p, m.unit) for m in model.modules() if isinstance(m, SeededDropout)]
    assert found == [(0.1, "element"), (0.2, "channel")]
    assert list(model.state_dict()) == ["2.weight", "2.bias"]


def test_a_kind_without_a_counterpart_is_refused() -> None:
    with pytest.raises(ModelError, match="AlphaDropout"):
        seed_dropout(nn.Sequential(nn.AlphaDropout(0.5)))

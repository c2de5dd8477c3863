"""`train.compile`: bits after a stop, plain names, temporary folders left clean, refusals."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file
from stopped_trials import run_with_stops

from harness.plan.planner import make_plan
from harness.plan.recipe_check import check_recipes
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Train
from harness.training.compiling import forget
from harness.training.machine import compiler_lacks
from harness.trials.catalogue import DataCatalogue
from headstart.errors import InputError
from runs import fingerprints

SWEEP = """\
name: compiled
question: Has a compiled step the same bits after a stop?
model: {name: mlp, hidden: [24], dropout: 0.3}
data: {name: glyphs, classes: digits, count: 88, seed: 1, train: 48, validation: 20, test: 20}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 2, ema: 0.9, mixup: 0.2, compile: true}
arms: {net: {}}
seeds: 1
resources: {gpus: 0}
"""


def planned(path, text=SWEEP):
    path.write_text(text, encoding="utf-8")
    return make_plan(load_sweep(path), DataCatalogue())


def test_it_is_in_the_id_only_where_it_is_asked_for():
    assert "compile" not in Train().hashed()
    assert Train(compile=False).hashed() == Train().hashed()
    assert Train(compile=True).hashed()["compile"] is True


def test_what_it_cannot_be_with_is_refused_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="leave out gradient_checkpointing, or compile"):
        Train(compile=True, gradient_checkpointing=True)
    asked = Train(compile=True)
    assert "which a trial by itself makes" in (asked.only_alone or "")
    assert "resources.workers: 1" in (asked.reason_against_workers(2) or "")
    assert asked.reason_against_workers(1) is None
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match=r":5: train\.compile: .* needs no-such-compiler.*leave"):
        check_recipes(planned(tmp_path / "sweep.yaml"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(compiler_lacks() is not None, reason="there is no C++ compiler")
def test_stopped_and_gone_on_with_it_has_the_same_bits(tmp_path, monkeypatch):
    """Slow: g++ compiles a step for a whole batch and for the epoch's smaller last one."""
    from torch._dynamo.utils import counters  # three seconds, for this test alone

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    plan = planned(tmp_path / "sweep.yaml")
    (spec,) = plan.trials
    assert run_with_stops(spec, DataCatalogue(), tmp_path / "straight", None) == 0
    assert counters["stats"]["unique_graphs"] == 2  # one for each size, and none in steps
    forget()  # as another process: all is compiled anew
    assert run_with_stops(spec, DataCatalogue(), tmp_path / "stopped", 1) >= 2
    assert fingerprints(tmp_path / "straight") == fingerprints(tmp_path / "stopped")
    (plain,) = planned(tmp_path / "plain.yaml", SWEEP.replace(", compile: true", "")).trials
    assert plain.id != spec.id
    run_with_stops(plain, DataCatalogue(), tmp_path / "plain", None)
    weights = [load_file(next((tmp_path / name).rglob("model.safetensors")))
               for name in ("straight", "plain")]  # fmt: skip
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        assert value.sub(weights[1][name]).abs().max() < 1e-3, name
    assert list(temporary.iterdir()) == []

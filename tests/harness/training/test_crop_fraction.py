"""Images that are kept larger than the network takes them: planned, trained, evaluated alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from harness.evaluate.models import answers, find_models, own_answers, read_run
from harness.joint.batches import prepared
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.training.arrays import Normalise
from harness.trials.catalogue import DataCatalogue, kept_size, seen_size
from runs import run_here

CROPPED = ("epochs: 3,", "epochs: 1, crop_fraction: 0.875, evaluate_mirrored: true,")


def test_sizes() -> None:
    assert kept_size((224, 224), 0.875) == (256, 256)
    assert kept_size(None, 0.875) is None
    assert kept_size((32, 30), 1.0) == (32, 30)
    assert seen_size((100, 60), 0.875) == (88, 52)


def test_the_middle_is_normalised_alone_and_in_packs() -> None:
    images = torch.randint(256, (6, 3, 10, 12), dtype=torch.uint8)
    device = torch.device("cpu")
    whole, cut = (Normalise((0.5,) * 3, (0.2,) * 3, device, s) for s in (None, (8, 8)))
    assert torch.equal(cut.images(images), whole.images(images)[..., 1:9, 2:10])
    stacked = prepared(images.view(2, 3, 3, 10, 12), cut)
    assert torch.equal(stacked.flatten(0, 1), cut.images(images))


def test_a_saved_network_answers_as_its_trial_did(write_sweep, tmp_path) -> None:
    sweep = write_sweep(CROPPED, ("seeds: 2", "seeds: 1"))
    plain = make_plan(load_sweep(write_sweep(("seeds: 2", "seeds: 1"))), DataCatalogue())
    plan = make_plan(load_sweep(write_sweep(CROPPED, ("seeds: 2", "seeds: 1"))), DataCatalogue())
    spec = plan.trials[-1]
    assert (spec.data.image_size, spec.data.kept_size) == ((28, 28), (32, 32))
    assert spec.data.fingerprint != plain.trials[-1].data.fingerprint
    run = tmp_path / "run"
    assert run_here(sweep, run).returncode == 0
    (model,) = find_models(run, read_run(run), ["scratch"])
    assert (model.image_size, model.kept_size) == ((28, 28), (32, 32))
    rows, labels, own = own_answers(model)
    images = DataCatalogue().open(spec.data).images[rows]
    shares = answers(model, images, labels).probabilities
    np.testing.assert_allclose(shares, own.probabilities, atol=1e-3)
    one_way = model.condition.train.model_copy(update={"evaluate_mirrored": False})
    condition = model.condition.model_copy(update={"train": one_way})
    other = answers(replace(model, condition=condition), images, labels).probabilities
    assert not np.allclose(other, shares, atol=1e-2)

"""A head that is fitted, and trainings that begin with the head: beside plain programs."""

from __future__ import annotations

import copy
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn

from harness.joint.heads import can_batch
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.seeds import derive_seed
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Schedule, Train
from harness.training.context import TrialContext
from harness.training.logistic import GRID
from harness.training.schedules import ProbePhase, make_schedule
from harness.training.trial import Trial, run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Stopped
from harness.trials.time_left import planned_steps
from headstart.errors import ModelError
from headstart.records import finished_rows
from runs import fingerprints, run_here

SWEEP = """\
name: probes
question: Which way?
model: {name: lenet5}
data: {name: glyphs, count: 300, seed: 1, train: 160, validation: 60, test: 60}
train: {optimizer: sgd, momentum: 0.9, learning_rate: 0.01, batch_size: 32, epochs: 4,
        schedule: {name: cosine, warmup_steps: 3}}
arms:
  a: {fine_tune: FORM}
seeds: 1
"""
PROBE = "{probe: lbfgs}"
PHASES = "{probe_then: all, probe_epochs: 2, probe_learning_rate: 0.05}"


def sweep_of(form: str, *changes: tuple[str, str]) -> str:
    text = SWEEP.replace("FORM", form)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def trial_of(unit, context, tmp_path):
    """A trial of an arm of `SWEEP`, before its first evaluation."""
    with RunFolder(tmp_path / "out") as folder:

        def make(form: str, *changes: tuple[str, str]) -> Trial:
            (spec,) = unit("a", text=sweep_of(form, *changes))
            folder.adopt([spec.id])
            return Trial(spec, folder.trial_folder(spec.id), context)

        yield make


def train_through(trial: Trial) -> None:
    list(trial.start())
    while not trial.is_over:
        trial.train()
        list(trial.pause())


def hold(network: nn.Module, head: nn.Module) -> None:
    network.train().requires_grad_(False)
    for module in network.modules():
        module.training = False
    head.train().requires_grad_(True)


def two_trainings(network, head, images, labels, stream, rate, momentum=0.9):
    """A plain program: the head for two epochs of five steps, then all for two, with a cosine."""
    for module in network.modules():
        module.__dict__.pop("train", None)  # the copy of a network that our code holds still
    hold(network, head)
    step = 0
    for epoch in range(4):
        if epoch == 0:
            optimizer = torch.optim.SGD(head.parameters(), lr=0.05, momentum=momentum)
        if epoch == 2:
            network.train().requires_grad_(True)
            optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=momentum)
            step = 0
        generator = torch.Generator().manual_seed(derive_seed(stream, "epoch", epoch))
        for rows in torch.randperm(160, generator=generator).split(32):
            if epoch >= 2:
                warm = (step + 1) / 4
                cosine = 0.5 * (1 + np.cos(np.pi * (step - 3) / 7))
                optimizer.param_groups[0]["lr"] = rate * (warm if step < 3 else cosine)
            optimizer.zero_grad()
            F.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()
            step += 1


def all_weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in network.parameters()])


def equals_two_trainings(trial: Trial, head: str) -> None:
    network, parts = copy.deepcopy(trial.network), trial.parts
    part = parts.train
    start = all_weights(network)
    images = trial.prepared.normalise.images(part.take(torch.arange(len(part))))
    train_through(trial)
    assert trial.trainer.step_count == 20
    two_trainings(network, network.get_submodule(head), images, part.labels,
                  trial.spec.streams["order"], trial.settings.learning_rate)  # fmt: skip
    ours, theirs = all_weights(trial.network), all_weights(network)
    assert (ours - theirs).norm() < 0.005 * (ours - start).norm()


def test_a_probe_and_what_follows_are_two_trainings_of_a_plain_program(trial_of):
    equals_two_trainings(trial_of(PHASES), "fc3")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "head"), [
    ("resnet10t", "fc"), ("vit_tiny_patch16_224", "head"),
])  # fmt: skip
def test_so_they_are_of_timms_networks_with_batch_norm_and_of_a_transformer(trial_of, name, head):
    """Twenty steps of a ResNet and a ViT take over 4 s; the sibling above trains LeNet-5."""
    pytest.importorskip("timm")
    model = ("name: lenet5", f"name: timm/{name}, image_size: 32")
    # Rounding grows in a network with batch norm that is not trained yet: small steps.
    slowly = ("learning_rate: 0.01", "learning_rate: 1.0e-4")
    equals_two_trainings(trial_of(PHASES, model, slowly), head)


def test_the_schedule_begins_anew_after_the_probe():
    settings = Train(learning_rate=0.2, schedule=Schedule(name="linear", warmup_steps=1))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    schedule = make_schedule(optimizer, settings, 2, 8, ProbePhase(2, 5.0))
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1.0] * 4 + [0.1, 0.2, 0.2 * 2 / 3, 0.2 / 3])
    assert make_schedule(optimizer, Train(), 2, 8, ProbePhase(2)) is None


@pytest.mark.slow
@pytest.mark.parametrize("form", [PHASES, "{freeze_for: {epochs: 2}}",
                                  "{probe_then: last_2, probe_epochs: 2}", PROBE])  # fmt: skip
def test_stopped_at_any_step_it_goes_on_to_the_same_bits(write_sweep, tmp_path, form):
    """Slow: a trial is stopped at many steps."""
    catalogue = DataCatalogue()
    (spec,) = make_plan(load_sweep(write_sweep(text=sweep_of(form))), catalogue).trials
    for name, every in (("straight", 10**9), ("stopped", 3)):
        n_stops, last = -1, None
        while not isinstance(last, Ended):
            n_stops += 1
            steps = iter(range(every))
            with RunFolder(tmp_path / name) as folder:
                folder.adopt([spec.id])
                context = TrialContext(catalogue, should_stop=lambda s=steps: next(s, None) is None)
                *_, last = run_trial(spec, folder.trial_folder(spec.id), context)
                assert isinstance(last, Ended | Stopped)
                if isinstance(last, Ended):
                    folder.publish(spec.id, last.row)
        assert (n_stops > 0) == (name == "stopped" and form != PROBE)
    assert fingerprints(tmp_path / "straight") == fingerprints(tmp_path / "stopped")


def test_freezing_first_is_one_training_whose_front_is_not_computed_once(trial_of):
    trial = trial_of("{freeze_for: {epochs: 2}}")
    first = copy.deepcopy(trial.network.state_dict())
    train_through(trial)
    rates = [point.learning_rate for point in trial.record.curve]
    assert rates[2] > rates[3] > rates[4], "one cosine"
    momenta = [trial.trainer.bare_optimizer.state[p] for p in trial.network.fc3.parameters()]
    assert all(momenta)
    assert not torch.equal(first["conv1.weight"], trial.network.conv1.weight)
    assert trial.frozen == {"cached": False, "reason": "fine_tune: freeze_for trains all layers "
                            "after its epochs"}  # fmt: skip


def test_the_front_of_what_never_trains_is_computed_once_behind_a_probe(trial_of, unit):
    form = "{probe_then: last_2, probe_epochs: 2}"
    trial = trial_of(form)
    assert trial.frozen["groups"] == ["conv1", "conv2", "fc1"]
    assert trial.prepared.n_trainable == 84 * 10 + 10 + 120 * 84 + 84
    pair = unit("a", ("seeds: 1", "seeds: 2"), text=sweep_of(form))
    assert not can_batch(pair), "what trains changes from epoch to epoch"


def test_a_fitted_head_is_scikit_learns_on_the_features_of_the_frozen_network(trial_of):
    trial = trial_of(PROBE)
    assert trial.frozen["cached"]
    before = copy.deepcopy(trial.network.state_dict())
    features = {}
    trial.network.fc3.register_forward_pre_hook(lambda _, x: features.update(now=x[0]))
    whole = trial.context.images.parts(trial.dataset, split_of(trial), trial.device)
    train_through(trial)
    (start, fitted), network = trial.record.curve, trial.network.eval()
    with torch.no_grad():
        network(trial.prepared.normalise.images(whole.train.take(torch.arange(160))))
        x, y = features["now"].double().numpy(), whole.train.labels.numpy()
        logits = network(trial.prepared.normalise.images(whole.validation.take(torch.arange(60))))
        held, right = features["now"].double().numpy(), whole.validation.labels
    l2 = trial.record.probe_l2
    assert l2 in GRID
    variance = ((x - x.mean(0)) ** 2).mean()
    theirs = LogisticRegression(C=1 / (160 * l2 * variance), tol=1e-8, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(logits.softmax(1).numpy(), theirs.predict_proba(held), atol=2e-3)
    one = 1.01 / 60, 1.01 / 160  # of the images, where it is near a tie
    assert fitted.val_accuracy == pytest.approx(theirs.score(held, right.numpy()), abs=one[0])
    assert (start.step, fitted.step, fitted.samples, fitted.epoch) == (0, 1, 160, 1.0)
    assert fitted.train_accuracy == pytest.approx(theirs.score(x, y), abs=one[1])
    assert fitted.train_loss == pytest.approx(-np.log(
        theirs.predict_proba(x)[np.arange(160), y]).mean(), abs=2e-3)  # fmt: skip
    same = [
        name for name, value in before.items() if torch.equal(value, network.state_dict()[name])
    ]
    assert set(before) - set(same) == {"fc3.weight", "fc3.bias"}


def split_of(trial: Trial):
    from datasets.split import split_dataset

    rng = np.random.default_rng(trial.spec.streams["split"])
    return split_dataset(trial.dataset, trial.spec.data.choice.split, rng)


def test_a_front_that_is_not_cached_gives_the_same_fit_to_rounding(trial_of):
    cached, uncached = trial_of(PROBE), trial_of(PROBE, ("epochs: 4", "epochs: 4, cache_frozen: "
                                                         "false"))  # fmt: skip
    for trial in (cached, uncached):
        train_through(trial)
    assert (cached.frozen["cached"], uncached.frozen["cached"]) == (True, False)
    torch.testing.assert_close(cached.network.fc3.weight, uncached.network.fc3.weight, atol=1e-3,
                               rtol=1e-2)  # fmt: skip


def test_fixed_views_are_all_fitted_and_weights_of_classes_count(trial_of):
    views = trial_of(PROBE, ("epochs: 4", "epochs: 4, frozen_views: 3, augment: {rotate: 20}"))
    seen = []
    layer = views.network.fc3
    layer.register_forward_pre_hook(lambda _, x: seen.append(len(x[0])))
    list(views.start())
    seen.clear()
    views.train()
    assert sum(seen) == 3 * 160 + 60
    shares = []
    for weights in ("{}", "{'0': 1000.0}"):
        trial = trial_of(PROBE, ("epochs: 4", f"epochs: 4, class_weights: {weights}"))
        train_through(trial)
        logits = trial.trainer.predict(trial.parts.validation, 10)[1]
        shares.append(float(logits.softmax(1)[:, 0].mean()))
    assert shares[1] > shares[0]


def test_its_refit_takes_the_l2_that_was_chosen_and_sees_all_images(write_sweep, tmp_path):
    text = sweep_of(PROBE, ("seeds: 1", "seeds: 1\nrefit: true"))
    assert run_here(write_sweep(text=text), tmp_path / "out").returncode == 0
    rows = {row.stage: row for row in finished_rows(tmp_path / "out")}
    assert rows["refit"].probe_l2 == rows["arm"].probe_l2
    assert rows["refit"].n_train == 280
    assert rows["arm"].steps == rows["refit"].steps == 1
    table = pq.read_table(tmp_path / "out" / "trials.parquet").to_pylist()
    assert table[0]["probe_l2"] == rows["arm"].probe_l2
    assert json.loads(table[0]["fine_tune"]) == {"probe": "lbfgs"}


def test_the_plan_counts_its_fit_as_one_step_and_another_head_fails_in_one_line(trial_of):
    assert planned_steps(trial_of(PROBE).spec) == 1
    with pytest.raises(ModelError, match="fits one linear layer, and the head of lenet5 is"):
        trial_of(PROBE, ("lenet5", "lenet5, head: {hidden: [9]}"))

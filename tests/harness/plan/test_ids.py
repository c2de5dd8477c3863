"""Ids of trials stay what they were: taken from the version before settings became objects.

The data sets are stand-ins with a fixed fingerprint, so the ids depend on settings alone. Where an
id has to change, `RESULT_FORMAT` is raised, and the numbers here are taken anew from `ids_of`.
"""

from __future__ import annotations

import hashlib
import json

from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep, read_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import DataUse
from headstart.yaml12 import parse_yaml

SWEEP = """\
name: ids
question: Do ids stay what they were?
model: {name: midas_cnn, dense: 50, image_size: 40, width: 8}
data:
  first_of:
    - {name: glyphs, count: 600, seed: 1, train: 300, validation: 100, test: 100}
    - {name: optdigits, corrupt_labels: {kind: pairs, fraction: 0.5}}
train:
  optimizer: adamw
  learning_rate: 3.0e-4
  weight_decay: 0.02
  betas: [0.8, 0.99]
  batch_size: 32
  epochs: 4
  at_least_steps: 20
  label_smoothing: 0.1
  augment: {rotate: 15, scale: [0.9, 1.2], erase: 0.5, erase_area: [0.1, 0.2]}
  schedule: {name: plateau, factor: 0.4, minimum: 1e-5}
  evaluate_every: {steps: 5, until: 50, then: 25}
  early_stopping: {patience: 3}
pretrain:
  both:
    shared: true
    model: {dense: 50}
    train: {epochs: 2, schedule: {name: cosine, warmup_steps: 3}}
  then:
    initialize: both
    data: {name: optdigits, split: {train: 0.8, validation: 0.2}, preprocess: resize}
arms:
  scratch: {}
  sgd:
    train:
      {optimizer: sgd, momentum: 0.9, nesterov: true, weight_decay: 0, clip_gradient_norm: 1}
  last:
    initialize: then
    fine_tune: last_2
    head: new
    train: {augment: {erase: 0, rotate: 0, scale: 0}, frozen_views: 3}
  from:
    initialize: both
    fine_tune: {from: dense}
    train: {learning_rate_factors: {dense: 0.1}}
  some: {initialize: both, fine_tune: {unfreeze: [dense]}, train: {learning_rate_factors: 0.5}}
  slowly:
    initialize: both
    fine_tune: {gradual: {every: 2}}
    head: keep
    train: {precision: bf16}
  large:
    model: {image_size: [48, 56], channels: 3}
    data: {name: glyphs, per_class: true, train: 20, noise: 0.1}
grid:
  train.batch_size: [16, 32]
  arms.sgd.train.learning_rate: [1e-2, 1]
seeds: [0, 3]
seed: 5
vary: [split, order, head]
"""


class StandIns(DataCatalogue):
    def use(self, condition):
        choice = condition.data[0]
        fingerprint = hashlib.sha256(choice.name.encode()).hexdigest()[:32]
        return DataUse(choice, fingerprint, 2000, tuple("0123456789"), "", True, (28, 28), 1)


def ids_of(sweep):
    return [[t.stage, t.arm, t.seed, t.id, t.parent] for t in make_plan(sweep, StandIns()).trials]


def test_ids_are_those_of_the_version_before(tmp_path):
    path = tmp_path / "ids.yaml"
    path.write_text(SWEEP)
    ids = ids_of(load_sweep(path))
    first = {arm: trial_id for _, arm, seed, trial_id, _ in ids if seed == 0}
    assert first["both [batch_size=16]"] == "81142603d40e71b9"
    assert first["then [batch_size=32]"] == "4e38ea9d69b426a4"
    assert first["scratch [batch_size=16]"] == "da16298d692c6ee6"
    assert first["sgd [batch_size=32, learning_rate=0.01]"] == "5b8ccc82b3901740"
    assert first["last [batch_size=16]"] == "be80388b07c9c46f"
    assert first["from [batch_size=16]"] == "110d125c97a61aee"
    assert first["some [batch_size=16]"] == "404f64f019cca6bb"
    assert first["slowly [batch_size=32]"] == "37b2218ee3a4ba9e"
    assert first["large [batch_size=16]"] == "2069de6b64f4b235"
    assert len(ids) == 38
    assert hashlib.sha256(json.dumps(ids).encode()).hexdigest()[:16] == "3f454af1614753d1"


def test_whether_a_data_set_may_be_missing_changes_no_id(tmp_path):
    path = tmp_path / "ids.yaml"
    path.write_text(SWEEP)
    ids = ids_of(load_sweep(path))
    path.write_text(SWEEP.replace("seed: 1, train: 300", "optional: true, seed: 1, train: 300"))
    sweep = load_sweep(path)
    assert sweep.arms["scratch [batch_size=16]"].data[0].optional
    assert ids_of(sweep) == ids


def test_a_run_folders_sweep_gives_the_same_ids_with_every_default_written(tmp_path):
    path = tmp_path / "ids.yaml"
    path.write_text(SWEEP)
    sweep = load_sweep(path)
    written = resolved_yaml(sweep)
    assert "minimum_change: 0.0" in written
    assert "noise: 0.02" in written
    assert ids_of(read_sweep(parse_yaml(written, "sweep.yaml"))) == ids_of(sweep)

"""Every file of `sweeps/`, in each of its profiles: it loads, and it plans whatever is there.

A few drawn characters stand in for each data set, so that no file and no time is needed.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from datasets import Dataset, Split, SplitSettings, load_dataset
from datasets.augment_settings import Augment
from harness.engines.queue import Queue
from harness.plan.dry_run import describe_plan
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import DataChoice
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import DataUse
from headstart.yaml12 import parse_yaml

SWEEPS = sorted((Path(__file__).resolve().parents[2] / "sweeps").glob("*.yaml"))
OF_ALL_CHARACTERS = {"handwritten62", "glyphs"}  # unless their option `classes` says digits


def profiles_of(path: Path) -> list[str | None]:
    node = parse_yaml(path.read_text(), path.name).get("profiles")
    return [None, *(node.value if node else ())]


class Drawn(DataCatalogue):
    """Opens drawn characters of the same classes and size in place of any data set."""

    def _load(
        self, choice: DataChoice, image_size: tuple[int, int] | None, channels: int | None
    ) -> Dataset:
        default = "all" if choice.name in OF_ALL_CHARACTERS else "digits"
        classes = dict(choice.options).get("classes", default)
        return load_dataset(
            "glyphs", image_size=image_size, channels=channels,
            count=124 if classes == "all" else 20, classes=classes, test_part=10,
            seed=zlib.crc32(repr(choice).encode()),  # so other data have another fingerprint
        )  # fmt: skip

    def _split(self, dataset: Dataset, settings: SplitSettings) -> Split:
        return super()._split(dataset, SplitSettings())  # the sweep's asks for more images

    def right_labels(self, use: DataUse) -> np.ndarray | None:
        return self.open(use).labels  # the set itself may not be on this machine


@pytest.mark.parametrize(
    ("path", "profile"),
    [(path, profile) for path in SWEEPS for profile in profiles_of(path)],
    ids=lambda value: value.stem if isinstance(value, Path) else value or "whole",
)
def test_it_plans_every_arm_at_every_seed_after_what_it_starts_from(path, profile, tmp_path):
    sweep = load_sweep(path, profile)
    (tmp_path / "weights").mkdir()
    for arm in sweep.arms.values():
        if arm.start.kind == "imagenet":
            library, _, name = arm.model.name.rpartition("/")
            name += "" if library else "_imagenet"
            (tmp_path / "weights" / f"{name}.safetensors").write_bytes(b"any")
    plan = make_plan(sweep, Drawn(tmp_path, allow_download=False))
    planned = [trial for trial in plan.trials if trial.stage == "arm"]
    assert {trial.arm for trial in planned} == set(sweep.arms)
    assert len(planned) == len(sweep.arms) * len(sweep.seeds.values)
    assert {trial.seed for trial in planned} == set(sweep.seeds.values)
    seen: set[str] = set()
    for trial in plan.trials:
        assert trial.id not in seen
        assert trial.parent is None or trial.parent in seen
        seen.add(trial.id)
    for pair in sweep.compare:
        assert {pair.treatment, pair.control} <= set(sweep.arms)
    assert any(str(len(plan.trials)) in line for line in describe_plan(plan, tmp_path / "run"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_card_is_used_where_there_is_one_and_without_one_nothing_is_packed_anew(path):
    for profile in profiles_of(path):
        resources = load_sweep(path, profile).resources
        with_cards, without = resources.settled(4), resources.settled(0)
        assert (without.cpus, without.workers, without.fuse) == (1, 1, "auto")
        if profile == "cluster":  # says that it needs cards
            assert with_cards == without
            assert with_cards.gpus > 0
            continue
        assert (with_cards.gpus, without.gpus) == (1, 0)
        assert without.pack == (5 if path.stem == "frozen_backbone" else 1)
        assert with_cards.pack == (5 if path.stem == "frozen_backbone" else "auto")


@pytest.mark.parametrize("profile", [None, "quick", "cluster"])
def test_part_2_leaves_none_of_eight_cards_idle(profile, tmp_path):
    """Each card gets a unit at once, none gets two, and no arm's trial is in two units."""
    sweep = load_sweep(next(path for path in SWEEPS if path.stem == "part2"), profile)
    plan = make_plan(sweep, Drawn(tmp_path, allow_download=False))
    with RunFolder(tmp_path / "run") as folder:
        queue = Queue(plan, folder, {}, lambda spec, error: pytest.fail(error))
        queue.resources = sweep.resources.settled(8)
        units = [queue.next_unit(n_free) for n_free in range(8, 0, -1)]
        assert queue.next_unit() is None, "all that was ready is handed out"
    sizes = [len(unit) for unit in units if unit]
    assert len(sizes) == 8
    assert max(sizes) <= min(sizes) + 1
    assert len({trial.id for unit in units for trial in unit}) == sum(sizes)


def test_parts_2_and_3_start_from_the_trials_of_part_1_as_written(tmp_path):
    """Seed by seed under the same ids: `--reuse` of part 1's run takes its checkpoints."""
    plans = {}
    for name in ("part1", "part2", "part3"):
        sweep = load_sweep(SWEEPS[0].parent / f"{name}.yaml", "as_written")
        plans[name] = make_plan(sweep, Drawn(tmp_path, allow_download=False))
    first = {(t.arm, t.seed): t.id for t in plans["part1"].trials}
    assert len(first) == 10
    for name in ("part2", "part3"):
        stages = {(t.arm, t.seed): t.id for t in plans[name].trials if t.stage == "pretrain"}
        for seed in range(5):
            assert stages["part1_1000", seed] == first["cnn", seed]
            assert stages["part1_500", seed] == first["cnn_500", seed]
            starts = {t.parent for t in plans[name].trials if t.seed == seed and t.stage == "arm"}
            assert {first["cnn", seed], first["cnn_500", seed]} < starts
    digits = [
        {t.id for t in plans[name].trials if t.arm.startswith("digits")}
        for name in ("part2", "part3")
    ]
    assert digits[0] == digits[1]


@pytest.mark.parametrize(
    ("name", "profile", "n_train", "batch_size", "epochs", "learning_rate"),
    [
        ("part1", "as_written", 69 * 32, 32, 30, 1e-3),
        ("part2", "as_written", 50000, 100, 3, 1e-3),
        ("part2", "as_written_p2", 50000, 128, 30, 3e-4),
        ("part3", "as_written", 50000, 100, 3, 1e-3),
    ],
)
def test_settings_are_those_of_the_reports(
    name, profile, n_train, batch_size, epochs, learning_rate
):
    sweep = load_sweep(SWEEPS[0].parent / f"{name}.yaml", profile)
    for arm in sweep.arms.values():
        assert {choice.split.train for choice in arm.data[:1]} == {n_train}
        train = arm.train
        assert (train.batch_size, train.epochs) == (batch_size, epochs)
        assert (train.optimizer, train.learning_rate) == ("adam", learning_rate)
        assert (train.augment, train.label_smoothing, train.weight_decay) == (Augment(), 0, 0)
    if profile == "as_written":
        networks = {arm.model for arm in sweep.arms.values()}
        shapes = {(m.options.dense, m.options.dropout, m.info.image_size) for m in networks}
        assert shapes == {(1000, 0.5, (28, 28)), (500, 0.7, (28, 28))}


def test_both_networks_in_one_run_are_the_trials_of_their_own_profiles(tmp_path):
    plans = {
        profile: make_plan(load_sweep(SWEEPS[0].parent / "part2.yaml", profile), Drawn(tmp_path))
        for profile in ("networks", "original", "experimental")
    }
    ids = {
        profile: {(t.arm, t.seed): t.id for t in plan.trials if t.stage == "arm"}
        for profile, plan in plans.items()
    }
    for network in ("original", "experimental"):
        for own, shared in (("scratch", network), ("pretrained", f"{network}_pretrained")):
            for seed in range(5):
                assert ids["networks"][shared, seed] == ids[network][own, seed]

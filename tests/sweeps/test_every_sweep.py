"""Every file of `sweeps/`, in each of its profiles: it loads, and it plans whatever is there.

A few drawn characters stand in for each data set, so that no file and no time is needed.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from datasets import Dataset, Split, SplitSettings, load_dataset
from harness.engines.queue import Queue
from harness.plan.dry_run import describe_plan
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import DataChoice
from harness.trials.catalogue import DataCatalogue
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
            (tmp_path / "weights" / f"{arm.model.name}_imagenet.safetensors").write_bytes(b"any")
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

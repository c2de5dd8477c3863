"""Every file of `sweeps/`, in each of its profiles: it loads, and it plans whatever is there.

A few drawn characters stand in for each data set, so that no file and no time is needed.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from datasets import Dataset, load_dataset
from harness.plan.dry_run import describe_plan
from harness.plan.planner import make_plan
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

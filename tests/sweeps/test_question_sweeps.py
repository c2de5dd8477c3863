"""Part 3 and the count of images: their quick profiles at a still smaller size, run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.sweepfile.reader import load_sweep
from runs import ROOT, run_here

SPOILT = "corrupt_labels: {kind: complementary, fraction: 0.999}"


def rows_of(name: str, out: Path, *assignments: str) -> list[dict]:
    """The trials of `sweeps/NAME.yaml` in its quick profile, with these assignments, run here."""
    options = [word for text in assignments for word in ("--set", text)]
    sweep, no_data = ROOT / "sweeps" / f"{name}.yaml", str(out.parent)
    done = run_here(sweep, out, "--profile", "quick", "--data", no_data, *options)
    assert done.returncode == 0, done.stderr
    rows: list[dict] = pq.read_table(out / "trials.parquet").to_pylist()
    assert {row["status"] for row in rows} == {"done"}
    return rows


@pytest.mark.slow
def test_part3_scores_wrong_labels_on_right_ones(tmp_path):
    """Slow: it runs a whole sweep."""
    rows = rows_of(
        "part3", tmp_path / "run",
        f"data={{name: glyphs, count: 500, test_part: 100, train: 300, validation: 100, {SPOILT}}}",
        "model.width=4", "train.epochs=1", "seeds=1",
        "pretrain.digits_1000.train.epochs=2", "pretrain.digits_500.train.epochs=2",
    )  # fmt: skip
    arms = {row["arm"]: row for row in rows if row["stage"] == "arm"}
    assert list(arms) == list(load_sweep(ROOT / "sweeps" / "part3.yaml").arms)
    assert all(row["n_test"] == 100 for row in arms.values())
    parents = {row["arm"]: row["trial_id"] for row in rows if row["stage"] == "pretrain"}
    assert arms["pretrained_500"]["parent_id"] == parents["digits_500"]
    assert arms["complementary_pretrained_1000"]["parent_id"] == parents["digits_1000"]
    # The head of 1,000 units is twice as wide as that of 500.
    assert arms["scratch_1000"]["n_parameters"] > 1.8 * arms["scratch_500"]["n_parameters"]


@pytest.mark.slow
def test_every_count_of_images_has_enough_steps_and_one_pretraining(tmp_path):
    """Slow: it runs a whole sweep."""
    rows = rows_of(
        "how_many_images", tmp_path / "run",
        "data={name: glyphs, count: 1300, test_part: 100}", "grid={data.train: [20, 60, 1000]}",
        "train.epochs=2", "train.at_least_steps=7", "seeds=1", "pretrain.digits.train.epochs=2",
    )  # fmt: skip
    (stage,) = [row for row in rows if row["stage"] == "pretrain"]
    arms = [row for row in rows if row["stage"] == "arm"]
    assert {json.loads(row["grid"])["data.train"] for row in arms} == {20, 60, 1000}
    assert len(arms) == 6
    for row in arms:
        n_steps = math.ceil(row["n_train"] / 128)
        assert row["epochs"] == max(2, math.ceil(7 / n_steps))
        assert row["steps"] == row["epochs"] * n_steps
        assert row["n_validation"] == round(row["n_train"] * 15 / 85)
        assert row["n_test"] == 100
        is_pretrained = row["arm"].startswith("pretrained")
        assert row["parent_id"] == (stage["trial_id"] if is_pretrained else "")

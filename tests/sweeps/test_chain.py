"""From part 1 to part 2: a task that starts from the networks of an earlier run, seed by seed."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from headstart.errors import InputError
from runs import run_here

FIRST = """\
name: first
question: How well does it read 62 classes?
model: {name: lenet5}
data: {name: glyphs, count: 186, classes: all, train: 62, validation: 62, test: 62}
train: {epochs: 1, select: last}
arms:
  cnn: {}
seeds: 2
"""
SECOND = """\
name: second
question: Does it help to start from there?
model: {name: lenet5}
data: {name: glyphs, count: 60, train: 30, validation: 10, test: 20}
train: {epochs: 2, batch_size: 16}
pretrain:
  first:
    data: {name: glyphs, count: 186, classes: all, train: 62, validation: 62, test: 62}
    train: {epochs: 1, batch_size: 128, select: last}
arms:
  scratch: {}
  stage: {initialize: first}
seeds: 2
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    (folder / "first.yaml").write_text(FIRST)
    assert run_here(folder / "first.yaml", folder / "first").returncode == 0
    return folder / "first"


def rows_of(out: Path) -> dict[tuple[str, str, int], dict]:
    rows = pq.read_table(out / "trials.parquet").to_pylist()
    return {(row["stage"], row["arm"], row["seed"]): row for row in rows}


def test_a_stage_of_the_same_settings_takes_the_trials_of_the_other_run(first, tmp_path):
    sweep = tmp_path / "second.yaml"
    sweep.write_text(SECOND)
    assert run_here(sweep, tmp_path / "out", "--reuse", str(first)).returncode == 0
    before, after = rows_of(first), rows_of(tmp_path / "out")
    for seed in (0, 1):
        taken = after["pretrain", "first", seed]
        trained = before["arm", "cnn", seed]
        assert taken["trial_id"] == trained["trial_id"] == after["arm", "stage", seed]["parent_id"]
        assert taken["train_time_s"] == trained["train_time_s"]  # it was not trained again


def test_an_arm_starts_from_the_same_seed_of_the_run_with_a_head_of_its_own(first, tmp_path):
    sweep = tmp_path / "second.yaml"
    sweep.write_text(
        SECOND.replace("  stage:", f"  run: {{initialize: {{run: {first}, arm: cnn}}}}\n  stage:")
        .replace("epochs: 2", "epochs: 1, learning_rate: 1.0e-9")
    )  # fmt: skip
    assert run_here(sweep, tmp_path / "out").returncode == 0
    before, after = rows_of(first), rows_of(tmp_path / "out")
    for seed in (0, 1):
        start, own = (
            load_file(out / "trials" / row["trial_id"] / "model.safetensors")
            for out, row in (
                (first, before["arm", "cnn", seed]),
                (tmp_path / "out", after["arm", "run", seed]),
            )
        )
        *front, weight, bias = own
        for name in front:
            torch.testing.assert_close(own[name], start[name], rtol=0, atol=1e-6)
        assert (len(own[weight]), len(start[weight]), len(own[bias])) == (10, 62, 10)
        assert (
            after["arm", "run", seed]["test_accuracy"]
            == after["arm", "stage", seed]["test_accuracy"]
        )


def test_a_run_or_seed_that_is_not_there_is_one_line(first, tmp_path):
    sweep = tmp_path / "second.yaml"
    for text, seeds, message in (
        (f"{{run: {first}, arm: cnn}}", 3, "has no finished trial of arm 'cnn' at seed 2"),
        (f"{{run: {tmp_path / 'none'}, arm: cnn}}", 2, "none"),
        (f"{{run: {first}, arm: cn}}", 2, "has no finished trial of arm 'cn' at seed 0"),
    ):
        sweep.write_text(
            SECOND.replace("initialize: first", f"initialize: {text}").replace(
                "seeds: 2", f"seeds: {seeds}"
            )
        )
        with pytest.raises(InputError, match=message) as caught:
            run_here(sweep, tmp_path / "refused")
        assert "arms.stage.initialize" in str(caught.value)
        assert not (tmp_path / "refused").exists()

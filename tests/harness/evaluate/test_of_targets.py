"""Networks that say numbers or several labels, on sets met later and on further test sets."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score, mean_absolute_error, r2_score

from analysis.statistics.samples.intervals import Interval
from datasets.base import Dataset
from datasets.target import TargetSettings, target_of
from harness.evaluate.__main__ import main
from harness.evaluate.labels import wanted_of
from harness.evaluate.models import Answers, scored
from harness.evaluate.of_targets import MetricScores, _with
from harness.sweepfile.settings import Train
from harness.training.goal import loss_of_target
from headstart.errors import DataError
from runs import run_here

SWEEP = """\
name: {kind}
question: Does it hold elsewhere?
model: {{name: lenet5}}
data: {{name: csv, path: {table}, target: {target}, train: 60, validation: 20, test: 20}}
train: {{epochs: 2, batch_size: 20, learning_rate: 0.003}}
arms: {{one: {{}}}}
seeds: 2
vary: [order, init, head]
measure: {{metric: {metric}, targets: [{aim}]}}
also_test: [{{corrupted: {{blur: 5}}}}, {{name: csv, path: {other}, part: all}}]
"""


def dataset(kind: str, texts: list[str], labels: list[int], **settings: object) -> Dataset:
    target = target_of(TargetSettings(kind=kind, **settings), texts, "x")
    images = np.zeros((len(labels), 1, 2, 2), np.uint8)
    return Dataset("x", images, np.array(labels), target.names, {}, "f", "x", target=target)


def test_what_is_right_stands_in_the_order_of_the_networks() -> None:
    several = dataset("labels", ["cat", "cat|dog", "eel"], [1, 2, 0])
    rows, settings = np.array([0, 2]), TargetSettings(kind="labels")
    wanted = wanted_of(several, rows, ("ant", "dog", "eel", "cat"), settings, "here")
    assert wanted is not None
    assert wanted.tolist() == [[0, 1, 0, 1], [0, 0, 0, 1]]
    with pytest.raises(DataError, match="here: has the label 'dog', which the networks do not"):
        wanted_of(several, rows, ("cat", "eel"), settings, "here")
    numbers = dataset("number", ["3.5", "7"], [1, 0], unit="years")
    years = TargetSettings(kind="number", unit="years")
    assert wanted_of(numbers, np.arange(2), ("years",), years, "here").tolist() == [[7], [3.5]]
    with pytest.raises(DataError, match="the unit 'years', and the networks say 'months'"):
        wanted_of(numbers, rows[:1], ("m",), TargetSettings(kind="number", unit="months"), "here")
    with pytest.raises(DataError, match="say classes, and the set has a target of the kind number"):
        wanted_of(numbers, rows, ("a", "b"), None, "here")


def test_a_metric_that_is_not_defined_is_said_so() -> None:
    unknown = Interval.unknown("no trial finished", 0, 0.95)
    score = MetricScores("a", "a", "number", "", {"r2": (math.nan,)}, {"r2": unknown}, {})
    assert _with(score, "r2") == "not defined on these images"


def test_scores_and_losses_by_hand() -> None:
    right, said = np.array([[10.0], [20.0]]), np.array([[13.0], [19.0]], np.float32)
    score = scored(Answers(said, 0.5), right, "number").columns("test_")
    assert (score["test_mae"], score["test_loss"]) == (2, 0.5)
    assert score["test_r2"] == pytest.approx(1 - 10 / 50)
    assert score["test_accuracy"] is None
    shares = np.array([[0.9, 0.2], [0.4, 0.6], [0.6, 0.3]])
    there = np.array([[1.0, 0], [1, 1], [0, 0]])
    score = scored(Answers(shares, float("nan")), there, "labels").columns()
    assert (score["loss"], score["exact_match"]) == (None, pytest.approx(1 / 3))
    assert score["mean_average_precision"] == average_precision_score(there, shares)
    grades = scored(Answers(shares, 1.0), np.array([0, 1, 1]), "ordered").columns()
    assert (grades["mae"], grades["accuracy"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))

    logits = torch.tensor([[0.3], [-0.1]])
    numbers = Train().for_target("number")
    loss = loss_of_target("number", numbers, logits, torch.from_numpy(right), (15.0, 5.0))
    assert loss == pytest.approx((1.3**2 + 1.1**2) / 2)
    logits, wanted = torch.from_numpy(shares), torch.from_numpy(there)
    loss = loss_of_target("labels", Train().for_target("labels"), logits, wanted, (0.0, 1.0))
    assert loss == pytest.approx(float(F.binary_cross_entropy_with_logits(logits, wanted)))
    ordinal = Train(loss="ordinal")
    places = torch.tensor([0, 1, 1])
    loss = loss_of_target("ordered", ordinal, logits, places, (0.0, 1.0))
    assert loss == pytest.approx(float(F.cross_entropy(logits, places)))  # of two classes


def write(folder: Path, kind: str, seed: int) -> Path:
    """Images of one or two squares, and a table of how many or of where they are."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    with open(folder / "table.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "value"])
        for k in range(100):
            image = rng.integers(0, 60, (28, 28), np.uint8)
            sides = [side for side in ("left", "right") if rng.random() < 0.6] or ["left"]
            for side in sides:
                image[8:20, (4 if side == "left" else 16) :][:, :8] += 180
            cv2.imwrite(str(folder / f"{k}.png"), image)
            number = f"{10 * len(sides) + rng.normal():.2f}"
            rows.writerow([f"{k}.png", number if kind == "number" else "|".join(sides)])
    return folder / "table.csv"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "target", "metric", "aim"),
    [
        ("number", "{kind: number, unit: cm}", "mae", 1),
        ("labels", "labels", "mean_average_precision", 0.9),
    ],
)
def test_scores_of_further_sets_are_scikit_learns(tmp_path, capsys, kind, target, metric, aim):
    """Slow: two runs of two trials with their reports, an evaluation of each."""
    table, other = write(tmp_path / "own", kind, 0), write(tmp_path / "other", kind, 1)
    sweep, run = tmp_path / "sweep.yaml", tmp_path / "run"
    sweep.write_text(SWEEP.format(kind=kind, table=table, other=other, target=target,
                                  metric=metric, aim=aim))  # fmt: skip
    done = run_here(sweep, run)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(run / "also_test.parquet").to_pandas()
    trials = pd.read_parquet(run / "trials.parquet").set_index("trial_id")
    assert rows["test_set"].value_counts().tolist() == [2, 2]
    worse = rows[rows["corruption"] == "blur"].set_index("trial_id")["loss"]
    assert not np.allclose(worse, trials.loc[worse.index, "test_loss"])

    capsys.readouterr()
    assert main([str(run), "--on", "own", "--ensemble"]) == 0
    content = json.loads((run / "evaluations" / "own.json").read_text())
    assert content["arms"]["one"]["values"][metric] == pytest.approx(
        list(trials[f"test_{metric}"]), rel=1e-5
    )
    assert main([str(run), "--on", str(other)]) == 0
    said = capsys.readouterr().out
    assert "one: 2 networks, mean over seeds, on these images" in said
    later = rows[rows["corruption"] == ""].set_index("trial_id")
    (own,) = (run / "evaluations").glob("*table*-predictions.parquet")
    for trial, answers in pd.read_parquet(own).groupby("trial_id"):
        if kind == "number":
            assert "cm (" in said
            right, given = answers["right"], answers["predicted"]
            assert later.loc[trial, "mae"] == pytest.approx(mean_absolute_error(right, given))
            assert later.loc[trial, "r2"] == pytest.approx(r2_score(right, given))
        else:
            there = [[name in text.split("|") for name in ("left", "right")]
                     for text in answers["label"]]  # fmt: skip
            shares = answers[["p_left", "p_right"]]
            expected = average_precision_score(np.array(there), shares)
            assert later.loc[trial, metric] == pytest.approx(expected)

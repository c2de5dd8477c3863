from __future__ import annotations

import json
import math

import pytest

from harness.runfolder.running import (
    MOST_POINTS,
    Running,
    RunningTrial,
    columns_of_curve,
    read_running,
    running_path,
    time_left_now,
    write_running,
)
from headstart.rows import EvaluationRow


def test_what_is_written_is_read_and_numbers_that_are_none_are_empty(tmp_path):
    curve = columns_of_curve(
        [EvaluationRow(step=0, train_loss=math.nan, val_accuracy=0.1), EvaluationRow(step=5)]
    )
    trial = RunningTrial(10, 99.5, curve)
    write_running(running_path(tmp_path, (1, 1)), Running("g", 5.0, 60.0, 2, {"ab": trial}))
    (read,) = read_running(tmp_path)
    assert (read.generation, read.written_at, read.time_left_s, read.n_slots) == ("g", 5.0, 60.0, 2)
    assert (read.trials["ab"].n_steps, read.trials["ab"].step) == (10, 5)
    assert read.trials["ab"].curve["val_accuracy"] == [0.1, 0.0]
    assert read.trials["ab"].curve["train_loss"] == [None, 0.0]
    assert [path.name for path in tmp_path.iterdir()] == [".running-1-of-1.json"]


@pytest.mark.parametrize("n", [1, MOST_POINTS, MOST_POINTS + 1, 10 * MOST_POINTS + 3])
def test_a_long_curve_is_thinned_and_keeps_its_ends(n):
    steps = columns_of_curve([EvaluationRow(step=step) for step in range(n)])["step"]
    assert len(steps) <= MOST_POINTS + 1
    assert (steps[0], steps[-1]) == (0, n - 1)
    assert columns_of_curve([])["step"] == []


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"trials": []}', '{"trials": {"../up": {}}}', '{"trials": {"ab": 3}}',
        '{"time_left_s": "soon", "n_slots": 1e999, "written_at": true, "generation": 5}',
    ],
)  # fmt: skip
def test_a_file_of_another_form_says_nothing(tmp_path, text):
    running_path(tmp_path, (1, 1)).write_text(text)
    (read,) = read_running(tmp_path)
    assert (read.time_left_s, read.written_at, dict(read.trials)) == (None, 0.0, {})


@pytest.mark.parametrize("curve", [[], {"step": [0]}, {"step": [None]}, {"step": "0"}])
def test_a_curve_of_another_form_is_none(tmp_path, curve):
    names = ("epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy")
    filled = {**{name: [0.5, 0.5] for name in names}, **curve} if isinstance(curve, dict) else curve
    text = json.dumps({"trials": {"ab": {"n_steps": "10", "curve": filled}}})
    running_path(tmp_path, (1, 1)).write_text(text)
    (read,) = read_running(tmp_path)
    assert read.trials["ab"] == RunningTrial()


def test_the_time_left_is_the_longest_of_the_commands_that_run():
    said = [Running("a", 100.0, 50.0), Running("b", 110.0, 60.0), Running("dead", 0.0, 999.0)]
    assert time_left_now(said, {"a", "b"}, now=120.0) == 50.0
    assert time_left_now(said, {"a"}, now=400.0) == 0.0
    assert time_left_now([Running("a")], {"a"}, now=0.0) is None
    assert time_left_now(said, {"c"}, now=0.0) is None

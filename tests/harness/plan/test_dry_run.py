"""What `--dry-run` makes of records that other programs left beside the run folder."""

from __future__ import annotations

import json

import pytest
from small_sweep import SMALL

from runs import run_here


@pytest.mark.parametrize(
    "record",
    [
        {"status": "done"},
        {"status": "done", "model": "lenet5", "files": ["trial.json"]},
        {"status": "done", "model": "lenet5", "n_train": 100, "epochs": 1, "files": [1, 2]},
        {"status": "done", "model": "lenet5", "n_train": 100, "epochs": 1, "files": ["a\0b"],
         "train_time_s": 1.0},
        {"status": "done", "model": "lenet5", "n_train": 100, "epochs": 1,
         "train_time_s": float("nan")},
        {"status": "done", "model": "lenet5", "n_train": 10**30, "epochs": 1},
        {"status": "finished", "score": 0.5},
        [1, 2],
        "text",
    ],
)  # fmt: skip
def test_a_record_of_another_program_beside_out_tells_nothing(write_sweep, tmp_path, record):
    folder = tmp_path / "beside" / "trials" / "a"
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(json.dumps(record))
    done = run_here(write_sweep(text=SMALL), tmp_path / "run", "--dry-run")
    assert done.returncode == 0
    assert "Time and disk: not known before a first trial" in done.stdout
    assert not (tmp_path / "run").exists()

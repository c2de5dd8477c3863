"""What cannot be merged or compared is refused, and what can, but is not alike, is said first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
import yaml
from synthetic_runs import Arm, Made, write_run

from analysis.diff import diff_runs
from analysis.findings.alike import remarks_on, share_draws
from analysis.findings.load import load_runs, sides_of
from analysis.gate import gate_runs
from headstart.errors import InputError, RunFolderError

SWEEP = {"seed": 0, "vary": ["init"], "model": {"name": "lenet5"}, "train": {"epochs": 3}}
PROVENANCE = {"packages": {"torch": "2.15.0", "scipy": "1.17"}, "result_format": 3}


@cache
def tables(name: str) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Tables and sweep of a run of an arm and its control at eight seeds, made once."""
    arms = (Arm("scratch"), Arm("new", 0.985, 200))
    made = Made(name=name, arms=arms, seeds=8, evaluations=5, predictions=False, images=False)
    with TemporaryDirectory() as place:
        folder = write_run(Path(place), made)
        frames = {t: pd.read_parquet(folder / f"{t}.parquet") for t in ("trials", "curves")}
        return frames, yaml.safe_load((folder / "sweep.yaml").read_text())


def written(
    folder: Path,
    seeds: range = range(4),
    columns: Mapping[str, Any] | None = None,
    sweep: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    name: str = "made",
) -> Path:
    """The run at these seeds, with some things changed."""
    folder.mkdir()
    frames, content = tables(name)
    for table, frame in frames.items():
        own = frame[frame["seed"].isin(seeds)].reset_index(drop=True)
        own = own.assign(**(columns or {})) if table == "trials" else own
        own.to_parquet(folder / f"{table}.parquet")
    (folder / "sweep.yaml").write_text(yaml.safe_dump(content | SWEEP | (sweep or {})))
    record = PROVENANCE | {"commit": "0" * 40, "command": "x"} | (provenance or {})
    (folder / "provenance.json").write_text(json.dumps(record))
    return folder


REAL = {"dataset": "mnist", "stand_in_for": ""}
STAND_IN = {"dataset": "glyphs", "stand_in_for": "mnist"}


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (
            {"columns": REAL}, {"columns": STAND_IN},
            r"“scratch” ran on other data: .*a on mnist, .*b on glyphs \(a stand-in for mnist\)",
        ),
        ({}, {"columns": {"dataset_fingerprint": "e" * 32}}, r"other images under one name \(made"),
        ({}, {"columns": {"n_test": 50}}, "other images for test: 200 in .*a, 50 in .*b"),
        ({}, {"columns": {"learning_rate": 0.001}}, "other learning rate: 0.0003 in .*a, 0.001 in"),
        ({}, {"sweep": {"train": {"epochs": 5}}}, "other settings: train.epochs 3 in .*a, 5 in"),
        (
            {}, {"sweep": {"train": {"epochs": 3}, "arms": {"scratch": {"fine_tune": "none"}}}},
            "other settings: arms.scratch.fine_tune all in .*a, none in",
        ),
        ({}, {"sweep": {"measure": {"metric": "loss"}}}, "a measures accuracy, .*b loss"),
        ({}, {"provenance": {"result_format": 4}}, "a is of result format 3, .*b of 4"),
    ],
)  # fmt: skip
def test_folders_of_one_sweep_whose_arms_are_not_the_same_do_not_merge(
    first, second, said, tmp_path: Path
) -> None:
    sweep = {"arms": {"scratch": {"fine_tune": "all"}, "new": {}}}
    a = written(tmp_path / "a", range(4), **({"sweep": sweep} | first))
    b = written(tmp_path / "b", range(4, 8), **({"sweep": sweep} | second))
    for order in ([a, b], [b, a]):
        with pytest.raises(RunFolderError, match=said) as raised:
            load_runs(order)
        is_apart = "other data" in said or "measures" in said  # which `diff` refuses as well
        advice = "report them one by one" if is_apart else f"python -m analysis diff {a} {b}"
        assert str(raised.value).endswith(advice)
        assert "\n" not in str(raised.value)


def test_seeds_that_are_other_trials_do_not_merge(tmp_path: Path) -> None:
    """Whatever it is that differs: an id is a hash of all that decides a result."""
    a, b = written(tmp_path / "a"), written(tmp_path / "b", range(2, 6))
    for table in ("trials", "curves"):
        frame = pd.read_parquet(b / f"{table}.parquet")
        frame["trial_id"] = "0" + frame["trial_id"].str[1:]
        frame.to_parquet(b / f"{table}.parquet")
    with pytest.raises(RunFolderError, match=r"“scratch” at seed 2 is another trial in .*a than"):
        load_runs([a, b])


def test_alike_folders_merge_without_a_word(tmp_path: Path) -> None:
    sweep = {"train": {"epochs": 3, "new_key": 0}}  # of a later version, at its default
    a, b = written(tmp_path / "a"), written(tmp_path / "b", range(2, 8), sweep=sweep)
    runs = load_runs([a, b])
    assert len(runs.trials) == 16
    assert runs.remarks == ()


def test_other_results_of_one_trial_and_other_versions_are_said(tmp_path: Path) -> None:
    a, b = written(tmp_path / "a"), written(tmp_path / "b", provenance={"packages": {"torch": "3"}})
    trials = pd.read_parquet(b / "trials.parquet")
    trials.loc[[0, 5], "test_accuracy"] += [0.001, -0.002]
    trials.to_parquet(b / "trials.parquet")
    runs = load_runs([b, a])
    results, versions = runs.remarks
    assert results.startswith(f"2 trials lie in {a} and in {b} with other results (up to 0.20 po")
    assert versions == f"{a} and {b} were made with other versions: torch 2.15.0 and 3"
    assert set(runs.trials["folder"]) == {str(a)}


def test_two_sweeps_are_two_tasks_whatever_they_ran_on(tmp_path: Path) -> None:
    a = written(tmp_path / "a", columns=REAL)
    b = written(tmp_path / "b", columns=STAND_IN, name="other", provenance={"result_format": 4})
    runs = load_runs([a, b])
    assert set(runs.trials["task"]) == {"made", "other"}
    [remark] = runs.remarks
    assert "result format 3" in remark


@pytest.mark.parametrize("compare", [diff_runs, lambda a, b: gate_runs(a, b, 0.01)])
def test_other_data_are_not_compared(compare, tmp_path: Path) -> None:
    a, b = written(tmp_path / "a", columns=REAL), written(tmp_path / "b", columns=STAND_IN)
    with pytest.raises(InputError, match=r"ran on other data: .*stand-in for mnist"):
        compare(a, b)
    c = written(tmp_path / "c", sweep={"measure": {"metric": "macro_f1"}})
    with pytest.raises(InputError, match=r"measures accuracy, .* macro"):
        compare(written(tmp_path / "d"), c)


@pytest.mark.parametrize(
    ("changed", "said", "pairs"),
    [
        ({"columns": {"dataset_fingerprint": "e" * 32}}, "other images under one name", False),
        ({"columns": {"n_test": 50}}, "other images for test: 200 in", False),
        ({"sweep": {"seed": 9}}, "seeds draw something else in the two", False),
        ({"sweep": {"train": {"epochs": 5}}}, "other settings: train.epochs 3 in", True),
        ({"provenance": {"packages": {"torch": "3"}}}, "other versions: torch 2.15.0 and 3", True),
        ({"provenance": {"result_format": 4}}, "result format 3", True),
    ],
)
def test_what_is_not_alike_is_said(changed, said, pairs, tmp_path: Path) -> None:
    paths = written(tmp_path / "a"), written(tmp_path / "b", **changed)
    sides = sides_of(paths, (load_runs([paths[0]]), load_runs([paths[1]])))
    first = next(remarks_on(sides, ["scratch"]))
    assert said in first
    assert share_draws(sides, "scratch") is pairs


def test_it_is_said_before_two_runs_are_compared_and_decides_whether_seeds_pair(tmp_path) -> None:
    a, b = written(tmp_path / "a"), written(tmp_path / "b", columns={"n_test": 50})
    gate = gate_runs(a, b, 0.01)
    assert gate.lines[0].startswith("note: “new” has other images for test")
    assert not any(arm.test.paired for arm in gate.arms)
    changes = diff_runs(a, b)
    assert changes.text.splitlines()[2].startswith("Note: “new” has other images for test")
    final = [row for row in changes.comparisons if row.metric == "test_accuracy"]
    assert [row.paired for row in final] == [False, False]


def test_alike_runs_are_compared_without_a_word_also_under_another_name(tmp_path: Path) -> None:
    a, b = written(tmp_path / "a"), written(tmp_path / "b", name="renamed")
    gate, changes = gate_runs(a, b, 0.01), diff_runs(a, b)
    assert (len(gate.arms), len(gate.lines)) == (2, 3)
    assert len(changes.comparisons) > 2
    assert changes.remarks == ()

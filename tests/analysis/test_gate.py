"""The gate: its three answers and statuses, pairing, failures, several arms, what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from synthetic_runs import Arm, Made, write_run

from analysis.__main__ import main
from analysis.gate import gate_runs
from headstart.cli import status_of
from headstart.errors import InputError


@pytest.fixture
def folder_of(tmp_path: Path):
    """Writes a run of one or more arms with these final accuracies, one a seed (NaN: failed)."""

    def write(name: str, root: int = 1, **arms: object) -> Path:
        sides = {arm: np.asarray(values, dtype=float) for arm, values in arms.items()}
        n = max(len(values) for values in sides.values())
        made = Made(arms=tuple(map(Arm, sides)), seeds=n, n_test=10_000, predictions=False)
        folder = write_run(tmp_path / name, made)
        trials = pd.read_parquet(folder / "trials.parquet")
        for arm, values in sides.items():
            own = trials["arm"] == arm
            trials.loc[own, "test_accuracy"] = values
            trials.loc[own & trials["test_accuracy"].isna(), "status"] = "failed"
        trials.to_parquet(folder / "trials.parquet")
        sweep = yaml.safe_load((folder / "sweep.yaml").read_text()) | {
            "seed": root,
            "vary": ["init"],
        }
        (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
        return folder

    return write


SEEDS = np.array([0.950, 0.960, 0.955, 0.945, 0.962, 0.951])


def shifted(by: float, spread: float = 0.001) -> np.ndarray:
    """The same seeds with differences of exactly this mean and SD."""
    z = np.array([-1.0, 1.0, -2.0, 2.0, 0.5, -0.5])
    return SEEDS + by + spread * z / z.std(ddof=1)


def test_the_three_answers_by_hand(folder_of) -> None:
    """Margin 0.2 points, SD of differences 0.1 points: error 0.0408, t of 5 % 2.015."""
    base = folder_of("base", net=SEEDS)
    half = stats.t.ppf(0.95, 5) * 0.001 / math.sqrt(6)
    for by, answer, status in (
        (-0.002 + 1.01 * half, "not worse", 0),
        (-0.002 + 0.99 * half, "cannot tell", 3),
        (-0.002 - 0.99 * half, "cannot tell", 3),
        (-0.002 - 1.01 * half, "worse", 1),
        (0.01, "not worse", 0),
    ):
        gate = gate_runs(base, folder_of("new", net=shifted(by)), 0.002)
        assert (gate.answer, gate.status) == (answer, status)
        [arm] = gate.arms
        assert (arm.test.low, arm.test.high) == pytest.approx((by - half, by + half))
        assert arm.test.paired


def test_the_command_prints_it_and_exits_so(folder_of, capsys) -> None:
    base = folder_of("base", net=SEEDS)
    status = status_of(main, ["gate", str(base), str(base), "--margin", "0.002"])
    out = capsys.readouterr().out.splitlines()
    assert status == 0
    assert out[-1] == "gate: not worse by 0.20 points or more"
    worse = folder_of("worse", net=shifted(-0.02))
    assert status_of(main, ["gate", str(base), str(worse), "--margin", "0.002"]) == 1
    assert "gate: worse by 0.20 points or more" in capsys.readouterr().out
    open_ = folder_of("open", net=shifted(-0.001, 0.004))
    assert status_of(main, ["gate", str(base), str(open_), "--margin", "0.002"]) == 3
    said = capsys.readouterr().out
    assert "cannot tell whether it is worse by 0.20 points: for an 80 % chance to pass" in said
    assert "more seeds" in said


def test_runs_that_share_no_draws_are_not_paired(folder_of) -> None:
    base, other = folder_of("base", net=SEEDS), folder_of("other", root=2, net=shifted(0.0))
    [arm] = gate_runs(base, other, 0.002).arms
    reference = stats.ttest_ind(shifted(0.0), SEEDS, equal_var=False)
    assert not arm.test.paired
    note, line, _ = gate_runs(base, other, 0.002).lines
    assert note == "note: “net”: seeds draw something else in the two; they are not paired"
    assert line.endswith("6 unpaired trials of each)")
    ends = reference.confidence_interval(0.9)
    assert (arm.test.low, arm.test.high) == pytest.approx((ends.low, ends.high))


@pytest.mark.slow
def test_every_arm_must_pass_and_one_is_enough_for_an_alarm(folder_of) -> None:
    """Slow: whole runs are compared."""
    base = folder_of("base", net=SEEDS, other=SEEDS)
    both = folder_of("new", net=shifted(0.0), other=shifted(-0.001, 0.01))
    assert gate_runs(base, both, 0.002).answer == "cannot tell"
    assert gate_runs(base, both, 0.002, arms=["net"]).answer == "not worse"
    half = stats.t.ppf(0.95, 5) * 0.001 / math.sqrt(6)
    nearly = folder_of("nearly", net=shifted(0.0), other=shifted(-0.002 - 1.05 * half))
    assert gate_runs(base, nearly, 0.002, arms=["other"]).answer == "worse"
    assert gate_runs(base, nearly, 0.002).answer == "cannot tell"  # Holm over two arms
    bad = folder_of("bad", net=shifted(0.0), other=shifted(-0.02))
    assert gate_runs(base, bad, 0.002).answer == "worse"


def test_a_new_version_whose_trials_fail_does_not_pass(folder_of) -> None:
    base = folder_of("base", net=SEEDS)
    values = shifted(0.001)
    values[2:4] = math.nan
    gate = gate_runs(base, folder_of("new", net=values), 0.002)
    assert gate.answer != "not worse"
    assert "2 trials that failed or diverged at chance" in gate.lines[0]


def test_a_new_version_of_which_nothing_finished_does_not_pass(folder_of) -> None:
    """Not even beside a base of which nothing finished: both would stand at chance."""
    broken = change(folder_of("broken", net=[math.nan] * 6), best_val_accuracy=math.nan)
    gate = gate_runs(broken, broken, 0.002, "test_accuracy")
    assert gate.lines[-1] == "gate: cannot tell whether it is worse by 0.20 points"
    assert gate_runs(folder_of("base", net=SEEDS), broken, 0.002).answer == "worse"
    assert gate_runs(broken, folder_of("new", net=SEEDS), 0.002).answer == "not worse"


def change(folder: Path, **columns: object) -> Path:
    table = pd.read_parquet(folder / "trials.parquet").assign(**columns)
    table.to_parquet(folder / "trials.parquet")
    return folder


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"stand_in_for": "mnist"}, "on made (a stand-in for mnist)"),
        ({"dataset": "glyphs"}, "“net” ran on other data: "),
    ],
)
def test_other_data_are_no_other_version(folder_of, capsys, columns, message: str) -> None:
    base, other = folder_of("base", net=SEEDS), change(folder_of("other", net=SEEDS), **columns)
    assert status_of(main, ["gate", str(base), str(other), "--margin", "0.002"]) == 2
    assert message in capsys.readouterr().err
    assert gate_runs(other, other, 0.002).answer == "not worse"


def test_runs_that_measure_other_metrics_need_to_be_told_which(folder_of) -> None:
    base, other = folder_of("base", net=SEEDS), folder_of("other", net=SEEDS)
    sweep = yaml.safe_load((other / "sweep.yaml").read_text())
    sweep["measure"] = {"metric": "loss", "targets": [0.5]}
    (other / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    with pytest.raises(InputError, match=r"measures accuracy, .* loss; say --metric"):
        gate_runs(base, other, 0.002)
    assert gate_runs(base, other, 0.5, "test_loss").answer == "not worse"


def test_equal_values_of_unknown_step_have_no_interval_of_no_width(folder_of) -> None:
    base = change(folder_of("base", net=SEEDS), n_test=math.nan)
    assert gate_runs(base, base, 0.002).lines[0] == (
        "“net”: not worse, 0.00 points (no spread, 6 pairs)"
    )


def test_one_seed_cannot_tell(folder_of) -> None:
    gate = gate_runs(folder_of("base", net=[0.9]), folder_of("new", net=[0.8]), 0.002)
    assert (gate.status, gate.lines[-1]) == (
        3,
        "gate: cannot tell whether it is worse by 0.20 points",
    )
    assert gate.lines[0].endswith("1 pair: two are needed")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--margin", "0"], "--margin 0: a number over 0"),
        (["--margin", "2"], "--margin 2: a fraction below 1"),
        (["--margin", "nan"], "--margin nan: a number over 0"),
        (["--margin", "0.1", "--metric", "test_loss"], "a margin is of a final value"),
        (["--margin", "0.1", "--metric", "acuracy"], "is not one of"),
        (["--margin", "0.1", "--arm", "nett"], "--arm nett: "),
        ([], "--margin"),
    ],
)
def test_bad_input_is_status_2(folder_of, capsys, more: list[str], message: str) -> None:
    base = folder_of("base", net=SEEDS)
    assert status_of(main, ["gate", str(base), str(base), *more]) == 2
    assert message in capsys.readouterr().err


def test_other_arms_and_no_run_folder_are_status_2(folder_of, tmp_path: Path, capsys) -> None:
    base, other = folder_of("base", net=SEEDS), folder_of("other", else_=SEEDS)
    assert status_of(main, ["gate", str(base), str(other), "--margin", "0.1"]) == 2
    assert "no arm in common" in capsys.readouterr().err
    assert status_of(main, ["gate", str(base), str(tmp_path / "none"), "--margin", "0.1"]) == 2

"""Forecasts beside results, and starts by data sets: tables, words, figures and the report."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest
from synthetic_runs import Arm, Made

from analysis.figures.style import new_figure
from analysis.figures.transfer import transfer_matrix as draw_matrix
from analysis.findings.findings import find
from analysis.findings.forecasts import LABELS, Forecasts, find_forecasts, judged_lines, order_words
from analysis.findings.load import load_runs
from analysis.findings.transfer import transfer_matrix
from analysis.report.report import write_report
from analysis.statistics.times.course import ACCURACY
from harness.forecast.scores import SCORES
from headstart.digests import sealed_table

ARMS = (
    Arm("scratch", 0.90),
    Arm("frozen", 0.95, initialize="digits", fine_tune="last_layer"),
    Arm("tuned", 0.97, initialize="digits"),
    Arm("photos", 0.93, initialize="photos"),
)


def forecast_of(folder, values, seeds=3, score="logme"):
    """Write a forecast of these arms: by arm its start and its score at every seed."""
    rows = [
        {"arm": arm, "seed": seed, "data_set": "made, 50,000 to train",
         "dataset_fingerprint": "f" * 32, "start": start, "score": score,
         "value": None if value is None else value + 0.01 * seed,
         "reason": "no head" if value is None else "", "n_images": 100, "n_features": 8,
         "features_time_s": 0.5, "score_time_s": 0.25}
        for arm, (start, value) in values.items() for seed in range(seeds)
    ]  # fmt: skip
    (folder / "forecast").mkdir(exist_ok=True)
    path = folder / "forecast" / "forecast.parquet"
    path.write_bytes(sealed_table(pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)))
    return path


def forecasts_in(folder):
    """The forecasts of a run folder, and its trials of stage `arm`."""
    runs = load_runs([folder])
    evidence = runs.trials[runs.trials["stage"] == "arm"]
    return find_forecasts(runs, evidence, "test_accuracy", ACCURACY), evidence


VALUES = {"scratch": ("random", 0.1), "frozen": ("digits", 0.5), "tuned": ("digits", 0.5),
          "photos": ("photos", 0.7)}  # fmt: skip


@pytest.fixture
def folder(run_of):
    made = Made(arms=ARMS, seeds=4, predictions=False, images=False, equivalence=0.0001)
    return run_of(made)


def test_a_start_counts_with_the_arm_that_validation_takes(folder):
    forecast_of(folder, VALUES)
    found = find(load_runs([folder]))  # as a report does it
    scores = found.forecasts.scores.set_index("start")
    assert scores["arm"].to_dict() == {"random": "scratch", "digits": "tuned", "photos": "photos"}
    assert scores["rank"].to_dict() == {"random": 3, "digits": 2, "photos": 1}
    assert scores.loc["digits", "arms"] == "frozen and tuned"
    assert scores.loc["digits", "seconds"] == pytest.approx(3 * 0.75)
    # The one interval that the arm has in the report.
    arms = found.arms.set_index("arm")
    for name, column in (("final", "score"), ("low", "score_low"), ("high", "score_high")):
        assert scores.loc["digits", name] == arms.loc["tuned", column]


def test_regret_is_what_the_chosen_start_lacks(folder):
    forecast_of(folder, VALUES)
    found, evidence = forecasts_in(folder)
    (order,) = found.orders.itertuples()
    assert (order.chosen, order.best, order.n_starts, order.n_seeds) == ("photos", "digits", 3, 3)
    tested = evidence[evidence["seed"] < 3].groupby("arm")["test_accuracy"].mean()
    assert order.regret == pytest.approx(tested["tuned"] - tested["photos"])
    assert order_words(order, ACCURACY).startswith("weighted τ ")
    assert "it chose photos, the best was digits" in order_words(order, ACCURACY)
    lines = list(judged_lines(folder))
    assert "over 3 starts and 3 seeds" in lines[0]
    assert lines[1].startswith("  LogME: ")


def test_two_starts_are_in_the_right_or_the_wrong_order(folder):
    forecast_of(folder, {**VALUES, "photos": ("photos", None)})
    (order,) = forecasts_in(folder)[0].orders.itertuples()
    text = order_words(order, ACCURACY)
    assert text.startswith("right order; regret 0.00 points")
    assert "1 start without this score left out" in text


def test_what_has_no_result_is_said_and_a_damaged_forecast_is_left_out(folder):
    path = forecast_of(folder, {**VALUES, "later": ("later", 0.2)})
    found, _ = forecasts_in(folder)
    assert found.remarks == (
        "made, 50,000 to train: no finished trial of these data stands beside later.",
    )
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    found, _ = forecasts_in(folder)
    assert found.scores.empty
    assert found.remarks[0].startswith("A forecast is left out: ")


def test_a_run_without_a_forecast_has_none(folder):
    assert forecasts_in(folder)[0].scores.empty


def test_every_score_has_one_label():
    assert {name: score.label for name, score in SCORES.items()} == LABELS


def compared(task, treatment, control="scratch", estimate=0.02, verdict="better"):
    """What the matrix reads of a comparison."""
    return SimpleNamespace(
        task=task, treatment=treatment, control=control, metric="test_accuracy",
        estimate=estimate, low=estimate - 0.01, high=estimate + 0.01, verdict=verdict, n_pairs=4,
        unit="fraction",
    )  # fmt: skip


def evidence_of(tasks, arms=ARMS):
    """The trials of these arms, by task the number of training images."""
    return pd.DataFrame(
        [
            {"task": task, "arm": arm.name, "status": "done", "initialize": arm.initialize,
             "fine_tune": arm.fine_tune, "model": "lenet5", "dataset": "made", "n_train": n,
             "grid": ""}
            for task, n in tasks.items() for arm in arms
        ]
    )  # fmt: skip


def test_the_matrix_has_a_start_and_a_data_set_in_each_cell():
    evidence = evidence_of({"a": 100, "b": 1000})
    rows = [compared(task, arm) for task in ("a", "b") for arm in ("frozen", "tuned")]
    rows += [compared("a", "photos", estimate=-0.03, verdict="inconclusive")]
    rows += [compared("a", "photos", control="tuned")]  # another control, in one place
    table = transfer_matrix(rows, evidence, "test_accuracy", Forecasts())
    assert table.set_index(["start", "data_set"]).index.to_list() == [
        ("frozen", "made, 100 to train"), ("tuned", "made, 100 to train"),
        ("frozen", "made, 1,000 to train"), ("tuned", "made, 1,000 to train"),
        ("photos", "made, 100 to train"),
    ]  # fmt: skip
    assert set(table["control"]) == {"scratch"}
    assert table["forecast"].isna().all()
    only = transfer_matrix(rows[:2], evidence, "test_accuracy", Forecasts())
    assert only.empty  # one data set is no matrix


def test_arms_of_a_grid_are_one_start():
    """Where each point has arms of its own, the matrix has their common name."""
    arms = [Arm(f"{name} [train={n}]", initialize=start) for n in (100, 300)
            for name, start in (("scratch", "random"), ("tuned", "digits"))]  # fmt: skip
    evidence = evidence_of({"all": 0}, arms)
    evidence["n_train"] = [100, 100, 300, 300]
    evidence["grid"] = [f'{{"data.train": {n}}}' for n in evidence["n_train"]]
    rows = [compared("all", f"tuned [train={n}]", f"scratch [train={n}]") for n in (100, 300)]
    table = transfer_matrix(rows, evidence, "test_accuracy", Forecasts())
    assert list(table["start"]) == ["tuned", "tuned"]
    assert list(table["control"]) == ["scratch", "scratch"]
    assert len(set(table["data_set"])) == 2


def test_cells_say_number_interval_forecast_and_what_is_not_known():
    evidence = evidence_of({"a": 100, "b": 1000})
    rows = [compared("a", "tuned"), compared("b", "tuned", estimate=-0.01, verdict="worse"),
            compared("a", "photos", verdict="inconclusive")]  # fmt: skip
    table = transfer_matrix(rows, evidence, "test_accuracy", Forecasts())
    table.loc[0, ["forecast", "forecast_rank", "n_ranked"]] = [0.4, 1, 3]
    _, axes = new_figure(4, 3)
    ax = draw_matrix(axes[0, 0], table)
    texts = [text.get_text() for text in ax.texts]
    assert texts[:3] == ["+2.00", "[+1.00, +3.00]", "LogME: 1 of 3"]
    assert texts[-1] == "–"  # photos on the second data set
    hatched = [patch.get_hatch() for patch in ax.patches]
    assert hatched == [None, None, "////"]


@pytest.mark.slow
def test_report_shows_forecast_and_matrix(run_of, tmp_path):
    """A section and a table each, and both figures. Slow: it writes a whole report of two runs; the
    tests above have its tables and its matrix."""
    folders = [
        run_of(Made(name=f"on_{n}", n_train=n, arms=ARMS, seeds=3, predictions=False, images=False,
                    root=n))
        for n in (100, 1000)
    ]  # fmt: skip
    forecast_of(folders[0], VALUES)
    report = tmp_path / "report"
    write_report(folders, report)
    page = (report / "index.html").read_text()
    assert "Forecasts, held against the results" in page
    assert "Which start helps on which data" in page
    assert "arms that share a start share its scores" in page
    for name in ("forecasts", "forecast_orders", "transfer"):
        assert (report / "tables" / f"{name}.csv").is_file()
    for name in ("forecasts", "transfer_matrix"):
        assert (report / "figures" / f"{name}.svg").is_file()
    table = pd.read_csv(report / "tables" / "transfer.csv")
    known = table[table["forecast_rank"].notna()]
    assert set(known["data_set"]) == {"made, 100 to train"}
    assert known.set_index("start").loc["photos", "forecast"] == pytest.approx(0.6)

"""A run in a notebook: its tables, figures and errors, and what it says of a run that goes on."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import pyplot
from synthetic_runs import Arm, Made, write_run

from analysis import load
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from headstart.errors import InputError, RunFolderError


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three arms whose names are not in the order of the alphabet; nothing to show of classes."""
    arms = (Arm("z", 0.9), Arm("a", 0.95, 150, 0.4), Arm("m", 0.9, diverged=(1,)))
    made = Made(name="part2", arms=arms, seeds=4, predictions=False, images=False)
    return write_run(tmp_path_factory.mktemp("runs") / "part2", made)


def test_tables_are_those_of_the_report_with_arms_in_the_order_of_the_sweep(small_run: Path):
    run, runs = load(small_run), load_runs([small_run])
    assert len(run.trials) == 12
    assert len(run.curves) == len(runs.curves)
    assert list(run.trials["arm"].cat.categories) == ["z", "a", "m"]
    assert list(run.trials.groupby("arm", observed=True)["seed"].count()) == [4, 4, 4]
    assert list(run.arms["arm"]) == ["z", "a", "m"]
    row = run.comparisons.query("quantity == 'test accuracy' and treatment == 'a'").iloc[0]
    [made] = [
        c
        for c in find(runs).pairs.comparisons
        if c.metric == "test_accuracy" and c.treatment == "a"
    ]
    assert (row["estimate"], row["low"], row["high"]) == (made.estimate, made.low, made.high)
    assert (row["unit"], row["verdict"], row["n"]) == ("fraction", "better", 4)
    assert row["p_question"] == made.p_question
    assert row["words"].startswith("+")


def test_a_ratio_is_given_as_a_ratio(small_run: Path):
    rows = load(small_run).comparisons
    spread = rows[rows["quantity"] == "distance of two seeds"]
    assert set(spread["unit"]) == {"ratio"}
    assert (spread["estimate"] > 0).all()
    times = rows[rows["quantity"] == "steps to 80 %"].query("treatment == 'a'").iloc[0]
    assert times["unit"] == "speedup"
    assert times["estimate"] > 1
    assert math.isclose(times["target"], 0.8)


def test_a_figure_is_axes_that_pyplot_shows(small_run: Path):
    run = load(small_run)
    assert {"learning_curves", "final_accuracy"} <= set(run.figures)
    axes = run.figure("final_accuracy")
    assert pyplot.gcf() is axes.figure
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == ["z", "a", "m"]
    axes.set_title("changed")
    assert run.figure("final_accuracy").get_title() != "changed"
    pyplot.close("all")
    with pytest.raises(InputError, match=r"did you mean 'learning_curves'.* final_accuracy"):
        run.figure("learning_curve")


def test_a_chart_is_one_of_altair(small_run: Path):
    run = load(small_run)
    assert "learning_curves" in run.charts
    chart = run.chart("final_accuracy").to_dict()
    assert chart["background"] == "white"
    assert "var(--" not in json.dumps(chart), "colours of the page's themes"
    with pytest.raises(InputError, match=r"chart\('final'\): no such chart.* learning_curves"):
        run.chart("final")


def test_a_notebook_shows_the_answer_at_a_glance(small_run: Path, hostile_run: Path):
    run = load(small_run)
    shown = run._repr_html_()
    assert f"<strong>{run.glance.sentence}</strong>" in shown
    assert shown.count("<tr>") == 4
    for card in run.glance.cards:
        assert f"<td>{card.arm} (" in shown
        assert card.final.value in shown
        assert card.final.interval in shown
    assert run.glance.sentence in run.answer
    hostile = load(hostile_run)._repr_html_()
    assert "<script>" not in hostile
    assert "a&lt;b&gt;&amp;" in hostile


def test_several_folders_are_one_run(small_run: Path, tmp_path: Path):
    other = write_run(tmp_path / "b", Made(name="b", seeds=3, predictions=False, images=False))
    both = load(small_run, other)
    assert set(both.trials["task"]) == {"part2", "b"}
    assert repr(both).startswith("<Run part2, b; 5 arms")


def test_a_run_that_is_not_finished_says_so(tmp_path: Path):
    folder = write_run(tmp_path / "run", Made(seeds=3, predictions=False, images=False))
    ids = list(pd.read_parquet(folder / "trials.parquet")["trial_id"])
    plan = [{"id": name, "stage": "arm", "arm": "scratch", "seed": 9} for name in [*ids, "f" * 16]]
    (folder / "plan.json").write_text(json.dumps({"sweep": "made", "trials": plan}))
    with pytest.warns(UserWarning, match="unfinished: 6 of 7 trials have ended; all numbers"):
        run = load(folder)
    assert repr(run).endswith("unfinished>")
    (folder / "plan.json").write_text(json.dumps({"sweep": "made", "trials": plan[:-1]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(folder).unfinished == ""


def test_a_run_of_which_pretraining_alone_has_ended_has_no_arms(tmp_path: Path):
    folder = write_run(tmp_path / "run", Made(seeds=3, predictions=False, images=False))
    trials = pd.read_parquet(folder / "trials.parquet")
    trials.assign(stage="pretrain").to_parquet(folder / "trials.parquet")
    run = load(folder)
    assert run.arms["n_done"].sum() == len(run.comparisons) == 0
    assert run.arms["sd_low"].isna().all()
    assert "There is no answer: no trial of an arm finished." in str(run.answer)


def test_who_sees_comparisons_has_looked(tmp_path: Path):
    folder = write_run(tmp_path / "run", Made(seeds=3, predictions=False, images=False))
    run = load(folder)
    assert len(run.trials) == 6
    assert not (folder / "looks.json").exists()
    assert len(run.comparisons)
    assert json.loads((folder / "looks.json").read_text())["reports"][0]["n_seeds"] == 3


@pytest.mark.parametrize("bad", [3, "", None, ["a", "b"]])
def test_what_is_no_path_is_one_line(bad):
    with pytest.raises(InputError, match="the path of a run folder is expected"):
        load(bad)


def test_what_is_no_run_is_one_error_without_a_chain(tmp_path: Path):
    with pytest.raises(InputError, match="is expected"):
        load()
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(RunFolderError) as raised:
            load(folder)
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__


def test_to_import_the_package_reads_no_library():
    code = "import sys, analysis; assert not {'pandas', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)
    with pytest.raises(ImportError):
        from analysis import nothing  # noqa: F401

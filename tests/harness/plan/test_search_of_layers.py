"""`fine_tune` in a search: drawn for arms that start from weights, in id, row and record.

What makes no sense is refused in one line.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.sections import build_tables
from harness.plan.planner import make_plan
from harness.plan.search import plan_searches, studies_of
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings.search import draw
from harness.trials.catalogue import DataCatalogue
from headstart.errors import InputError
from runs import run_here

SWEEP = """\
name: layers
question: How many layers, and with which dropout?
model: {name: lenet5}
data: {name: glyphs, classes: digits, count: 160, seed: 1, per_class: true, train: 8, validation: 4, test: 4}
train: {batch_size: 16, epochs: 2}
pretrain:
  letters: {data: {name: glyphs, count: 310, split: {train: 0.8, validation: 0.2}}, train: {epochs: 1}}
arms:
  scratch: {}
  tuned: {initialize: letters}
  fixed: {initialize: letters, fine_tune: last_2, search: none}
search:
  fine_tune: {choice: [last_layer, last_2, all]}
  dropout: {choice: [0.0, 0.5]}
  learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
  samples: 4
seeds: 2
"""  # noqa: E501
DEPTHS = {"last_layer", "last_2", "all"}


@pytest.fixture(scope="module")
def catalogue() -> DataCatalogue:
    return DataCatalogue(allow_download=False)


def plan_of(folder: Path, catalogue: DataCatalogue, text: str = SWEEP):
    (folder / "sweep.yaml").write_text(text)
    return make_plan(load_sweep(folder / "sweep.yaml"), catalogue)


def test_layers_are_drawn_for_arms_that_start_from_weights(tmp_path, catalogue):
    plan = plan_of(tmp_path, catalogue)
    searches = plan.sweep.searches
    assert {arm: "fine_tune" in search.space for arm, search in searches.items()} == {
        "scratch": False,
        "tuned": True,
    }
    trials = [t for t in plan_searches(plan, catalogue, tmp_path).trials if t.stage == "search"]
    tuned = [t for t in trials if t.arm == "tuned"]
    assert all(t.condition.fine_tune == t.grid["fine_tune"] for t in tuned)
    assert {t.condition.fine_tune for t in tuned} <= DEPTHS
    assert len({t.condition.fine_tune for t in tuned}) > 1
    assert len({t.id for t in tuned}) == len(tuned), "what was drawn is in the id"
    assert {t.condition.fine_tune for t in trials if t.arm == "scratch"} == {"all"}


def test_the_ids_of_what_is_not_searched_stay(tmp_path, catalogue):
    without = SWEEP.replace("  fine_tune: {choice: [last_layer, last_2, all]}\n", "")
    before, now = plan_of(tmp_path, catalogue, without), plan_of(tmp_path, catalogue)
    assert [t.id for t in before.trials] == [t.id for t in now.trials]
    study = next(s for s in studies_of(now, catalogue) if s.base.arm == "tuned")
    drawn = study.trial(draw(study.search, 0), None).condition
    by_hand = plan_of(
        tmp_path, catalogue,
        SWEEP.replace("letters, fine_tune: last_2,", f"letters, fine_tune: {drawn.fine_tune},"),
    )  # fmt: skip
    fixed = next(t for t in by_hand.trials if t.arm == "fixed")
    assert drawn.fine_tune == fixed.condition.fine_tune
    assert drawn.start == fixed.condition.start


OWN = "tuned: {initialize: letters, search: {fine_tune: {choice: [%s]}}}"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "scratch: {}",
            "scratch: {search: {fine_tune: {choice: [all]}}}",
            "arms.scratch.search.fine_tune: this arm starts from random weights: which layers to "
            "fine-tune can be searched where initialize says what they start from",
        ),
        (
            "tuned: {initialize: letters}", OWN % "none, all",
            "'none': trains nothing, so no other setting matters; give it an arm of its own",
        ),
        ("tuned: {initialize: letters}", OWN % "last_layr", "(did you mean 'last_layer'?)"),
        (
            "tuned: {initialize: letters}", OWN % "last_9",
            "'last_9': is deeper than the network's 5 layer groups",
        ),
        (
            "{choice: [last_layer, last_2, all]}", "{integer: [1, 3]}",
            "search.fine_tune.integer: 1: is not one of all, last_layer",
        ),
        (
            "  tuned: {initialize: letters}\n", "",
            "search.fine_tune: no arm that is searched starts from weights (initialize)",
        ),
        (
            "tuned: {initialize: letters}",
            "tuned: {initialize: letters, fine_tune: none, search: {samples: 2}}",
            "arms.tuned.search: nothing trains in this arm, so nothing can be searched",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_one_line(tmp_path, catalogue, old, new, line):
    assert old in SWEEP
    with pytest.raises(InputError) as told:
        plan_of(tmp_path, catalogue, SWEEP.replace(old, new))
    text = str(told.value)
    assert line in text
    assert len({row.split(":")[2] for row in text.splitlines()}) == 1, text


@pytest.mark.slow
def test_a_run_records_what_was_chosen_for_each_seed_and_reports_it(tmp_path):
    (tmp_path / "layers.yaml").write_text(SWEEP)
    out = tmp_path / "run"
    done = run_here(tmp_path / "layers.yaml", out)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(out / "trials.parquet").to_pylist()
    searched = [row for row in rows if (row["stage"], row["arm"]) == ("search", "tuned")]
    assert {json.loads(row["grid"])["fine_tune"] for row in searched} <= DEPTHS
    assert all(row["fine_tune"] == json.loads(row["grid"])["fine_tune"] for row in searched)
    for row in searched:
        record = json.loads((out / "trials" / row["trial_id"] / "trial.json").read_text())
        assert record["frozen"]["cached"] == (row["fine_tune"] != "all"), record["frozen"]
    record = json.loads((out / "search" / "tuned.json").read_text())
    chosen = {int(seed): s["winner"]["values"] for seed, s in record["searches"].items()}
    for row in rows:
        if (row["stage"], row["arm"]) == ("arm", "tuned"):
            assert row["fine_tune"] == chosen[row["seed"]]["fine_tune"]
            n = {"last_layer": 850, "last_2": 11014, "all": 61706}[row["fine_tune"]]
            assert row["n_trainable"] == n
    tables = build_tables(find(load_runs([out])))["search"]
    table = next(t for t in tables if t.name.startswith("chosen") and "tuned" in t.title)
    assert table.frame["fine_tune"].tolist() == [chosen[0]["fine_tune"], chosen[1]["fine_tune"]]
    assert "Fine tune" in [column.label for column in table.columns]

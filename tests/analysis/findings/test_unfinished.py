"""A run that goes on or was stopped: what has ended counts, what has not is said."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_runs import Made, write_run

from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.findings.looked import NAME
from analysis.findings.unfinished import Unfinished, unfinished
from analysis.report.caveats import find_caveats
from analysis.report.console import console_text
from analysis.report.glance import at_a_glance
from headstart.digests import write_sealed_json
from headstart.errors import RunFolderError
from headstart.records import PlannedTrial, PlanRecord
from headstart.rows import EvaluationRow, TrialRow


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """Of 8 planned trials 6 have ended, of which the tables have 4."""
    run = write_run(tmp_path / "run", Made(seeds=3))
    trials = pd.read_parquet(run / "trials.parquet")
    curves = pd.read_parquet(run / "curves.parquet")
    planned = [
        PlannedTrial(i, stage, arm, seed, None)
        for i, stage, arm, seed in trials[["trial_id", "stage", "arm", "seed"]].to_numpy()
    ]
    planned += [PlannedTrial(f"open{n}", "arm", planned[0].arm, 3 + n, None) for n in range(2)]
    write_sealed_json(run / "plan.json", asdict(PlanRecord("made", tuple(planned))))
    late = trials["trial_id"].iloc[-2:]
    for trial_id in late:
        _record(run, trials.set_index("trial_id").loc[trial_id], curves, trial_id)
    trials[~trials["trial_id"].isin(late)].to_parquet(run / "trials.parquet")
    curves[~curves["trial_id"].isin(late)].to_parquet(run / "curves.parquet")
    return run


def _record(run: Path, row: pd.Series, curves: pd.DataFrame, trial_id: str) -> None:
    """A trial's own files: its record names no arm, as one of an earlier plan might."""
    folder = run / "trials" / trial_id
    folder.mkdir(parents=True, exist_ok=True)
    own = pa.Table.from_pandas(curves[curves["trial_id"] == trial_id], preserve_index=False)
    names = [c.name for c in EvaluationRow.columns() if c.name in own.schema.names]
    pq.write_table(own.select(names), folder / "curve.parquet")
    made = TrialRow(
        trial_id=trial_id, status="done", arm="of before", best_val_accuracy=0.5,
        test_accuracy=float(row["test_accuracy"]),
    )  # fmt: skip
    write_sealed_json(folder / "trial.json", made.to_json())


def test_what_ended_since_the_tables_were_written_counts(stopped: Path) -> None:
    runs = load_runs([stopped])
    assert runs.unfinished == Unfinished(6, 8)
    assert len(runs.trials) == 6
    assert (runs.trials["status"] == "done").all()
    assert "of before" not in set(runs.trials["arm"]), "the plan names a trial"
    assert runs.curves.groupby("trial_id").size().eq(20).all()
    assert len(runs.curves) == 6 * 20


def test_a_run_that_was_killed_before_it_wrote_a_table_is_read_from_its_records(
    stopped: Path,
) -> None:
    for name in ("trials.parquet", "curves.parquet"):
        (stopped / name).unlink()
    for folder in (stopped / "trials").iterdir():  # made runs have no curves of their own
        if not (folder / "curve.parquet").exists():
            (folder / "trial.json").unlink()
    runs = load_runs([stopped])
    assert runs.unfinished == Unfinished(2, 8)
    assert len(runs.curves) == 2 * 20


def test_nothing_has_ended_yet(tmp_path: Path) -> None:
    trial = PlannedTrial("a", "arm", "scratch", 0, None)
    write_sealed_json(tmp_path / "plan.json", asdict(PlanRecord("made", (trial,))))
    with pytest.raises(RunFolderError, match="no trial has ended yet"):
        load_runs([tmp_path])


def test_page_console_and_json_say_it_first_and_a_finished_run_says_nothing(
    stopped: Path, made_run: Path
) -> None:
    findings = find(load_runs([stopped]))
    said = "Unfinished: 6 of 8 trials have ended."
    assert find_caveats(findings)[0].startswith(said)
    glance = at_a_glance(findings)
    assert glance.reservations[0].startswith(said)
    assert said in console_text(glance, 200)
    assert not any("still missing" in text for text in glance.reservations), "said once"
    whole = find(load_runs([made_run]))
    assert not any("Unfinished" in text for text in find_caveats(whole))
    assert not (stopped / NAME).exists(), "to read is no look; to write a report is"


@pytest.mark.parametrize(
    ("planned", "ended", "left"),
    [([], ["a"], None), (["a"], ["a", "b"], None), (["a", "b"], ["a"], Unfinished(1, 2))],
)
def test_only_planned_trials_are_waited_for(planned, ended, left) -> None:
    assert unfinished(planned, ended) == left


def test_one_trial_has_ended() -> None:
    assert str(Unfinished(1, 3000)) == "1 of 3,000 trials has ended"

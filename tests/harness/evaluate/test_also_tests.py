"""Further test sets of a sweep: looked at first, scored last, and never seen by a trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from datasets.image_corruptions import corrupt_images
from harness.evaluate import also_scores
from harness.evaluate.also_sets import lines
from harness.evaluate.models import answers, find_models, own_answers, read_run
from harness.evaluate.report import prepare
from harness.evaluate.test_sets import read_test_set
from harness.plan.needs import lacking
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from headstart.errors import RunFolderError, SpecError
from headstart.signals import StoppedBySignal
from runs import run_here

SWEEP = """\
name: outside
question: Does it hold elsewhere?
model: {name: lenet5}
data: {name: glyphs, count: 90, seed: 1, classes: digits, train: 40, validation: 20, test: 30}
train: {epochs: 1, batch_size: 20}
arms: {slow: {}, fast: {train: {learning_rate: 1.0e-2}}}
seeds: 2
"""
ALSO = """\
also_test:
  - {name: glyphs, count: 40, seed: 5, classes: digits, part: all, label: other glyphs}
  - corrupted: {gaussian_noise: 5}
"""
SETS = ["other glyphs", "gaussian noise 5"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    """A sweep file with further test sets, and its run."""
    folder = tmp_path_factory.mktemp("also")
    sweep, run = folder / "sweep.yaml", folder / "run"
    sweep.write_text(SWEEP + ALSO, encoding="utf-8")
    assert run_here(sweep, run).returncode == 0
    return sweep, run


def table(run: Path) -> list[dict]:
    return pq.read_table(run / "also_test.parquet").to_pylist()


def changed(folder: Path, text: str) -> Path:
    sweep = folder / "sweep.yaml"
    sweep.write_text(text, encoding="utf-8")
    return sweep


def test_scores_are_those_that_evaluate_gives(finished):
    _, run = finished
    rows = {(row["trial_id"], row["test_set"]): row for row in table(run)}
    models = find_models(run, read_run(run))
    assert set(rows) == {(model.id, name) for model in models for name in SETS}
    given = "{name: glyphs, count: 40, seed: 5, classes: digits}"
    for model in models:
        test = read_test_set(given, model.class_names, prepare(model, None), part="all")
        said = answers(model, test.images, test.labels)
        row = rows[model.id, "other glyphs"]
        assert row["accuracy"] == (said.probabilities.argmax(axis=1) == test.labels).mean()
        assert row["loss"] == said.loss
        assert (row["n_images"], row["corruption"], row["strength"]) == (40, "", None)
        assert (row["fingerprint"], row["seed"]) == (test.fingerprint, model.row.seed)


def test_corrupted_images_are_the_trials_own_test_images(finished):
    sweep, run = finished
    plan = make_plan(load_sweep(sweep), catalogue := DataCatalogue())
    rows = {row["trial_id"]: row for row in table(run) if row["corruption"]}
    for model in find_models(run, read_run(run)):
        indices, labels, _ = own_answers(model)
        images = catalogue.open(plan.by_id[model.id].data).images[indices]
        worse = corrupt_images(images, "gaussian_noise", 5, indices)
        said = answers(model, worse, labels).probabilities.argmax(axis=1)
        assert rows[model.id]["accuracy"] == (said == labels).mean()
        assert rows[model.id]["n_images"] == 30


def test_no_trial_knows_of_a_further_set(finished, tmp_path):
    with_sets = make_plan(load_sweep(finished[0]), DataCatalogue())
    without = make_plan(load_sweep(changed(tmp_path, SWEEP)), DataCatalogue())
    assert [trial.id for trial in with_sets.trials] == [trial.id for trial in without.trials]


def test_a_set_is_added_to_a_finished_run_and_trains_nothing(tmp_path):
    run = tmp_path / "run"
    assert run_here(changed(tmp_path, SWEEP), run).returncode == 0
    assert not (run / "also_test.parquet").exists()
    before = {path: path.stat().st_mtime_ns for path in run.glob("trials/*/*")}
    sweep = changed(tmp_path, SWEEP + ALSO)
    done = run_here(sweep, run)
    assert done.returncode == 0
    assert "8 scores of 4 networks" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in run.glob("trials/*/*")} == before
    content = (run / "also_test.parquet").read_bytes()
    assert "scores of" not in run_here(sweep, run).stderr  # nor is anything made twice
    assert (run / "also_test.parquet").read_bytes() == content


def test_a_set_whose_images_changed_is_scored_anew(finished, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished[1], run)
    first = {row["fingerprint"] for row in table(run) if row["test_set"] == SETS[0]}
    sweep = changed(tmp_path, SWEEP + ALSO.replace("count: 40", "count: 50"))
    assert "4 scores of 4 networks" in run_here(sweep, run).stderr
    rows = [row for row in table(run) if row["test_set"] == SETS[0]]
    assert [row["n_images"] for row in rows] == [50] * 4
    assert not first & {row["fingerprint"] for row in rows}


def test_a_command_that_is_stopped_goes_on_to_the_same_bytes(finished, tmp_path, monkeypatch):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished[1], run)
    whole = (run / "also_test.parquet").read_bytes()
    (run / "also_test.parquet").unlink()

    def stopped(*_):
        raise StoppedBySignal

    with monkeypatch.context() as patch:
        patch.setattr(also_scores, "corrupt_images", stopped)
        assert run_here(finished[0], run).returncode == 75
    assert {row["test_set"] for row in table(run)} == {SETS[0]}
    done = run_here(finished[0], run)
    assert "4 scores of 4 networks" in done.stderr
    assert (run / "also_test.parquet").read_bytes() == whole


def test_a_damaged_table_is_named(finished, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished[1], run)
    path = run / "also_test.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"also_test\.parquet"):
        run_here(finished[0], run)


def test_without_weights_there_is_one_line_and_no_score(tmp_path):
    run = tmp_path / "run"
    done = run_here(changed(tmp_path, SWEEP + ALSO + "save: {weights: none}\n"), run)
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if "also_test" in line]
    assert said == [
        "also_test: 4 of 4 finished trials kept no weights (save: {weights: none}), so they cannot "
        "be scored on further test sets"
    ]
    assert not (run / "also_test.parquet").exists()
    [said] = lines([], 8, keeps_weights=False)
    assert said.startswith("At the end new trials are not scored on further test sets: save:")


def test_a_plan_names_the_sets_and_counts_the_scores(finished, tmp_path):
    out = run_here(finished[0], tmp_path / "none", "--dry-run").stdout
    assert "also tested on: other glyphs, 40 images" in out
    assert "also tested on: gaussian noise 5, 30 images; the test images of glyphs" in out
    assert "At the end 8 scores on further test sets are left to make." in out
    out = run_here(finished[0], finished[1], "--dry-run").stdout
    assert "At the end 0 scores" in out


def test_where_each_set_came_from_is_recorded(finished):
    from headstart.records import read_object

    content = read_object(finished[1] / "provenance.json")
    assert [each["called"] for each in content["also_test"]] == SETS
    assert content["also_test"][0]["n_images"] == 40
    assert {row["fingerprint"] for row in table(finished[1])} == {
        each["fingerprint"] for each in content["also_test"]
    }


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (
            "{name: glyphs, count: 200, seed: 5, classes: all, part: all}",
            "sweep.yaml:9: also_test[0]: glyphs: 160 of 200 images have labels that the network "
            "does not know: 'A', 'B', 'C', 'D', 'E'",
        ),
        (
            "{name: glyphs, count: 200, seed: 5, classes: digits}",
            "sweep.yaml:9: also_test[0]: glyphs: the set has no test part of its own; part: all "
            "takes all of its images",
        ),
        (
            "{name: glyphs, count: 90, seed: 1, classes: digits, part: all}",
            "also_test[0]: glyphs: 90 of 90 images are among those of glyphs, from which 'slow' "
            "learns, so they test nothing outside of it",
        ),
    ],
)
def test_a_set_that_cannot_be_used_is_told_before_any_trial(tmp_path, item, said):
    sweep = changed(tmp_path, f"{SWEEP}also_test:\n  - {item}\n")
    with pytest.raises(SpecError) as caught:
        run_here(sweep, tmp_path / "run")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "run" / "trials").exists()


def test_what_is_missing_is_lacking(tmp_path):
    sweep = changed(tmp_path, f"{SWEEP}also_test: [{{name: folder, path: {tmp_path}/no}}]\n")
    (need,) = lacking(load_sweep(sweep), None)
    assert (need.name, need.state) == ("folder no", "missing")
    assert need.at.endswith("sweep.yaml:8: also_test[0].path")


def test_a_resolved_sweep_reads_to_the_same_sets(finished):
    assert read_run(finished[1]).also_test == load_sweep(finished[0]).also_test


def test_numbers_of_images_decide_the_noise_and_not_the_arm(finished):
    """Both arms see one set of images: their answers differ by their weights alone."""
    rows = [row for row in table(finished[1]) if row["corruption"]]
    assert len({row["fingerprint"] for row in rows}) == 1
    assert np.unique([row["n_images"] for row in rows]).tolist() == [30]

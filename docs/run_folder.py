# ruff: noqa: E501 a table, a row a line
"""The page docs/reference/run-folder.md: every file of a run folder, and every column of its tables.

In: the classes of `headstart/rows.py`, which say what each column means, and the list of files that
stands in this file. Out: the page's text. `tests/docs/test_run_folder.py` runs a sweep and looks
that no file lies in its folder which the list does not name.
"""

from __future__ import annotations

from typing import NamedTuple

from headstart.rows import (
    AlsoTestRow,
    Column,
    EvaluationRow,
    ForecastRow,
    LaterTestRow,
    TrialRow,
    columns_of,
)


class File(NamedTuple):
    """Files of one kind. A word in capitals in `path` stands for a name; `*` for any file below."""

    path: str
    content: str
    writer: str
    when: str


SWEEP, WORKER = "`harness.sweep`", "a worker"
FILES = (
    File("sweep.yaml", "the sweep as it was resolved: every default, profile and `--set` filled in", SWEEP, "at its start"),
    File("plan.json", "the trials of the plan: `id`, `stage`, `arm`, `seed`, and `parent`, the id of the trial that it starts from", SWEEP, "at its start"),
    File("provenance.json", "versions of packages, hardware, commit, what is known of each data set (images by class and part, source, fingerprint, notes), and the last 100 commands that worked in the folder", SWEEP, "at its start"),
    File("trials/ID/trial.json", "the trial's row (below). Its presence says that the trial ended, its `status` how", f"{WORKER}; {SWEEP} moves it up", "when the trial ended, after all its other files"),
    File("trials/ID/curve.parquet", "its evaluations, with the columns of `curves.parquet`", f"{WORKER}; {SWEEP} moves it up", "when the trial ended"),
    File("trials/ID/predictions.npz", "of each test image: `indices` in the data set, `labels`, `predicted` (int64), `probabilities` (float16, one column a class); of a target of labels or numbers `indices`, `right` and `answers` (a column a label, or one of numbers in their unit)", f"{WORKER}; {SWEEP} moves it up", "when the trial ended; not of a search trial, one that diverged, or one without a test part"),
    File("trials/ID/model.safetensors", "the weights at `best_step`, which validation chose; with `save: {weights: delta}` only what differs from the trial's start", f"{WORKER}; {SWEEP} moves it up", "when the trial ended; not of a search trial or one that diverged, nor with `save: {weights: none}`"),
    File("trials/ID/last.safetensors", "the weights after the last step", f"{WORKER}; {SWEEP} moves it up", "with `save: {last: true}`"),
    File("trials/ID/checkpoints/epoch-NUMBER.safetensors", "the weights after that epoch; `checkpoints/` leads there", f"{WORKER}; {SWEEP} moves it up", "with `save: {every: EPOCHS}`"),
    File("checkpoints/ARM/seed-NUMBER/NAME.safetensors", "links to the weights of the finished trials: `best` (which validation chose), `last`, `epoch-NUMBER`, `refit`; of a search, in `search-NUMBER-ID`; of a stage, under its name. Symbolic links, hard ones where the file system has no others, none where it has neither ([weights](../weights.md#the-weights-of-a-run))", SWEEP, "with `trials.parquet`; made again each time"),
    File("checkpoints/checkpoints.csv", "a row a file of weights: whose it is, its epoch and step, what validation said then, the link, the file below `trials/`, and its SHA-256", SWEEP, "with `trials.parquet`"),
    File("starts/NAME", "copies of files of weights that trials started from, for a machine where they are not at their place; read with `save: {weights: delta}`", "you", "when you put them there"),
    File("trials/ID/state/GENERATION/state-STEP.pt", "all that the rest of the trial depends on; GENERATION names the command whose worker wrote it", WORKER, "while the trial runs; removed when it ended"),
    File("trials/ID/state/GENERATION/result/*", "the files of a trial that ended, before they move up", WORKER, "for a moment"),
    File("trials/ID/state/attempts/NUMBER", "an empty file for each start of training", WORKER, "while the trial runs; removed when it ended"),
    File("packs/NAME.zip", "an archive of finished trials: `ID/trial.json`, `ID/predictions.npz` one `curves.parquet`, and `digests.json`, the SHA-256 of each. Their weights stay in `trials/ID/`", SWEEP, "after a pack of trials, and at the end of a shard"),
    File("trials.parquet", "one row a trial of the present plan that has a record", SWEEP, "now and then while it works, and at its end, also when it was stopped"),
    File("curves.parquet", "one row an evaluation of these trials", SWEEP, "with `trials.parquet`"),
    File("also_test.parquet", "scores on the further test sets of the sweep (`also_test`), a row a set and trial; what was scored stays, also of sets that the sweep does not name any more", SWEEP, "at its end, where the whole sweep ran and scores were missing"),
    File("images/FINGERPRINT.npz", "a data set's test images, at most 64 pixels a side, for the report's galleries", SWEEP, "at its end, where the whole sweep ran"),
    File("search/ARM.json", "what the search of an arm tried and chose, for each seed", SWEEP, "when a search ended"),
    File("tensorboard/ARM/seed-NUMBER-ID/events.out.tfevents.ID", "the trial's learning curve for TensorBoard; of a search, in `search-NUMBER-ID`; while the trial runs, its name ends in `.running` and it grows", SWEEP, "while it works and with the report, where `track` names a service"),
    File("report/*", "`index.html`, `report.pdf`, `results.xlsx`, `report.json`, `figures/`, `tables/`, what `deliver` asks for (`NAME/` and `NAME.zip` of a hand-in), and `contact-sheets/`, where digits were cut from photographs: each photograph with a box around every digit", f"`analysis`, which {SWEEP} calls", "at the end of a run, and whenever `python -m analysis` is called"),
    File("looks.json", "at which numbers of finished seeds a report was made, and how many were planned then; a report after the number was raised says so", "`analysis`", "with a report"),
    File("forecast/forecast.parquet", "scores of what the arms start from: a row an arm, seed and score (below)", "`harness.forecast`", "when it is called, before or after the trials"),
    File("forecast/forecast.json", "with which command, versions, images and data these scores were made, as `provenance.json` has it", "`harness.forecast`", "with `forecast.parquet`"),
    File("evaluations/NAME*", "scores on a test set met later; `NAME.parquet` has a row a network", "`harness.evaluate`", "when it is called"),
    File("predictions/NAME.csv", "answers to pictures without labels: a row a picture and network, or a picture and arm", "`harness.predict`", "when it is called"),
    File("audit/*", "`NAME.npz`: what networks say of labels in doubt; beside it the audit's text, tables and figures", "`harness.reference`, `analysis audit`", "when one is called"),
    File("code/DIGEST/*.py.txt", "the text of the user's own code that `sweep.yaml` names with this digest, and of what it imports from its folder; a record to be read, which no command runs", SWEEP, "at its start, where a network, an optimizer, a loss or a data set is the user's own"),
    File("slurm/*", "the submitted sweep file, batch scripts, `jobs.json` and the jobs' output; `.job-NUMBER-START/` is of a running Ray job", "`slurm.submit` and its jobs", "when it is submitted, and while it runs"),
    File(".lock-K-of-N.json", "the command that holds shard K of N: `host`, `pid`, `generation`, `started_at`, `heartbeat_at`", SWEEP, "while it works, every 10 seconds"),
    File(".running-K-of-N.json", "trials of shard K of N that run: `n_steps`, `images_per_s` and the `curve` so far, thinned to 201 points; `time_left_s` as estimated at `written_at`; for `harness.watch` and `harness.status`", SWEEP, "every 2 seconds while it works; stays where it was stopped"),
    File(".tracked.json", "what `wandb` and `mlflow` have of trials that run: the last `step`, and the `runs` there", SWEEP, "while it works, where the sweep has them in `track`"),
    File(".control-GENERATION", "`run`, or `stop` once the command's workers are asked to stop", SWEEP, "while it works"),
)  # fmt: skip

OPENING = """\
# A run folder

<!-- written by `make docs` from headstart/rows.py and docs/run_folder.py -->

What you get from this page: what each file in a run folder is, who writes it and when, and what each column of its tables means.

`--out` names the folder (`runs/NAME` by default). It needs nothing from outside and can be moved. Every file is written under a temporary name and then renamed, so a reader sees the old content or the new; names that begin with `.` are temporary, and what a dead command left under one is removed by the next command. `status` is final where it is `done` or `diverged`: such a trial never runs again. A trial that `failed` runs again with the next command.

Files carry SHA-256 digests, and every command that reads a file compares them: a file that was damaged, or changed by hand, is named in one line, and is not read as other numbers. The digests of a trial's files stand in its `trial.json`, under `digests`. A JSON file carries the digest of its other keys under `sha256`, `sweep.yaml` that of its other lines in the first one, and a Parquet table its own in the metadata of its footer, under `headstart.sha256`. `curves.parquet` says there too, under `headstart.written_with`, which `trials.parquet` it was written with: where a command died between the two, readers take the curves from the trials themselves. A folder of a version before digests is read as it is; the command says once that its files cannot be checked.
"""
TRIALS = """\
## trials.parquet: a row a trial

Trials stand in the order of the plan, under the names that the plan gives them now: an arm that was renamed has its new name. A trial that failed or diverged is a row too; its empty cells are null. Accuracies are fractions. Columns of measured time end in `_s`, and are compared only between trials whose conditions agree (`device`, `n_workers`, `ran_as`, and on a GPU `gpu_share`, `gpu_workers`, `gpu_sharing`, `cuda`, `cudnn` and `driver`).
"""
RECORD = """\
## trial.json: the same and more

The record of a trial has every column above as a key, under its own names, and these keys. In the record of a trial that failed, a key without a value is left out.
"""
CURVES = """\
## curves.parquet: a row an evaluation

Evaluations of one trial stand together, by step.
"""
ALSO = """\
## also_test.parquet: a row a further test set and trial

Accuracies are fractions, of the weights that validation chose.
"""
LATER = """\
## evaluations/NAME.parquet: a row a network

The columns of `trials.parquet`, where `dataset`, `dataset_fingerprint`, `n_test`, `test_accuracy` and `test_loss` are of the test set met later, and these:
"""
FORECAST = """\
## forecast/forecast.parquet: a row an arm, seed and score

Arms that start from the same weights, and differ in how they are tuned alone, have the same scores.
"""


def page() -> str:
    """The page's text."""
    trial_columns = TrialRow.columns()
    only_json = [column for column in columns_of(TrialRow) if not column.arrow]
    later = [column for column in LaterTestRow.columns() if column not in trial_columns]
    parts = [
        OPENING,
        "## The files\n",
        _table(
            ("file", "content", "who writes it", "when"), [(f"`{f.path}`", *f[1:]) for f in FILES]
        ),
        TRIALS,
        _columns(trial_columns),
        RECORD,
        _table(
            ("key", "meaning", "left out where"),
            [(f"`{c.name}`", c.meaning, c.empty) for c in only_json],
        ),
        CURVES,
        _columns(EvaluationRow.columns()),
        ALSO,
        _columns(AlsoTestRow.columns()),
        LATER,
        _columns(later),
        FORECAST,
        _columns(ForecastRow.columns()),
    ]
    return "\n".join(parts)


def _columns(columns: tuple[Column, ...] | list[Column]) -> str:
    rows = [(f"`{c.name}`", c.arrow, c.unit, c.meaning, c.empty) for c in columns]
    return _table(("column", "type", "unit", "meaning", "null where"), rows)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)

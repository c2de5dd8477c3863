"""Rows: what JSON gives and takes, and the columns that come from the definitions."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest

from harness.runfolder.tables import as_table, schema
from headstart.errors import RunFolderError
from headstart.records import read_plan, read_row
from headstart.rows import EvaluationRow, LaterTestRow, TrialRow, columns_of

DONE = TrialRow(
    trial_id="a", arm="scratch", seed=3, status="done", epochs=2, best_val_accuracy=0.5,
    class_names=("0", "1"), load_report={"from": "random"}, files=("trial.json",),
)  # fmt: skip


def test_a_row_comes_back_from_its_json():
    assert TrialRow.from_json(json.loads(json.dumps(DONE.to_json()))) == DONE
    point = EvaluationRow(trial_id="a", step=4, val_loss=float("inf"))
    assert EvaluationRow.from_json(json.loads(json.dumps(point.to_json()))) == point


def test_a_row_of_a_done_trial_has_every_key_and_of_a_failed_one_what_is_known():
    assert list(DONE.to_json()) == [f.name for f in fields(TrialRow)]
    assert DONE.to_json()["test_accuracy"] is None
    failed = TrialRow(trial_id="a", status="failed", error="no").to_json()
    assert failed["error"] == "no"
    assert failed["attempts"] == 0
    assert not {"test_accuracy", "steps", "frozen", "versions"} & set(failed)


def test_keys_of_other_versions_are_left_out_or_have_their_default():
    row = TrialRow.from_json({"trial_id": "a", "colour": "blue", "error": None, "epochs": 3.0})
    assert row == TrialRow(trial_id="a", epochs=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"seed": "3"}, "seed: '3' is no int"),
        ({"epochs": 2.5}, "epochs: 2.5 is no int"),
        ({"files": "trial.json"}, "files: 'trial.json' is no list"),
        ({"versions": ["2"]}, r"versions: \['2'\] is no dict"),
    ],
)
def test_a_value_of_another_type_is_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        TrialRow.from_json(content)
    path = tmp_path / "trial.json"
    path.write_text(json.dumps(content))
    with pytest.raises(RunFolderError, match=f"trial.json: cannot be read .{message}.; remove it"):
        read_row(path)
    assert read_row(path, strict=False) is None


def test_true_and_false_are_no_numbers_and_numbers_are_neither():
    assert TrialRow.from_json({"deterministic": False}).deterministic is False
    assert TrialRow.from_json({}).deterministic is None
    for content in ({"deterministic": 0}, {"deterministic": "false"}, {"epochs": True}):
        with pytest.raises(ValueError, match=r"is no (bool|int)"):
            TrialRow.from_json(content)
    table = as_table([TrialRow(deterministic=True), TrialRow()], TrialRow)
    assert table["deterministic"].to_pylist() == [True, None]


def test_columns_and_their_types_come_from_the_fields():
    types = {"string": "string", "int64": "int64", "double": "double", "bool": "bool"}
    for kind in (TrialRow, EvaluationRow, LaterTestRow):
        names = [f.name for f in fields(kind)]
        columns = kind.columns()
        assert [c.name for c in columns] == [n for n in names if n in {c.name for c in columns}]
        assert [str(f.type) for f in schema(kind)] == [types[c.arrow] for c in columns]
    kept = [c.name for c in columns_of(TrialRow) if not c.arrow]
    assert kept == [
        "class_names",
        "load_report",
        "frozen",
        "versions",
        "files",
        "digests",
        "target_scale",
    ]


def test_the_columns_of_the_tables_are_what_they_were():
    """Other programs read these tables: a column may be added at the end, none may move or go."""
    assert [f"{c.name} {c.arrow}" for c in TrialRow.columns()][:9] == [
        "trial_id string", "sweep string", "stage string", "arm string", "seed int64",
        "status string", "error string", "model string", "dataset string",
    ]  # fmt: skip
    assert " ".join(c.name for c in TrialRow.columns()[9:]) == (
        "dataset_fingerprint stand_in_for initialize parent_id fine_tune grid n_parameters "
        "n_trainable n_classes n_train n_validation n_test n_pool learning_rate batch_size epochs "
        "steps best_step best_val_accuracy final_val_accuracy test_accuracy test_loss train_time_s "
        "eval_time_s setup_time_s prefix_time_s state_time_s images_per_s device host n_workers "
        "ran_as attempts finished_at deterministic nondeterministic_operation gpu_share "
        "gpu_workers gpu_sharing cuda cudnn driver notes warnings image_height image_width "
        "channels code best_val_loss best_val_balanced_accuracy best_val_macro_f1 best_train_loss "
        "best_train_accuracy test_balanced_accuracy test_macro_f1 redrawn refits probe_l2 "
        "chosen_layers target "
        "best_val_mean_average_precision test_mean_average_precision best_val_micro_f1 "
        "test_micro_f1 best_val_exact_match test_exact_match best_val_quadratic_kappa "
        "test_quadratic_kappa best_val_mae test_mae best_val_rmse test_rmse best_val_r2 test_r2 "
        "memory_bytes"
    )
    assert " ".join(c.name for c in EvaluationRow.columns()) == (
        "trial_id arm seed step epoch samples train_time_s learning_rate train_loss val_loss "
        "val_accuracy train_accuracy val_balanced_accuracy val_macro_f1 val_right_loss "
        "val_right_accuracy val_mean_average_precision val_micro_f1 val_exact_match "
        "val_quadratic_kappa val_mae val_rmse val_r2"
    )


def test_notes_are_lines_of_one_cell_and_a_list_in_json():
    row = TrialRow(notes=("2 copies", "1 file skipped"), warnings=("a tenth is not read",))
    table = as_table([row, TrialRow()], TrialRow)
    assert table["notes"].to_pylist() == ["2 copies\n1 file skipped", ""]
    assert table["warnings"].to_pylist() == ["a tenth is not read", ""]
    assert TrialRow.from_json(json.loads(json.dumps(row.to_json()))) == row


def test_numbers_have_the_units_that_their_names_say():
    units = {
        "step": "steps", "steps": "steps", "best_step": "steps", "epoch": "epochs",
        "epochs": "epochs", "samples": "images", "batch_size": "images", "attempts": "starts",
        "n_parameters": "parameters", "n_trainable": "parameters", "n_classes": "classes",
        "n_train": "images", "n_validation": "images", "n_test": "images", "n_pool": "images",
        "n_workers": "processes", "gpu_workers": "workers", "images_per_s": "images per second",
        "image_height": "pixels", "image_width": "pixels", "channels": "channels",
        "memory_bytes": "bytes",
    }  # fmt: skip
    for kind in (TrialRow, EvaluationRow, LaterTestRow):
        for column in columns_of(kind):
            by_name = "seconds" if column.name.endswith("_time_s") else ""
            if re.search("accuracy|_f1|mean_average_precision|exact_match", column.name):
                by_name = "fraction"
            by_name = "of the target" if re.search("_(mae|rmse)$", column.name) else by_name
            assert column.unit == units.get(column.name, by_name), column.name


def test_a_field_that_may_be_empty_says_when():
    for kind in (TrialRow, EvaluationRow, LaterTestRow):
        for column in columns_of(kind):
            assert column.meaning
            assert bool(column.empty) == (getattr(kind(), column.name) is None), column.name


def test_rows_become_a_table_and_nothing_known_is_null():
    table = as_table([DONE, TrialRow(trial_id="b", status="failed")], TrialRow)
    assert table["epochs"].to_pylist() == [2, 0]
    assert table["best_val_accuracy"].to_pylist() == [0.5, None]
    assert as_table([], TrialRow).num_rows == 0


def test_an_integer_of_a_stranger_where_a_number_belongs_is_a_number():
    """A table takes no integer for a double that would be rounded."""
    row = TrialRow.from_json({"trial_id": "a", "test_loss": 10**18, "train_time_s": 2})
    assert as_table([row], TrialRow)["test_loss"].to_pylist() == [1e18]
    assert isinstance(row.train_time_s, float)


def test_a_plan_that_is_not_there_is_none_and_a_damaged_one_is_one_line(tmp_path):
    assert read_plan(tmp_path) is None
    (tmp_path / "plan.json").write_text('["no plan"]')
    with pytest.raises(RunFolderError, match="it holds list, not an object"):
        read_plan(tmp_path)
    assert read_plan(tmp_path, strict=False) is None

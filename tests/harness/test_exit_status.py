"""The exit status of a command that ran to its end, and the line that says why it is not 0."""

from __future__ import annotations

import pytest
from small_sweep import SMALL

from headstart.records import finished_rows
from runs import run_here

TINY = SMALL.replace("epochs: 3, evaluate_every: {steps: 4}", "epochs: 1")
BOOM = (
    TINY.replace("  pretrained: {initialize: drawn}", "  boom: {train: {learning_rate: 1.0e+30}}")
    .replace("treatment: pretrained", "treatment: boom")
    .replace("seeds: 2", "seeds: 1")
)


def test_a_report_alone_says_which_trials_have_not_run(write_sweep, tmp_path):
    file, out = write_sweep(text=TINY), tmp_path / "run"
    nothing = run_here(file, out, "--only", "report", report=True)
    assert nothing.returncode == 1
    assert nothing.stderr == f"6 of 6 trials have not run; why: python -m harness.status {out}\n"
    assert not (out / "report").exists()
    stages = run_here(file, out, "--only", "pretrain")
    assert (stages.returncode, stages.stderr.count("have not run")) == (0, 0)
    assert len(finished_rows(out)) == 2
    some = run_here(file, out, "--only", "report", report=True)
    assert some.returncode == 1
    assert "4 of 6 trials have not run" in some.stderr
    assert "No trial of any arm finished" in (out / "report" / "index.html").read_text()


STAGE = """\
    data: {name: glyphs, count: 300, seed: 2, train: 200, validation: 50}
    train: {epochs: 2}
"""
ARM = "  pretrained: {initialize: drawn}\n"
TWICE = (
    TINY.replace(", augment: {rotate: 15}", "")
    .replace("arms:\n", f"  again:\n{STAGE}arms:\n")
    .replace(ARM, f"{ARM}  other: {{initialize: again, train: {{batch_size: 64}}}}\n")
)


def test_two_stages_that_are_the_same_trials_run_and_count_once(write_sweep, tmp_path):
    file, out = write_sweep(text=TWICE), tmp_path / "run"
    said = (
        "drawn and again come to the same trials: each of these runs once, and tables and the "
        "report have it as again"
    )
    dry = run_here(file, out, "--dry-run").stdout
    assert said in dry
    assert "8 trials, " in dry
    nothing = run_here(file, out, "--only", "report")
    assert "8 of 8 trials have not run" in nothing.stderr
    done = run_here(file, out)
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    assert "have not run" not in done.stderr
    assert len(finished_rows(out)) == 8
    assert {row.arm for row in finished_rows(out)} >= {"scratch", "pretrained", "other"}


def test_two_arms_that_are_the_same_trials_are_said(write_sweep, tmp_path):
    text = TWICE.replace(", train: {batch_size: 64}}", "}").replace("seeds: 2", "seeds: 1")
    file, out = write_sweep(text=text), tmp_path / "run"
    done = run_here(file, out)
    assert done.returncode == 0, done.stderr
    assert "pretrained and other come to the same trials" in done.stderr


@pytest.mark.slow
def test_an_arm_of_which_every_trial_diverged_is_no_success(write_sweep, tmp_path):
    """Slow: whole sweeps with their reports."""
    file, out = write_sweep(text=BOOM), tmp_path / "run"
    done = run_here(file, out, report=True)
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"every trial of boom diverged; why: python -m harness.status {out}\n"
    )
    assert "Every trial of “boom” diverged" in (out / "report" / "index.html").read_text()
    again = run_here(file, out)
    assert again.returncode == 1, "a result stays what it is"

"""The exit status of a command that ran to its end, and the line that says why it is not 0."""

from __future__ import annotations

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


def test_an_arm_of_which_every_trial_diverged_is_no_success(write_sweep, tmp_path):
    file, out = write_sweep(text=BOOM), tmp_path / "run"
    done = run_here(file, out, report=True)
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"every trial of boom diverged; why: python -m harness.status {out}\n"
    )
    assert "Every trial of “boom” diverged" in (out / "report" / "index.html").read_text()
    again = run_here(file, out)
    assert again.returncode == 1, "a result stays what it is"

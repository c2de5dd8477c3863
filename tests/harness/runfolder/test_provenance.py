"""Where numbers came from, and nothing that opens a door."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from harness.plan.planner import make_plan
from harness.runfolder import provenance
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.trials.catalogue import DataCatalogue
from harness.trials.rows import failed_row

TOKEN = "s3cr3tValue0123456789"


@pytest.fixture
def secrets(monkeypatch):
    """A command line and an environment that hold secrets."""
    monkeypatch.setenv("WANDB_API_KEY", TOKEN)
    monkeypatch.setenv("SOME_PLAIN_VARIABLE", "plainvalue")
    words = ["--set", f"data.source=https://me:{TOKEN}@example.org/a.tgz", "--hf-token", TOKEN]
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "harness.sweep", "s.yaml", *words])


def test_a_command_line_is_kept_without_its_secrets(secrets):
    record = provenance.collect({"glyphs": "f" * 32})
    text = json.dumps(record)
    assert TOKEN not in text
    assert str(record["command"]).endswith(
        "-m harness.sweep s.yaml --set data.source=https://***@example.org/a.tgz --hf-token ***"
    )
    assert record["datasets"] == {"glyphs": "f" * 32}


def test_no_variable_of_the_environment_is_kept(secrets):
    text = json.dumps(provenance.collect({}))
    assert "plainvalue" not in text
    assert "SOME_PLAIN_VARIABLE" not in text
    assert os.environ["PATH"] not in text


def test_the_address_of_the_remote_is_not_asked_for(secrets, monkeypatch):
    """It may hold a token, as `https://me:TOKEN@…` does."""
    asked = []
    run = subprocess.run

    def listen(command, *given, **options):
        asked.append(command)
        return run(command, *given, **options)

    monkeypatch.setattr(subprocess, "run", listen)
    provenance.collect({})
    assert not any({"remote", "config"} & set(command) for command in asked)


def test_the_error_of_a_trial_and_the_resolved_sweep_hold_no_password(secrets, write_sweep):
    path = write_sweep(("arms:\n", "why: See https://me:" + TOKEN + "@example.org/x\narms:\n"))
    sweep = load_sweep(path)
    assert "https://***@example.org/x" in resolved_yaml(sweep)
    assert TOKEN not in resolved_yaml(sweep)
    (spec, *_) = make_plan(sweep, DataCatalogue()).trials
    row = failed_row(spec, "small", f"OSError: https://me:{TOKEN}@example.org: token={TOKEN}")
    assert row.error == "OSError: https://***@example.org: token=***"

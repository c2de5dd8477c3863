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
from harness.sweepfile.settings import DataChoice
from harness.trials.catalogue import DataCatalogue
from harness.trials.rows import failed_row
from harness.trials.spec import DataUse, PassedOver
from headstart.data_records import DataRecord, NotUsed

TOKEN = "s3cr3tValue0123456789"


GLYPHS = DataUse(
    DataChoice.model_validate({"name": "glyphs"}), "f" * 32, 3, ("a", "b"), "mnist", True,
    (28, 28), 1, notes=("a note",), warnings=("first",), counts={"": (1, 2)}, n_groups=2,
    source=f"https://me:{TOKEN}@example.org", split_notes=("of the split",),
    passed_over=(PassedOver("mnist", "it is not here"),),
)  # fmt: skip


@pytest.fixture
def secrets(monkeypatch):
    """A command line and an environment that hold secrets."""
    monkeypatch.setenv("WANDB_API_KEY", TOKEN)
    monkeypatch.setenv("SOME_PLAIN_VARIABLE", "plainvalue")
    words = ["--set", f"data.source=https://me:{TOKEN}@example.org/a.tgz", "--hf-token", TOKEN]
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "harness.sweep", "s.yaml", *words])


def test_a_command_line_is_kept_without_its_secrets(secrets):
    record = provenance.collect([GLYPHS])
    text = json.dumps(record)
    assert TOKEN not in text
    assert str(record["command"]).endswith(
        "-m harness.sweep s.yaml --set data.source=https://***@example.org/a.tgz --hf-token ***"
    )
    assert record["datasets"] == {"glyphs": "f" * 32}


def test_what_a_plan_knows_of_its_data_is_kept():
    (record,) = [DataRecord.model_validate(r) for r in provenance.collect([GLYPHS])["data"]]
    assert (record.name, record.dataset, record.fingerprint) == ("glyphs", "glyphs", "f" * 32)
    assert record.source == "https://***@example.org"
    assert (record.counts, record.n_images, record.n_groups) == ({"": (1, 2)}, 3, 2)
    assert record.not_used == (NotUsed(name="mnist", reason="it is not here"),)
    assert (record.notes, record.warnings) == (("of the split", "a note"), ("first",))


def test_no_variable_of_the_environment_is_kept(secrets):
    text = json.dumps(provenance.collect(()))
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
    provenance.collect(())
    assert not any({"remote", "config"} & set(command) for command in asked)


def test_the_error_of_a_trial_and_the_resolved_sweep_hold_no_password(secrets, write_sweep):
    path = write_sweep(("arms:\n", "why: See https://me:" + TOKEN + "@example.org/x\narms:\n"))
    sweep = load_sweep(path)
    assert "https://***@example.org/x" in resolved_yaml(sweep)
    assert TOKEN not in resolved_yaml(sweep)
    (spec, *_) = make_plan(sweep, DataCatalogue()).trials
    row = failed_row(spec, "small", f"OSError: https://me:{TOKEN}@example.org: token={TOKEN}")
    assert row.error == "OSError: https://***@example.org: token=***"

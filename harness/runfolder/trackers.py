"""Learning curves for the services that Accelerate knows (`wandb`, `mlflow`), as they grow.

In: rows and evaluations, of trials that run and that ended. Out: one run a trial at each service,
to which what is new is sent from time to time. A service has one session open at a time, so each
piece opens its trial's run again; `.tracked.json` in the run folder remembers which run that is and
how far it got, for the next command too.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.runfolder.event_files import TEST_TAG, run_name, values_of
from headstart.errors import MissingPackageError
from headstart.files import read_mapping, write_json
from headstart.rows import EvaluationRow, TrialRow

REMEMBERED = ".tracked.json"


def check_trackers(track: Sequence[str]) -> None:
    """Raise before anything runs where a tracker's package is missing.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    for name in track:
        if find_spec(name) is None:
            raise MissingPackageError(
                f"track: {name} needs a package that is not installed: "
                f"uv pip install -r pyproject.toml --extra {name}"
            )


@dataclass
class _Sent:
    """What the services have of one trial that has not ended."""

    step: int = -1
    runs: dict[str, str] = field(default_factory=dict)  # the run's id by service


class Trackers:
    """The curves of one run folder at some services."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.path = folder / REMEMBERED
        self.names = list(names)
        known = read_mapping(self.path)
        self._sent = {trial_id: _sent(each) for trial_id, each in known.items()}

    def send(self, row: TrialRow, curve: Sequence[EvaluationRow], has_ended: bool) -> None:
        """Send what is new of one trial; its settings first, and what it came to at its end."""
        sent = self._sent.get(row.trial_id, _Sent())
        new = [point for point in curve if point.step > sent.step]
        if not (new or has_ended):
            return
        accelerator = self._open(row, sent)
        for point in new:
            accelerator.log(values_of(point), step=point.step)
        if has_ended and row.test_accuracy is not None:
            accelerator.log({TEST_TAG: row.test_accuracy}, step=curve[-1].step)
        accelerator.end_training()
        sent.step = max([sent.step, *(point.step for point in new)])
        self._sent[row.trial_id] = sent
        if has_ended:
            del self._sent[row.trial_id]
        write_json(self.path, {trial_id: asdict(each) for trial_id, each in self._sent.items()})
        if not self._sent:
            self.path.unlink()

    def _open(self, row: TrialRow, sent: _Sent) -> Any:
        """An Accelerator whose trackers go on with the trial's runs, or begin them."""
        from accelerate import Accelerator

        is_new = not sent.runs
        name = run_name(row)
        if "wandb" in self.names:
            sent.runs.setdefault("wandb", uuid.uuid4().hex[:12])
        options: dict[str, dict[str, str]] = {"wandb": {"name": name}, "mlflow": {"run_name": name}}
        if "wandb" in sent.runs:
            options["wandb"].update(id=sent.runs["wandb"], resume="allow")
        if "mlflow" in sent.runs:
            options["mlflow"]["run_id"] = sent.runs["mlflow"]
        accelerator = Accelerator(log_with=self.names, cpu=True)
        accelerator.init_trackers(row.sweep, config=_config(row, is_new), init_kwargs=options)
        if "mlflow" in self.names and "mlflow" not in sent.runs:
            run = accelerator.get_tracker("mlflow", unwrap=True)
            sent.runs["mlflow"] = run.info.run_id
        return accelerator


# What a trial's row says before it ends; a service takes no value for the second time.
_SETTINGS = (
    "trial_id", "sweep", "stage", "arm", "seed", "model", "dataset", "initialize", "fine_tune",
    "learning_rate", "batch_size",
)  # fmt: skip


def _config(row: TrialRow, is_new: bool) -> dict[str, Any]:
    """Of a run that begins, its settings; once the trial has ended, all that its row says."""
    values = {k: v for k, v in row.to_json().items() if isinstance(v, str | int | float)}
    has_ended = row.status in ("done", "diverged")
    return {
        name: value
        for name, value in values.items()
        if (is_new and name in _SETTINGS) or (has_ended and name not in _SETTINGS)
    }


def _sent(content: object) -> _Sent:
    if not isinstance(content, Mapping):
        return _Sent()
    step, runs = content.get("step"), content.get("runs")
    known = runs if isinstance(runs, Mapping) else {}
    return _Sent(
        step if isinstance(step, int) else -1, {str(name): str(run) for name, run in known.items()}
    )

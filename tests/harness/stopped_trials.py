"""Trials that are stopped again and again in this process, for tests of how they go on."""

from __future__ import annotations

from pathlib import Path

from harness.runfolder.folder import RunFolder
from harness.training.context import TrialContext
from harness.training.trial import run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Stopped
from harness.trials.spec import TrialSpec


def run_with_stops(spec: TrialSpec, catalogue: DataCatalogue, out: Path, every: int | None) -> int:
    """Run a trial to its end, and say how often it was stopped.

    Args:
        out: the run folder, in which it is published.
        every: after how many questions whether to stop it is; None: never.
    """
    n_stops = 0
    while True:
        steps = iter(range(10**9))

        def stop(steps=steps) -> bool:
            return every is not None and next(steps) >= every

        with RunFolder(out) as folder:
            folder.adopt([spec.id])
            context = TrialContext(catalogue, should_stop=stop)
            *_, last = run_trial(spec, folder.trial_folder(spec.id), context)
            if isinstance(last, Ended):
                folder.publish(spec.id, last.row)
                assert last.row.attempts == n_stops + 1
                return n_stops
        assert isinstance(last, Stopped)
        n_stops += 1

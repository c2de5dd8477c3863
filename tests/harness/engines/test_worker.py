"""What a worker does with a unit: how much of it it takes on, and who runs the rest."""

from __future__ import annotations

import pytest

from harness.engines.here import run_here
from harness.engines.queue import Queue
from harness.joint import pack, size
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Resources, Save
from harness.training.context import StopFile, WorkerSettings
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Event, GivenBack, Started
from harness.trials.rows import failed_row
from harness.trials.spec import Plan


@pytest.fixture
def events_of(write_sweep, tmp_path):
    """Runs the arm `scratch` at five seeds as on a GPU, but on the CPU; gives all events."""

    def run(fuse: str, *replacements) -> list[Event]:
        plan = make_plan(load_sweep(write_sweep(("seeds: 2", "seeds: 5"), *replacements)),
                         DataCatalogue())  # fmt: skip
        plan = Plan(plan.sweep, tuple(t for t in plan.trials if t.arm == "scratch"))
        stop_file = StopFile(tmp_path / "stop")
        stop_file.create()
        settings = WorkerSettings("small", Save(), None, stop_file.path, pack="auto", fuse=fuse)
        seen: list[Event] = []
        with RunFolder(tmp_path / "run") as folder:
            queue = Queue(plan, folder, {}, lambda spec, err: failed_row(spec, "small", err))
            queue.resources = Resources(gpus=1.0).settled(1)
            queue.listen = seen.append
            run_here(queue, settings)
            assert (queue.finished, queue.n_left, queue.failed) == (True, 0, {})
        return seen

    return run


def ran(events: list[Event]) -> list[str]:
    """How each trial ran, by seed, when each ran once."""
    ended = [event for event in events if isinstance(event, Ended)]
    started = [event.trial_id for event in events if isinstance(event, Started)]
    assert sorted(started) == sorted(event.trial_id for event in ended)
    return [e.row.ran_as for e in sorted(ended, key=lambda e: e.row.seed)]


def test_what_is_more_than_fits_is_given_back_before_the_rest_trains(events_of, monkeypatch):
    asked = []

    def measure(unit, context, steps):
        asked.append(len(unit))
        return 2

    monkeypatch.setattr(size, "measured_pack_size", measure)
    events = events_of("always")
    assert ran(events) == ["fused"] * 5, "the last one too, by itself: an arm runs in one way"
    assert asked == [5], "a worker measures an arm once"
    kinds = [type(event) for event in events]
    assert kinds.count(GivenBack) == 3, "the next unit is no larger than what was kept"
    assert kinds[:4] == [GivenBack] * 3 + [Started]


@pytest.mark.slow
def test_a_pack_that_gives_a_trial_back_lowers_what_its_worker_remembers(events_of, monkeypatch):
    """As where memory ends while it trains: three fit by the measurement, and two do.

    Slow: packs are trained until they fit.
    """
    run_pack, packs, made = pack.run_pack, [], []

    class Seen(size.PackSizes):
        def __init__(self):
            super().__init__()
            made.append(self)

    def run_with_too_little(unit, *rest):
        packs.append(len(unit))
        if len(packs) == 1:
            yield GivenBack(unit[-1].id)
            unit = unit[:-1]
        yield from run_pack(unit, *rest)

    monkeypatch.setattr(pack, "run_pack", run_with_too_little)
    monkeypatch.setattr(size, "PackSizes", Seen)
    monkeypatch.setattr(size, "measured_pack_size", lambda unit, context, steps: 3)
    assert ran(events_of("always")) == ["fused"] * 5
    assert packs == [3, 2, 1]
    (sizes,) = made
    assert [known.n for known in sizes._known.values()] == [2]


def test_trials_that_cannot_be_fused_are_left_to_other_workers_but_for_one(events_of):
    events = events_of("never")
    assert ran(events) == ["solo"] * 5
    assert sum(isinstance(event, GivenBack) for event in events) == 4


def test_where_one_trial_is_all_that_fits_it_runs_alone(events_of, monkeypatch):
    monkeypatch.setattr(size, "measured_pack_size", lambda unit, context, steps: 1)
    events = events_of("always")
    assert ran(events) == ["solo"] * 5
    notes = [event.row.notes for event in events if isinstance(event, Ended)]
    assert notes[0] == ("not fused: measured, and no seed gained by it",)

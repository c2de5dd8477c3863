"""What a sweep keeps up to date in its run folder: while trials run, and at its end.

In: the plan, the folder and the events of trials. Out: the file of running trials, tables, event
files for TensorBoard, curves at other trackers. It stands alone because it only says what is
brought up to date, how often and by whom: `engines.current` does it, `runfolder` writes it. The
part of a plan that one shard runs says which trials run; what is made of all trials is left to the
command that runs all of them or reports.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

from harness.engines.current import KeepCurrent, running_now, trouble_line
from harness.engines.progress import ProgressView
from harness.options import Options
from harness.runfolder.event_files import GrowingFiles, write_tensorboard
from harness.runfolder.folder import RunFolder
from harness.runfolder.running import running_path, write_running
from harness.runfolder.trackers import Trackers
from harness.trials.rows import planned_row
from harness.trials.spec import Plan
from headstart.errors import HeadstartError
from headstart.foreign import own_folder
from headstart.rows import EvaluationRow, TrialRow

# How often what a run folder shows is brought up to date while trials run, at most.
RUNNING_EVERY_S, EVENTS_EVERY_S, TRACKED_EVERY_S, TABLES_EVERY_S = 2.0, 10.0, 30.0, 30.0


def keep_current(
    options: Options, plan: Plan, folder: RunFolder, view: ProgressView, n_slots: int
) -> KeepCurrent:
    """What is brought up to date while trials run; shards leave what is of all to others."""
    keep = KeepCurrent()
    shown_at = running_path(folder.path, options.shard)

    def show_running() -> None:
        left_s = view.time_left_s()
        write_running(shown_at, running_now(keep, folder.generation, n_slots, left_s))

    keep.add(RUNNING_EVERY_S, show_running, "running trials")
    if options.is_whole:
        _keep_tables(keep, plan, folder)
        if options.report and plan.sweep.track:
            _keep_tracked(keep, plan, folder)
    return keep


def _keep_tables(keep: KeepCurrent, plan: Plan, folder: RunFolder) -> None:
    n_in_tables = 0

    def write_tables() -> None:
        nonlocal n_in_tables
        n_ended = keep.n_ended
        if n_in_tables != n_ended:
            folder.write_tables(plan, wait_s=0.0)
            n_in_tables = n_ended  # where that raised, they are written again

    keep.add(TABLES_EVERY_S, write_tables, "tables")


def _keep_tracked(keep: KeepCurrent, plan: Plan, folder: RunFolder) -> None:
    growing = GrowingFiles(own_folder(folder.path, "tensorboard"))
    services = _services(plan, folder)

    def running(send: Callable[[TrialRow, Sequence[EvaluationRow]], None]) -> None:
        for trial_id, curve in keep.curves().items():
            send(planned_row(plan.by_id[trial_id], plan.sweep.name), curve.points)

    def ended() -> None:
        _send_ended(plan, folder, services, growing)

    keep.add(EVENTS_EVERY_S, partial(running, growing.write), "tensorboard")
    names = "tensorboard"
    if services is not None:
        names = ", ".join(services.names)
        send = partial(services.send, has_ended=False)
        keep.add(TRACKED_EVERY_S, partial(running, send), names, is_remote=True)
    keep.add(TRACKED_EVERY_S, ended, names, is_remote=services is not None)


def track(plan: Plan, folder: RunFolder) -> None:
    """Whole learning curves for the trackers, of trials that have ended since.

    A service that does not answer ends no command, which has a report to write: it is said, and
    the same command sends those curves again. Until then TensorBoard shows them as of trials that
    run.
    """
    if not plan.sweep.track:
        return
    services = _services(plan, folder)
    try:
        _send_ended(plan, folder, services)
    except HeadstartError:
        raise
    except Exception as err:
        if services is None:
            raise
        trouble = trouble_line(", ".join(services.names), err)
        print(
            f"{trouble}; the same command sends the curves that are missing there", file=sys.stderr
        )
        growing = GrowingFiles(own_folder(folder.path, "tensorboard"))
        for row, curve in folder.new_curves(plan):
            growing.write(row, curve)


def _services(plan: Plan, folder: RunFolder) -> Trackers | None:
    """The trackers beside TensorBoard; None without any."""
    names = [name for name in plan.sweep.track if name != "tensorboard"]
    return Trackers(folder.path, names) if names else None


def _send_ended(
    plan: Plan, folder: RunFolder, services: Trackers | None, growing: GrowingFiles | None = None
) -> None:
    """What ended since: a trial's event file is the mark that all trackers have it."""
    for row, curve in folder.new_curves(plan):
        if services is not None:
            services.send(row, curve, has_ended=True)
        if growing is not None:  # a TensorBoard that has that file open goes on in it
            growing.write(row, curve)
        write_tensorboard(folder.path / "tensorboard", row, curve)

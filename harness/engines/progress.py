"""What a person sees while a sweep runs: a live view in a terminal, plain lines in a log.

In: the plan and the events of its trials. Out: text on a stream. It stands alone so that engines
know nothing of screens. The caller passes the clock and the stream in.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from harness.trials.events import (
    Ended,
    Event,
    Failed,
    GivenBack,
    NotDeterministic,
    Progress,
    Started,
    Stopped,
)
from harness.trials.spec import Plan
from harness.trials.time_left import TimeLeft, duration_text
from headstart.rows import TrialRow

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

LINE_EVERY_S = 15.0
FRAME_EVERY_S = 0.5
ESTIMATE_EVERY_S = 2.0
BESIDE = {"pretrain": " (pretrain)", "refit": " (refit)"}  # an arm's name, by stage
COLUMNS = (
    *("done", "running", "waiting", "failed", "test accuracy", "trained so far"),
    "validation accuracy",
)
EXPLAINED = (
    "Trials of each arm; failed: or diverged. Test accuracy: mean of those that are done. Trained "
    "so far and validation accuracy: means of those that run."
)
SHOWING_SHARE = 1 / 20  # of the command's time at most: to show 100,000 trials takes long


@dataclass(eq=False, repr=False)
class ProgressView:
    """Counts what has happened and shows it."""

    plan: Plan  # all trials of this command
    rows: Mapping[str, TrialRow]  # of trials that are finished already
    stream: TextIO
    now: Callable[[], float] = time.monotonic
    is_live: bool = True  # a terminal gets the live view; it takes over what is printed there
    remarks: set[str] = field(default_factory=set)  # what was said already; other views share it

    def __post_init__(self) -> None:
        self.is_live = self.is_live and self.stream.isatty()
        self.started_at = self.now()
        self.status = {trial.id: "pending" for trial in self.plan.trials}
        self.status.update({i: row.status for i, row in self.rows.items() if i in self.status})
        self.latest: dict[str, Progress] = {}
        self.tests: dict[str, float] = {}
        self.left = TimeLeft(self.plan, self.status)
        self.left_s: float | None = None  # at `left_at`
        self.left_at = self.started_at
        self._next_at = self._estimate_at = 0.0
        self._last_said = ""
        self._live: Live | None = None

    def __enter__(self) -> ProgressView:
        if self.is_live:
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self.stream)
            self._live = Live(self._table(), console=console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        last = self.line()
        if last != self._last_said:
            self._say(last)

    def take(self, event: Event) -> None:
        """Count one event."""
        trial_id = event.trial_id
        self.left.take(event, self.now())
        if isinstance(event, Started):
            self.status[trial_id] = "running"
        elif isinstance(event, Progress):
            self.latest[trial_id] = event
        elif isinstance(event, NotDeterministic):
            self._remark_on_bits(trial_id, ", ".join(event.operations))
        elif isinstance(event, Ended):
            self.status[trial_id] = event.row.status
            if event.row.test_accuracy is not None:
                self.tests[trial_id] = event.row.test_accuracy
            if event.row.deterministic is False:  # a pack that goes on from states begins silently
                self._remark_on_bits(trial_id, event.row.nondeterministic_operation)
        elif isinstance(event, Stopped | GivenBack):
            self.status[trial_id] = "pending"
        elif isinstance(event, Failed):
            self.status[trial_id] = "pending" if event.retry else "failed"
            if self._live is None:
                trial = self.plan.by_id[trial_id]
                error = event.error.strip().splitlines()[-1]
                again = "; it is tried again" if event.retry else ""
                self._say(f"{self.plan.shown_arm(trial)} seed {trial.seed} failed: {error}{again}")

    def tick(self) -> None:
        """Show the present state, if the last showing was long enough ago."""
        self._estimate()
        now = self.now()
        if now < self._next_at:
            return
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        elif now > self.started_at + 1:
            self._say(self.line())
        every = FRAME_EVERY_S if self._live is not None else LINE_EVERY_S
        self._next_at = now + max(every, (self.now() - now) / SHOWING_SHARE)

    def line(self) -> str:
        """One plain line: counts, speed, time left."""
        counts = Counter(self.status.values())
        done = counts["done"] + counts["diverged"]
        parts = [f"{done}/{len(self.status)} trials done", f"{counts['running']} running"]
        for name in ("diverged", "failed"):
            if counts[name]:
                parts.append(f"{counts[name]} {name}")
        running = [last for i, last in self.latest.items() if self.status[i] == "running"]
        speed = sum(last.images_per_s for last in running)
        if speed:
            parts.append(f"{speed:,.0f} images/s")
        left = self.time_left_s()
        if left is not None and done < len(self.status):
            parts.append(f"about {duration_text(left)} left")
        return f"[{duration_text(self.now() - self.started_at)}] " + ", ".join(parts)

    def time_left_s(self) -> float | None:
        """Seconds until the plan is done, as last estimated; None before anything was measured."""
        if self.left_s is None:
            return None
        return max(0.0, self.left_s - (self.now() - self.left_at))

    def remark(self, line: str) -> None:
        """Say something once, in the view's own place."""
        if line in self.remarks:
            return
        self.remarks.add(line)
        if self._live is None:
            self._say(line)
        else:  # above the live view
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _estimate(self) -> None:
        now = self.now()
        if now >= self._estimate_at:
            self.left_s, self.left_at = self.left.seconds(now), now
            took = self.now() - now
            self._estimate_at = now + max(ESTIMATE_EVERY_S, took / SHOWING_SHARE)

    def _table(self) -> Table:
        from rich import box
        from rich.markup import escape
        from rich.table import Table

        table = Table(
            box=box.SIMPLE, title=escape(self.line()), title_justify="left", caption=EXPLAINED,
            caption_justify="left", padding=(0, 1, 0, 0), pad_edge=False,
        )  # fmt: skip
        table.add_column("arm", overflow="ellipsis", no_wrap=True)
        for name in COLUMNS:
            table.add_column(name, justify="right", overflow="fold", min_width=max(
                len(word) for word in name.split()
            ))  # fmt: skip
        for (stage, _), trials in self.plan.by_arm.items():
            ids = [trial.id for trial in trials]
            counts = Counter(self.status[i] for i in ids)
            name = self.plan.shown_arm(trials[0]) + BESIDE.get(stage, "")
            n_bad = counts["failed"] + counts["diverged"]
            numbers = (counts["done"], counts["running"], counts["pending"], n_bad)
            table.add_row(escape(name), *map(str, numbers), *self._accuracies(ids))
        return table

    def _accuracies(self, ids: list[str]) -> tuple[str, str, str]:
        """Of trials that are done the test accuracy; of those that run how far they have come, and
        the validation accuracy there: means."""
        running = [self.latest[i] for i in ids if self.status[i] == "running" and i in self.latest]
        seen = [last.evaluation.val_accuracy for last in running]  # NaN in a refit
        return (
            _mean([self.tests[i] for i in ids if i in self.tests], 2),
            _mean([last.step / max(1, last.n_steps) for last in running], 0),
            _mean([a for a in seen if math.isfinite(a)], 2),
        )

    def _remark_on_bits(self, trial_id: str, operations: str) -> None:
        """Say once for each arm that its trials run without the promise of the same bits."""
        trial = self.plan.by_id[trial_id]
        name = f"{'stage' if trial.stage == 'pretrain' else 'arm'} {self.plan.shown_arm(trial)}"
        if name in self.remarks:
            return
        self.remarks.add(name)
        have = "have" if "," in operations else "has"
        self.remark(
            f"{name}: {operations} {have} no deterministic kernel on this GPU: its trials run "
            "without the promise of the same bits"
        )

    def _say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)
        self._last_said = line


def _mean(shares: Sequence[float], digits: int) -> str:
    """`98.70 %`; nothing of no shares."""
    return f"{100 * sum(shares) / len(shares):.{digits}f} %" if shares else ""

"""What a worker does with a unit of trials: the same for all engines.

In: the trials of one unit and where to write them. Out: events. A trial that fails gives an event
too, and the rest of its unit runs. A worker learns of a request to stop from a small file in the
run folder, because it may be on another machine and must not act on signals itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from harness.runfolder.folder import TrialFolder
from harness.teams.team import Team, run_together
from harness.training.context import ProcessContext, TrialContext, WorkerSettings
from harness.trials.events import Event, Failed, GivenBack, Started, Stopped, failure
from harness.trials.spec import TrialSpec
from headstart.errors import InputError

if TYPE_CHECKING:
    from harness.joint.size import PackSizes
    from harness.joint.steps import JointSteps


@dataclass
class Worker:
    """Runs units one after another in this process; keeps data and features open between them."""

    settings: WorkerSettings
    # The ranks that share each trial, where the settings ask for several; this process then trains
    # nothing and watches over them.
    team: Team | None = None

    def __post_init__(self) -> None:
        self.process = ProcessContext(self.settings)

    @cached_property
    def sizes(self) -> PackSizes:
        """Of packs whose number is left to the worker."""
        from harness.joint.size import PackSizes  # torch

        return PackSizes()

    def run(self, unit: Sequence[TrialSpec], folders: Mapping[str, TrialFolder]) -> Iterator[Event]:
        """All events of the unit's trials; the last one is of a trial that stopped, if one did."""
        for event in self._events(unit, folders):
            yield event
            if isinstance(event, Failed) and event.fatal:
                return
        if self.team is None:
            from harness.training.memory import clean_up  # torch: only where trials run

            clean_up(self.settings.device)

    def close(self) -> None:
        """End the ranks, if there are any, and remove the code that trials compiled."""
        if (compiling := sys.modules.get("harness.training.compiling")) is not None:
            compiling.forget()
        if self.team is not None:
            self.team.end()

    def _events(
        self, unit: Sequence[TrialSpec], folders: Mapping[str, TrialFolder]
    ) -> Iterator[Event]:
        if self.team is not None:
            return run_together(self.team, unit, folders, self.process.should_stop)
        from harness.joint import fused, heads  # torch: 4 s, so only where trials run

        try:
            context, most = self.process.for_trial, self.settings.pack
        except InputError as err:
            return iter([failure(spec.id, err) for spec in unit])
        if heads.can_batch(unit):
            n = heads.AUTO_SIZE if most == "auto" else len(unit)
            return _run_first(n, unit, folders, context, heads.HEADS)
        was_fused = most == "auto" and self.sizes.is_fused(unit[0])
        if len(unit) == 1 and not was_fused:
            return _run_in_turn(unit, folders, context)
        device, fuse = self.settings.device, self.settings.fuse
        reason = None if was_fused else fused.reason_against(unit, device, fuse)
        if reason is not None:
            context = replace(context, notes=(f"not fused: {reason}",))
            is_shared = most == "auto" or device == "cuda"  # among those with a GPU
            return _run_first(1 if is_shared else len(unit), unit, folders, context)
        if most == "auto":
            return self._run_measured(unit, folders, context, fused.FUSED)
        return _run_first(most, unit, folders, context, fused.FUSED if most > 1 else None)

    def _run_measured(
        self,
        unit: Sequence[TrialSpec],
        folders: Mapping[str, TrialFolder],
        context: TrialContext,
        steps: JointSteps,
    ) -> Iterator[Event]:
        """As many trials as were measured to fit; what a full GPU gives back lowers that."""
        size = self.sizes.of(unit, context, steps)
        if not size.is_fused:
            context = replace(context, notes=("not fused: measured, and no seed gained by it",))
        n_kept = len(unit)
        for event in _run_first(size.n, unit, folders, context, steps if size.is_fused else None):
            if isinstance(event, GivenBack):
                n_kept -= 1
                self.sizes.keep_to(unit[0], n_kept)
            yield event


def _run_first(
    n: int,
    unit: Sequence[TrialSpec],
    folders: Mapping[str, TrialFolder],
    context: TrialContext,
    steps: JointSteps | None = None,
) -> Iterator[Event]:
    """The unit's first `n` trials, as a pack or one after another; others may run the rest now."""
    for spec in reversed(unit[n:]):  # the last one to be given back is the next to be handed out
        yield GivenBack(spec.id)
    if steps is None:
        yield from _run_in_turn(unit[:n], folders, context)
    else:
        from harness.joint import pack  # torch

        yield from pack.run_pack(unit[:n], folders, context, steps)


def _run_in_turn(
    unit: Sequence[TrialSpec], folders: Mapping[str, TrialFolder], context: TrialContext
) -> Iterator[Event]:
    from harness.training.memory import clean_up

    for spec in unit:
        for event in _run_alone(spec, folders[spec.id], context):
            yield event
            if isinstance(event, Stopped):
                return
        clean_up(context.device)


def _run_alone(spec: TrialSpec, folder: TrialFolder, context: TrialContext) -> Iterator[Event]:
    """A trial's events; its own failure spares other trials.

    Where its GPU is full, the trial goes on once more without what is kept there for others, and
    without a graph, which holds the memory of a step. A smaller training batch would make it
    another trial.
    """
    from harness.training.graph import GraphSteps
    from harness.training.memory import explained, is_out_of_memory
    from harness.training.steps import SOLO
    from harness.training.trial import run_trial

    yield Started(spec.id)
    is_graph = context.is_graph and not spec.condition.runs_others_code
    if context.is_graph and not is_graph:
        note = "steps not captured as a graph: code that is not ours makes them"
        context = replace(context, notes=(*context.notes, note))
    try:
        yield from run_trial(spec, folder, context, GraphSteps() if is_graph else SOLO)
        return
    except Exception as err:
        if not is_out_of_memory(err):
            yield failure(spec.id, err)
            return
    context.make_room()  # after the block: until then the error holds all that the trial had
    yield Started(spec.id)
    try:
        yield from run_trial(spec, folder, context)
    except Exception as err:
        yield failure(spec.id, explained(err, spec.condition.train))
    context.make_room()

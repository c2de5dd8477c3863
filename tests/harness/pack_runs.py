"""Trials alone and as packs, driven without processes: what tests of packs have in common."""

from __future__ import annotations

import itertools

import torch

from harness.training.context import TrialContext
from harness.training.trial import run_trial
from harness.trials.events import Ended


def run_alone(spec, folder, context):
    """The row of one finished trial, which is published."""
    *_, last = run_trial(spec, folder.trial_folder(spec.id), context)
    assert isinstance(last, Ended)
    folder.publish(spec.id, last.row)
    return last.row


def run_together(run_pack, unit, folder, context):
    """All events of a pack; finished trials are published."""
    folders = {spec.id: folder.trial_folder(spec.id) for spec in unit}
    events = list(run_pack(unit, folders, context))
    for event in events:
        if isinstance(event, Ended):
            folder.publish(event.trial_id, event.row)
    return events


def rows_of(events):
    return {event.trial_id: event.row for event in events if isinstance(event, Ended)}


def stopping_after(context, n_questions):
    """TrialContext that ask for a stop when they were asked so often whether to."""
    questions = itertools.count()
    return TrialContext(
        context.catalogue, features=context.features,
        should_stop=lambda: next(questions) >= n_questions,
    )  # fmt: skip


def with_one_spoiled(events, after):
    """Spoil the first trial's weights after so many events of a pack, as an overflow would."""
    for n, event in enumerate(events):
        if n == after:
            pack = events.gi_frame.f_locals["pack"]
            with torch.no_grad():
                for parameter in pack.active()[0].trained.parameters():
                    parameter.fill_(torch.nan)
        yield event

"""A sweep as resolved, written out: what `sweep.yaml` in a run folder holds.

In: a frozen `Sweep`. Out: YAML text with profile, assignments, inheritance and grid written out and
every default filled in, so that a reader needs none; it is a sweep file itself and reads to an
equal `Sweep`, but for `grid_points`.
"""

from __future__ import annotations

from typing import Any

import yaml

from harness.sweepfile.settings import Condition, DataChoice, Sweep
from headstart.settings import Frozen

Written = dict[str, Any]  # keys and values as the file has them


def resolved_yaml(sweep: Sweep) -> str:
    """The text of a sweep file in which every arm and stage writes out all of its own."""
    content: Written = {"name": sweep.name, "question": sweep.question}
    if sweep.stages:
        content["pretrain"] = {
            name: {**_condition(stage), "shared": stage.shared}
            for name, stage in sweep.stages.items()
        }
    if sweep.why:
        content["why"] = sweep.why
    content["arms"] = {name: _condition(arm) for name, arm in sweep.arms.items()}
    for name, search in sweep.searches.items():
        content["arms"][name]["search"] = search.model_dump(mode="json", exclude_none=True)
    content["seeds"] = _seeds(sweep)
    content["seed"] = sweep.seed
    content["vary"] = sorted(sweep.vary)
    content["compare"] = [_plain(pair) for pair in sweep.compare]
    for key in ("measure", "resources", "save"):
        content[key] = _plain(getattr(sweep, key))
    content["track"] = list(sweep.track)
    content["deliver"] = _plain(sweep.deliver)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _plain(settings: Frozen) -> Written:
    return settings.model_dump(mode="json")


def _seeds(sweep: Sweep) -> object:
    seeds = sweep.seeds
    if seeds.until is None:
        return list(seeds.values)
    return {"until": _plain(seeds.until), "at_least": seeds.at_least, "at_most": seeds.at_most}


def _condition(condition: Condition) -> Written:
    choices = [_data(choice) for choice in condition.data]
    options = condition.model.options.model_dump(mode="json")
    return {
        "model": {"name": condition.model.name, **options},
        "data": choices[0] if len(choices) == 1 else {"first_of": choices},
        "train": _plain(condition.train),
        "initialize": condition.start.written(),
        "fine_tune": condition.fine_tune,
        "head": condition.head,
    }


def _data(choice: DataChoice) -> Written:
    split = choice.split.model_dump(mode="json", exclude_none=True)
    return {"name": choice.name, **choice.options.model_dump(mode="json"), **split}

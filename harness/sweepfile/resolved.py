"""A sweep as resolved, written out: what `sweep.yaml` in a run folder holds.

In: a frozen `Sweep`. Out: YAML text with profile, assignments, inheritance and grid written out; it
is a sweep file itself and reads to an equal `Sweep`, but for `grid_points`.
"""

from __future__ import annotations

from typing import Any

import yaml

from harness.sweepfile.settings import Condition, Sweep


def resolved_yaml(sweep: Sweep) -> str:
    """The text of a sweep file in which every arm and stage writes out all of its own."""
    content: dict[str, Any] = {"name": sweep.name, "question": sweep.question}
    if sweep.stages:
        content["pretrain"] = {name: _written(c, True) for name, c in sweep.stages.items()}
    if sweep.why:
        content["why"] = sweep.why
    content["arms"] = {name: _written(c, False) for name, c in sweep.arms.items()}
    for name, search in sweep.searches.items():
        content["arms"][name]["search"] = search.model_dump(mode="json", exclude_unset=True)
    seeds = sweep.seeds
    content["seeds"] = (
        {"until": seeds.until.model_dump(), "at_least": seeds.at_least, "at_most": seeds.at_most}
        if seeds.until
        else list(seeds.values)
    )
    content["seed"] = sweep.seed
    content["vary"] = sorted(sweep.vary)
    content["compare"] = [pair.model_dump() for pair in sweep.compare]
    content["measure"] = sweep.measure.model_dump(mode="json")
    content["resources"] = sweep.resources.model_dump(mode="json")
    content["save"] = sweep.save.model_dump(mode="json")
    content["track"] = list(sweep.track)
    if sweep.deliver.model_fields_set:
        content["deliver"] = sweep.deliver.model_dump(mode="json")
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _written(condition: Condition, is_stage: bool) -> dict[str, Any]:
    choices = [
        {"name": c.name, **c.options, **c.split.model_dump(mode="json", exclude_defaults=True)}
        for c in condition.data
    ]
    content: dict[str, Any] = {
        "model": {"name": condition.model.name, **condition.model.options},
        "data": choices[0] if len(choices) == 1 else {"first_of": choices},
        "train": condition.train.model_dump(mode="json", exclude_defaults=True),
        "initialize": condition.start.written(),
        "fine_tune": condition.fine_tune,
        "head": condition.head,
    }
    if is_stage:
        content["shared"] = condition.shared
    return content

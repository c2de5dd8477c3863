"""What an arm says of its network's parts, held against the network, before any trial runs.

In: a plan. Out: nothing, or one line for each setting that names what the network does not have:
layer groups of `fine_tune` and of `train.learning_rate_factors`, LoRA's layers, a head that a probe
can be fitted to, blocks that are computed again. It stands alone because a plan is made without
torch: the process that looks how large networks are (`disk.py`) builds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.plan.disk import tuning_mistakes
from harness.sweepfile.settings import FINE_TUNE
from harness.trials.spec import Plan, TrialSpec
from headstart.cli import few
from headstart.errors import SpecError
from headstart.output import on_one_line

SEARCHED = "search.fine_tune"


def check_tuning(plan: Plan, *, is_apart: bool) -> None:
    """Hold what arms, stages and searches say of layers against their networks.

    Args:
        is_apart: whether a process that ends builds the networks that were not seen before.

    Raises:
        SpecError: a line for each setting that its network does not have.
    """
    asked = [(key, spec) for key, spec in _asked(plan) if _may_be_wrong(spec)]
    errors = tuning_mistakes([spec for _, spec in asked], is_apart=is_apart) if asked else []
    whose: dict[str, dict[str, None]] = {}
    for (key, spec), error in zip(asked, errors, strict=True):
        if error is not None:
            key = SEARCHED if key == SEARCHED and error.key == FINE_TUNE else error.key
            place = plan.sweep.tuned_at.get(spec.arm, {}).get(key, f"{plan.sweep.name}: {key}")
            kind, section = ("arm", "arms") if spec.stage == "arm" else ("stage", "pretrain")
            names = whose.setdefault(f"{place}: {error.text}", {})
            if f": {section}.{spec.arm}." not in place:  # else it names the arm itself
                names[f"{kind} {spec.arm}"] = None
    if whose:
        ends = {text: f" ({few(list(names))})" if names else "" for text, names in whose.items()}
        raise SpecError(on_one_line(f"{text}{end}") for text, end in ends.items())


def _asked(plan: Plan) -> Iterator[tuple[str, TrialSpec]]:
    """A trial of each arm and stage, and one for each form that an arm's search may choose."""
    for (_, name), (spec, *_) in plan.by_arm.items():
        yield FINE_TUNE, spec
        search = plan.sweep.searches.get(name) if spec.stage == "arm" else None
        searched = search.space.get(FINE_TUNE) if search is not None else None
        for form in searched.ends() if searched is not None else ():
            condition = spec.condition.with_values({FINE_TUNE: form})
            yield SEARCHED, replace(spec, condition=condition)


def _may_be_wrong(spec: TrialSpec) -> bool:
    train = spec.condition.train
    is_named = isinstance(train.learning_rate_factors, dict) or train.gradient_checkpointing
    return is_named or spec.condition.tuning.names_parts

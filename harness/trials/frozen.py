"""Whether the frozen front of a network is computed once, or in every step: the rule alone.

In: a condition of a sweep. Out: None, or the reason against. The rule looks at nothing but the
sweep, so one id always runs one way; `training/features.py` does the computing. No torch here, so
that `--dry-run` can say the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.sweepfile.settings import Condition
from harness.trials.spec import Plan

NOTHING_FROZEN = "nothing before the first layer group that trains is frozen"


def reason_against(condition: Condition) -> str | None:
    """Why a condition's frozen part is not computed once; None where it is. Needs no torch.

    `{from: GROUP}` and `{unfreeze: [GROUPS]}` may also name the first group of a network, and then
    nothing is frozen before it; that takes the network itself to see (`Prepared.n_frozen`).
    """
    if not freezes(condition):
        return NOTHING_FROZEN
    if condition.tuning.against_front:
        return condition.tuning.against_front
    if not condition.train.cache_frozen:
        return "train.cache_frozen is false"
    if condition.train.mixes:
        name = "mixup" if condition.train.mixup else "cutmix"
        return f"train.{name} mixes the images of each step anew"
    if condition.train.evaluate_mirrored:
        return "train.evaluate_mirrored shows the network mirrored images too"
    if not condition.train.augment.is_identity and condition.train.frozen_views is None:
        return (
            "each step augments its images anew; train.frozen_views: K would give each image K "
            "fixed views, which is another condition"
        )
    return None


def freezes(condition: Condition) -> bool:
    """Whether a part of the network stays as it is, for some epochs at least."""
    return condition.tuning.freezes(condition.model.info.depth)


def notes(plan: Plan) -> Iterator[str]:
    """A line for each arm that freezes something and yet computes it in every step."""
    for name, condition in plan.sweep.arms.items():
        reason = reason_against(condition)
        if reason is not None and freezes(condition):
            yield f"{name}: the frozen part is computed in every step: {reason}"

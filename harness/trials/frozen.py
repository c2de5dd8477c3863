"""Whether the frozen front of a network is computed once, or in every step: the rule alone.

In: a condition of a sweep. Out: None, or the reason against. The rule looks at nothing but the
sweep, so one id always runs one way; `training/features.py` does the computing. No torch here, so
that `--dry-run` can say the reasons.
"""

from __future__ import annotations

import re
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
    if is_gradual(condition):
        return "fine_tune: gradual moves the border of what is frozen"
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
    words = re.fullmatch(r"last_([0-9]+)", str(condition.fine_tune))
    if condition.fine_tune == "none":  # a front is worth computing once for its tail's steps
        return False
    if words is None:
        return condition.fine_tune != "all"
    depth = condition.model.info.depth
    return depth is None or int(words[1]) < depth


def notes(plan: Plan) -> Iterator[str]:
    """A line for each arm that freezes something and yet computes it in every step."""
    for name, condition in plan.sweep.arms.items():
        reason = reason_against(condition)
        if reason is not None and freezes(condition):
            yield f"{name}: the frozen part is computed in every step: {reason}"


def is_gradual(condition: Condition) -> bool:
    """Whether what trains changes from epoch to epoch."""
    setting = condition.fine_tune
    return setting == "gradual" or (isinstance(setting, dict) and "gradual" in setting)

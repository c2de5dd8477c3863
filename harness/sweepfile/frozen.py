"""Whether the frozen front of a network is computed once, or in every step: the rule alone.

In: a condition of a sweep. Out: None, or the reason against. The rule looks at nothing but the
sweep, so one id always runs one way; `training/features.py` does the computing. No torch here, so
that `--dry-run` can say the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.sweepfile.settings import FINE_TUNE, Condition, Sweep

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


def why_no_views(condition: Condition) -> str:
    """Why `frozen_views` says nothing here; empty where it does, or is not given."""
    if condition.train.frozen_views is None:
        return ""
    if reason := reason_against(condition):
        return f"has no effect: {reason}"
    is_plain = condition.train.augment.is_identity
    return "has no effect: train.augment changes no image" if is_plain else ""


def notes(sweep: Sweep) -> Iterator[str]:
    """A line for each arm that freezes something and yet computes it in every step.

    And for each whose `frozen_views` say nothing, but where a search chooses what is frozen.
    """
    for name, condition in sweep.arms.items():
        reason = reason_against(condition)
        if reason is not None and freezes(condition):
            yield f"{name}: the frozen part is computed in every step: {reason}"
        search = sweep.searches.get(name)
        if (reason := why_no_views(condition)) and not (search and FINE_TUNE in search.space):
            yield f"{name}: train.frozen_views {reason}"

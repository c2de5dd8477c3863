"""What cannot be handed in, said before any trial runs.

In: a plan. Out: nothing, or one line. It stands alone because a run may take hours, and its hand-in
is its last step.
"""

from __future__ import annotations

import re
from operator import attrgetter

from harness.hand_in.evaluated import Evaluated, evaluations_of
from harness.sweepfile.settings import FINE_TUNE, TIMMS_OPTIMIZERS, Train
from harness.sweepfile.settings.search import Search
from harness.trials.spec import Plan
from headstart.errors import InputError

# Keys of train.augment that the code which is handed in knows.
AUGMENTATION = (
    "rotate", "translate", "scale", "shear", "elastic", "erase", "erase_area", "fill",
)  # fmt: skip


def check_hand_in(plan: Plan) -> None:
    """Refuse a sweep whose networks, settings or images no plain code can repeat.

    Raises:
        InputError: what it is, and what would do.
    """
    from harness.hand_in.network_code import write_networks  # torch, which builds the networks

    evaluations = evaluations_of(plan, named_seed(plan))
    if plan.sweep.save.weights == "none":
        raise InputError(
            "deliver.hand_in: the weights are handed in, and save.weights: none keeps none; "
            "best or delta does"
        )
    for each in evaluations:
        _check(each, plan.sweep.searches.get(each.trial.arm))
    write_networks(evaluations)


def named_seed(plan: Plan) -> int:
    """The seed whose images and networks are handed in."""
    seed = plan.sweep.deliver.seed
    return plan.sweep.seeds.values[0] if seed is None else seed


def _check(evaluation: Evaluated, search: Search | None) -> None:
    trial = evaluation.trial
    text = _against_training(trial.condition.train) if evaluation.is_tuned else ""
    if not text and evaluation.is_tuned and search is not None:
        text = _against_search(evaluation, search)
    if trial.stage == "arm" and not trial.data.choice.options.as_jpeg:
        text = f"{trial.data.choice.shown}: the images are handed in as JPEG files, and the run " \
               "has to train on what these hold: set data.as_jpeg: true"  # fmt: skip
    if not text and trial.stage == "pretrain" and not trial.data.has_test:
        text = "it has no test images"
    if text:
        raise InputError(f"deliver.hand_in: {trial.arm}: {text}")


def _against_search(evaluation: Evaluated, search: Search) -> str:
    """What a search may choose that would leave no such evaluation; empty where it cannot."""
    if any(key.startswith("pretrain.") for key in search.space):
        return "its search trains the pretrained network anew, and the four are of one network"
    pattern = "last_layer|last_1" if evaluation.number.startswith("3") else r"last_[2-9]\d*"
    depths = search.space[FINE_TUNE].ends() if FINE_TUNE in search.space else ()
    others = [str(depth) for depth in depths if not re.fullmatch(pattern, str(depth))]
    if not others:
        return ""
    return f"its search may choose fine_tune: {others[0]}, which is no {evaluation.title.lower()}"


def _against_training(train: Train) -> str:
    """Which setting the code of a hand-in does not know; empty where it knows all."""
    unknown = {
        "optimizer": bool(train.optimizer_code) or train.optimizer in TIMMS_OPTIMIZERS,
        "weight_decay_of": train.weight_decay_of != "all",
        "schedule.name": train.schedule.name == "linear",
        "schedule.warmup_epochs": train.schedule.warmup_epochs > 0,
        "accumulate": train.accumulate > 1,
        "compile": train.compile,
        "sampling": train.sampling != "each_once",
        "class_weights": train.class_weights is not None,
        "ema": train.ema is not None,
        "pull_to_start": train.pull_to_start > 0,
        "cutmix": train.cutmix > 0,
        "loss": train.loss != "cross_entropy",
        "precision": train.precision in ("bf16", "fp16"),
        "batch_norm_parts": train.batch_norm_parts != 1,
        "mixup": train.mixup > 0,
        "crop_fraction": train.crop_fraction < 1,
        "evaluate_mirrored": train.evaluate_mirrored,
        "frozen_views": train.frozen_views is not None,
    }
    names = [name for name, is_used in unknown.items() if is_used]
    if not names:
        changed = train.augment.model_dump(exclude_defaults=True)
        others = [name for name in changed if name not in AUGMENTATION]
        names = [f"augment.{name}" for name in others]
        if not names:
            return ""
    value = attrgetter(names[0])(train)
    return f"train.{names[0]}: {value} has no counterpart in the code that is handed in"

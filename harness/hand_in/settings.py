"""What the code of a hand-in reads beside the images: `settings.json`.

In: the evaluations with the settings that searches chose, and their rows. Out: plain values. It
stands alone because it is the contract between the run and the code that repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.hand_in.check import AUGMENTATION
from harness.hand_in.evaluated import Evaluated
from harness.hand_in.network_code import NetworkCode
from harness.sweepfile.settings import Train
from harness.training.network import build_frozen
from harness.trials.spec import TrialSpec
from headstart.rows import TrialRow
from models import finetune


def settings_of(
    evaluations: Sequence[Evaluated],
    rows: Mapping[str, TrialRow],
    code: NetworkCode,
    weights: Mapping[str, str],
    shown: Mapping[str, str],
    pretraining_test: str,
    folders: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """The content of settings.json.

    Args:
        rows: of the trials, by id.
        weights: file of each evaluation's weights, by its key.
        shown: what people read in place of an arm's name.
        pretraining_test: `MNIST`, or the file that holds the images of what stood in for it.
        folders: of the classes, in the order of the labels.
    """
    start = next(e for e in evaluations if e.trial.stage == "arm" and not e.is_tuned)
    threads = max(each.trial.condition.train.threads for each in evaluations)
    return {
        "seed": seed,
        "classes": list(folders),
        "threads": threads,
        "pretraining_test": pretraining_test,
        "start": weights[start.key],
        "stand_ins": stand_ins_of(evaluations),
        "evaluations": [
            {
                "number": each.number,
                "title": each.title,
                "arm": shown[each.trial.id],
                "accuracy": rows[each.trial.id].test_accuracy,
                "images": "own" if each.trial.stage == "arm" else "pretraining",
                "network": each.key,
                "weights": weights[each.key],
                "channels_last": code.channels_last[each.key],
                "output": code.outputs[each.key],
                **_shape(each.trial),
                **({"fine_tuning": _fine_tuning(each.trial)} if each.is_tuned else {}),
            }
            for each in evaluations
        ],
    }


def stand_ins_of(evaluations: Sequence[Evaluated]) -> list[str]:
    """`optdigits in place of sheets`, once each."""
    uses = [each.trial.data for each in evaluations]
    texts = [f"{u.choice.name} in place of {u.stand_in_for}" for u in uses if u.stand_in_for]
    return list(dict.fromkeys(texts))


def _shape(trial: TrialSpec) -> dict[str, Any]:
    """What the network takes."""
    info = trial.condition.model.info.for_channels(trial.data.channels)
    return {
        "image_size": list(trial.data.image_size),
        "channels": trial.data.channels,
        "mean": list(info.mean),
        "std": list(info.std),
    }


def _fine_tuning(trial: TrialSpec) -> dict[str, Any]:
    """All that decides how the arm's network was trained."""
    train = trial.condition.train.for_images(trial.data.n_train)
    network, groups, _ = build_frozen(trial)
    trained = finetune.resolve_fine_tune(trial.condition.fine_tune, groups)
    factors = finetune.learning_rate_factors(train.learning_rate_factors, groups)
    fixed = {name for name, _ in network.named_parameters()}
    return {
        "groups": [
            {
                "parameters": [name for name in group.parameters if name in fixed],
                "learning_rate": train.learning_rate * factors[group.name],
            }
            for group in groups
            if group.name in trained and group.parameters
        ],
        "frozen_modules": [
            path for group in groups if group.name not in trained for path in group.modules
        ],
        "optimizer": train.optimizer,
        "optimizer_options": _optimizer(train),
        "schedule": train.schedule.model_dump(mode="json", exclude={"warmup_epochs"}),
        "batch_size": train.batch_size,
        "epochs": train.epochs,
        "evaluate_every": train.evaluate_every.model_dump(mode="json"),
        "early_stopping": train.early_stopping and train.early_stopping.model_dump(mode="json"),
        "select": train.select,
        "label_smoothing": train.label_smoothing,
        "clip_gradient_norm": train.clip_gradient_norm,
        "augment": _augment(train),
        "streams": {axis: trial.streams[axis] for axis in ("order", "augment", "dropout")},
    }


def _optimizer(train: Train) -> dict[str, Any]:
    options: dict[str, Any] = {"weight_decay": train.weight_decay}
    if train.optimizer == "sgd":
        return options | {"momentum": train.momentum, "nesterov": train.nesterov}
    return options | {"betas": list(train.betas), "eps": train.epsilon}


def _augment(train: Train) -> dict[str, Any] | None:
    """The limits, each written out; None where images stay as they are."""
    augment = train.augment
    if augment.is_identity:
        return None
    limits = augment.model_dump(mode="json", include=set(AUGMENTATION))
    return limits | {"scale": list(augment.scale_range), "moves": augment.moves}

"""What of `train` only the data and the installed packages can say, before any trial runs.

In: a plan. Out: nothing, or one line for what is not possible. It stands alone because a sweep file
is read without data, on machines that have no timm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from harness.sweepfile.settings import TIMMS_OPTIMIZERS, NotOfTarget, Sweep
from harness.training.machine import compiler_lacks
from harness.trials.spec import DataUse, Plan, TrialSpec
from headstart.errors import InputError, MissingPackageError, did_you_mean
from headstart.metrics import OF_CLASSES, OF_TARGETS, WITHOUT_ACCURACY


def check_recipes(plan: Plan) -> None:
    """See that every trial's `train` fits its data and this machine.

    Raises:
        MissingPackageError: an optimizer of a package that is not installed.
        InputError: a class that the data do not have, a warm-up without an end, a change of
            colours that gray images do not have, a loss or a metric that is not of the target.
    """
    for (stage, name), (spec, *_) in plan.by_arm.items():
        if stage == "arm":
            check_target(plan.sweep, name, spec.data)
        train, known = spec.condition.train, spec.data.class_names
        at = partial(plan.sweep.at, spec.arm)
        if train.optimizer in TIMMS_OPTIMIZERS and find_spec("timm") is None:
            raise MissingPackageError(
                f"{at('train.optimizer')}: {train.optimizer} is of the package timm, which is not "
                "installed: pip install timm"
            )
        _check_warm_up(at, spec)
        _check_random_crop(at, spec)
        if train.compile and (lacks := compiler_lacks()):
            raise InputError(f"{at('train.compile')}: {lacks}")
        if train.gradient_checkpointing and spec.condition.model.code:
            raise InputError(f"{at('train.gradient_checkpointing')}: what code of your own does "
                             "when it is computed twice is not known: leave it out")  # fmt: skip
        if spec.data.target in WITHOUT_ACCURACY and spec.condition.tuning.is_fitted:
            raise InputError(
                f"{at('fine_tune')}: probe: lbfgs fits a head of classes, "
                f"and the data have a target of the kind {spec.data.target}"
            )
        try:
            train.for_target(spec.data.target, plan.sweep.writes(spec.arm, "train"))
        except NotOfTarget as err:
            raise InputError(f"{at(f'train.{err.key}')}: {err.text}") from err
        for name in train.augment.of_colours_alone if spec.data.channels == 1 else ():
            raise InputError(f"{at(f'train.augment.{name}')}: the network is given gray images "
                             "(channels: 1), which have no colours: leave it out")  # fmt: skip
        weights = train.class_weights
        for name in weights if isinstance(weights, dict) else ():
            if name not in known:
                some = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
                raise InputError(
                    f"{at('train.class_weights')}: {spec.data.choice.shown} has no class '{name}'"
                    f"{did_you_mean(name, known)}; it has {some}"
                )


def check_target(sweep: Sweep, arm: str, data: DataUse) -> None:
    """See that what the sweep measures and asks for is of the target of an arm's data.

    Raises:
        InputError: one line on what is not.
    """
    kind, measure = data.target, sweep.measure
    metrics = (*OF_TARGETS.get(kind, OF_CLASSES), "loss")
    what = f"a target of the kind {kind}" if kind else "classes"
    if measure.metric not in metrics:
        raise InputError(f"{sweep.at(arm, 'measure.metric')}: {measure.metric} is not of {what}; "
                         f"it has {', '.join(metrics)}")  # fmt: skip
    search = sweep.searches.get(arm)
    if kind in WITHOUT_ACCURACY and search is not None and search.metric == "val_accuracy":
        raise InputError(f"{sweep.at(arm, 'search.metric')}: {what} has no accuracy; give "
                         "val_loss")  # fmt: skip
    asked = {
        "measure.audit": measure.audit,
        "measure.also_watch": measure.also_watch,
        "deliver.hand_in": sweep.deliver.hand_in,
    }
    for name, value in asked.items() if kind else ():
        if value is not None:
            raise InputError(f"{sweep.at(arm, name)}: it is of classes without an order, "
                             f"and the data have {what}: leave it out")  # fmt: skip


def _check_warm_up(at: Callable[[str], str], spec: TrialSpec) -> None:
    """See that a warm-up in epochs ends before the training does.

    One in steps may not: a sweep is tried out with few images.
    """
    train, n = spec.condition.train, spec.data.n_train
    given, epochs = train.schedule.warmup_epochs, train.for_images(n).epochs if n else train.epochs
    if spec.stage != "search" and given > epochs:
        raise InputError(
            f"{at('train.schedule.warmup_epochs')}: a warm-up of {given:g} epochs is longer than "
            f"the training (epochs: {epochs}): its learning rate is never reached; train for "
            "longer, or give schedule: {warmup_epochs: …} of less"
        )


def _check_random_crop(at: Callable[[str], str], spec: TrialSpec) -> None:
    """See that every crop has something of the image."""
    n_pixels, side = spec.condition.train.augment.random_crop or 0, min(spec.data.image_size)
    if n_pixels >= side:
        raise InputError(f"{at('train.augment.random_crop')}: {n_pixels} pixels around images of "
                         f"which the network sees {side}: some crops would have nothing of the "
                         f"image; at most {side - 1}")  # fmt: skip

"""Whether the settings of one arm or stage go together: what no key can say by itself.

In: a condition. Out: for each mistake the key that is to blame and what to say. It stands alone
because a sweep file is told the line of the key, and a search the values that it drew.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.sweepfile.settings import FINE_TUNE, Condition, Train


def mistakes_of(condition: Condition) -> Iterator[tuple[str, str]]:
    """Keys, as `train.epochs`, each with what is wrong of its value beside the others."""
    train, tuning = condition.train, condition.tuning
    first = tuning.head_first
    if first and not train.at_least_steps and (reason := first.against(train.epochs)):
        yield FINE_TUNE, reason
    if first and first.is_probe and train.schedule.name == "plateau":
        yield FINE_TUNE, ("a schedule begins anew after the probe, and train.schedule: plateau "
                          "does not; give another schedule, or freeze_for")  # fmt: skip
    if tuning.is_fitted:
        for key, reason in _against_fit(train):
            yield f"train.{key}", f"{reason}; leave it out of this arm"
    if train.pull_to_start and condition.start.kind == "random":
        yield "train.pull_to_start", ("pulls to the weights of a start, and there is none: "
                                      "give it in arms that have initialize")  # fmt: skip
    if train.pull_to_start and condition.fine_tune == "none":
        yield "train.pull_to_start", "pulls nothing with fine_tune: none"
    if train.pull_to_start and tuning.part == "added":
        yield "train.pull_to_start", ("pulls no weight with fine_tune: lora, whose weights stay; "
                                      "train.weight_decay pulls what is added to 0, and so the "
                                      "sum to the start")  # fmt: skip


def _against_fit(train: Train) -> Iterator[tuple[str, str]]:
    """Settings of steps that would say something else of what a probe minimises or sees."""
    if train.loss != "cross_entropy":
        yield "loss", "fine_tune: {probe: lbfgs} minimises cross_entropy"
    if train.label_smoothing:
        yield "label_smoothing", "fine_tune: {probe: lbfgs} smooths no labels"
    if train.mixes:
        key = "mixup" if train.mixup else "cutmix"
        yield key, "fine_tune: {probe: lbfgs} mixes no images"
    if not train.augment.is_identity and train.frozen_views is None:
        yield "augment", ("fine_tune: {probe: lbfgs} sees each image once; train.frozen_views: K "
                          "gives each image K fixed views")  # fmt: skip
    if train.sampling != "each_once":
        yield "sampling", "fine_tune: {probe: lbfgs} sees each image once"
    if train.ema is not None:
        yield "ema", "fine_tune: {probe: lbfgs} has no steps to average over"
    if train.evaluate_mirrored:
        yield "evaluate_mirrored", "fine_tune: {probe: lbfgs} fits images as they are"
    if train.pull_to_start:
        yield "pull_to_start", "fine_tune: {probe: lbfgs} chooses its own L2"

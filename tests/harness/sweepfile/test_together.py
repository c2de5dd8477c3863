"""Settings that do not go together: the line, the arm, and what is allowed."""

from __future__ import annotations

import pytest

from harness.sweepfile.reader import load_sweep
from headstart.errors import SpecError

ARM = "  pretrained: {initialize: drawn}"


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ("fine_tune: {freeze_for: {epochs: 3}}",
         r"sweep.yaml:\d+: arms.pretrained.fine_tune: freeze_for: epochs: 3 leaves no epoch of "
         r"train.epochs: 3; 1 to 2 are allowed \(arm pretrained\)"),
        ("fine_tune: {probe_then: all, probe_epochs: 5}", "probe_epochs: 5 leaves no epoch"),
        ("fine_tune: {probe_then: all, probe_epochs: 1}, train: {schedule: {name: plateau}}",
         "begins anew after the probe, and train.schedule: plateau does not"),
        ("fine_tune: {probe: lbfgs}, train: {augment: {rotate: 5}}",
         r"train.augment: .*sees each image once; train.frozen_views: K .* leave it out of this"),
        ("fine_tune: {probe: lbfgs}, train: {ema: 0.9}", "train.ema: .*no steps to average over"),
        ("fine_tune: {probe: lbfgs}, train: {mixup: 0.2}", "train.mixup: .*mixes no images"),
        ("fine_tune: {probe: lbfgs}, train: {sampling: balanced}", "train.sampling: "),
        ("fine_tune: {probe: lbfgs}, train: {label_smoothing: 0.1}", "train.label_smoothing: "),
        ("fine_tune: {probe: lbfgs}, train: {loss: complementary}", "minimises cross_entropy"),
        ("fine_tune: {probe: lbfgs}, train: {evaluate_mirrored: true}", "images as they are"),
        ("fine_tune: {probe: lbfgs}, train: {pull_to_start: 0.1}", "chooses its own L2"),
        ("fine_tune: none, train: {pull_to_start: 0.1}", "pulls nothing with fine_tune: none"),
        ("fine_tune: {lora: {rank: 2}}, train: {pull_to_start: 0.1}", "pulls no weight with"),
        ("train: {augment: {rotate: 5}, frozen_views: 3}",
         "train.frozen_views: has no effect: nothing before the first .* leave it out of this arm"),
        ("fine_tune: last_2, train: {augment: {rotate: 5}, frozen_views: 3, cache_frozen: false}",
         "train.frozen_views: has no effect: train.cache_frozen is false"),
        ("fine_tune: {probe: lbfgs}, search: {learning_rate: {log_uniform: [0.1, 1.0]}}",
         "nothing trains in this arm"),
    ],
)  # fmt: skip
def test_each_is_one_line_with_its_arm(write_sweep, arm, message):
    path = write_sweep((ARM, ARM.replace("drawn}", f"drawn, {arm}}}")))
    with pytest.raises(SpecError, match=message):
        load_sweep(path)


def test_a_pull_needs_a_start_and_at_least_steps_may_add_the_epochs(write_sweep):
    path = write_sweep(("epochs: 3,", "epochs: 3, pull_to_start: 0.1,"))
    with pytest.raises(SpecError, match=r"there is none: give it in arms .*\(arm scratch\)"):
        load_sweep(path)
    more = (ARM, ARM.replace("drawn}", "drawn, fine_tune: {freeze_for: {epochs: 3}}}"))
    load_sweep(write_sweep(("epochs: 3,", "epochs: 3, at_least_steps: 50,"), more))


def test_fixed_views_may_stand_where_others_use_them(write_sweep):
    """At the top for other arms, and where a search draws what is frozen."""
    views = "augment: {rotate: 5}, frozen_views: 3"
    load_sweep(write_sweep(("epochs: 3,", f"epochs: 3, {views},")))
    search = "search: {fine_tune: {choice: [all, last_2]}, samples: 2}"
    load_sweep(write_sweep((ARM, ARM.replace("drawn}", f"drawn, train: {{{views}}}, {search}}}"))))


def test_a_search_is_told_of_values_that_do_not_fit_the_others(write_sweep):
    search = "search: {fine_tune: {choice: [all, {freeze_for: {epochs: 9}}]}, samples: 2}"
    path = write_sweep((ARM, ARM.replace("drawn}", f"drawn, {search}}}")))
    with pytest.raises(SpecError, match=r"9 leaves no epoch of train\.epochs: 3"):
        load_sweep(path)

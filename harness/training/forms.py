"""What a form of `fine_tune` asks of a trial, beside which layers train in which epoch.

In: the form, as the sweep file has it. Out: the settings of the trial's steps, what must be seen of
its network, and who makes the steps. It stands alone so that a trial is set up in one way, whatever
its form. Here and not in `models.forms`, since that knows no trials and no torch.
"""

from __future__ import annotations

from torch import Tensor, nn

from harness.sweepfile.settings import Train
from harness.training.arrays import Part
from harness.training.network import Prepared
from harness.training.probe import ProbeSteps, settings_of_fit
from harness.training.ranks import Ranks
from harness.training.steps import Steps
from headstart.errors import InputError
from models.forms import FineTune
from models.linear_head import linear_head


class Form:
    """The head, or more, trains by steps, as the trial's worker makes them."""

    def __init__(self, tuning: FineTune):
        self.tuning = tuning

    def settings(self, settings: Train, n_images: int) -> Train:
        """The settings that hold for a training set of so many images.

        Raises:
            InputError: no epoch is left after those in which the head alone trains.
        """
        first = self.tuning.head_first
        if first is not None and (too_long := first.against(settings.epochs)):
            raise InputError(f"fine_tune: {too_long}")
        return settings

    def look_at(self, prepared: Prepared, name: str, images: Tensor) -> None:
        """See that the network has what the form needs.

        Args:
            name: of the network, for messages. images: as it takes them, of noise.

        Raises:
            ModelError: it has not.
        """
        return  # layer groups that the form names were found when the network was made

    def steps(self, steps: Steps, validation: Part, l2: float | None, ranks: Ranks) -> Steps:
        """Who makes the steps: `steps` are those of the trial's worker.

        Args:
            validation: the images that choose what a fit leaves open.
            l2: that was chosen before this trial, where a fit has one.
        """
        return steps


class FittedHead(Form):
    """`{probe: lbfgs}`: one step, in which the head is fitted."""

    layer: nn.Linear

    def settings(self, settings: Train, n_images: int) -> Train:
        return settings_of_fit(settings, n_images)

    def look_at(self, prepared: Prepared, name: str, images: Tensor) -> None:
        found = linear_head(name, prepared.network, prepared.groups, images)
        layer = prepared.network.get_submodule(found)
        assert isinstance(layer, nn.Linear)
        self.layer = layer

    def steps(self, steps: Steps, validation: Part, l2: float | None, ranks: Ranks) -> Steps:
        return ProbeSteps(self.layer, validation, l2, ranks)


def form_of(tuning: FineTune) -> Form:
    """What this form asks of a trial."""
    return FittedHead(tuning) if tuning.is_fitted else Form(tuning)

"""Whether the front of a network of the user's own can be computed once, beside its tail.

In: a network that `own_build` made, and where it is to be cut. Out: None, or the reason against. It
stands alone because a trace fixes what the user's code decides while it runs: the mode that it asks
for (`self.training`), a number that it draws, a branch. The networks of the catalogue do none of
it; here each is looked for, and what is left is compared with the network itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from headstart.errors import ModelError
from models.groups import LayerGroup
from models.own_forward import OwnModule
from models.split import split_at

_NOTHING_DROPPED = re.compile(r"p = 0(\.0)?, training = (True|False)")  # F.dropout of nothing

_DRAWS = re.compile(r"drop|rand|bernoulli|normal|noise")


def reason_against_split(
    network: nn.Module, groups: Sequence[LayerGroup], k: int, images: Tensor
) -> str | None:
    """Why the groups before `k` are not computed once; None for a network of the catalogue.

    Args:
        images: float32 (N, C, H, W) of noise, on the network's device.
    """
    if not isinstance(network, OwnModule):
        return None
    if network.draws:
        return "its code draws from global random generators, so no image has the same features"
    modes = {module: module.training for module in network.modules()}
    try:
        codes, cuts = [], []
        for training in (True, False):  # traced in both modes, and computed in the second alone
            for module in network.modules():
                module.training = training
            parts = split_at(network, groups, k)
            cuts.append(parts)
            codes.append([_NOTHING_DROPPED.sub("p = 0", str(part.code)) for part in parts])
        if codes[0] != codes[1] and not (network.logit_paths and _draw_nothing(codes)):
            return "its code computes something else in training (`self.training`)"
        with torch.no_grad():
            whole = network(images)
            for of_mode in cuts if codes[0] != codes[1] else cuts[1:]:
                if not torch.equal(whole, of_mode[1](of_mode[0](images))):
                    return "cut in two, it does not compute what it computes as a whole"
    except ModelError as err:
        return str(err)
    finally:
        for module, training in modes.items():
            module.training = training
    return None


def _draw_nothing(codes: Sequence[Sequence[str]]) -> bool:
    """Whether what differs between the modes draws nothing, so that a comparison can tell it.

    timm's attention, for one, computes its biases in training and keeps them in evaluation.
    """
    lines = [set("\n".join(of_mode).splitlines()) for of_mode in codes]
    return not any(_DRAWS.search(line) for line in lines[0] ^ lines[1])

"""Every layer group of one network of each of timm's families: cut, resumed, and the head.

    python -m benchmarks.families [NAME …] [--side 64]

For each network, with random weights, three classes and small images (larger ones where it takes no
such), and for each of its layer groups but the first as the first that trains:

- cut: the features of what is frozen, computed once, give the logits of the whole network, in
  evaluation, to the bit (the harness compares them before it cuts); else the reason why what is
  frozen is computed in every step;
- resumed: a step of Adam from a state that was saved has the same bits as the step that went on.

And once: the last layer group is what timm calls the classifier, no more and no less. The smallest
network of each family (a module of timm) is walked; NAMES has them for timm 1.0.31.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from headstart.errors import HeadstartError
from models import split
from models.build import build_model
from models.dropout import set_dropout_generator
from models.finetune import freeze
from models.global_draws import seed_all
from models.groups import LayerGroup, layer_groups
from models.own_forward import OwnModule
from models.own_split import reason_against_split

SIDES = (64, 96, 128, 224, 240, 256)  # pixels
# fmt: off
NAMES = (
    "test_efficientnet", "test_nfnet", "test_mambaout", "test_byobnet", "test_convnext",
    "test_vit", "lcnet_035", "test_resnet", "starnet_s050", "test_coatnet", "test_vit_relpos",
    "dla46x_c", "mobilevit_xxs", "repghostnet_050", "edgenext_xx_small", "ghostnet_050",
    "ese_vovnet19b_slim_dw", "efficientvit_b0", "efficientvit_m0", "regnetx_002",
    "cspnext_tiny", "fasternet_t0", "iformer_t", "cs3darknet_focus_s", "lcnetv2_small",
    "xcit_nano_12_p8_224", "swiftformer_xs", "inception_next_atto", "efficientformerv2_s0",
    "fastvit_t8", "pvt_v2_b0", "rexnet_100", "hardcorenas_b", "hgnetv2_b0", "pit_ti_224",
    "repvit_m1", "cpubone_nano", "tiny_vit_5m_224", "coat_tiny",
    "vit_tiny_patch16_dinov3_qkvb", "convit_tiny", "deit_tiny_patch16_224", "efficientvim_m1",
    "gmlp_ti16_224", "shvit_s1", "vit_tiny_r_s16_p8_224", "crossvit_tiny_240", "densenet121",
    "levit_128s", "halonet_h1", "dpn48b", "resnest14d", "visformer_tiny", "csatv2",
    "hrnet_w18_small", "resnetv2_18", "legacy_seresnet18", "poolformerv2_s12",
    "efficientformer_l1", "skresnet18", "gcvit_xxtiny", "cait_xxs24_224", "lowformer_b0",
    "jx_nest_tiny", "convmixer_768_32", "legacy_xception", "adv_inception_v3",
    "vitamin_small_224", "res2next50", "rdnet_tiny", "tnt_s_legacy_patch16_224", "mvitv2_tiny",
    "twins_svt_small", "xception41p",
)
# fmt: on


@dataclass
class Walk:
    """What came of one network.

    Attributes:
        side: of its images, in pixels.
        n_groups: its layer groups; cuts are one less.
        reasons: of each cut that is not made, by group.
        not_resumed: groups from which a resumed step had other bits.
        has_head: whether the last group is timm's classifier, no more and no less.
    """

    name: str
    side: int = 0
    n_groups: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    not_resumed: list[str] = field(default_factory=list)
    has_head: bool = False
    refused: str = ""


def walk(name: str, sides: tuple[int, ...] = SIDES) -> Walk:
    """Walk one network; a network that cannot be built is a row with its reason."""
    made = Walk(name)
    for side in sides:
        try:
            network = _built(name, side)
            break
        except HeadstartError as err:
            made.refused = str(err)
    else:
        return made
    made.side, made.refused = side, ""
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    groups = layer_groups(network, images)
    made.n_groups, made.has_head = len(groups), _has_head(network, groups)
    with _traced_once():
        for k in range(1, len(groups)):
            _walk_group(made, network, groups, k, images)
    return made


def _built(name: str, side: int) -> OwnModule:
    network = build_model(
        f"timm/{name}", n_classes=3, image_size=(side, side), channels=3, init_seed=1, head_seed=2,
        options={"image_size": side},
    )  # fmt: skip
    assert isinstance(network, OwnModule)
    return network


def _walk_group(
    made: Walk, network: OwnModule, groups: tuple[LayerGroup, ...], k: int, images: Tensor
) -> None:
    freeze(network, groups, [group.name for group in groups[k:]])
    network.train()
    if reason := reason_against_split(network, groups, k, images):
        made.reasons[groups[k].name] = reason
    if not resumes(network, images):
        made.not_resumed.append(groups[k].name)


def resumes(network: nn.Module, images: Tensor) -> bool:
    """Whether the second step from a saved state has the bits of the one that went on."""
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 1e-3)
    masks = torch.Generator()
    set_dropout_generator(network, masks)

    def step(number: int) -> None:
        seed_all(number)
        masks.manual_seed(number)
        loss = nn.functional.cross_entropy(network.train()(images), torch.tensor([0, 2]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step(0)
    saved = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
    step(1)
    ended = [value.clone() for value in network.state_dict().values()]
    network.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    step(1)
    return all(torch.equal(a, b) for a, b in zip(ended, network.state_dict().values(), strict=True))


def _has_head(network: OwnModule, groups: tuple[LayerGroup, ...]) -> bool:
    given = network.get_classifier()  # type: ignore[operator]
    heads = list(given) if isinstance(given, tuple | list) else [given]
    of_timm = {id(p) for head in heads for p in head.parameters()}
    return of_timm == {id(network.get_parameter(name)) for name in groups[-1].parameters}


class _traced_once:
    """A network is traced once in each mode, and not anew for each of its cuts."""

    def __enter__(self) -> None:
        self.trace, self.kept = split._trace, {}
        split._trace = self._kept

    def __exit__(self, *_: object) -> None:
        split._trace = self.trace

    def _kept(self, model: nn.Module) -> object:
        mode = model.training
        if mode not in self.kept:
            before = set(vars(model))
            graph = self.trace(model)
            self.kept[mode] = graph, {k: vars(model)[k] for k in set(vars(model)) - before}
        graph, constants = self.kept[mode]
        for name, value in constants.items():
            setattr(model, name, value)
        return graph


def table(walks: list[Walk]) -> Iterator[str]:
    yield "| network | side | groups | cut | resumed | head as timm says | not cut, and why |"
    yield "|---|---|---|---|---|---|---|"
    for each in walks:
        n = each.n_groups - 1
        why = each.refused or next(iter(each.reasons.values()), "")
        n_cut, n_resumed = n - len(each.reasons), n - len(each.not_resumed)
        head = "yes" if each.has_head else "no"
        yield (f"| {each.name} | {each.side} | {each.n_groups} | {n_cut}/{n} | {n_resumed}/{n} "
               f"| {head} | {why[:150]} |")  # fmt: skip


def summary(walks: list[Walk]) -> str:
    built = [each for each in walks if not each.refused]
    n = sum(each.n_groups - 1 for each in built)
    n_cut = n - sum(len(each.reasons) for each in built)
    n_resumed = n - sum(len(each.not_resumed) for each in built)
    n_heads = sum(each.has_head for each in built)
    return (
        f"{len(built)} of {len(walks)} families; of {n:,} cuts {n_cut:,} are made "
        f"({n_cut / max(1, n):.1%}), {n_resumed:,} resume with equal bits; the head is timm's in "
        f"{n_heads}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", default=NAMES, metavar="NAME", help="of timm's networks"
    )
    parser.add_argument("--side", type=int, default=SIDES[0], help="pixels (default 64)")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    walks = []
    for name in given.names:
        start = time.perf_counter()
        walks.append(walk(name, tuple(side for side in SIDES if side >= given.side)))
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        print(list(table(walks[-1:]))[-1], flush=True)
    print(*list(table(walks))[:2], summary(walks), sep="\n")


if __name__ == "__main__":
    main()

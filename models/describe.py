"""`python -m models.describe NAME`: layer groups, parameters, what trains, the cost of an image."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.cli import run_command
from headstart.errors import ModelError
from headstart.own_code import absolute, is_reference, shown
from headstart.yaml12 import parse_scalar_or_flow
from models.catalog import find_network, model_info
from models.forms import WRITTEN

if TYPE_CHECKING:
    from torch import nn

    from models.groups import LayerGroup
    from models.info import ModelInfo

LARGE_HEAD = 0.2  # of the parameters: what a frozen backbone saves is then less than one thinks
USUAL_SIZES = (224, 32, 28)  # pixels; of images for a network that leaves the size to the data


@dataclass(frozen=True)
class Cost:
    """Floating-point operations of one image; a multiply-add counts as two.

    Matrix products and convolutions are counted, as PyTorch's counter does; activations, pooling
    and normalisation, some hundredths of the whole, are not.

    Attributes:
        forward: to classify it.
        training: forward and backward, as far as something trains.
    """

    forward: int
    training: int


def main(argv: Sequence[str]) -> None:
    arguments = _parser().parse_args(argv)
    name = arguments.name
    name = absolute(name, Path.cwd()) if is_reference(name) else name
    find_network(name)  # a wrong name is said before torch is imported
    options = dict(_option(text) for text in arguments.option)
    setting = parse_scalar_or_flow(arguments.fine_tune, "--fine-tune", "").plain()
    print("\n".join(describe(name, options, arguments.classes, setting)))


def describe(name: str, options: dict[str, object], n_classes: int, fine_tune: object) -> list[str]:
    """The lines that the command prints.

    Raises:
        ModelError: no such network, an option or a setting that does not fit it.
    """
    info = model_info(name, options)
    import torch

    from models.finetune import layer_groups, read, tune

    image_size, channels, model = _built(name, options, n_classes, info)
    groups = layer_groups(model, torch.zeros(2, channels, *image_size))
    tuning = read(fine_tune)
    tuned = tune(model, groups, tuning, epochs=1, seed=0)
    tuned.freeze(model, max(tuned.schedule.begins, default=0))
    size = f"{image_size[0]}×{image_size[1]}"
    title = f"{shown(name)}: images of {channels}×{size}, {n_classes} classes, "
    title += f"fine_tune: {fine_tune}"
    cost = count_cost(model, channels, image_size)
    chosen = []
    if tuning.n_chosen:
        chosen = [f"of the groups before the head {tuning.n_chosen} will train: a trial's first "
                  "gradients choose"]  # fmt: skip
    return [title, "", *_table(model, tuned.groups), *chosen, "", *_cost_lines(cost)]


def _built(
    name: str, options: dict[str, object], n_classes: int, info: ModelInfo
) -> tuple[tuple[int, int], int, nn.Module]:
    """Image size, channels and the network; where it leaves them to the data, usual ones.

    Raises:
        ModelError: the network takes none of the usual images; the message is of the last ones.
    """
    from models.build import build_model

    sizes = [info.image_size] if info.image_size else [(side, side) for side in USUAL_SIZES]
    kinds = [info.channels] if info.channels else [3, 1]
    tried = [(size, channels) for size in sizes for channels in kinds]
    for size, channels in tried:
        try:
            model = build_model(
                name,
                n_classes=n_classes,
                image_size=size,
                channels=channels,
                init_seed=0,
                head_seed=0,
                options=options,
            )
            return size, channels, model
        except ModelError:
            if (size, channels) == tried[-1]:
                raise
    raise AssertionError("one was tried")


def count_cost(model: nn.Module, channels: int, image_size: tuple[int, int]) -> Cost:
    """Run one image forward, and backward into what trains, and count.

    The network is left in evaluation mode and without gradients.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model.eval()
    image = torch.zeros(1, channels, *image_size)
    with _countable_attention(), FlopCounterMode(display=False) as counter:
        logits = model(image)
        forward = counter.get_total_flops()
        if logits.requires_grad:
            logits.sum().backward()
    model.zero_grad(set_to_none=True)
    return Cost(forward, counter.get_total_flops())


@contextmanager
def _countable_attention() -> Iterator[None]:
    """Attention as plain matrix products: the counter does not see into its fused kernels."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _table(model: nn.Module, groups: Sequence[LayerGroup]) -> Iterator[str]:
    from models.lora import is_added

    own = dict(model.named_parameters())
    sizes = {name: 0 if is_added(name) else value.numel() for name, value in own.items()}
    width = max(len("group"), *(len(group.name) for group in groups))
    yield f"{'':>4}  {'group':<{width}}  {'parameters':>12}  trains     layers"
    n_trainable = 0
    for position, group in enumerate(groups):
        count = sum(sizes[name] for name in group.parameters)
        trained = [name for name in group.parameters if own[name].requires_grad]
        n_trained = sum(own[name].numel() for name in trained)
        is_whole = bool(trained) and len(trained) == len(group.parameters)
        trains = "yes" if is_whole else f"{n_trained:,}" if trained else "-"
        layers = ", ".join(_kinds(model, group))
        last = f"-{len(groups) - position}"
        yield f"{last:>4}  {group.name:<{width}}  {count:>12,}  {trains:<9}  {layers}"
        n_trainable += n_trained
    total = sum(sizes.values())
    yield f"{'':>4}  {'all':<{width}}  {total:>12,}  {n_trainable:,} train"
    yield from _large_head(sizes, groups)


def _large_head(sizes: Mapping[str, int], groups: Sequence[LayerGroup]) -> Iterator[str]:
    """What the head holds, and what the module around it holds, where it is much of the whole."""

    def share(some: Sequence[LayerGroup]) -> float:
        return sum(sizes[name] for group in some for name in group.parameters) / whole

    whole = max(1, sum(sizes.values()))
    last, module = groups[-1], groups[-1].name.partition(".")[0]
    around = [group for group in groups if f"{group.name}.".startswith(f"{module}.")]
    if len(groups) > 1 and share([last]) > LARGE_HEAD:
        yield (f"the head, {last.name}, holds {share([last]):.0%} of the parameters: last_layer "
               "trains all of them")  # fmt: skip
    elif 2 * len(around) <= len(groups) and share(around) > LARGE_HEAD:
        yield (f"{module}, in which the head is, holds {share(around):.0%} of the parameters: "
               f"last_layer trains {share([last]):.1%} of all, {{from: {around[0].name}}} all of "
               f"{module}")  # fmt: skip


def _kinds(model: nn.Module, group: LayerGroup) -> Iterator[str]:
    from torch.nn.utils.parametrize import type_before_parametrizations

    from models.heads import DenseHead

    for path in group.modules:
        module = model.get_submodule(path)
        if isinstance(module, DenseHead):
            yield from (type(layer).__name__ for layer in module)
        else:
            yield type_before_parametrizations(module).__name__


def _cost_lines(cost: Cost) -> Iterator[str]:
    yield f"one image: {_flop(cost.forward)} forward, {_flop(cost.training)} in training"
    yield (
        "(counted: convolutions and matrix products, a multiply-add as 2 FLOP; backward only as "
        "far as something trains)"
    )


def _flop(count: int) -> str:
    for size, unit in ((1e9, "GFLOP"), (1e6, "MFLOP"), (1e3, "kFLOP")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} FLOP"


def _option(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ModelError(f"--option {text}: KEY=VALUE is expected, as image_size=64")
    return key, parse_scalar_or_flow(value, f"--option {key}", "").plain()


def _at_least_one(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999999")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.describe", description=__doc__)
    parser.add_argument(
        "name",
        help="a network of ours, of torchvision (resnet18), of timm (timm/NAME), of transformers "
        "(hf/FOLDER), or of your own (FILE.py:NAME)",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the network",
    )
    parser.add_argument("--fine-tune", default="all", metavar="SETTING", help=WRITTEN)
    parser.add_argument(
        "--classes", type=_at_least_one, default=10, help="outputs of the head (default 10)"
    )
    return parser


if __name__ == "__main__":
    run_command(main)

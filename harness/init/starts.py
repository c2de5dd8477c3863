"""Which network suits data, and where its weights start: ImageNet, a set that is here, drawn ones.

In: `Looked`, and what lies on this machine. Out: a network and a beginning, each with its reason.
It stands alone because it is asked of the machine: all else is chosen from the data alone. What an
image costs on one core was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets.catalog import load_dataset, locate_dataset
from datasets.locations import data_folder
from harness.init.look import Looked
from headstart.caches import cache_folder
from headstart.errors import InputError

SMALL = 48  # pixels; a longer side is a photograph's
IMAGENET = ("squeezenet1_0", "squeezenet1_1", "mobilenet_v3_small", "resnet18", "mobilenet_v2")
Values = Mapping[str, object]


@dataclass(frozen=True)
class Network:
    """A network, what it is for, and what an image of training costs on one core."""

    model: Values
    why: str
    image_s: float
    learning_rate: float
    most_quick: int  # training images of the quick profile
    seeds: int
    epochs: int


@dataclass(frozen=True)
class Begin:
    """Where the treatment's weights come from: a stage of the sweep, or ImageNet."""

    name: str
    words: str
    why: str
    advice: str = ""  # to a better start
    stage: Values | None = None
    quick: Values | None = None


def network_and_begin(looked: Looked, data_dir: Path | None) -> tuple[Network, Begin]:
    is_character = looked.is_ink or looked.is_paper or max(looked.side) <= SMALL
    if looked.is_gray and is_character:
        seen = "characters on a page" if looked.is_paper else "small and gray"
        why = f"images are {seen}, as those that LeNet-5 was made for"
        network = Network({"name": "lenet5"}, why, 1 / 4000, 1e-3, 5000, 30, 30)
        return network, _characters(looked, data_dir)
    name = _with_weights(data_dir)
    n_channels = 1 if looked.is_gray else 3
    if name is None:
        side = 32 if max(looked.side) <= SMALL else 64
        model = {
            "name": "midas_cnn", "image_size": side, "channels": n_channels, "width": 16,
            "dense": 200,
        }  # fmt: skip
        why = f"a small network of our own, on {side}×{side} pixels; no ImageNet weights are here"
        cost = 1 / 1000 if side == 32 else 1 / 250
        begin = _drawn(
            "no ImageNet weights are on this machine; drawn characters need no files",
            "Photographs gain little from drawn characters. Where there is a network, model: "
            f"{{name: {IMAGENET[0]}, image_size: 96}} with initialize: imagenet fetches ImageNet "
            "weights by itself.",
        )
        return Network(model, why, cost, 1e-3, 3000, 10, 30), begin
    side = 64 if max(looked.side) <= 64 else 96
    model = {"name": name, "image_size": side, **({"channels": 1} if n_channels == 1 else {})}
    why = f"its ImageNet weights are on this machine; {side}×{side} pixels are quick on CPUs"
    network = Network(model, why, 1 / 110 if side == 64 else 1 / 55, 3e-4, 600, 10, 20)
    return network, Begin("imagenet", "ImageNet", "1.3 million photographs of 1,000 classes")


def _with_weights(data_dir: Path | None) -> str | None:
    """A network whose ImageNet weights are on this machine."""
    folders = (data_folder(data_dir) / "weights", cache_folder() / "weights")
    if not any(folder.is_dir() for folder in folders):
        return None
    from models.imagenet import locate_imagenet  # torch: only where photographs are asked about

    for name in IMAGENET:
        try:
            locate_imagenet(
                name, weights_dir=folders[0], cache_dir=cache_folder(), allow_download=False
            )
        except InputError:
            continue
        return name
    return None


def _characters(looked: Looked, data_dir: Path | None) -> Begin:
    """Other characters: MNIST where it is here and is not what was looked at."""
    if not looked.is_paper and _is_other(looked, "mnist", data_dir):
        counts = {"train": 50000, "validation": 10000}
        quick = {"train": 5000, "validation": 1000}
        return Begin(
            "mnist", "MNIST", "50,000 handwritten digits, which are on this machine", "",
            {"data": {"name": "mnist", **counts}, "train": {"epochs": 3, "batch_size": 128}},
            {"data": {"name": "mnist", **quick}},
        )  # fmt: skip
    if _is_other(looked, "handwritten62", data_dir):
        shaped = "resize" if looked.is_paper else "mnist_style"
        split = {"train": 0.85, "validation": 0.15}
        return Begin(
            "characters", "62 characters",
            "2,480 handwritten characters of 62 classes, which are on this machine", "",
            {
                "data": {"name": "handwritten62", "preprocess": shaped, "split": split},
                "train": {"epochs": 60, "batch_size": 32},
            },
            {"train": {"epochs": 20}},
        )  # fmt: skip
    return _drawn(
        "no handwriting is on this machine; drawn characters need no files",
        "Handwriting is a better start: python -m datasets says where it would lie.",
        looked.is_paper,
    )


def _drawn(why: str, advice: str, is_paper: bool = False) -> Begin:
    data = {
        "name": "glyphs", "classes": "all", "count": 3100, "seed": 1,
        **({"preprocess": "resize"} if is_paper else {}),
        "split": {"train": 0.85, "validation": 0.15},
    }  # fmt: skip
    return Begin(
        "drawn", "drawn characters", why, advice,
        {"data": data, "train": {"epochs": 20, "batch_size": 64}},
        {"train": {"epochs": 10}},
    )  # fmt: skip


def _is_other(looked: Looked, name: str, data_dir: Path | None) -> bool:
    """Whether the set is on this machine, and is not what was looked at."""
    if str(looked.data["name"]).startswith(name):  # mnist_task3 is of MNIST's images
        return False
    try:
        locate_dataset(name, data_dir)
        dataset = load_dataset(name, data_dir=data_dir, allow_download=False)
    except InputError:
        return False
    return dataset.fingerprint != looked.digest

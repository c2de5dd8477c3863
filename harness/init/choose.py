"""From what was seen of data to what a first sweep asks: network, start, recipe, seeds, sizes.

In: `Looked`. Out: `Chosen`, with a reason for each choice. It stands alone because it reads no data
and writes nothing: what suits which data is said here and nowhere else. The quick profile is made
so that it takes some minutes on two cores; what an image costs there was measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets.catalog import load_dataset, locate_dataset, options_model
from datasets.locations import cache_folder, data_folder
from harness.init.look import Looked
from headstart.errors import InputError

FEWEST = 3  # images of a class: one trains, one validates, one tests
SMALL = 48  # pixels; a longer side is a photograph's
QUICK_S = 20.0  # core-seconds of one trial of the quick profile
QUICK_SEEDS = 5
FEW = 200  # validation images; of fewer an accuracy is coarse
UNEQUAL = 3.0  # times as many images of the largest class as of the smallest
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


@dataclass(frozen=True)
class Recipe:
    """How long and in what steps a trial trains."""

    n_train: int
    batch_size: int
    epochs: int
    evaluate_every: int  # steps

    @property
    def written(self) -> Values:
        return {
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "evaluate_every": {"steps": self.evaluate_every},
        }


@dataclass(frozen=True)
class Chosen:
    """All that the file will say."""

    network: Network
    begin: Begin
    recipe: Recipe
    quick: Recipe
    quick_data: Values  # counts of images, where the quick profile has fewer
    metric: str
    targets: tuple[float, ...]
    equivalence: float
    augment: Values
    select: str  # the score that chooses a checkpoint
    split: str  # a remark: whose parts are used


def choose(looked: Looked, data_dir: Path | None = None) -> Chosen:
    """What a first sweep on these data asks.

    Raises:
        InputError: a classifier cannot learn from them.
    """
    _check(looked)
    network, begin = _network_and_begin(looked, data_dir)
    n_train, n_validation, n_test = _sizes(looked)
    recipe = _recipe(n_train, network.epochs)
    n_classes = len(looked.by_class)
    n_quick = min(n_train, max(network.most_quick, 2 * n_classes))
    epochs = round(QUICK_S / network.image_s / n_quick)
    quick = _recipe(n_quick, max(2, min(epochs, network.epochs)))
    metric = "balanced_accuracy" if _is_unequal(looked) else "accuracy"
    return Chosen(
        network=network,
        begin=begin,
        recipe=recipe,
        quick=quick,
        quick_data=_quick_data(looked, n_quick, (n_train, n_validation, n_test)),
        metric=metric,
        targets=_targets(looked, metric),
        equivalence=0.005 if n_test >= 5000 else 0.01 if n_test >= 1000 else 0.02,
        augment=_augment(looked, n_train),
        select="val_loss" if n_validation < FEW else "val_accuracy",
        split=_split_words(looked),
    )


def _check(looked: Looked) -> None:
    few = {name: n for name, n in looked.by_class.items() if n < FEWEST}
    if few:
        name, n = min(few.items(), key=lambda each: each[1])
        raise InputError(
            f"{looked.title}: class {name!r} has {n} image{'s' * (n != 1)}"
            f"{f' ({len(few):,} classes have so few)' if len(few) > 1 else ''}; a class needs "
            f"{FEWEST} or more: one to train on, one to validate on, one to test on; add images"
            f"{_or_without(looked)}"
        )


def _or_without(looked: Looked) -> str:
    """How the other classes are named, of a set that takes names of classes."""
    if "class_names" not in options_model(str(looked.data["name"])).model_fields:
        return ""
    return ", or name the classes that are used: --set 'class_names=[…]'"


def _sizes(looked: Looked) -> tuple[int, int, int]:
    """Images that train, that validate and that test, of the split that the file says."""
    n_pool = looked.n_of("train") or looked.n_images
    n_test = looked.n_of("test") or round(0.15 * n_pool)
    n_validation = looked.n_of("validation") or round(0.15 * n_pool)
    drawn = (0 if looked.n_of("test") else n_test) + (
        0 if looked.n_of("validation") else n_validation
    )
    return max(1, n_pool - drawn), max(1, n_validation), max(1, n_test)


def _recipe(n_train: int, epochs: int) -> Recipe:
    sizes = ((5000, 128), (2000, 64), (400, 32), (64, 16), (0, 8))
    batch_size = next(size for least, size in sizes if n_train >= least)
    steps = math.ceil(n_train / batch_size) * epochs
    return Recipe(n_train, batch_size, epochs, max(1, round(steps / 20)))


def _quick_data(looked: Looked, n_quick: int, sizes: tuple[int, int, int]) -> Values:
    n_train, n_validation, n_test = sizes
    if n_quick == n_train:
        return {}
    least = len(looked.by_class)
    return {
        "train": n_quick,
        "validation": min(n_validation, max(n_quick // 4, least)),
        "test": min(n_test, max(n_quick // 2, least)),
    }


def _is_unequal(looked: Looked) -> bool:
    numbers = looked.by_class.values()
    return max(numbers) >= UNEQUAL * min(numbers)


def _targets(looked: Looked, metric: str) -> tuple[float, ...]:
    """Parts of the way from guessing to all right."""
    numbers = looked.by_class.values()
    chance = max(numbers) / sum(numbers) if metric == "accuracy" else 1 / len(numbers)
    places = (round((chance + (1 - chance) * share) / 0.05) * 0.05 for share in (0.5, 0.75, 0.9))
    return tuple(dict.fromkeys(round(place, 2) for place in places))


def _augment(looked: Looked, n_train: int) -> Values:
    is_small_gray = looked.is_ink or (looked.is_gray and max(looked.side) <= SMALL)
    return {"rotate": 10, "translate": 0.05} if is_small_gray and n_train < 2000 else {}


def _split_words(looked: Looked) -> str:
    own = [part for part in ("validation", "test") if looked.n_of(part)]
    if not own:
        return (
            "each seed draws its own: 70 % train, 15 % validate, 15 % test, the same of each class"
        )
    drawn = [part for part in ("validation", "test") if part not in own]
    words = f"its own {' and '.join(own)} part{'s' * (len(own) > 1)}"
    return words + (f"; {drawn[0]} images are drawn from its train part" if drawn else "")


# -- network and start -------------------------------------------------------------------------


def _network_and_begin(looked: Looked, data_dir: Path | None) -> tuple[Network, Begin]:
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

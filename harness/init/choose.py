"""From what was seen of data to what a first sweep asks: recipe, seeds, sizes, what is measured.

In: `Looked`. Out: `Chosen`, with a reason for each choice. It stands alone because it reads no data
and writes nothing: what suits which data is said here and nowhere else. The quick profile is made
so that it takes some minutes on two cores; what an image costs there was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from datasets.catalog import options_model
from harness.init.look import Looked
from harness.init.starts import SMALL, Begin, Network, Values, network_and_begin
from headstart.errors import InputError

FEWEST = 3  # images of a class: one trains, one validates, one tests
QUICK_S = 20.0  # core-seconds of one trial of the quick profile
QUICK_SEEDS = 5
FEW = 200  # validation images; of fewer an accuracy is coarse
UNEQUAL = 3.0  # times as many images of the largest class as of the smallest


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
    network, begin = network_and_begin(looked, data_dir)
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

"""Sets of `train` settings by name: `train: {recipe: fine_tune_photographs}`.

In: the `train` of a sweep, a stage or an arm, as a file has it. Out: the same with the recipe's
settings written out, what stands beside `recipe` laid over them. It stands alone so that all that a
recipe decides is read in one place; nothing after the reader knows that there are recipes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.sweepfile.mistakes import Mistakes, show
from harness.sweepfile.nodes import merge, without
from headstart.errors import did_you_mean
from headstart.yaml12 import Node

KEY = "recipe"
OF_ITS_OPTIMIZER = ("momentum", "nesterov", "betas", "epsilon")
RIVALS = (  # keys of which a file gives one
    ("schedule.warmup_steps", "schedule.warmup_epochs"),
    ("augment.random_crop", "augment.random_resized_crop"),
    ("augment.rand_augment", "augment.trivial_augment"),
)
SWITCHED_OFF: Mapping[str, object] = {
    "schedule.warmup_steps": 0, "schedule.warmup_epochs": 0, "augment.trivial_augment": False,
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Settings of `train`, and where they are from.

    Attributes:
        use: what it is for, a sentence.
        source: whose numbers these are, and which are ours.
    """

    use: str
    source: str
    train: Mapping[str, Any]


RECIPES: Mapping[str, Recipe] = {
    "fine_tune_photographs": Recipe(
        "A pretrained convolutional network on some hundred to some thousand photographs.",
        "Crops, flips, the middle of 224 from 256 and the learning rate: PyTorch's tutorial on "
        "transfer learning (Chilamkurthy); Nesterov's momentum 0.9 and a cosine to 0: Kornblith, "
        "Shlens and Le (2019), whose learning rates are 0.0001 to 0.1; the rest is ours",
        {
            "optimizer": "sgd",
            "learning_rate": 0.001,
            "momentum": 0.9,
            "nesterov": True,
            "weight_decay": 1e-4,
            "schedule": {"name": "cosine", "warmup_epochs": 1.0},
            "batch_size": 32,
            "epochs": 30,
            "crop_fraction": 0.875,
            "augment": {"random_resized_crop": [0.08, 1.0], "horizontal_flip": 0.5},
        },
    ),
    "scratch_small_pictures": Recipe(
        "A residual network from random weights on pictures of about 32×32 pixels, as CIFAR-10. "
        "Where mirror images mean something else (digits), add `augment: {horizontal_flip: 0}`.",
        "Zagoruyko and Komodakis (2016, wide residual networks); the cosine in place of their "
        "steps: Loshchilov and Hutter (2017)",
        {
            "optimizer": "sgd",
            "learning_rate": 0.1,
            "momentum": 0.9,
            "nesterov": True,
            "weight_decay": 5e-4,
            "schedule": {"name": "cosine"},
            "batch_size": 128,
            "epochs": 200,
            "augment": {"random_crop": 4, "horizontal_flip": 0.5},
        },
    ),
    "fine_tune_vit": Recipe(
        "A pretrained vision transformer, all layers.",
        "He et al. (2022, masked autoencoders, table 9), the learning rate 0.0005 for 256 images "
        "scaled to a batch of 64; their stochastic depth is an option of the network",
        {
            "optimizer": "adamw",
            "learning_rate": 1.25e-4,
            "weight_decay": 0.05,
            "weight_decay_of": "weights",
            "learning_rate_factors": 0.75,
            "schedule": {"name": "cosine", "warmup_epochs": 5.0},
            "batch_size": 64,
            "epochs": 50,
            "label_smoothing": 0.1,
            "mixup": 0.8,
            "cutmix": 1.0,
            "crop_fraction": 0.875,
            "augment": {
                "random_resized_crop": [0.08, 1.0],
                "horizontal_flip": 0.5,
                "rand_augment": {"layers": 2, "magnitude": 9},
                "erase": 0.25,
            },
        },
    ),
    "linear_probe": Recipe(
        "A new last layer on a frozen network (`fine_tune: last_layer`): how good its features "
        "are. Images are not changed, so the features are computed once.",
        "Kornblith, Shlens and Le (2019): logistic regression on features without augmentation; "
        "that Adam makes it, and its settings, are ours",
        {
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "schedule": {"name": "cosine"},
            "batch_size": 128,
            "epochs": 100,
            "crop_fraction": 0.875,
        },
    ),
}


def written_out(
    train: Node | None, mistakes: Mistakes | None = None, over: Node | None = None
) -> Node | None:
    """`train` with its recipe's settings below its own; as it is where it names none.

    A name that no recipe has goes to `mistakes`. What the recipe says of its optimizer goes with
    it, where `train`, or what is laid `over` it, names another one. A key of the recipe goes too
    where they give another key that cannot stand beside it.
    """
    named = None if train is None else train.get(KEY)
    if train is None or named is None:
        return train
    rest = without(train, (KEY,))
    recipe = RECIPES.get(named.value) if isinstance(named.value, str) else None
    if recipe is None:
        if mistakes is not None:
            near = did_you_mean(str(named.value), list(RECIPES))
            mistakes.add(named, f"{show(named)} is not one of {', '.join(RECIPES)}{near}")
        return rest
    settings = dict(recipe.train)
    for node in (rest, over):
        other = None if node is None else node.get("optimizer")
        if other is not None and other.value != recipe.train["optimizer"]:
            settings = {key: settings[key] for key in settings if key not in OF_ITS_OPTIMIZER}
        settings = _without_rivals(settings, node)
    return merge(_nodes(settings, named, train.path), rest)


def _without_rivals(settings: dict[str, Any], given: Node | None) -> dict[str, Any]:
    """A recipe's settings without those that cannot stand beside what is `given`."""
    losing = [
        other
        for pair in RIVALS
        for own, other in (pair, pair[::-1])
        if _gives(given, own) and not _gives(given, other)
    ]
    for outer, inner in (path.split(".") for path in losing):
        if inner in settings.get(outer, {}):
            kept = {key: value for key, value in settings[outer].items() if key != inner}
            settings = {**settings, outer: kept}
    return settings


def _gives(node: Node | None, path: str) -> bool:
    """Whether a key stands there with another value than the one that switches it off."""
    below = None if node is None else node.get(*path.split("."))
    return below is not None and below.value not in (None, SWITCHED_OFF.get(path))


def below(
    inherited: Node | None, own: Node | None, mistakes: Mistakes | None = None
) -> Node | None:
    """The sweep's `train` as it lies below that of a stage or an arm, its recipe written out.

    A recipe of the arm's own takes the place of the sweep's; the sweep's other keys stay.
    """
    whole = written_out(inherited, mistakes, own)
    if own is None or inherited is None or own.get(KEY) is None:
        return whole
    return without(inherited, (KEY,))


def recipes_in(root: Node) -> dict[str, str]:
    """For the report's methods: each recipe that the sweep names, with its use and its source."""
    owners = [root, *(node for kind in ("pretrain", "arms") for node in _below(root.get(kind)))]
    named = [owner.get("train", KEY) for owner in owners]
    names = [node.value for node in named if node is not None]
    recipes = {name: RECIPES[name] for name in names if name in RECIPES}
    return {f"recipe {name}": f"{each.use} {each.source}." for name, each in recipes.items()}


def _below(section: Node | None) -> list[Node]:
    return [] if section is None else [node for _, node in section.items()]


def _nodes(value: object, at: Node, path: str) -> Node:
    """Values as nodes that stand where the recipe is named."""
    if isinstance(value, Mapping):
        value = {name: _nodes(each, at, f"{path}.{name}") for name, each in value.items()}
    elif isinstance(value, list):
        value = [_nodes(each, at, path) for each in value]
    return Node(value, at.where, path)

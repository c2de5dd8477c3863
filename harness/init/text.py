"""The sweep file itself: choices in, commented YAML out.

In: `Looked` and `Chosen`. Out: the text. It stands alone because all that is quoted is quoted here:
names of files and classes are a stranger's.
"""

from __future__ import annotations

import re
import shlex
import textwrap
import unicodedata
from collections.abc import Iterator

import yaml

from harness.init.choose import QUICK_SEEDS, Chosen
from harness.init.look import Looked
from harness.init.starts import Begin
from headstart.output import on_one_line

WIDTH = 96
TUNING = {  # of ImageNet's weights
    "all": "{learning_rate: 1.0e-4}    # small steps keep what was learned",
    "last_layer": "{learning_rate: 1.0e-3}    # one new layer bears larger steps",
}
MOST_CLASSES = 8  # that are named


def sweep_name(title: str) -> str:
    """A name for the sweep and its file: letters and digits of what the data are called."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    plain = re.sub(r"\.(zip|tar|tgz|csv|npz|npy|parquet|mat|h5|hdf5|pkl|gz)$", "", plain.lower())
    return re.sub(r"[^a-z0-9_-]+", "_", plain).strip("_-")[:48] or "my_data"


def sweep_text(name: str, file: str, looked: Looked, chosen: Chosen) -> str:
    """The text of the file; `file` is what it is called."""
    return "\n".join(_lines(name, file, looked, chosen)) + "\n"


def classes_words(looked: Looked) -> str:
    """`ants 193, bees 204`; of many the first."""
    numbers = looked.by_class
    shown = [f"{on_one_line(name)[:40]} {n:,}" for name, n in list(numbers.items())[:MOST_CLASSES]]
    more = len(numbers) - MOST_CLASSES
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _lines(name: str, file: str, looked: Looked, chosen: Chosen) -> Iterator[str]:
    yield from _head(name, file, looked, chosen)
    yield from _training(looked, chosen)
    yield from _start(chosen.begin)
    yield from _arms(chosen)
    yield from _measure(looked, chosen)
    yield from _profiles(chosen)


def _head(name: str, file: str, looked: Looked, chosen: Chosen) -> Iterator[str]:
    title = on_one_line(looked.title)
    yield from _comment(
        f"{title}: {looked.n_images:,} images of {len(looked.by_class):,} classes "
        f"({classes_words(looked)}). Written by python -m harness.init; it is yours to change: "
        "docs/reference/sweep-file.md has every key."
    )
    command = f"python -m harness.sweep {shlex.quote(on_one_line(file))}"
    yield f"#   {command} --profile quick    # a first answer, in some minutes"
    yield f"#   {command}                    # the answer"
    yield f"name: {_flow(name)}"
    question = (
        f"Does pretraining on {chosen.begin.words} help {chosen.network.model['name']} to tell the "
        f"{len(looked.by_class):,} classes of {title} apart?"
    )
    yield f"question: {_flow(question)}"


def _training(looked: Looked, chosen: Chosen) -> Iterator[str]:
    network = chosen.network
    yield from _comment(f"The network: {network.why}.")
    yield f"model: {_flow(dict(network.model))}"
    yield from _comment(f"The data. Split: {chosen.split}.")
    yield f"data: {_flow(dict(looked.data))}"
    yield "train:"
    yield "  optimizer: adam"
    yield f"  learning_rate: {_rate(network.learning_rate)}"
    for key, value in chosen.recipe.written.items():
        yield f"  {key}: {_flow(value)}"
    if chosen.select != "val_accuracy":
        yield f"  select: {chosen.select}                   # of few images accuracy is coarse"
    if chosen.augment:
        yield (
            f"  augment: {_flow(dict(chosen.augment))}"
            + " " * 8
            + "# few images: each is moved a little"
        )


def _start(begin: Begin) -> Iterator[str]:
    if begin.stage is not None:
        yield from _comment(f"The others start from this training: {begin.why}. {begin.advice}")
        yield "pretrain:"
        yield f"  {begin.name}:"
        for key, value in begin.stage.items():
            yield f"    {key}: {_flow(value)}"
    else:
        yield from _comment(f"The others start from {begin.words}: {begin.why}.")


def _arms(chosen: Chosen) -> Iterator[str]:
    begin = chosen.begin
    yield "arms:                                # what is compared; each runs with every seed"
    yield "  scratch: {label: From scratch}"
    start = begin.words[0].upper() + begin.words[1:]
    for arm, label, tuned in (
        ("pretrained", f"Pretrained on {begin.words}", "all"),
        ("last_layer", f"{start}, last layer only", "last_layer"),
    ):
        yield f"  {arm}:"
        yield f"    label: {_flow(label)}"
        yield f"    initialize: {begin.name}"
        yield f"    fine_tune: {tuned}"
        if begin.stage is None:
            yield "    train: " + TUNING[tuned]
    n_seeds = chosen.network.seeds
    yield f"seeds: {n_seeds}                            # more seeds, narrower intervals"
    yield "compare:"
    yield "  - {treatment: pretrained, control: scratch}        # does pretraining help?"
    yield "  - {treatment: last_layer, control: scratch}"
    yield "  - {treatment: last_layer, control: pretrained}     # is the last layer enough?"


def _measure(looked: Looked, chosen: Chosen) -> Iterator[str]:
    yield from _comment(_measure_words(looked, chosen))
    measure = {
        **({"metric": chosen.metric} if chosen.metric != "accuracy" else {}),
        "targets": list(chosen.targets),
        "equivalence": chosen.equivalence,
    }
    yield f"measure: {_flow(measure)}"
    yield "resources: {cpus: 1, gpus: auto}     # a GPU where PyTorch sees one"


def _profiles(chosen: Chosen) -> Iterator[str]:
    begin = chosen.begin
    yield "profiles:"
    yield "  quick:                             # some minutes on two cores"
    yield f"    seeds: {QUICK_SEEDS}"
    if chosen.quick_data:
        yield f"    data: {_flow(dict(chosen.quick_data))}    # images of each part"
    yield f"    train: {_flow(dict(chosen.quick.written))}"
    if begin.quick:
        yield f"    pretrain: {_flow({begin.name: dict(begin.quick)})}"


def _measure_words(looked: Looked, chosen: Chosen) -> str:
    words = "How soon each of the targets is reached, and from which difference on it matters."
    if chosen.metric == "balanced_accuracy":
        numbers = looked.by_class.values()
        words += (
            f" Classes are of {min(numbers):,} to {max(numbers):,} images: balanced_accuracy "
            "counts each class alike, however many images it has."
        )
    return words


def _rate(rate: float) -> str:
    """`3.0e-4`."""
    digits, _, exponent = f"{rate:.1e}".partition("e")
    return f"{digits}e{int(exponent)}"


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"# {line}"


def _flow(value: object) -> str:
    """A value on one line, quoted wherever YAML needs it."""
    text = yaml.safe_dump(
        _plain(value), default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9
    )
    return text.removesuffix("...\n").rstrip("\n")


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value if isinstance(value, str | int | float | list | bool | None) else str(value)

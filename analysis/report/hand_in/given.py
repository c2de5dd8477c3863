"""The first half of the report: the data set, and the tuning.

In: `Handed`. Out: paragraphs. Every sentence is a template over numbers of the run; what the run
cannot say is said to be so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis import words
from analysis.findings.searches import Decisions, setting_text
from analysis.report.evaluations import Evaluation
from analysis.report.hand_in.handed import Handed, quoted
from analysis.report.hand_in.pretrained import rate_words
from analysis.report.hand_in.sources import mark

_CUT = re.compile(r"(\d+) digits?(?: |$)")  # a photograph's line in the notes of its data set
_LEFT_OUT = re.compile(r"(\d+) marks? left out")
_CHANGES = {"dropout": "dropout", "elastic": "elastic"}  # a word of a search space → its source
_SHAPED = (
    f"Each digit's ink was taken off the paper{mark('opencv')}, scaled so that its longer side has "
    "20 of {side} pixels, and moved until its centre of mass is the image's middle, as MNIST's "
    f"digits are{mark('lecun')}."
)


def data_set(handed: Handed) -> Iterator[str]:
    """How many digits, whose, how they were cut, how they are split."""
    own, row = handed.data(handed.untuned), handed.row(handed.untuned)
    n_classes = int(row["n_classes"])
    yield _origin(handed, own, n_classes)
    counts = [int(row[f"n_{part}"]) for part in ("train", "validation", "test")]
    each = "/".join(f"{n / n_classes:g}" for n in counts)
    split = (
        f"For seed {handed.seed}, {counts[0]} digits were drawn to train, {counts[1]} to validate "
        f"and {counts[2]} to test ({each} of each class). They are in the folders of this "
        "hand-in as JPEG files of 28×28 gray pixels; the networks were trained on what these "
        "files hold."
    )
    if handed.n_seeds > 1:
        pool = f" from the same {int(own['n_images']):,}" if pd.notna(own["n_images"]) else ""
        split += (
            f" Each of the {handed.n_seeds} seeds drew a split of its own{pool}, so that the "
            f"numbers do not hang on one draw of {counts[2]} images."
        )
    yield split


def _origin(handed: Handed, own: pd.Series, n_classes: int) -> str:
    n_images = int(own["n_images"]) if pd.notna(own["n_images"]) else 0
    remarks = handed.findings.data.remarks
    notes = list(remarks.loc[remarks["name"] == own["name"], "remark"])
    dataset = str(handed.row(handed.untuned)["dataset"])
    if dataset != "sheets":
        stand_in = f" in place of {own['stand_in_for']}" if own["stand_in_for"] else ""
        return (
            f"No photographed digits were given: the {n_images:,} images of {n_classes} classes "
            f"are of {own['name']}{stand_in} ({own['source']})."
        )
    cut = [int(m[1]) for m in (_CUT.search(note.partition(": ")[2]) for note in notes) if m]
    cut = cut or [n_images]
    each = f"{min(cut)} to {max(cut)}" if min(cut) < max(cut) else f"{cut[0]}"
    share = f", {each} from each" if len(cut) > 1 else ""
    text = (
        f"{n_images:,} handwritten digits of {n_classes} classes were cut from "
        f"{words.plural(len(cut), 'photographed sheet')} ({own['source']}){share}. "
        + _SHAPED.format(side=28)
    )
    left_out = sum(int(m[1]) for m in map(_LEFT_OUT.search, notes) if m)
    doubts = sum("?" in note or "no whole digit" in note for note in notes)
    said = [
        f"{words.plural(left_out, 'mark')} that the program took for no digit "
        f"{'was' if left_out == 1 else 'were'} left out" * (left_out > 0),
        f"{words.plural(doubts, 'digit')} that looked doubtful {'was' if doubts == 1 else 'were'} "
        "kept" * (doubts > 0),
    ]
    said = [each for each in said if each and not each.startswith("0")]
    return f"{text} {words.sentence(words.listed(said))}" if said else text


def tuning(handed: Handed) -> Iterator[str]:
    """Space, budget, choice; what overfitted or was unstable, and what was done about it."""
    decisions = {decided.arm: decided for decided in handed.findings.decisions}
    own = [decisions[each.arm] for each in handed.tuned if each.arm in decisions]
    if not own:
        settings = words.listed(
            f"{quoted(each)} {rate_words(row)}, {int(row['epochs'])} epochs"
            for each in handed.tuned
            for row in [handed.row(each)]
        )
        yield f"Nothing was searched; the settings were given: {settings}."
    else:
        yield from _searched(handed, own, list(decisions.values()))
    yield from _unstable(handed)
    yield _overfitted(handed)


def _searched(handed: Handed, own: list[Decisions], every: list[Decisions]) -> Iterator[str]:
    first = own[0]
    space = words.joined(*(_space(k, v) for k, v in first.search.get("space", {}).items()))
    n_trials = sum(int(decided.winners["n_trials"].sum()) for decided in every)
    rungs = words.listed(
        [f"{n} for {words.plural(epochs, 'epoch')}" for epochs, n in first.rungs], "then the best"
    )
    row = handed.row(handed.tuned[0])
    what = "validation loss" if first.by_loss else "validation accuracy"
    coarse = (
        f" (one of {int(row['n_validation'])} images is "
        f"{100 / int(row['n_validation']):.3g} points of accuracy, so accuracy is coarse)"
    )
    where = "inside each seed's split" if first.for_each_seed else "once for all seeds"
    for word, source in _CHANGES.items():
        space = re.sub(rf"\b{word}\b", f"{word}{mark(source)}", space, count=1)
    halving = mark("halving") * (len(first.rungs) > 1)
    yield (
        f"Searched: {space}. Configurations were drawn at random{mark('random')}: "
        f"{rungs}{halving}, for each arm that "
        f"trains, {where}; {n_trials:,} search trials in all. The lowest {what} won"
        f"{coarse if first.by_loss else ''}; 0 of these trials saw a test image. Chosen for seed "
        f"{handed.seed}: {'; '.join(_winner(handed, d) for d in own)}."
    ).replace("The lowest validation accuracy", "The highest validation accuracy")


def _space(key: str, distribution: Mapping[str, Any]) -> str:
    name = words.spaced(key.rsplit(".", 1)[-1])
    ((kind, values),) = distribution.items()
    if kind == "choice":
        return f"{name} {words.listed([setting_text(v) for v in values], 'or')}"
    low, high = values[:2]
    return f"{name} {setting_text(low)} to {setting_text(high)} ({words.spaced(kind)})"


def _winner(handed: Handed, decided: Decisions) -> str:
    rows = decided.winners[decided.winners["seed"] == handed.seed]
    row = (rows if len(rows) else decided.winners).iloc[0]
    values = words.listed(
        f"{words.spaced(key)} {setting_text(row[key])}" for key in decided.settings
    )
    return f"“{decided.arm}” {values} (validation loss {words.number(row['val_loss'])})"


def _unstable(handed: Handed) -> Iterator[str]:
    """Configurations of the searches that only made the network worse, or that broke."""
    trials = handed.findings.runs.trials
    searched = trials[(trials["stage"] == "search") & (trials["status"] == "done")]
    arms = [each.arm for each in handed.tuned]
    own = searched[searched["arm"].isin(arms)]
    if own.empty:
        return
    worse = own[own["best_step"] == 0]
    broken = int((trials["stage"] == "search").sum() - len(searched))
    text = (
        f"Unstable: {len(worse)} of {len(own)} search trials of the fine-tuned arms never fell "
        "below the validation loss that the network had before its first step"
        if len(worse)
        else f"Unstable settings were not met: each of the {len(own)} search trials of the "
        "fine-tuned arms fell below the validation loss that the network had before its first step"
    )
    better = own[own["best_step"] > 0]
    if len(worse) and len(better):
        rates = [setting_text(float(t["learning_rate"].median())) for t in (worse, better)]
        text += f"; their median learning rate was {rates[0]}, that of the others {rates[1]}"
    yield f"{text}. {broken} search trials diverged or failed."


def _overfitted(handed: Handed) -> str:
    """What validation loss did after its best, and what the chosen checkpoint is."""
    items = [_after_best(handed, each) for each in handed.tuned]
    rises = [
        f"{quoted(each)} {words.number(rise)}"
        for each in handed.tuned
        if math.isfinite(rise := handed.gap(each, "loss_rise"))
    ]
    text = f"Overfitting: for seed {handed.seed}, {words.listed(items)}."
    if rises:
        text += (
            f" {handed.over_seeds.capitalize()} validation loss rose from its lowest point to "
            f"the end of training by {words.listed(rises)}."
        )
    n, by = len(handed.tuned), {"val_loss": "loss"}.get(handed.selects, "accuracy")
    which = f"of the best validation {by} and not of the last step{mark('early')}"
    if handed.selects == "last":
        which = "of the last step, which nothing chose"
    return (
        f"{text} What was done: the {n} networks that are tested are those {which}"
        f"{_dropped(handed)}."
    )


def _after_best(handed: Handed, evaluation: Evaluation) -> str:
    row = handed.row(evaluation)
    curves = handed.findings.runs.curves
    curve = curves[curves["trial_id"] == row["trial_id"]].sort_values("step")
    chosen = curve[curve["step"] == row["best_step"]].iloc[0]
    last = curve.iloc[-1]
    return (
        f"{quoted(evaluation)} was taken from epoch {chosen['epoch']:g} of {last['epoch']:g} "
        f"(validation loss {words.number(chosen['val_loss'])}, at the end "
        f"{words.number(last['val_loss'])})"
    )


def _dropped(handed: Handed) -> str:
    """Dropout and augmentation, where the searches chose between them."""
    own = [d for d in handed.findings.decisions if d.arm in {each.arm for each in handed.tuned}]
    parts = []
    for key, name in (("dropout", "dropout"), ("augment", "random changes of the images")):
        known = [decided for decided in own if key in decided.winners]
        counts = [
            f"in {_n_used(d, key)} of {words.plural(len(d.winners), 'search', 'searches')} for "
            f"“{d.arm}”"
            for d in known
        ]
        if counts:
            parts.append(f"{name} {words.listed(counts)}")
    return f"; the searches chose {', and '.join(parts)}" if parts else ""


def _n_used(decided: Decisions, key: str) -> int:
    texts = [setting_text(value) for value in decided.winners[key]]
    return sum(text not in ("none", "0", "0.0") for text in texts)

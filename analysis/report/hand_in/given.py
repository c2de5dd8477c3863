"""The first half of the report: the data set, the pretrained network, the tuning.

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

_CUT = re.compile(r"(\d+) digits?(?: |$)")  # a photograph's line in the notes of its data set
_LEFT_OUT = re.compile(r"(\d+) marks? left out")
_SHAPED = (
    "Each digit's ink was taken off the paper, scaled so that its longer side has 20 of {side} "
    "pixels, and moved until its centre of mass is the image's middle, as MNIST's digits are (1)."
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


def network(handed: Handed) -> Iterator[str]:
    """Which network, how it was pretrained, why it was chosen."""
    stage = handed.pretrained
    row = handed.row(stage)
    why = f" {words.sentence(str(handed.sweep['why']))}" if handed.sweep.get("why") else ""
    data = handed.data(stage)
    stand_in = f" (which stands in for {data['stand_in_for']})" if data["stand_in_for"] else ""
    yield (
        f"The network is {row['model']} with {int(row['n_parameters']):,} weights.{why} "
        f"It was trained on {int(row['n_train']):,} images of {_set(row)}{stand_in} for "
        f"{words.plural(int(row['epochs']), 'epoch')} of {_per_epoch(row)} steps ({_rate(row)}); "
        f"{int(row['n_validation']):,} further images chose the checkpoint of step "
        f"{int(row['best_step']):,} of {int(row['steps']):,}, with "
        f"{words.percent(row['best_val_accuracy'])} of them right."
    )
    yield _other_networks(handed, row)


def _other_networks(handed: Handed, row: pd.Series) -> str:
    trials = handed.findings.runs.trials
    stages = trials[(trials["stage"] == "pretrain") & (trials["status"] == "done")]
    alike = stages[stages["dataset_fingerprint"] == row["dataset_fingerprint"]]
    if alike["arm"].nunique() < 2:
        return "Not compared: this run pretrained 1 network, so that others do worse is not shown."
    items = []
    for arm, rows in alike.groupby("arm", sort=False):
        n = int(rows["n_parameters"].iloc[0])
        accuracy = words.percent(rows["best_val_accuracy"].mean())
        seconds = words.seconds(rows["train_time_s"].mean())
        items.append(
            (
                arm == row["arm"],
                f"{rows['model'].iloc[0]} ({n:,} weights) {accuracy} in {seconds} of training",
            )
        )
    items.sort(key=lambda item: not item[0])
    return (
        f"Compared on the same images, by validation accuracy, mean of {handed.seeds_words}: "
        f"{words.listed(text for _, text in items)}{_ahead(alike, row)}."
    )


def _ahead(stages: pd.DataFrame, row: pd.Series) -> str:
    """By how much the network that was taken is ahead of the best other one."""
    means = stages.groupby("arm")["best_val_accuracy"].mean()
    own, other = float(means[row["arm"]]), float(means.drop(row["arm"]).max())
    side = "ahead of" if own >= other else "behind"
    return f"; the one that was taken is {words.points_plain(abs(own - other))} points {side} it"


def _set(row: pd.Series) -> str:
    return "MNIST" if row["dataset"] == "mnist" else str(row["dataset"])


def _per_epoch(row: pd.Series) -> str:
    return f"{math.ceil(int(row['n_train']) / int(row['batch_size'])):,}"


def _rate(row: pd.Series) -> str:
    return (
        f"batches of {int(row['batch_size'])}, learning rate {setting_text(row['learning_rate'])}"
    )


def tuning(handed: Handed) -> Iterator[str]:
    """Space, budget, choice; what overfitted or was unstable, and what was done about it."""
    decisions = {decided.arm: decided for decided in handed.findings.decisions}
    own = [decisions[each.arm] for each in handed.tuned if each.arm in decisions]
    if not own:
        settings = words.listed(
            f"{quoted(each)} {_rate(handed.row(each))}, {int(handed.row(each)['epochs'])} epochs"
            for each in handed.tuned
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
    yield (
        f"Searched: {space}. Configurations were drawn at random: {rungs}, for each arm that "
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
    by = "loss" if (handed.sweep.get("train") or {}).get("select") == "val_loss" else "accuracy"
    return (
        f"{text} What was done: the {len(handed.tuned)} networks that are tested are those of the "
        f"best validation {by} and not of the last step{_dropped(handed)}."
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
            f"in {_n_used(d, key)} of {words.plural(len(d.winners), 'search')} for “{d.arm}”"
            for d in known
        ]
        if counts:
            parts.append(f"{name} {words.listed(counts)}")
    return f"; the searches chose {', and '.join(parts)}" if parts else ""


def _n_used(decided: Decisions, key: str) -> int:
    texts = [setting_text(value) for value in decided.winners[key]]
    return sum(text not in ("none", "0", "0.0") for text in texts)

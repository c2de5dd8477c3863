"""The section of the report on the pretrained network: which, how it was trained, why it was taken.

In: `Handed`. Out: paragraphs. It stands apart from `given` because the choice of a network has to
answer for the others that the run trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from analysis import words
from analysis.findings.searches import setting_text
from analysis.report.hand_in.handed import Handed
from analysis.report.hand_in.sources import mark, network_name

_OPTIMIZERS = {  # how a report writes them
    "adam": f"Adam{mark('adam')}",
    "adamw": f"AdamW{mark('adamw')}",
    "sgd": "stochastic gradient descent",
}


def network(handed: Handed) -> Iterator[str]:
    """Which network, how it was pretrained, why it was chosen."""
    stage = handed.pretrained
    row = handed.row(stage)
    why = f" {words.sentence(str(handed.sweep['why']))}" if handed.sweep.get("why") else ""
    data = handed.data(stage)
    stand_in = f" (which stands in for {data['stand_in_for']})" if data["stand_in_for"] else ""
    yield (
        f"The network is {network_name(row['model'])}, with {int(row['n_parameters']):,} weights, "
        f"in PyTorch{mark('pytorch')}.{why} It was trained on {int(row['n_train']):,} images of "
        f"{_set(row)}{stand_in} for {words.plural(int(row['epochs']), 'epoch')} of "
        f"{_per_epoch(row)} steps ({_how(handed, row)}); {_kept(handed, row)}."
    )
    yield _other_networks(handed, row)


def _how(handed: Handed, row: pd.Series) -> str:
    """`Adam (9), cosine schedule (10), batches of 128, learning rate 0.002`."""
    stage = (handed.sweep.get("pretrain") or {}).get(row["arm"]) or {}
    train = {**(handed.sweep.get("train") or {}), **(stage.get("train") or {})}
    schedule = (train.get("schedule") or {}).get("name", "none")
    said = [
        _OPTIMIZERS.get(str(train.get("optimizer", "")), ""),
        f"{schedule} schedule{mark('cosine') if schedule == 'cosine' else ''}"
        * (schedule != "none"),
        rate_words(row),
    ]
    return ", ".join(filter(None, said))


def _kept(handed: Handed, row: pd.Series) -> str:
    """Which step's weights were kept, and how good they are."""
    n, right = int(row["n_validation"]), words.percent(row["best_val_accuracy"])
    if handed.selects == "last":
        return f"its last weights were kept; of {n:,} further images they read {right} right"
    return (
        f"{n:,} further images chose the checkpoint of step {int(row['best_step']):,} of "
        f"{int(row['steps']):,}, with {right} of them right"
    )


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
        name = network_name(rows["model"].iloc[0])
        items.append(
            (arm == row["arm"], f"{name} ({n:,} weights) {accuracy} in {seconds} of training")
        )
    items.sort(key=lambda item: not item[0])
    return (
        "Compared on the same images, by validation accuracy"
        f"{f', mean of {handed.seeds_words}' * (handed.n_seeds > 1)}: "
        f"{words.listed(text for _, text in items)}{_ahead(handed, alike, row)}."
    )


def _ahead(handed: Handed, stages: pd.DataFrame, row: pd.Series) -> str:
    """By how much the network that was taken is ahead of the best other one; if not, why it was."""
    means = stages.groupby("arm")[["best_val_accuracy", "train_time_s"]].mean()
    own, others = means.loc[row["arm"]], means.drop(row["arm"])
    best = others.loc[others["best_val_accuracy"].idxmax()]
    lead = float(own["best_val_accuracy"] - best["best_val_accuracy"])
    points = f"{words.points_plain(abs(lead))} points"
    if lead >= 0:
        return f"; the one that was taken is {points} ahead of it"
    n_test = int(handed.row(handed.untuned)["n_test"])
    text = (
        f"; the one that was taken is {points} behind it. It was taken all the same: on "
        f"{n_test} own test images such a lead is worth {abs(lead) * n_test:.2g} images"
    )
    share = float(own["train_time_s"] / best["train_time_s"])
    if share < 1:
        text += (
            f", while training it takes {share:.2g} of the other one's time, and each search of "
            "settings trains it many times"
        )
    return (
        f"{text}. The other one was not fine-tuned, so whether it would read the own digits "
        "better is not known"
    )


def _set(row: pd.Series) -> str:
    return "MNIST" if row["dataset"] == "mnist" else str(row["dataset"])


def _per_epoch(row: pd.Series) -> str:
    return f"{math.ceil(int(row['n_train']) / int(row['batch_size'])):,}"


def rate_words(row: pd.Series) -> str:
    """`batches of 16, learning rate 0.001`."""
    return (
        f"batches of {int(row['batch_size'])}, learning rate {setting_text(row['learning_rate'])}"
    )

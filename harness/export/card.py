"""The model card of an exported network: what it is, and how sure its arm's scores are.

In: a run folder and one of its networks. Out: Markdown. It stands alone because it calls the
analysis for the intervals, which are those of the report.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.files import atomic_file
from headstart.metrics import WITHOUT_ACCURACY
from headstart.output import on_one_line

if TYPE_CHECKING:
    import pandas as pd

    from harness.evaluate.models import SavedModel
    from headstart.rows import TrialRow

# Column, what people read, whether it is a share.
MEASURES = (
    ("test_accuracy", "test accuracy", True),
    ("test_balanced_accuracy", "test balanced accuracy", True),
    ("test_macro_f1", "test macro F1", True),
    ("test_loss", "test loss", False),
    ("best_val_accuracy", "validation accuracy", True),
    ("test_mean_average_precision", "test mean average precision", True),
    ("test_micro_f1", "test micro F1", True),
    ("test_exact_match", "test images of which all labels are right", True),
    ("test_quadratic_kappa", "test quadratic kappa", False),
    ("test_mae", "test mean absolute error", False),
    ("test_rmse", "test root mean squared error", False),
    ("test_r2", "test R²", False),
)


def write_card(run: Path, model: SavedModel, is_best: bool, path: Path, kind: str) -> None:
    """Write the card; `kind` is the format that the network is written in."""
    lines = _card(run, model, is_best, kind)
    if kind == "huggingface":
        from harness.export.huggingface import front_matter, use

        lines = [*front_matter(model), *lines, "", *use(model)]
    with atomic_file(path) as file:
        file.write("\n".join(lines) + "\n")


def _card(run: Path, model: SavedModel, is_best: bool, kind: str) -> list[str]:
    row, train = model.row, model.condition.train
    trials = _trials(run, model.arm)
    chosen = " It was chosen as the best of the seeds on validation images." if is_best else ""
    refit = " It was trained once more on the images of all parts, so no score is its own." \
        if row.refits else ""  # fmt: skip
    height, width = model.image_size
    return [
        f"# {_plain(model.condition.model.name)}, {_plain(model.arm)}, seed {row.seed}",
        "",
        f"A network {_of_target(row)} for images of {height}×{width} pixels "
        f"(height × width) and {model.channels} channel{'s' * (model.channels > 1)}, trained on "
        f"{_plain(model.data.label)} "
        f"({row.n_train or 0:,} images) by Headstart.{chosen}{refit}",
        "",
        *_outputs(row, kind),
        "## Scores",
        "",
        *_scores(trials, model),
        "",
        "The interval is of the mean over seeds at 95 %, each of one measure alone. It speaks for "
        "the way of training; the last column is of this network alone."
        + (" Who takes the best of several gets too good a score." if is_best else ""),
        "",
        "## What it was not tested on",
        "",
        f"{_tested_on(trials, model)}. It was not tested on pictures from another source, camera "
        "or time, nor on pictures that show none of "
        + (
            "what it was trained on. Its answers were "
            if row.target in WITHOUT_ACCURACY
            else "its classes, to which it gives one of them all the same. Probabilities were "
        )
        + "computed in float32"
        + ("." if train.precision == "float32" else f"; it was trained in {train.precision}."),
    ]


def _of_target(row: TrialRow) -> str:
    n = len(row.class_names)
    return {"labels": f"that says which of {n} labels hold", "number": "that says a number"}.get(
        row.target, f"with {n} classes"
    )


def _outputs(row: TrialRow, kind: str) -> list[str]:
    """What the outputs are; a blank line ends it.

    Of an ONNX file they are called `logits`, and a second output has what they stand for.
    """
    is_onnx = kind == "onnx"
    if row.target == "number":
        scale = row.target_scale or {}
        unit = _plain(str(scale.get("unit") or "")) or "its unit"
        which = "Its output `numbers` is the number" if is_onnx else "The number"
        output = "`logits`" if is_onnx else "its output"
        return [
            f"{which} in {unit}: {output} times {scale.get('sd')} plus {scale.get('mean')}.",
            "",
        ]
    of_each = {
        "labels": "a label's is the sigmoid of its own output, and from 0.5 on the label holds"
    }.get(row.target, "the softmax of all outputs")
    where = "The output `probabilities` has the probabilities" if is_onnx else "Probabilities"
    what = {"labels": "Labels", "ordered": "Classes, the lowest first"}.get(row.target, "Classes")
    names = ", ".join(map(_plain, row.class_names))
    return [f"{what}, in the order of the outputs: {names}. {where}: {of_each}.", ""]


def _trials(run: Path, arm: str) -> pd.DataFrame:
    """The finished trials of an arm, without its refits."""
    from analysis.notebook import load

    trials = load(run).trials
    is_scored = (trials["status"] == "done") & (trials["stage"] != "refit")
    return trials[(trials["arm"] == arm) & is_scored]


def _tested_on(trials: pd.DataFrame, model: SavedModel) -> str:
    row = model.row
    n_test = int(trials["n_test"].fillna(0).max()) if row.refits else row.n_test
    if not n_test:
        return "It was tested on no images; its scores are of validation images"
    who = "the trials of its arm were" if row.refits else "it was"
    return (
        f"The images that {who} tested on are the {n_test:,} test images of "
        f"{_plain(model.data.label)}, and no others"
    )


def _scores(done: pd.DataFrame, model: SavedModel) -> list[str]:
    from analysis.findings.by_arm import final_interval

    lines = ["| measure | mean over seeds | 95 % interval | seeds | this network |",
             "|---|---|---|---|---|"]  # fmt: skip
    for column, words, is_share in MEASURES:
        if column not in done or not (n := int(done[column].notna().sum())):
            continue
        unit = _unit(model.row) if column in ("test_mae", "test_rmse") else ""
        interval = final_interval(done, column, is_share)
        low, high = _number(interval.low, is_share), _number(interval.high, is_share)
        both = "none: one seed" if math.isnan(interval.low) else f"{low} to {high}"
        own = getattr(model.row, column)
        own_text = "–" if model.row.refits or own is None else _number(own, is_share)
        mean = _number(interval.estimate, is_share)
        lines.append(f"| {words}{unit} | {mean} | {both} | {n} | {own_text} |")
    return lines if len(lines) > 2 else ["The run has no score of this arm."]


def _unit(row: TrialRow) -> str:
    """` (years)`, of ordered classes ` (places)`, or nothing."""
    if row.target == "ordered":
        return " (places)"
    unit = _plain(str((row.target_scale or {}).get("unit") or ""))
    return f" ({unit})" if unit else ""


def _number(value: float, is_share: bool) -> str:
    return f"{100 * value:.2f} %" if is_share else f"{value:.4f}"


def _plain(text: str) -> str:
    """A name that somebody chose, without what Markdown and HTML would take for commands."""
    return re.sub(r"([\\`*_{}\[\]<>()#!|&])", r"\\\1", on_one_line(text))

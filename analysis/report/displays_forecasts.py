"""Tables of forecasts, and of starts by data sets.

In: `Findings`. Out: a `Table` from each function; `sections` says where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis import words
from analysis.findings.findings import Findings
from analysis.findings.forecasts import orders_in_words
from analysis.report.displays import SCORE_WORDS
from analysis.report.tables import Column, Table, further, of_kind, with_interval


def forecast_table(findings: Findings) -> Table:
    """One row a data set, start and score."""
    columns = (
        *of_kind("text", data_set="Data set", start="Start", label="Score"),
        Column("value", "Value", "number"),
        Column("rank", "Rank", "count"),
        Column("arm", "Arm of the result"),
        Column("final", SCORE_WORDS[findings.score], findings.course.kind, "low", "high"),
        Column("seconds", "Time", "seconds"),
        *further(
            Column("arms", "Arms that start so"), Column("n", "Seeds of the result", "count"),
            Column("n_features", "Features", "count"), Column("reason", "Why there is no score"),
        ),
    )  # fmt: skip
    note = (
        "Scores are means over seeds, of training and validation images alone; more is "
        "better. The result is of the arm that validation takes among those that share the start."
    )
    return Table(
        "forecasts", "Scores of starts, and results", findings.forecasts.scores, columns, note
    )


def order_table(findings: Findings) -> Table:
    """One row a data set and score: how well it ordered the starts."""
    kind = "points_plain" if findings.course.is_share else "number"
    columns = (
        *of_kind("text", data_set="Data set", label="Score"),
        with_interval("tau", "Weighted τ", "number"),
        with_interval("regret", "Regret", kind),
        *of_kind("text", chosen="It chose", best="Best"),
        *of_kind("count", n_starts="Starts", n_seeds="Seeds"),
        *further(*of_kind("text", tau_note="On the interval", note="Note")),
    )
    note = (
        "Weighted τ (Vigna 2015): 1 where the order is right, −1 where it is reversed. Regret: the "
        "best start’s result less that of the start with the best score. Intervals redraw seeds "
        "(percentiles); under 10 seeds they are too narrow."
    )
    return Table(
        "forecast_orders", "How well each score ordered the starts", findings.forecasts.orders,
        columns, note,
    )  # fmt: skip


def transfer_table(findings: Findings) -> Table:
    """One row a start and data set: the difference from the control, and the forecast."""
    kind = "points" if findings.course.is_share else "signed"
    columns = (
        *of_kind("text", start="Start", data_set="Data set", control="Control"),
        Column("estimate", "Difference", kind, "low", "high"),
        Column("verdict", "Verdict"),
        Column("forecast", "LogME, difference", "number"),
        Column("forecast_rank", "Rank by LogME", "count"),
        *further(Column("n_pairs", "Pairs", "count"), Column("treatment", "Arm")),
    )
    frame = findings.matrix.assign(
        verdict=[words.verdict(str(v)) for v in findings.matrix["verdict"]]
    )
    return Table("transfer", "Which start helps on which data", frame, columns)


def forecast_words(findings: Findings) -> Iterator[str]:
    """What the forecasts came to, a paragraph a data set."""
    forecasts = findings.forecasts
    if not forecasts.scores.empty:
        yield (
            "A forecast is of a start and not of a way to fine-tune: arms that share a start share "
            "its scores. No arm was trained for them, and no test image was looked at."
        )
    for data_set, rows in (
        forecasts.orders.groupby("data_set", sort=False) if len(forecasts.orders) else ()
    ):
        said = ". ".join(orders_in_words(rows, findings.course))
        yield words.sentence(f"{data_set}, {words.plural(rows['n_starts'].max(), 'start')}: {said}")
    yield from forecasts.remarks

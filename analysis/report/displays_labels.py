"""The table of right labels: how validation went on them, beside the labels that were given.

In: `Findings`. Out: a `Table`; `sections` says where it stands.
"""

from __future__ import annotations

from analysis.findings.findings import Findings
from analysis.report.displays import task_column
from analysis.report.tables import Column, Table, further, of_kind, with_interval


def right_label_table(findings: Findings) -> Table:
    """One row an arm: accuracy and loss of the validation images on their right labels."""
    columns = (
        *task_column(findings),
        Column("arm", "Arm"),
        *of_kind("count", n="Seeds"),
        Column("given_last", "Given labels, at the end", "percent"),
        *of_kind(
            "percent", right_first="Right labels, at the start", right_chosen="At the chosen step",
            right_last="At the end",
        ),
        with_interval("right_change", "Change", "points"),
        *of_kind("number", loss_first="Loss at the start", loss_last="Loss at the end"),
        *further(
            Column("loss_chosen", "Loss at the chosen step", "number"),
            with_interval("loss_change", "Change of the loss", "signed"),
        ),
    )  # fmt: skip
    note = (
        "Validation images, scored on the labels given and on their right labels; the same "
        "predictions. Means over seeds; a change is the last evaluation less the first, paired by "
        "seed. The loss is the cross-entropy on right labels, whatever loss trained. Nothing was "
        "chosen by it."
    )
    title = "Validation on right labels"
    return Table("right_labels", title, findings.right, columns, note)

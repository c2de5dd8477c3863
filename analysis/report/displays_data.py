"""Tables of the data sets and of the weights that networks started from.

In: `Findings`. Out: a `Table` from each function; `sections` says where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.findings.findings import Findings
from analysis.report.tables import Column, Table, further, of_kind


def data_table(findings: Findings) -> Table:
    """One row a data set."""
    columns = (
        *of_kind("text", name="Data set", used_by="Used by"),
        *of_kind("text", n_train="To train", n_validation="To validate", n_test="To test"),
        *of_kind("count", n_images="Images", n_classes="Classes", n_groups="Groups"),
        *of_kind("text", target="Labels are", size="Size", stand_in_for="Stands in for"),
        *further(*of_kind("text", source="Source", fingerprint="Fingerprint")),
    )
    frame = findings.data.sets
    note = (
        "Images that trials trained on, that chose the checkpoint and that it was tested on; "
        "“Images” are all that the data set has."
    )
    return Table("data", "Data sets", frame, _said(columns, frame), note)


def remark_table(findings: Findings) -> Table:
    """Warnings and notes, each a row."""
    columns = of_kind("text", name="Data set", kind="What", remark="In words")
    return Table("data_notes", "Notes on the data", findings.data.remarks, tuple(columns))


def class_count_table(findings: Findings) -> Table:
    """Images of each class, in the parts that the set has of its own."""
    frame = findings.data.classes
    labels = {"all": "Images", "train": "Train", "validation": "Validation", "test": "Test"}
    columns = (
        *of_kind("text", **{"name": "Data set", "class": "Class"}),
        *of_kind("count", **{key: label for key, label in labels.items() if key in frame}),
    )
    note = "As the data set comes, before any images are drawn from it."
    return Table("data_classes", "Classes of the data", frame, columns, note)


def start_table(findings: Findings) -> Table:
    """What networks started from, and what became of the tensors."""
    columns = (
        *of_kind("text", place="Arm", start="Started from"),
        *of_kind("text", head="Last layer"),
        *of_kind("count", n_loaded="Loaded"),
        *of_kind("text", new="New", left_out="Left out", remark="In words"),
    )
    frame = findings.starts
    note = (
        "Tensors of the first finished trial of each arm. “New” ones were drawn at random, those "
        "“left out” of the file were not used. Whether weights were trained on images that are "
        "tested here, nothing in a file says."
    )
    return Table("starts", "First weights", frame, _said(columns, frame), note)


def _said(columns: Iterable[Column], frame: pd.DataFrame) -> tuple[Column, ...]:
    """The columns that have something in any row."""
    return tuple(c for c in columns if (frame[c.key].notna() & (frame[c.key] != "")).any())

"""Tables as files for other programs: CSV, LaTeX and report.json.

In: tables and the content of a report. Out: files. It stands alone because it needs no renderer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.report.document import Content
from analysis.report.latex import latex_table
from analysis.report.tables import Table
from headstart.cells import write_frame
from headstart.files import atomic_file
from headstart.private import without_paths

_ARM_KEYS = ("arm", "treatment", "control")
ASKED = ("name", "question", "tasks", "arms", "targets", "margin")  # of a sweep, in report.json


def write_tables(tables: Iterable[Table], folder: Path, names: Mapping[str, str]) -> None:
    """NAME.csv (all columns, full precision) and NAME.tex of every table, into `folder`.

    `names`: what the sweep calls the arms, by what the report calls them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        write_frame(folder / f"{table.name}.csv", _with_names(table.frame, names))
        with atomic_file(folder / f"{table.name}.tex") as file:
            file.write(latex_table(table))


def names_of(trials: pd.DataFrame) -> dict[str, str]:
    """What the sweep calls each arm (and stage), by what a report calls it.

    A name that holds a path (of a grid over files) stays as the report shows it: a report is
    published, and where files lie is nobody else's business.
    """
    names = zip(trials["arm"].astype(str), trials["arm_name"].astype(str), strict=True)
    return {arm: name if without_paths(name) == name else arm for arm, name in names}


def _with_names(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """With the arm's own name in a last column, so that programs find it whatever its label is."""
    new = {key: f"{key}_name" for key in _ARM_KEYS if key in frame}
    whole = frame.copy()  # in one block a type: of a column more than 100 blocks pandas warns
    return whole.assign(
        **{to: [names.get(str(arm), arm) for arm in frame[key]] for key, to in new.items()}
    )


def report_json(content: Content) -> dict[str, object]:
    """Everything the report says, for other programs; not a number becomes null."""
    names = names_of(content.findings.runs.trials)
    return {
        "format": 1,
        "stamp": content.findings.stamp,
        "sweeps": [
            {key: getattr(asked, key) for key in ASKED}
            | {"compare": [pair._asdict() for pair in asked.pairs]}
            for asked in content.findings.asked
        ],
        "in_short": " ".join(filter(None, (content.glance.sentence, content.glance.reasons))),
        "answer": [paragraph.text for paragraph in content.top],
        "caveats": list(content.caveats),
        "comparisons_in_words": [
            {"task": a.task, "treatment": a.treatment, "control": a.control, "text": a.words.text}
            for a in content.answers
        ],
        "tables": {
            table.name: [
                {key: _plain(value) for key, value in row.items()}
                for row in _with_names(table.frame, names).to_dict("records")
            ]
            for table in content.each_table
            if table.name != "by_trial"  # that is trials.parquet of the run
        },
    }


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write `content` as JSON, atomically; the same content gives the same bytes."""
    with atomic_file(path) as file:
        json.dump(content, file, indent=1, allow_nan=False, ensure_ascii=False)
        file.write("\n")


def _plain(value: object) -> object:
    """A value that JSON has: infinity as text, NaN as null."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("infinity" if value > 0 else "-infinity")
    return value if isinstance(value, bool | int | float | str) else str(value)

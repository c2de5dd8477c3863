"""The data sets of the runs: what their records say, and what trials made of them, as tables.

In: `Runs`. Out: `DataTables`. It stands alone because a report says of every run which data its
numbers are about. Texts lose what is private here: a source is a path of the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import words
from analysis.findings.load import Runs
from headstart.data_records import DataRecord
from headstart.metrics import WITHOUT_ACCURACY
from headstart.private import publishable

KEYS = ["dataset", "dataset_fingerprint"]
PARTS = ("train", "validation", "test")
_TARGETS = {
    "labels": "{} labels, any number an image",
    "ordered": "{} ordered classes",
    "number": "numbers",
}


@dataclass(frozen=True)
class DataTables:
    """Tables of the data sets, each with a column `name`.

    sets: one row a data set. remarks: one row a warning, a note, or a set that is not used.
    classes: one row a class, with all of its images and those of each part that the set has of
    its own.
    """

    sets: pd.DataFrame
    remarks: pd.DataFrame
    classes: pd.DataFrame


def describe_data(runs: Runs) -> DataTables:
    """The data sets that trials used, in the order in which the trials stand."""
    records = {(record.dataset, record.fingerprint): record for record in runs.data}
    by_set = runs.trials.groupby(KEYS, sort=False, dropna=False)
    groups = [(str(key[0]), str(key[1]), records.get(key), rows) for key, rows in by_set]
    labels = [_public(record.name) if record else dataset for dataset, _, record, _ in groups]
    shared = {label for label, n in Counter(labels).items() if n > 1}
    sets, remarks, classes = [], [], []
    for label, (_, fingerprint, record, rows) in zip(labels, groups, strict=True):
        name = f"{label} ({fingerprint[:8]})" if label in shared else label
        sets.append({"name": name, "fingerprint": fingerprint, **_of_trials(rows)})
        if record is not None:
            sets[-1] |= _of_record(record)
            remarks += [{"name": name, **remark} for remark in _remarks(record)]
            if sets[-1]["n_classes"] is not None:
                classes += [{"name": name, **one_class} for one_class in _classes(record)]
    parts = [part for part in ("all", *PARTS) if any(part in row for row in classes)]
    return DataTables(
        pd.DataFrame(sets),
        pd.DataFrame(remarks, columns=["name", "kind", "remark"]),
        pd.DataFrame(classes, columns=["name", "class", *parts]),
    )


def _of_trials(rows: pd.DataFrame) -> dict[str, Any]:
    """What the trials tell of their data set; what only a record tells is empty."""
    done = rows[(rows["status"] == "done") & (rows["stage"] != "refit")]  # which has one part alone
    target, n_outputs = str(rows.iloc[0].get("target")), _number(rows.iloc[0].get("n_classes"))
    places = [_place(*pair) for pair in zip(rows["stage"], rows["arm"], strict=True)]
    return {
        "used_by": words.shortened(list(dict.fromkeys(places))),
        "n_classes": None if target in WITHOUT_ACCURACY else n_outputs,
        "target": _TARGETS.get(target, "").format(n_outputs),
        "stand_in_for": words.listed(sorted(set(rows["stand_in_for"]) - {""})),
        **{f"n_{part}": _range(done, f"n_{part}") for part in PARTS},
        "n_images": None,
        "n_groups": None,
        "size": "",
        "source": "",
    }


def _of_record(record: DataRecord) -> dict[str, Any]:
    height, width = record.image_size
    return {
        "n_images": record.n_images,
        "n_groups": record.n_groups,
        "size": f"{width}×{height}, {'gray' if record.channels == 1 else 'colour'}",
        "source": _public(record.source),
    }


def _number(value: Any) -> int | None:
    return int(value) if pd.notna(value) else None


def _place(stage: str, arm: str) -> str:
    return {"pretrain": f"stage “{arm}”", "search": f"search for “{arm}”"}.get(stage, f"“{arm}”")


def _range(rows: pd.DataFrame, key: str) -> str:
    """`2,000`, or `100 to 2,000` where arms differ; nothing where no trial finished."""
    values = rows[key].dropna() if key in rows else pd.Series(dtype=float)
    if values.empty:
        return ""
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _remarks(record: DataRecord) -> Iterator[dict[str, str]]:
    said: Sequence[tuple[str, str]] = [
        *(("Warning", text) for text in record.warnings),
        *(("Not used", f"{other.name} is not used: {other.reason}") for other in record.not_used),
        *(("Note", text) for text in record.notes),
    ]
    for kind, text in said:
        yield {"kind": kind, "remark": _public(text)}


def _classes(record: DataRecord) -> Iterator[dict[str, Any]]:
    for k, name in enumerate(record.class_names):
        counts = {part: n[k] for part, n in record.counts.items() if k < len(n)}
        own = {part: counts[part] for part in PARTS if part in counts}
        yield {"class": name, "all": sum(counts.values()), **own}


def _public(text: str) -> str:
    return str(publishable(text))

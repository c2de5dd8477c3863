"""What `harness.evaluate` leaves behind: tables that the analysis and a spreadsheet can read.

In: trial rows, answers and scores. Out: files in `RUN/evaluations/`, all named for the test set.
`NAME.parquet` has the columns of `trials.parquet`, with the later test set in `dataset`, `n_test`,
`test_accuracy` and `test_loss`: whatever reads a run's table of trials reads it too.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.evaluate.models import SavedModel
from harness.evaluate.options import OWN
from harness.evaluate.test_sets import TestSet
from harness.runfolder.tables import as_table
from harness.training.score import Score
from headstart.cells import harmless
from headstart.errors import InputError
from headstart.files import atomic_file, safe_name
from headstart.foreign import own_folder, refuse_links
from headstart.rows import LaterTestRow


def output_folder(run: Path, out: Path | None, name: str = "evaluations") -> Path:
    """Where the files go: `out`, or the folder `name` in the run folder; it is made.

    Raises:
        InputError: it is a file, or cannot be made.
    """
    folder = out or run / name
    try:
        if out is None:
            refuse_links(own_folder(run, name))
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise InputError(f"{folder}: cannot be made as a folder: {err.strerror}") from err
    return folder


def trial_row(model: SavedModel, test: TestSet, score: Score, merged: float | None) -> LaterTestRow:
    """The trial's own row, with this test set's scores in the place of its own test part's."""
    row = LaterTestRow(**model.row.to_json(), trained_on=model.row.dataset)
    return replace(
        row,
        dataset=test.name,
        dataset_fingerprint=test.fingerprint,
        n_test=len(test.labels),
        **score.columns("test_"),
        accuracy_case_merged=merged,
    )


def write_trial_rows(path: Path, rows: Sequence[LaterTestRow]) -> None:
    """One row a trial, as Parquet."""
    import pyarrow.parquet as pq

    with atomic_file(path, "wb") as file:
        pq.write_table(as_table(rows, LaterTestRow), file)


def prediction_rows(
    who: Mapping[str, object], test: TestSet, class_names: Sequence[str], probabilities: np.ndarray
) -> list[dict[str, object]]:
    """One row an image: who answered, the file, its label, the answer and its probability.

    Args:
        who: arm, seed and trial_id; the last is `ensemble` and the seed None for an ensemble.
        probabilities: float (n, classes).
    """
    predicted = probabilities.argmax(axis=1)
    return [
        {
            **who,
            "file": file,
            "label": class_names[label],
            "predicted": class_names[answer],
            "probability": float(row[answer]),
            "probability_of_label": float(row[label]),
        }
        for file, label, answer, row in zip(
            test.files, test.labels, predicted, probabilities, strict=True
        )
    ]


def write_predictions(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """All answers of all networks, as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_file(path, "wb") as file:
        pq.write_table(pa.Table.from_pylist(list(rows)), file, compression="zstd")


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for a spreadsheet; numbers with six digits."""
    with atomic_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([harmless(name) for name in header])
        writer.writerows([_plain(value) for value in row] for row in rows)


def write_confusion(
    folder: Path, stem: str, counts: np.ndarray, class_names: Sequence[str]
) -> None:
    """Counts, true classes down and predicted ones across, all networks of an arm together."""
    rows = [[name, *map(int, row)] for name, row in zip(class_names, counts, strict=True)]
    write_csv(folder / f"{stem}.csv", ["true \\ predicted", *class_names], rows)


def stem(*parts: str) -> str:
    """A file name without ending, from names that a user gave."""
    return "-".join(safe_name(part) for part in parts)


def set_stem(name: str, is_own: bool) -> str:
    """The file name without ending of a test set: `own` belongs to the run's own test part.

    A set of that name, as a folder called `own`, gets `set-own`, on disks that take `Own` for the
    same name, too.
    """
    is_taken = not is_own and stem(name).lower() == OWN
    return stem("set", name) if is_taken else stem(name)


def _plain(value: object) -> object:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    return harmless(value)

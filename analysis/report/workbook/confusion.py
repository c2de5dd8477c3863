"""The sheet of confusion matrices: shares and counts of every arm, coloured by one scale.

In: the confusion matrices of `Findings`. Out: a sheet. It stands alone because a matrix is no table
of columns: its colours mean something only where they are the same for all arms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xlsxwriter.utility import xl_range

from analysis.findings.findings import Findings
from analysis.report.workbook.book import HEADINGS, Book, Worksheet
from analysis.statistics.classes.scores import Confusion

NAME = "Confusion"
TITLE = "Which classes are taken for which"
NOTE = (
    "Left: the share of each true class (row) that was taken for each class (column), mean over "
    "seeds. Right: images of all seeds together. Mistakes have one scale of colours in all blocks; "
    "right answers, on the diagonal, are grey."
)
MOST_CLASSES = 100  # of which a sheet can show every pair
MISTAKE, RIGHT = "#D55E00", "#EEF1F4"  # the darkest mistake; right answers


def confusion_sheet(book: Book, findings: Findings) -> str:
    """Write the sheet; returns its name, "" where no predictions were read."""
    matrices = findings.classes.confusions
    if not matrices:
        return ""
    sheet, name = book.sheet(NAME)
    book.top(sheet, TITLE, NOTE, [18])
    sheet.set_column(0, 0, 18)
    sheet.freeze_panes(HEADINGS, 1)
    most = max((_largest_mistake(m.mean) for m in matrices.values()), default=0.0)
    row = HEADINGS
    for (task, arm), matrix in matrices.items():
        where = f"{task}, {arm}" if len(findings.tasks) > 1 else arm
        row = _block(book, sheet, row, where, findings.classes.class_names[task, arm], matrix, most)
    return name


def _block(
    book: Book,
    sheet: Worksheet,
    row: int,
    where: str,
    names: Sequence[str],
    matrix: Confusion,
    most: float,
) -> int:
    """One arm's matrix from `row` on; returns the row of the next."""
    n, bold = len(names), book.format(bold=True)
    images = int(matrix.pooled.sum())
    sheet.write_string(row, 0, f"{where}: {images:,} images of {matrix.n_trials} seeds", bold)
    if n > MOST_CLASSES:
        sheet.write_string(row + 1, 0, f"{n} classes are too many for a sheet: see By class.")
        return row + 3
    shares, counts = book.format(num_format="0.0%"), book.format(num_format="#,##0")
    for values, left, form in ((matrix.mean, 1, shares), (matrix.pooled, n + 3, counts)):
        sheet.write_string(row + 1, left - 1, "true ↓  taken for →", book.soft)
        for k, label in enumerate(names):
            sheet.write_string(row + 1, left + k, label, book.head(align="right"))
            sheet.write_string(row + 2 + k, left - 1, label, bold)
            for j, value in enumerate(values[k]):
                if not np.isnan(value):
                    sheet.write_number(row + 2 + k, left + j, float(value), form)
        scale = most if left == 1 else _largest_mistake(matrix.pooled)
        _colour(book, sheet, row + 2, left, n, scale)
    return row + n + 4


def _colour(book: Book, sheet: Worksheet, top: int, left: int, n: int, most: float) -> None:
    """White to the darkest for mistakes, from 0 to `most`; the diagonal has one colour."""
    mistakes, right = [], []
    for k in range(n):
        line = top + k
        right.append(xl_range(line, left + k, line, left + k))
        if k:
            mistakes.append(xl_range(line, left, line, left + k - 1))
        if k < n - 1:
            mistakes.append(xl_range(line, left + k + 1, line, left + n - 1))
    grey = book.format(bg_color=RIGHT)
    if mistakes and most > 0:
        scale = {
            "type": "2_color_scale", "min_type": "num", "max_type": "num", "min_value": 0,
            "max_value": most, "min_color": "#FFFFFF", "max_color": MISTAKE,
        }  # fmt: skip
        sheet.conditional_format(mistakes[0], scale | {"multi_range": " ".join(mistakes)})
    plain = {"type": "no_errors", "format": grey, "multi_range": " ".join(right)}
    sheet.conditional_format(right[0], plain)


def _largest_mistake(matrix: np.ndarray) -> float:
    wrong = matrix[~np.eye(len(matrix), dtype=bool)]
    return float(np.nanmax(wrong)) if wrong.size and np.isfinite(wrong).any() else 0.0

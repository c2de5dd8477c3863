"""What is different in the labels of a run's data: its audits, as a report shows them.

In: run folders in which networks answered for labels (`RUN/audit/*-itself.npz`). Out: paragraphs
and figures of the report's section on labels. It stands alone because the findings of a run know
no audit, and most runs have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis import words
from analysis.audit.audit import Audit, audit_labels
from analysis.audit.figures import audit_figures
from analysis.audit.report import (
    AnswersFile,
    meaning_of_list,
    read_answers,
    share_words,
    verdict,
    what_follows,
)
from analysis.figures import style
from analysis.figures.drawing import Drawing
from headstart.errors import RunFolderError

IN_REPORT = {"confusion": "labels_confusion", "one_label": "labels_one", "sheet": "labels_sheet"}


@dataclass(frozen=True)
class Labels:
    """Paragraphs, and figures that are written, of all audits of the run's own labels."""

    paragraphs: tuple[str, ...] = ()
    drawn: tuple[Drawing, ...] = ()


def labels_of(folders: Sequence[Path], figures: Path) -> Labels:
    """Read the audits of these run folders, and draw them into `figures`."""
    said: list[str] = []
    drawn: list[Drawing] = []
    for path in (p for folder in folders for p in sorted((folder / "audit").glob("*-itself.npz"))):
        try:
            file = read_answers(path)
        except RunFolderError as err:
            said.append(words.sentence(f"An audit of labels is left out: {err}"))
            continue
        audit = audit_labels(file.answers, file.trusted)
        said += _paragraphs(audit, file)
        drawn += _draw(audit, file, figures, len(drawn))
    return Labels(tuple(said), tuple(drawn))


def _paragraphs(audit: Audit, file: AnswersFile) -> Iterator[str]:
    yield words.sentence(f"Labels of {file.about['data']}: {verdict(audit, file.class_names)}")
    yield (
        f"{share_words(audit.right)} of the labels are right (95 % interval), of {audit.n:,} "
        f"images that were judged. Answered by {file.about['by']}."
    )
    yield from (text.replace("`", "") for text in what_follows(audit, file.class_names))
    if len(audit.listed):
        yield (
            f"{words.plural(len(audit.listed), 'label')} of {audit.n:,} "
            f"{'looks' if len(audit.listed) == 1 else 'look'} wrong by itself: "
            f"audit/{file.path.stem}/wrong_labels.csv, after python -m analysis audit RUN. "
            f"{meaning_of_list(audit)}"
        )


def _draw(audit: Audit, file: AnswersFile, folder: Path, n_before: int) -> Iterator[Drawing]:
    with style.drawing():
        for each in audit_figures(audit, file.class_names, file.image_indices, file.images):
            if each.name not in IN_REPORT:
                continue
            name = IN_REPORT[each.name] + (f"_{n_before + 1}" if n_before else "")
            svg = style.save_figure(each.figure, folder, name)
            yield Drawing(name, "labels", each.title, each.caption, None, svg=svg)

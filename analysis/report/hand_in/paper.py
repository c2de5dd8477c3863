"""`Assignment 4_Report.pdf`: two pages of text at most, with sample images, then pages of figures.

In: the content of a report, the named seed, the folder that is handed in with its images. Out: a
PDF. It stands alone because it has to fit: the letters are made smaller, within what can be read,
and then the least needed paragraphs go, until the text does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from analysis import words
from analysis.report.chapters import lay_out
from analysis.report.document import Chart, Content, Plate
from analysis.report.hand_in import compared, given
from analysis.report.hand_in.handed import Handed
from analysis.report.hand_in.pretrained import network
from analysis.report.hand_in.sources import cite
from analysis.report.links import Links
from analysis.report.pdf.pages import pictures_of
from analysis.report.pdf.typeset import stamp_time, text_pages, write_pdf
from headstart.records import CONTACT_SHEETS

MOST_PAGES = 2  # of text
SIZES = (10.4, 10.0, 9.6, 9.2, 8.8, 8.4)  # points, tried in turn
LEAST_NEEDED = 5  # how often a paragraph may be taken away after that
MOST_PARAGRAPH = 1100  # characters; a longer one ends with a sentence before
MOST_CLASSES, SAMPLE_ROWS = 16, 3
TRAINING, TEMPLATE = "Training Set", "hand_in.typ"
OF_SEEDS = "chart-stability"
CHARTS = (  # beside the learning curves
    "chart-final_accuracy", "chart-differences", OF_SEEDS, "chart-f1_by_class",
    "chart-search_each-1", "chart-search_each-3",
)  # fmt: skip
HEADS = ("", "Evaluation", "Test images", "Seed {seed}", "Mean of {seeds}, 95 % interval")


def write_paper(path: Path, content: Content, seed: int, footer: str, report: Path) -> None:
    """Typeset the report to `path`, which lies in the folder of the images."""
    handed = Handed(content.findings, seed)
    samples = _samples(path.parent / TRAINING)
    charts, svgs = _figures(content)
    figures = [*_photographs(content, report), *charts]
    data = {
        "title": "Assignment 4: transfer learning from MNIST to own handwritten digits",
        "question": content.title,
        "footer": footer,
        "stand_in": content.glance.stand_in,
        "samples": samples,
        "sample_rows": max((len(sample["jpegs"]) for sample in samples), default=0),
        "sample_caption": f"Training images of seed {seed} as they are handed in, "
        f"{SAMPLE_ROWS} of each class.",
        "evaluations": _evaluations(handed),
    }
    stamp = stamp_time(content.findings.stamp)
    fitted = _fitted(data, _passages(handed, content), stamp)
    write_pdf(path, {**fitted, "figures": figures}, svgs, stamp, TEMPLATE)


def _fitted(
    data: dict[str, Any], passages: Sequence[dict[str, Any]], stamp: datetime
) -> dict[str, Any]:
    """The text at the largest size at which it takes two pages."""
    tries = [(size, 0) for size in SIZES] + [(SIZES[-1], k + 1) for k in range(LEAST_NEEDED)]
    for size, n_left_out in tries:
        texts, sources = cite(_most(each["paragraphs"], n_left_out) for each in passages)
        kept = [{**each, "paragraphs": ps} for each, ps in zip(passages, texts, strict=True)]
        tried = {**data, "size": size, "passages": kept, "figures": [],
                 "sources": f"Sources. {sources}"}  # fmt: skip
        if text_pages(tried, stamp, TEMPLATE) <= MOST_PAGES:
            break
    return tried


def _most(paragraphs: Sequence[str], n_left_out: int) -> list[str]:
    """All but the last few; each heading keeps its first."""
    return list(paragraphs[: max(1, len(paragraphs) - n_left_out)])


def _passages(handed: Handed, content: Content) -> list[dict[str, Any]]:
    parts = (
        ("Data set", given.data_set(handed)),
        ("Pretrained network and why", network(handed)),
        ("Tuning: what was searched, what overfitted, what was done", given.tuning(handed)),
        ("The four evaluations", compared.evaluated(handed)),
        ("Last layer against the last n layers", compared.layers(handed, content.answers)),
        ("Patterns and insights", compared.insights(handed)),
    )
    return [
        {
            "heading": f"{k}. {heading}",
            "paragraphs": [_cut(text) for text in paragraphs],
            "samples": k == 1,
            "table": k == 4,
        }
        for k, (heading, paragraphs) in enumerate(parts, 1)
    ]


def _cut(text: str) -> str:
    if len(text) <= MOST_PARAGRAPH:
        return text
    end = text.rfind(". ", 0, MOST_PARAGRAPH)
    return text[: end + 1] if end > 0 else text[:MOST_PARAGRAPH]


def _evaluations(handed: Handed) -> dict[str, Any]:
    n = 5 if handed.n_seeds > 1 else 4  # the mean of one seed is that seed
    rows = [
        [
            each.number,
            each.title,
            f"{int(handed.row(each)['n_test']):,}",
            words.percent(handed.of_seed(each)),
            handed.mean_words(each),
        ][:n]
        for each in handed.evaluations
    ]
    head = [text.format(seed=handed.seed, seeds=handed.seeds_words) for text in HEADS[:n]]
    return {"head": head, "rows": rows}


def _samples(folder: Path) -> list[dict[str, Any]]:
    """The first images of each class, each as the numbers of its bytes."""
    classes = sorted(path for path in folder.glob("*") if path.is_dir())[:MOST_CLASSES]
    return [
        {"name": each.name, "jpegs": [list(f.read_bytes()) for f in _first(each)]}
        for each in classes
    ]


def _first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jpg"))[:SAMPLE_ROWS]


def _photographs(content: Content, report: Path) -> list[dict[str, Any]]:
    """One of the sheets, with boxes around its digits."""
    return [
        {
            "jpeg": list((report / CONTACT_SHEETS / sheet).read_bytes()),
            "title": "A photographed sheet",
            "caption": "A box around each digit that was cut.",
        }
        for sheet in content.contact_sheets[:1]
    ]


def _figures(content: Content) -> tuple[list[dict[str, Any]], list[str]]:
    """The charts of the report that show the evaluations, each once."""
    pictures = pictures_of(content)
    layout = lay_out(content, Links())
    several = content.findings.evidence["seed"].nunique() > 1  # one seed has no spread to show
    charts = _charts(layout.sections, CHARTS if several else tuple(set(CHARTS) - {OF_SEEDS}))
    blocks = [*([layout.opening] if layout.opening else []), *charts]
    shown = [pictures.figure(block) for block in blocks if pictures.has(block)]
    return shown, pictures.svgs


def _charts(sections: Sequence[Any], ids: Sequence[str]) -> Iterator[Chart | Plate]:
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Chart | Plate) and block.id in ids:
                yield block

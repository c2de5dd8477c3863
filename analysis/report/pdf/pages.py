"""report.pdf: the answer on page one, then a figure with its finding each, then words and tables.

In: the content of a report. Out: a PDF. It stands alone because it decides what stands where on
paper: page one is the page's first screen, the figures are those of the page in its order, and
tables that do not fit beside them stand whole at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis import words
from analysis.figures.focus import arms_note, focus_arms, focus_tasks
from analysis.report.chapters import Layout, lay_out
from analysis.report.charts import static_svg
from analysis.report.charts.base import HIDDEN
from analysis.report.document import Block, Chart, Content, Plate, Section
from analysis.report.essay import class_words, write_essay
from analysis.report.glance import Card
from analysis.report.links import Links
from analysis.report.pdf.tables import table_data
from analysis.report.pdf.typeset import stamp_time, write_pdf

MOST_FIGURES = 24
MOST_ROWS = 600  # of a table
MOST_ANSWERS = 16  # comparisons that have a paragraph
SIZE = 10.0  # points
TEXT = 6.6  # inches, the width of the text
TALL, TALLEST = 4.0, 8.2  # inches: of two figures on a page, of one
LEAST = 0.66  # of its own size: a figure is made no smaller than that to fit TALL
PIXELS = 620  # of a line of a legend
APPENDIX = ("by_arm", "comparisons")
NO_FIGURES = ("trials", "methods", "provenance", "data")


@dataclass
class _Pictures:
    """The pictures of the document, and the figures that there was no room for.

    longest: characters of the longest name of an arm. hidden: arms that no figure shows, where
    there are more than one can tell apart: those that the page begins without.
    """

    longest: int
    hidden: frozenset[str]
    note: str
    svgs: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def figure(self, block: Chart | Plate) -> dict[str, Any]:
        """What the template shows of a block: at its own size, at most as large as the page."""
        svg = self._drawn(block.spec) if isinstance(block, Chart) else block.svg
        self.svgs.append(svg)
        width, height = _inches(svg)
        most = min(TALLEST, max(TALL, LEAST * height))
        return {
            "file": f"{len(self.svgs) - 1}.svg",
            "title": block.title,
            "caption": block.caption + self.note * self._leaves_out(block),
            "width": 100 * min(1.0, width / TEXT, most / TEXT * width / height),
            "ratio": width / height,
        }

    def has(self, block: Chart | Plate) -> bool:
        """Whether a block shows anything on paper: not a chart of arms that are all hidden."""
        tables = block.spec["datasets"].values() if isinstance(block, Chart) else ()
        arms = {row["arm"] for rows in tables for row in rows if "arm" in row}
        return not arms or not arms <= self.hidden

    def _leaves_out(self, block: Chart | Plate) -> bool:
        """Whether a chart would show more arms."""
        return isinstance(block, Chart) and _smaller(block.spec, self.hidden) != block.spec

    def _drawn(self, spec: Mapping[str, Any]) -> str:
        """A chart as SVG, its legend in as many columns as the longest name allows."""
        columns = max(1, min(4, PIXELS // (7 * self.longest + 40)))
        config = spec["config"]
        legend = config.get("legend", {}) | {"columns": columns}
        dressed = {**spec, "config": config | {"legend": legend}}
        return static_svg(without_arms(dressed, self.hidden))


def pictures_of(content: Content) -> _Pictures:
    """None yet; with the arms that no figure shows."""
    findings = content.findings
    tasks = focus_tasks(findings)
    shown = {arm for task in tasks for arm in focus_arms(findings, task)}
    notes = dict.fromkeys(arms_note(findings, task) for task in tasks)
    hidden = frozenset(set(content.styles) - shown)
    return _Pictures(max(map(len, shown), default=1), hidden, "".join(notes))


def write_report_pdf(path: Path, content: Content, footer: str) -> None:
    """Typeset report.pdf to `path`."""
    pictures = pictures_of(content)
    layout = lay_out(content, Links())
    tables = {table.name: table for table in content.each_table}
    data = {
        "title": content.title,
        "kicker": content.facts,
        "footer": footer,
        "size": SIZE,
        "stand_in": content.glance.stand_in,
        "glance": _glance(content, layout, pictures),
        "sections": list(_sections(content, layout, pictures)),
        "left_out": _left_out(pictures),
        "caveats": list(content.caveats),
        "passages": [
            {"heading": p.heading, "paragraphs": list(p.paragraphs)}
            for p in write_essay(content.findings, content.answers, (), MOST_ANSWERS)
        ],
        "appendix": [table_data(tables[name], MOST_ROWS) for name in APPENDIX if name in tables],
    }
    write_pdf(path, data, pictures.svgs, stamp_time(content.findings.stamp))


def without_arms(spec: Mapping[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    """A description in which these arms are switched off and have no place on scales."""
    if not hidden:
        return dict(spec)
    values: dict[str, Any] = {HIDDEN: sorted(hidden)}
    pairs = [row for row in spec["datasets"].get("pairs", []) if row["arm"] not in hidden]
    if pairs:  # paper has no menu of pairs
        values["pair"] = pairs[0]["pair"]
    params = [{**p, "value": values.get(p["name"], p.get("value"))} for p in spec["params"]]
    changed: dict[str, Any] = _smaller({**spec, "params": params}, hidden)
    before, after = _n_rows(spec), _n_rows(changed)
    if before and after < before:  # a list of arms, each of one height
        changed["height"] = changed["height"] * max(after, 1) / before
        changed["datasets"] = {
            name: [row for row in rows if row.get("arm") not in hidden]
            for name, rows in spec["datasets"].items()
        }
    return changed


def _n_rows(part: Any) -> int:
    """The rows of a chart that is a list: the length of the domain of its y axis, 0 for others."""
    if isinstance(part, list):
        return max(map(_n_rows, part), default=0)
    if not isinstance(part, Mapping):
        return 0
    scale = part["y"].get("scale") if isinstance(part.get("y"), dict) else None
    domain = scale.get("domain") if isinstance(scale, dict) else None
    own = len(domain) if isinstance(domain, list) else 0
    return max([own, *(_n_rows(value) for key, value in part.items() if key != "datasets")])


def _smaller(part: Any, hidden: Collection[str]) -> Any:
    """`part` of a description, the scales in it without the arms that are hidden."""
    if isinstance(part, list):
        return [_smaller(each, hidden) for each in part]
    if not isinstance(part, dict):
        return part
    domain, span = part.get("domain"), part.get("range")
    if isinstance(domain, list) and hidden & set(map(str, domain)):
        kept = [k for k, name in enumerate(domain) if name not in hidden]
        part = {**part, "domain": [domain[k] for k in kept]}
        if isinstance(span, list):
            part["range"] = [span[k] for k in kept]
    return {
        key: value if key == "datasets" else _smaller(value, hidden) for key, value in part.items()
    }


def _glance(content: Content, layout: Layout, pictures: _Pictures) -> dict[str, Any]:
    """Page one: what the page shows on its first screen."""
    glance = content.glance
    more = [text for text in (glance.reasons, glance.more, *glance.reservations) if text]
    if glance.others:
        n = words.plural(len(glance.others), "more arm")
        more.append(f"{n} in the table “Every arm” at the end.")
    return {
        "sentence": glance.sentence,
        "more": more,
        "cards": [_card(card, content.styles[card.arm].hex) for card in glance.cards],
        "opening": pictures.figure(layout.opening) if layout.opening else None,
    }


def _card(card: Card, color: str) -> dict[str, Any]:
    against = f"compared with “{card.control}”" if card.control else ""
    return {
        "arm": f"{card.task}: {card.arm}" if card.task else card.arm,
        "color": color,
        "about": ", ".join(filter(None, (against, card.note))),
        "readings": [
            {
                "name": reading.name,
                "value": reading.value or ("" if reading.about else words.NOTHING),
                "about": " ".join(filter(None, (reading.about, reading.note))),
                "interval": reading.interval,
                "mark": str(reading.mark),
                "words": reading.mark_words,
            }
            for reading in card.readings
        ],
    }


def _sections(content: Content, layout: Layout, pictures: _Pictures) -> Iterator[dict[str, Any]]:
    """Sections that have figures, or an audit: the finding, then the figures, the page's first."""
    room = MOST_FIGURES
    sections = [section for section in layout.sections if section.id not in NO_FIGURES]
    room -= sum(len(_figures(content, section.blocks, pictures)) for section in sections)
    for section in sections:
        first = _figures(content, section.blocks, pictures)
        folded = (block for fold in section.behind for block in fold.blocks)
        behind = _figures(content, folded, pictures)
        shown = behind[: max(0, room)]
        room -= len(shown)
        pictures.left_out += [figure.title for figure in behind[len(shown) :]]
        is_told = section.id == "labels" and content.labels  # an audit speaks without figures too
        if first or shown or is_told:
            yield {
                "title": section.title,
                "finding": section.finding,
                "paragraphs": () if section.finding else list(_findings(content, section)),
                "figures": [pictures.figure(block) for block in (*first, *shown)],
            }


def _findings(content: Content, section: Section) -> Iterable[str]:
    """What the figures of a section without a sentence of its own show."""
    return class_words(content.findings) if section.id == "classes" else section.paragraphs


def _figures(content: Content, blocks: Iterable[Block], pictures: _Pictures) -> list[Chart | Plate]:
    for_paper = {f"figure-{drawing.name}" for drawing in content.drawn if drawing.in_pdf}
    figures = [b for b in blocks if isinstance(b, Chart | Plate) and pictures.has(b)]
    return [block for block in figures if isinstance(block, Chart) or block.id in for_paper]


def _left_out(pictures: _Pictures) -> str:
    titles = list(dict.fromkeys(pictures.left_out))
    if not titles:
        return ""
    n = words.plural(len(pictures.left_out), "further figure")
    return f"{n} in the folder figures/ and in index.html: {words.shortened(titles)}."


def _inches(svg: str) -> tuple[float, float]:
    """Width and height of a picture, whose sides are in points or in pixels."""
    head = svg[: svg.index(">", svg.index("<svg"))]
    sides = [re.search(rf'\b{name}="([\d.]+)(pt|)', head) for name in ("width", "height")]
    width, height = (float(side[1]) / (72 if side[2] else 96) if side else TEXT for side in sides)
    return width, height

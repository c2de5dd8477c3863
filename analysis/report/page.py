"""index.html: one file with its style, script, data and figures inside; needs no network.

In: the content of a report and its sections. Out: HTML as text. It stands alone because it
alone knows the templates.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis import words
from analysis.figures.style import COLORS, INK, PAPER, RULE, SOFT, Styles
from analysis.report import charts
from analysis.report.chapters import Layout
from analysis.report.document import Block, Chart, Content, Fold, Plate, Section, TableBlock
from analysis.report.glance import Card, explain
from analysis.report.tables import Cell, Column, Table
from analysis.report.trial_list import group_ids

SMALL = 330  # points: figures up to this width stand two in a row
FILES = (("report.pdf", "PDF"), ("results.xlsx", "Workbook"), ("report.json", "JSON"))


def render_page(
    content: Content, layout: Layout, kicker: str, footer: str, shown: Collection[str]
) -> str:
    """The page as HTML text; charts begin with the arms `shown` switched on.

    Every text is escaped by the template; only the SVGs of our own figures, the style, the script
    and the JSON (with `<` escaped) enter as they are.
    """
    environment = Environment(
        loader=PackageLoader("analysis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=one_way,
    )
    environment.filters["tie"] = tie
    opening, styles = layout.opening, content.styles
    styles = dict(sorted(styles.items(), key=lambda item: item[0] not in shown))  # as legends stand
    blocks: list[Block] = [block for section in layout.sections for block in section.every_block]
    blocks += [opening] if opening else []
    data = {
        "hidden": [arm for arm in content.styles if arm not in shown],
        "charts": {block.id: block.spec for block in blocks if isinstance(block, Chart)},
    }
    scripts = [Markup(charts.script()), _asset("charts.js")]
    scripts += [_asset("page.js"), _asset("folds.js")]
    context = {
        "page": content,
        "kicker": kicker,
        "footer": footer,
        "files": FILES,
        "opening": opening and _block(opening, styles),
        "sections": [_section(section, styles) for section in layout.sections],
        "cards": _cards(content, content.glance.cards),
        "others": _cards(content, content.glance.others),
        "many_controls": len(_controls(content.glance.cards)) > 1,
        "control_words": "the others are compared with it"
        if len(_controls(content.glance.cards)) == 1
        else "a control",
        "explained": _explained(content.glance.cards),
        "slugs": _Slugs(),
        "css": _asset("page.css") + _asset("glance.css"),
        "scripts": scripts,
        "policy": _policy(scripts),
        "data_json": _json(data),
    }
    return environment.get_template("page.html.j2").render(context)


def _policy(scripts: Sequence[str]) -> str:
    """What the browser may do: run these scripts and no other, load nothing from elsewhere.

    A run folder may be a stranger's. Should one of its names ever get past the escaping, it still
    runs nothing.
    """
    digests = (hashlib.sha256(text.encode()).digest() for text in scripts)
    ours = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {ours}; style-src 'unsafe-inline'; "
        "img-src 'self' file: data:; base-uri 'none'; form-action 'none'"
    )


SWATCHES = {  # the marks of `style.MARKERS`, in the middle of 26 × 12 pixels
    "o": "M9 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "s": "M9.5 2.5h7v7h-7z",
    "^": "M13 1.5l4.6 8h-9.2z",
    "D": "M13 1l5 5-5 5-5-5z",
    "v": "M13 10.5l4.6-8h-9.2z",
    "P": "M11.5 1.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "<": "M8.5 6l8-4.6v9.2z",
    ">": "M17.5 6l-8-4.6v9.2z",
    "*": "M13 1l1.2 3.5h3.6l-2.9 2.2 1.1 3.5-3-2.1-3 2.1 1.1-3.5-2.9-2.2h3.6z",
    "X": "M9 4l2-2 2 2 2-2 2 2-2 2 2 2-2 2-2-2-2 2-2-2 2-2z",
    "p": "M13 1.5l4.3 3.1-1.6 5h-5.4l-1.6-5z",
    "h": "M13 1.5l3.9 2.2v4.6l-3.9 2.2-3.9-2.2v-4.6z",
}


def _section(section: Section, styles: Styles) -> dict[str, object]:
    def inside(part: Section | Fold) -> dict[str, object]:
        return {**vars(part), "blocks": [_block(block, styles) for block in part.blocks]}

    folds = [inside(fold) for fold in section.behind]
    return {**inside(section), "contents": section.contents, "behind": folds}


def _cards(content: Content, cards: Sequence[Card]) -> list[dict[str, object]]:
    """Cards with the colour of their arm, and the place of its trials in the page."""
    ids = group_ids(content.findings)
    first = content.findings.tasks[0] if content.findings.tasks else ""
    return [
        {
            **vars(card),
            "readings": card.readings,
            "color": content.styles[card.arm].color,
            "mark": SWATCHES[content.styles[card.arm].marker],
            "trials": ids.get((card.task or first, card.arm), ""),
        }
        for card in cards
    ]


def _controls(cards: Sequence[Card]) -> set[str]:
    return {card.control for card in cards if card.control}


def _explained(cards: Sequence[Card]) -> dict[str, str]:
    """What each word on the cards means."""
    words_ = [reading.name for card in cards for reading in card.readings]
    words_ += ["range", *(r.mark for card in cards for r in card.readings if r.mark)]
    return {word: explain(word) for word in words_}


class _Slugs(dict[str, str]):
    """An id for each word that the page explains."""

    def __missing__(self, word: str) -> str:
        return re.sub(r"\W+", "-", word.lower())


def _block(block: Block, styles: Styles) -> dict[str, object]:
    content: dict[str, object] = {"type": type(block).__name__, **vars(block)}
    if isinstance(block, Chart):
        looks = (styles[arm] for arm in styles if arm in block.spec["usermeta"]["legend"])
        content["arms"] = [
            {"name": s.name, "color": s.color, "mark": SWATCHES[s.marker]} for s in looks
        ]
    if isinstance(block, Plate):
        content["svg"] = Markup(themed_svg(block.svg, block.id))
        content["small"] = _width(block.svg) <= SMALL
    if isinstance(block, TableBlock):
        content |= {"rows": _rows(block.table, block.limit), "left_out": _left_out(block)}
    return content


def _width(svg: str) -> float:
    """The width of a figure in points."""
    width = re.search(r'<svg[^>]* width="([\d.]+)pt"', svg)
    return float(width.group(1)) if width else math.inf


def _rows(table: Table, limit: int) -> list[list[dict[str, str]]]:
    return [
        [
            {"text": cell.text, "value": cell.value, "css": _css(cell, column)}
            for cell, column in zip(row, table.columns, strict=True)
        ]
        for row in table.rows(limit)
    ]


def _css(cell: Cell, column: Column) -> str:
    n = len(cell.text)
    text = "wide" if n > 60 else "long" if n > 32 else "name" if n > 18 and not column.sort else ""
    if column.key.startswith("verdict") and cell.text in ("better", "worse"):
        text = f"verdict-{cell.text}"
    return " ".join(filter(None, ("number" if cell.is_number else text, "more" * column.more)))


def _left_out(block: TableBlock) -> str:
    more = len(block.table.frame) - block.limit
    return f"{words.plural(more, 'more row')} in the files." if more > 0 else ""


def themed_svg(svg: str, prefix: str) -> str:
    """A figure of ours as part of the page: colours that follow the theme, ids of its own.

    Figures are drawn in a few fixed colours; each becomes the page's variable of that role, so
    that a figure is legible in light and dark.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\1{prefix}-", svg)
    roles = {color: f"--arm-{k}" for k, color in enumerate(COLORS)}
    roles |= {INK: "--ink", SOFT: "--soft", RULE: "--rule", PAPER: "--paper"}
    for color, role in roles.items():
        svg = re.sub(rf"(?<=: ){color}\b", f"var({role})", svg)
    return svg


def one_way(content: object) -> object:
    """A text whose names cannot turn the words behind them around."""
    is_text = isinstance(content, str) and not isinstance(content, Markup)
    return words.one_way(str(content)) if is_text else content


def tie(text: str) -> str:
    """`text` with numbers tied to the unit after them, so that no line breaks between the two."""
    return re.sub(r"(?<=\d) (?=%|points|s\b|min\b|h\b|seeds?\b|trials?\b)", "\u00a0", text)


def _asset(name: str) -> Markup:
    return Markup((files("analysis.report") / "templates" / name).read_text(encoding="utf-8"))


def _json(content: Mapping[str, object]) -> Markup:
    text = json.dumps(content, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    text = words.one_way(text)  # as in the names of the page's switches
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))

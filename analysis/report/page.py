"""index.html: one file with its style, script, data and figures inside; needs no network.

In: the content of a report and its sections. Out: HTML as text. It stands alone because it
alone knows the templates.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis import words
from analysis.figures.style import COLORS, INK, PAPER, RULE, SOFT
from analysis.report.document import Block, Chart, Content, Plate, Section, TableBlock
from analysis.report.tables import Cell, Column, Table

SMALL = 330  # points: figures up to this width stand two in a row


FILES = (("report.pdf", "PDF"), ("results.xlsx", "Workbook"), ("report.json", "JSON"))


def render_page(
    content: Content, sections: Sequence[Section], kicker: str, footer: str, shown: Collection[str]
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
    )
    environment.filters["tie"] = tie
    arms = [
        {"name": s.name, "color": s.color, "dash": s.svg_dash, "mark": s.marker}
        for s in content.styles.values()
    ]
    blocks = [block for section in sections for block in section.blocks]
    data = {
        "arms": arms,
        "hidden": [k for k, arm in enumerate(content.styles) if arm not in shown],
        "charts": {block.id: block.spec for block in blocks if isinstance(block, Chart)},
    }
    context = {
        "page": content,
        "kicker": kicker,
        "footer": footer,
        "files": FILES,
        "sections": [{**vars(s), "blocks": list(map(_block, s.blocks))} for s in sections],
        "arms": arms,
        "css": _asset("page.css"),
        "js": _asset("page.js"),
        "data_json": _json(data),
    }
    return environment.get_template("page.html.j2").render(context)


def _block(block: Block) -> dict[str, object]:
    content: dict[str, object] = {"type": type(block).__name__, **vars(block)}
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
    text = "wide" if len(cell.text) > 60 else "long" if len(cell.text) > 32 else ""
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


def tie(text: str) -> str:
    """`text` with numbers tied to the unit after them, so that no line breaks between the two."""
    return re.sub(r"(?<=\d) (?=%|points|s\b|min\b|h\b|seeds?\b|trials?\b)", "\u00a0", text)


def _asset(name: str) -> Markup:
    return Markup((files("analysis.report") / "templates" / name).read_text(encoding="utf-8"))


def _json(content: Mapping[str, object]) -> Markup:
    text = json.dumps(content, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))

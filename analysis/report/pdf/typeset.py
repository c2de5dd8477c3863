"""Data and pictures → a PDF, set by typst.

In: what the template shows, and SVGs. Out: a file. It stands alone because it alone needs typst.
All text goes to the template as data, which typst never reads as markup, so that no name can break
the document. Fonts are those that typst and matplotlib bring along; the date is the last trial's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from analysis import words
from headstart.files import atomic_path

EPOCH = datetime(1980, 1, 1, tzinfo=UTC)
TEMPLATE = "report.typ"
Data = Mapping[str, Any]


def write_pdf(
    path: Path, data: Data, pictures: Sequence[str], stamp: datetime, template: str = TEMPLATE
) -> None:
    """Typeset `data` with its `pictures` (SVG, named `0.svg`, `1.svg`, …) to `path`."""
    import typst

    with atomic_path(path) as temporary:
        typst.compile(  # a mapping of names to bytes
            _sources(data, pictures, stamp, template),
            output=str(temporary),
            format="pdf",
            timestamp=int(stamp.timestamp()),
            **_fonts(),
        )


def text_pages(data: Data, stamp: datetime, template: str = TEMPLATE) -> int:
    """How many pages the text of `data` takes, without pictures."""
    import typst

    sources = _sources(data, (), stamp, template)
    n_pages = typst.query(sources, "<text-pages>", field="value", one=True, **_fonts())
    return int(json.loads(n_pages))


def stamp_time(stamp: str) -> datetime:
    """The stamp as a time; 1980 where trials have none, so that bytes stay the same."""
    try:
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(UTC)
    except ValueError:
        return EPOCH


def _sources(
    data: Data, pictures: Sequence[str], stamp: datetime, template: str
) -> dict[str, bytes]:
    dated = {**data, "date": list(stamp.timetuple()[:6])}
    text = words.one_way(json.dumps(dated, ensure_ascii=False))
    return {
        "main.typ": (files("analysis.report") / "templates" / template).read_bytes(),
        "data.json": text.encode(errors="replace"),
        **{f"{k}.svg": svg.encode() for k, svg in enumerate(pictures)},
    }


def _fonts() -> dict[str, Any]:
    """The letters of the charts are matplotlib's: no machine's own fonts matter."""
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return {"ignore_system_fonts": True, "font_paths": [str(folder)]}

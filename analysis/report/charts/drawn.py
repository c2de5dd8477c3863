"""The script that draws descriptions in a browser, and the same drawings without a browser.

In: a `Spec`. Out: SVG as text. It stands alone because it alone calls vl-convert, which carries
Vega, Vega-Lite and vega-embed.
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from analysis import words
from analysis.figures.style import ROLES
from analysis.report.charts.base import Spec

STATIC_FONT = "DejaVu Sans"
MISSING = "\N{WHITE SQUARE}"
STATIC_WIDTH = 620  # pixels


@cache
def script() -> str:
    """Vega, Vega-Lite and vega-embed as one script, 0.9 MB: it gives `window.vegaEmbed`."""
    import vl_convert

    text: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # optional in truth
    return text


def static_svg(spec: Spec, width: int = STATIC_WIDTH) -> str:
    """The chart as SVG, `width` pixels wide without axes, in light colours, with its legend.

    Its menus stand at what the page begins with. The same description gives the same text. Letters
    are those of matplotlib's DejaVu Sans, so that no machine's fonts matter.
    """
    import vl_convert

    _own_fonts()
    static = in_light(spec, width)
    static["config"]["font"] = STATIC_FONT
    static["config"]["axis"]["labelLimit"] = 260
    content = _drawable(words.one_way(json.dumps(static, ensure_ascii=False)))
    text: str = vl_convert.vegalite_to_svg(content)
    ids = dict.fromkeys(re.findall(r'\bid="(clip\d+)"', text))  # numbered over the whole process
    places = {name: f"clip-{k}" for k, name in enumerate(ids)}
    return re.sub(r'(\bid="|url\(#)(clip\d+)', lambda m: m[1] + places.get(m[2], m[2]), text)


def _drawable(text: str) -> str:
    """The text with a box for each letter that the font lacks or that UTF-16 writes as two units.

    For one letter that is missing, typst draws a whole name in another font. Vega shortens names by
    units, and vl-convert fails on half a letter. Boxes of other letters that would
    be the same have a number, so that no two arms become one.
    """
    known = _letters()
    lacking = [letter for letter in set(text) if letter > "\uffff" or ord(letter) not in known]
    if not lacking:
        return text
    run = re.compile(f"[{re.escape(''.join(sorted(lacking)))}]+")
    runs = dict.fromkeys(run.findall(text))
    lengths = Counter(map(len, runs))
    boxes = {
        letters: MISSING * len(letters) + str(k) * (lengths[len(letters)] > 1)
        for k, letters in enumerate(runs, 1)
    }
    return run.sub(lambda match: boxes[match[0]], text)


@cache
def _letters() -> frozenset[int]:
    """The characters of the font."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(_font_folder() / "DejaVuSans.ttf")).get_charmap())


def in_light(spec: Spec, width: int = STATIC_WIDTH) -> Spec:
    """A copy of the description in light colours, `width` pixels wide: for where no page is."""
    static: Spec = _in_light(copy.deepcopy(spec))
    static["width"] = width
    return static


@cache
def _own_fonts() -> None:
    import vl_convert

    vl_convert.register_font_directory(str(_font_folder()))


def _font_folder() -> Path:
    import matplotlib as mpl

    return Path(mpl.get_data_path()) / "fonts" / "ttf"


def _in_light(content: Any) -> Any:
    """`content` with `var(--role)` replaced by the light colour of that role."""
    if isinstance(content, dict):
        return {key: _in_light(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_in_light(item) for item in content]
    return ROLES.get(content, content) if isinstance(content, str) else content

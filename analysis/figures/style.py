"""How an arm looks in every figure, the marks that figures share, and how figures become files.

In: names of arms, axes, numbers. Out: colours and markers; PNG, SVG and PDF files. It stands alone
so that an arm has one look everywhere. The colours are Okabe and Ito's, which colour-blind readers
can tell apart; markers differ too, for readers of a black-and-white print. A dash is no arm's: it
is a training curve.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
import typst
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from headstart.files import atomic_file, atomic_path

INK, SOFT, RULE, PAPER = "#1c1f23", "#5a6169", "#dcdfe3", "#fdfdfb"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#b8578f", "#b37c00", "#3a9fd8", "#555555")
ROLES = {  # the page's variables, with what they are in light
    **{f"var(--arm-{k})": color for k, color in enumerate(COLORS)},
    "var(--ink)": INK,
    "var(--soft)": SOFT,
    "var(--rule)": RULE,
    "var(--paper)": PAPER,
    "var(--accent)": "#1d4f7c",
    "var(--good)": "#1c6b45",
    "var(--bad)": "#9d2c2c",
}
MARKERS = ("o", "s", "^", "D", "v", "P", "<", ">", "*", "X", "p", "h")
DASHED = (0, (3.2, 2.2))  # of training, beside validation
DPI = 200
# Typst takes a twentieth of matplotlib's time for a PDF.
ON_ITS_OWN_PAGE = b"""
#set document(date: none)
#set page(width: auto, height: auto, margin: 0pt, fill: none)
#image("figure.svg")
"""
RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    **dict.fromkeys(("font.size", "axes.labelsize"), 8.5),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), SOFT),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor", "savefig.facecolor"), "none"),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "text.usetex": False,
    "text.parse_math": False,  # an arm's name may hold a dollar sign
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "svg.fonttype": "path",
    "svg.hashsalt": "headstart",
}


@dataclass(frozen=True)
class ArmStyle:
    """How one arm is drawn; `color` is an index into `COLORS` and the page's `--arm-N`."""

    name: str
    color: int
    marker: str

    @property
    def hex(self) -> str:
        return COLORS[self.color]

    @property
    def look(self) -> dict[str, Any]:
        """Colour and marker, as matplotlib's keywords."""
        return {"color": self.hex, "marker": self.marker}


Styles = dict[str, ArmStyle]


def arm_styles(arms: Sequence[str]) -> Styles:
    """A style for each arm, in their order; 84 arms differ in colour and mark.

    Points of one grid (`pretrained [train=1000]`) have the colour of their arm and differ in their
    mark; a grid of one arm alone has a colour for each point.
    """
    names = list(dict.fromkeys(arms))
    own = {name: name.partition(" [")[0] for name in names}
    colors = {base: k for k, base in enumerate(dict.fromkeys(own.values()))}
    if len(colors) == 1 or len(colors) == len(names):
        return {name: _style(name, k, k) for k, name in enumerate(names)}
    seen: Counter[str] = Counter()
    styles = {}
    for name, base in own.items():
        # An arm's first mark is that of its colour, so that arms differ in both.
        styles[name] = _style(name, colors[base], colors[base] + seen[base])
        seen[base] += 1
    return styles


def _style(name: str, color: int, marker: int) -> ArmStyle:
    return ArmStyle(name, color % len(COLORS), MARKERS[marker % len(MARKERS)])


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib and seaborn settings of the report, for the time of a block."""
    with sns.axes_style("ticks"), mpl.rc_context(RC):  # type: ignore[arg-type]
        yield


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1
) -> tuple[Figure, np.ndarray]:
    """A figure (inches) and its axes as an array (rows, columns), outside pyplot's state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def grid_figure(
    n: int, columns: int = 2, width: float = 7.2, height: float = 2.7
) -> tuple[Figure, list[Axes]]:
    """A figure of `n` panels in rows of `columns`, and its axes in a list of that length."""
    columns = min(columns, n)
    rows = -(-n // columns)
    figure, axes = new_figure(width if columns > 1 else 5.2, height * rows + 0.4, rows, columns)
    flat = list(axes.flat)
    for ax in flat[n:]:
        ax.set_axis_off()
    return figure, flat[:n]


def shared_legend(figure: Figure, ax: Axes, columns: int = 4) -> None:
    """One legend for all panels, under them, of what was drawn in `ax`."""
    handles, labels = ax.get_legend_handles_labels()
    legend_of(figure, handles, labels, columns)


def legend_of(
    figure: Figure, handles: Sequence[Artist], labels: Sequence[str], columns: int = 4
) -> None:
    """A legend under all panels, in as many columns as its names leave room for."""
    if handles:
        room = 13 * figure.get_figwidth()  # letters
        columns = min(columns, len(labels), max(1, int(room // (max(map(len, labels)) + 6))))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def save_figure(figure: Figure, folder: Path, name: str) -> str:
    """Write NAME.png (200 dpi, on white), .svg and .pdf into `folder`; returns the SVG's text.

    The same figure gives the same bytes: no dates, and ids from a fixed salt. Letters of SVG and
    PDF are outlines, which need no font; a letter that the font lacks is a box.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        return _save(figure, folder, name)


def _save(figure: Figure, folder: Path, name: str) -> str:
    with atomic_path(folder / f"{name}.png") as path:
        figure.savefig(path, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    figure.set_layout_engine(None)  # it is laid out; a second time costs as much as the drawing
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    with atomic_file(folder / f"{name}.svg") as file:
        file.write(text.getvalue())
    with atomic_path(folder / f"{name}.pdf") as path:
        sources = {"main": ON_ITS_OWN_PAGE, "figure.svg": text.getvalue().encode()}
        typst.compile(  # type: ignore[call-overload]
            sources, output=str(path), format="pdf", ignore_system_fonts=True
        )
    return text.getvalue()


def short(text: str, limit: int = 28) -> str:
    """`text` cut to `limit` characters, for ticks and legends.

    What tells the points of a grid apart stands at the end, so that they are cut in the middle.
    """
    if len(text) <= limit:
        return text
    kept = limit // 2 if text.endswith("]") else 0
    return text[: limit - 1 - kept] + "…" + text[len(text) - kept :]


def interval_mark(
    ax: Axes, place: float, ends: tuple[float, float, float], style: ArmStyle, **mark: Any
) -> None:
    """An estimate and its interval on one line of a list of arms.

    ends: estimate, low, high; without an interval (NaN) the mark stands alone. mark: further
    settings of the mark, `lw` of the line.
    """
    estimate, low, high = ends
    lw, zorder = mark.pop("lw", 1.8), mark.get("zorder", 3) - 1
    if not math.isnan(low):
        ax.plot([low, high], [place, place], color=style.hex, lw=lw, zorder=zorder)
    ax.plot([estimate], [place], color=style.hex, marker=style.marker, **{"markersize": 6, **mark})


def list_axis(ax: Axes, labels: Sequence[str], room: float = 0.4) -> None:
    """One line for each label, the first at the top, along a numeric axis."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - room, room - 1)
    ax.grid(visible=True, axis="x")
    ax.grid(visible=False, axis="y")


def class_ticks(ax: Axes, names: Sequence[str], rotation: float) -> None:
    """A class a row and a column of a matrix."""
    n = len(names)
    labels, size = [short(name, 12) for name in names], 7.5 if n <= 20 else 6
    places = [k + 0.5 for k in range(n)]
    ax.set_xticks(places, labels, fontsize=size, rotation=rotation)
    ax.set_yticks(places, labels, fontsize=size, rotation=0)
    ax.tick_params(length=0)
    ax.grid(visible=False)


def show_image(ax: Axes, image: np.ndarray, title: str, **font: Any) -> None:
    """One image, uint8 (C, H, W), in its own pixels under its title."""
    picture = image.transpose(1, 2, 0)
    gray = picture.shape[-1] == 1
    pixels, cmap = (picture[..., 0], "gray") if gray else (picture, None)
    ax.imshow(pixels, cmap=cmap, vmin=0, vmax=255, interpolation="nearest")
    ax.set_axis_off()
    ax.set_title(title, fontweight="normal", loc="center", **font)


def plain_log_ticks(axis: Axis) -> None:
    """Write the ticks of a logarithmic axis as plain numbers (our texts are never formulas)."""
    low, high = axis.get_view_interval()
    few_decades = low > 0 and high < 300 * low
    axis.set_major_locator(LogLocator(subs=(1, 3) if few_decades else (1,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}" if v >= 1 else f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())


def percent_axis(axis: Axis) -> None:
    """Write the ticks of an axis of fractions in percent, with as many digits as they need."""
    axis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))

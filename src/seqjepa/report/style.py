"""The look of the report: one palette, one set of matplotlib parameters, pictures for the page.

Colour-blind readers can tell the colours apart too (after Okabe and Ito 2008, and Tol 2021). A
colour always means the same: blue is z_AGG, orange is z, grey are the controls. Where several
variants are compared, each has one of the other hues, the same in all plots of a page.
"""

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from sklearn.isotonic import isotonic_regression

INK, MUTED, RULE, PAPER = "#1d2733", "#64707d", "#d8dde3", "#ffffff"
AGG, Z = "#0b62a8", "#d1570a"
RANDOM = "#7d8792"
VARIANTS = (
    "#00806a",
    "#a04a97",
    "#ab8200",
    "#3c4756",
    "#c2334d",
    "#5aa1d8",
    "#7a4a21",
    "#86b817",
)
CLASSES = (
    "#332288",
    "#88ccee",
    "#44aa99",
    "#117733",
    "#999933",
    "#ddbb55",
    "#cc6677",
    "#882255",
    "#aa4499",
    "#6699cc",
    "#aa5522",
    "#777",
)
T = TypeVar("T")

# Matplotlib's name and the legend's character.
MARKERS = {"o": "●", "^": "▲", "s": "■"}

# Arguments of matplotlib's texts that are somebody's names: dollars in them are no mathematics.
AS_IT_IS: Any = {"parse_math": False}

DPI = 160
# Inches of a panel: three stand side by side on a desk, one fills a phone.
NARROW = (4.4, 2.9)
SQUARE = (4.4, 4.1)
# The first ones that are installed; the last comes with matplotlib.
FONTS = (
    "Inter",
    "Helvetica Neue",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "Arial",
    "Liberation Sans",
    "DejaVu Sans",
    # For characters that those lack.
    "Noto Sans CJK SC",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Zen Hei",
)

# Matplotlib types each key as a literal: Any.
PARAMETERS: Any = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#eceff2",
    "grid.linewidth": 0.8,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "mathtext.default": "regular",
    "lines.linewidth": 1.7,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": PAPER,
    "savefig.dpi": DPI,
    "savefig.facecolor": PAPER,
}


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it.

    Attributes:
        name: its PNG file's, without ending.
        png: the file's bytes.
        alt: what it shows, for people who cannot see it.
        caption: what to look at in it.
    """

    name: str
    png: bytes
    alt: str
    caption: str = ""


def coloured(variants: Iterable[T]) -> Iterator[tuple[T, str]]:
    """Return each variant of a report, in the report's order, with its colour.

    The colours of the first eight differ.
    """
    return zip(variants, cycle(VARIANTS), strict=False)


@contextmanager
def look() -> Iterator[None]:
    """Draw and save figures in the report's style while it lasts."""
    installed = set(get_font_names())
    fonts = [name for name in FONTS if name in installed]
    with mpl.rc_context():
        # A reader's own matplotlibrc must not change the report.
        mpl.rcdefaults()
        mpl.rcParams.update(PARAMETERS | {"font.family": fonts})
        with warnings.catch_warnings():
            # A character that no font has is drawn as a box; the page has it.
            warnings.filterwarnings("ignore", "Glyph .* missing")
            yield


def panel(
    title: str, xlabel: str, ylabel: str, size: tuple[float, float] = NARROW
) -> tuple[Figure, Axes]:
    """Return a figure of one titled plot with labelled axes."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=mathtext(title), xlabel=mathtext(xlabel), ylabel=mathtext(ylabel))
    return figure, axes


def picture(name: str, figure: Figure, alt: str, caption: str = "") -> Picture:
    """Return the figure as a picture; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    # Matplotlib would write its version into the file.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return Picture(name, buffer.getvalue(), alt, caption)


def place_labels(axes: Axes, ends: list[tuple[float, float, str, str]], gap: float = 0.075) -> None:
    """Write names beside the ends of lines, moved apart as little as possible so that none overlap.

    Args:
        axes: with its limits settled.
        ends: x and y in data coordinates, text and colour of each.
        gap: least distance between two names, as a share of the axes' height.
    """
    low, high = axes.get_ylim()
    ordered = sorted(ends, key=lambda end: end[1])
    wanted = (np.array([y for _, y, _, _ in ordered]) - low) / (high - low)

    # The heights h of the names, as shares of the axes', minimise sum (h_i - wanted_i)^2 under
    # h_(i+1) - h_i >= gap. With h_i = g_i + i gap that is an isotonic regression of g.
    apart = gap * np.arange(len(ordered))
    # They stay within the axes, as far as there is room: above them they would take it all.
    room = max(0.0, 1.0 - float(apart[-1])) if ordered else None
    heights = isotonic_regression(wanted - apart, y_min=0.0, y_max=room) + apart

    for (x, _, text, colour), height in zip(ordered, heights, strict=True):
        axes.annotate(
            mathtext(text),
            (x, low + height * (high - low)),
            (7, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )


def mathtext(text: str) -> str:
    """Return the text with z and z_AGG set as in the paper, for matplotlib.

    Text that is somebody's name alone is drawn with `AS_IT_IS` instead.
    """

    def marked(found: re.Match[str]) -> str:
        return r"$\mathit{z}_{AGG}$" if found[1] else r"$\mathit{z}$"

    # A name in the text may have dollars of its own.
    return re.sub(r"\bz(_AGG)?\b", marked, text.replace("$", r"\$"))

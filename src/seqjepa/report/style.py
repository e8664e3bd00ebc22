"""The look of the report: one palette, one set of matplotlib parameters, and pictures ready for the
page.

Colours are told apart by colour-blind readers too (after Okabe and Ito 2008, and Tol 2021) and
always mean the same: blue is z_AGG, orange is z, grey are the controls. Variants of an experiment
take the four other hues."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from sklearn.isotonic import isotonic_regression

INK, MUTED, RULE, PAPER = "#1d2733", "#64707d", "#d8dde3", "#ffffff"
AGG, Z = "#0b62a8", "#d1570a"
RANDOM = "#7d8792"
VARIANTS = ("#00806a", "#a04a97", "#ab8200", "#3c4756")
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
MARKERS = {"o": "●", "^": "▲", "s": "■"}  # matplotlib's name and the legend's character

DPI = 160
NARROW = (4.4, 2.9)  # inches of a panel: three stand side by side on a desk, one fills a phone
SQUARE = (4.4, 4.1)
FONTS = (
    "Inter",
    "Helvetica Neue",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "Arial",
    "Liberation Sans",
    "DejaVu Sans",
)  # matplotlib's last

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
        name: of its PNG file, without ending.
        png: the file's bytes.
        alt: what it shows, for those who cannot see it.
        caption: what to look at in it.
    """

    name: str
    png: bytes
    alt: str
    caption: str = ""


@contextmanager
def look() -> Iterator[None]:
    """Within, figures are drawn and saved in the report's style."""
    with mpl.rc_context():
        mpl.rcdefaults()  # a reader's own matplotlibrc must not change the report
        installed = set(get_font_names())
        mpl.rcParams.update(
            PARAMETERS | {"font.family": [name for name in FONTS if name in installed]}
        )
        yield


def panel(
    title: str, xlabel: str, ylabel: str, size: tuple[float, float] = NARROW
) -> tuple[Figure, Axes]:
    """A figure of one titled plot with labelled axes."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=mathtext(title), xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def picture(name: str, figure: Figure, alt: str, caption: str = "") -> Picture:
    """The figure as a picture; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return Picture(name, buffer.getvalue(), alt, caption)


def place_labels(axes: Axes, ends: list[tuple[float, float, str, str]], gap: float = 0.075) -> None:
    """Names beside the ends (x, y, text, colour) of lines, moved apart as little as possible until
    none covers another.

    Args:
        axes: with its limits settled.
        ends: in data coordinates.
        gap: least distance between two names, as a share of the axes' height.
    """
    low, high = axes.get_ylim()
    ordered = sorted(ends, key=lambda end: end[1])
    apart = gap * np.arange(len(ordered))
    heights = (
        isotonic_regression(
            (np.array([y for _, y, _, _ in ordered]) - low) / (high - low) - apart, y_min=0.0
        )
        + apart
    )
    for (x, _, text, colour), height in zip(ordered, heights, strict=True):
        at = (x, low + height * (high - low))
        axes.annotate(
            mathtext(text),
            at,
            (7, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )


def mathtext(text: str) -> str:
    """The text with z and z_AGG set as in the paper, for matplotlib."""
    return re.sub(
        r"\bz(_AGG)?\b", lambda found: r"$\mathit{z}_{AGG}$" if found[1] else r"$\mathit{z}$", text
    )

"""Accuracy against equivariance, and the Pareto front of both.

These are the two ends that pull at one representation (seq-JEPA, figure 3).
"""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seqjepa.report import style
from seqjepa.report.benchmark import labels
from seqjepa.report.benchmark.entries import Entry, figures_of_merit, learned, shown_views
from seqjepa.report.tables import Value

SIZE = (6.6, 5.4)
MARK, READOUT = 6.5, 4.5  # sizes of marks in points
LEGEND_MARK = 7  # size of the contenders' marks in the legend
FAINT = 0.65  # opacity of readouts
PADDING = 3.0  # points of air around a name
SETTINGS = 2  # of a contender, in its name
# The same line in the plot and in the legend.
FRONT: Any = {"color": style.INK, "linewidth": 0.9, "linestyle": (0, (4, 2))}
CEILING: Any = {"color": style.MUTED, "linewidth": 1.1, "linestyle": ":", "zorder": 1}
# Families of methods: text in the legend, colour and mark.
FAMILIES = (
    ("not conditioned on actions", style.RANDOM, "s"),
    ("conditioned on actions", style.Z, "^"),
    ("aggregates views: z_AGG", style.AGG, "o"),
)


@dataclass(frozen=True)
class Point:
    """A representation in the plot.

    Attributes:
        r2: of the group of factors.
        top1: a share.
        name: the contender's, shortened, and the readout's where it is one.
        family: index into FAMILIES.
        readout: whether it is another representation of a contender than its z.
        filled: whether actions are given; a method that aggregates may do without.
    """

    r2: Value
    top1: Value
    name: str
    family: int
    readout: bool
    filled: bool

    @property
    def middle(self) -> tuple[float, float]:
        """The place in the plot: R², and top-1 in per cent."""
        return self.r2.mean, 100 * self.top1.mean

    @property
    def bars(self) -> tuple[float | None, float | None]:
        """The lengths of the error bars to each side; None for one run."""
        return _spread(self.r2), _spread(self.top1, 100)


def draw_pareto(found: Sequence[Entry], group: str = "rotation") -> Figure | None:
    """Draw the contenders, their readouts as small marks, and the front; None without points.

    A point needs both figures. Accuracy is that of z_AGG where there is one, else of the mean of as
    many views' z. Contenders that did not learn would stretch the axes over empty space: a corner
    names them instead, unless none learned. The supervised ceiling is a line across each axis.

    Args:
        found: from `entries`.
        group: of the world's factors, whose change the features of two views predict.
    """
    ceilings = [entry for entry in found if entry.is_ceiling]
    competing = [entry for entry in found if not entry.is_ceiling]
    shown = [entry for entry in competing if learned(entry, [group])] or competing
    points = [point for entry in shown for point in _points(entry, found, group)]
    if not points:
        return None

    across = f"R² of relative {group}, from two views’ z of unseen objects"
    upwards = f"top-1 from {shown_views(found)} views, %: z_AGG, else the mean of z"
    figure, axes = style.panel(f"Accuracy against what z tells of {group}", across, upwards, SIZE)
    axes.grid(visible=True, axis="x")
    for point in points:
        _draw_point(axes, point)
    for ceiling in ceilings:
        for point in _points(ceiling, found, group):
            _draw_ceiling(axes, point)
    # The limits are those of the points: the front, drawn next, reaches to the edges.
    axes.margins(0.09)
    axes.autoscale_view()

    best = pareto([(point.r2.mean, point.top1.mean) for point in points])
    steps = _draw_front(axes, [points[i] for i in best])
    _draw_legend(axes, points)
    absent = [entry for entry in competing if entry not in shown and _points(entry, found, group)]
    if absent:
        names = ", ".join(entry.name for entry in absent)
        corner = f"off the axes, did not learn: {names}"
        look: Any = {"fontsize": 7.5, "color": style.MUTED, **style.AS_IT_IS}
        axes.text(0.015, 0.02, corner, transform=axes.transAxes, **look)

    # Readouts are many: those on the front alone have names.
    named = [i for i, point in enumerate(points) if not point.readout or i in best]
    _write_names(figure, axes, points, named, steps)
    return figure


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the Pareto-optimal points (larger is better), by ascending x."""
    order = sorted(range(len(points)), key=lambda i: points[i], reverse=True)
    kept, top = [], -math.inf
    for i in order:
        # From the largest x on, a point is on the front if it is higher than all before it.
        if points[i][1] > top:
            kept.append(i)
            top = points[i][1]
    return kept[::-1]


def _points(entry: Entry, found: Sequence[Entry], group: str) -> list[Point]:
    """Return the points of a contender and its readouts, as far as they have both figures."""
    asked = {merit.key: merit.question for merit in figures_of_merit(found, [group])}
    family = 2 if entry.aggregates else int(entry.conditioned)
    points = []
    for features in ("model", *entry.readouts):
        answers = {key: entry.answer(features, question) for key, question in asked.items()}
        r2 = answers.get(f"relative_{group}_r2")
        top1 = answers.get("top1_sequence") or answers.get("top1_mean")
        if r2 and top1:
            readout = features != "model"
            name = _short(entry.name) + (f" · {features}" if readout else "")
            filled = entry.conditioned or family < 2
            points.append(Point(r2, top1, name, family, readout, filled))
    return points


def _spread(figure: Value, scale: float = 1) -> float | None:
    return None if math.isnan(figure.spread) else scale * figure.spread


def _short(contender: str) -> str:
    """Return a contender's method and its first settings."""
    # The table has the others.
    method, *settings = re.split("[:,]", contender)
    shown = settings if len(settings) <= SETTINGS else [*settings[:SETTINGS], "…"]
    return f"{method} · {', '.join(shown)}" if shown else method


def _draw_point(axes: Axes, point: Point) -> None:
    """Draw a mark with its error bars."""
    _, colour, mark = FAMILIES[point.family]
    xerr, yerr = point.bars

    # A hollow mark is a method without actions.
    axes.errorbar(
        *point.middle,
        xerr=xerr,
        yerr=yerr,
        fmt=mark,
        color=colour,
        markersize=READOUT if point.readout else MARK,
        markerfacecolor=colour if point.filled else style.PAPER,
        markeredgecolor=style.PAPER if point.filled else colour,
        markeredgewidth=0.6 if point.filled else 1.4,
        elinewidth=1,
        alpha=FAINT if point.readout else 1,
        zorder=3,
    )


def _draw_ceiling(axes: Axes, point: Point) -> None:
    """Draw the supervised control as a line across each axis, with its name."""
    across, up = point.middle
    axes.axvline(across, **CEILING)
    axes.axhline(up, **CEILING)

    # Lines alone do not count for the limits.
    axes.update_datalim([(across, up)])
    # Behind the line, where no point is.
    axes.annotate(
        point.name,
        (across, 0),
        (3, 4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        rotation=90,
        ha="left",
        fontsize=7.5,
        color=style.MUTED,
    )


def _draw_front(axes: Axes, best: Sequence[Point]) -> labels.Floats:
    """Draw the step line over the best points, and return its corners [N, 2].

    It leads from the left edge to the lower one.
    """
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    middles = [point.middle for point in best]
    corners = [(left, middles[0][1])]
    for i, (x, y) in enumerate(middles):
        below = middles[i + 1][1] if i + 1 < len(middles) else low
        corners += [(x, y), (x, below)]

    line = np.array(corners)
    axes.plot(*line.T, **FRONT, zorder=1)
    axes.set(xlim=(left, right), ylim=(low, high))
    return line


def _draw_legend(axes: Axes, points: Sequence[Point]) -> None:
    """Draw a legend of what occurs: families, readouts, methods without actions, and the front."""
    present = {point.family for point in points}
    handles = [
        _mark(style.mathtext(label), colour, mark, LEGEND_MARK)
        for number, (label, colour, mark) in enumerate(FAMILIES)
        if number in present
    ]

    if readout := next((point for point in points if point.readout), None):
        mark = FAMILIES[readout.family][2]
        small = _mark("their other readouts", style.MUTED, mark, READOUT)
        small.set(markeredgecolor=style.PAPER, alpha=FAINT)
        handles.append(small)

    if not all(point.filled for point in points):
        hollow = _mark("the same without actions", style.AGG, "o", LEGEND_MARK)
        hollow.set(markerfacecolor=style.PAPER, markeredgewidth=1.4)
        handles.append(hollow)

    handles.append(Line2D([], [], **FRONT, label="Pareto front"))
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=3,
        handletextpad=0.4,
        columnspacing=1.4,
    )


def _mark(label: str, colour: str, mark: str, size: float) -> Line2D:
    return Line2D([], [], color=colour, marker=mark, linestyle="", markersize=size, label=label)


def _write_names(
    figure: Figure,
    axes: Axes,
    points: Sequence[Point],
    named: Collection[int],
    steps: labels.Floats,
) -> None:
    """Write names beside their marks, with a thin line to those that stand away."""
    # The layout is settled, and names shall not change it.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")

    unit = figure.dpi / 72
    middles = axes.transData.transform([point.middle for point in points])
    sizes = {i: _extent(axes, points[i], PADDING * unit) for i in sorted(named)}
    bars = [_bar_boxes(axes, point) for point in points]
    lines = np.concatenate([*bars, _legs(axes.transData.transform(steps))])
    window = np.array(axes.get_window_extent().extents)
    spots = labels.place(middles, sizes, lines, window, unit)

    leader = {
        "arrowstyle": "-",
        "color": style.MUTED,
        "linewidth": 0.6,
        "shrinkA": 0,
        "shrinkB": 4,
    }
    for i, spot in spots.items():
        point = points[i]
        axes.annotate(
            point.name,
            point.middle,
            tuple(spot.offset / unit),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_font(point),
            color=style.MUTED if point.family == 0 else FAMILIES[point.family][1],
            arrowprops=leader if spot.leads else None,
            path_effects=[patheffects.withStroke(linewidth=2, foreground=style.PAPER)],
            zorder=4,
            **style.AS_IT_IS,
        )


def _font(point: Point) -> float:
    return 7.5 if point.readout else 8.5


def _extent(axes: Axes, point: Point, air: float) -> tuple[float, float]:
    """Return width and height of a name with air around it, in pixels."""
    text = axes.text(0, 0, point.name, fontsize=_font(point), **style.AS_IT_IS)
    box = text.get_window_extent()
    text.remove()
    return box.width + air, box.height + air


def _bar_boxes(axes: Axes, point: Point) -> labels.Floats:
    """Return the boxes [2, 4] of a mark's error bars, in pixels."""
    (x, y), (across, up) = point.middle, point.bars
    dx, dy = across or 0.0, up or 0.0
    ends = axes.transData.transform([(x - dx, y), (x + dx, y), (x, y - dy), (x, y + dy)])
    return np.concatenate([_legs(ends[:2]), _legs(ends[2:])])


def _legs(corners: labels.Floats) -> labels.Floats:
    """Return the boxes [N - 1, 4] of the legs of a line with corners [N, 2].

    Each leg goes along an axis and is 2 pixels wide.
    """
    low = np.minimum(corners[1:], corners[:-1]) - 1
    high = np.maximum(corners[1:], corners[:-1]) + 1
    return np.concatenate([low, high], 1)

"""Accuracy against equivariance, the two ends that pull at one representation (seq-JEPA, figure 3),
and the Pareto draw_pareto of both."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seqjepa.report import style
from seqjepa.report.benchmark import labels
from seqjepa.report.benchmark.entries import Entry, columns, learned, shown_views
from seqjepa.report.tables import Value

SIZE = (6.6, 5.4)
MARK, READOUT = 6.5, 4.5  # sizes of marks in points
FAINT = 0.65  # opacity of readouts
PADDING = 3.0  # points of air around a name
SETTINGS = 2  # of a contender, in its name
FAMILIES = (  # of methods: what the legend says, colour and mark
    ("not conditioned on actions", style.RANDOM, "s"),
    ("conditioned on actions", style.Z, "^"),
    ("aggregates views: z_AGG", style.AGG, "o"),
)


@dataclass(frozen=True)
class Point:
    """A representation in the plot.

    Attributes:
        x, y: R² and top-1.
        name: of the contender, shortened, and of the readout where it is one.
        family: index into FAMILIES.
        readout: whether it is another representation of a contender than its z.
        filled: whether actions are given; those that aggregate may do without.
    """

    x: Value
    y: Value
    name: str
    family: int
    readout: bool
    filled: bool


def draw_pareto(found: Sequence[Entry], group: str = "rotation") -> Figure | None:
    """The contenders, their readouts as small marks, and the step line that no contender is beyond;
    None if nothing has both figures.

    Those that did not learn would stretch the axes over what is empty: they are named in a corner
        instead, unless nobody did. Accuracy is
    that of z_AGG where there is one and else of the mean of as many views' z.

    Args:
        found: from `entries`.
        group: of the world's factors, whose change the features of two views tell.
    """
    shown = [entry for entry in found if learned(entry, group)] or found
    points = [point for entry in shown for point in _points(entry, found, group)]
    if not points:
        return None
    title = f"Accuracy against what z tells of {group.replace('_', ' ')}"
    across = f"R² of relative {group.replace('_', ' ')}, from two views’ z of unseen objects"
    upwards = f"top-1 from {shown_views(found)} views, %: z_AGG, else the mean of z"
    figure, axes = style.panel(title, style.mathtext(across), style.mathtext(upwards), SIZE)
    axes.grid(visible=True, axis="x")
    for point in points:
        _draw(axes, point)
    axes.margins(0.09)
    axes.autoscale_view()
    best = pareto([(point.x.mean, point.y.mean) for point in points])
    steps = _draw_front(axes, [points[i] for i in best])
    _legend(axes, points)
    if absent := [
        entry.name for entry in found if entry not in shown and _points(entry, found, group)
    ]:
        corner = f"off the axes, did not learn: {', '.join(absent)}"
        axes.text(0.015, 0.02, corner, transform=axes.transAxes, fontsize=7.5, color=style.MUTED)
    _name(
        figure,
        axes,
        points,
        {i for i, point in enumerate(points) if not point.readout or i in best},
        steps,
    )
    return figure


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which points no other one is at least as good as in both figures and better in one, from the
    least x to the largest."""
    order = sorted(range(len(points)), key=lambda i: points[i], reverse=True)
    kept, top = [], -math.inf
    for i in order:
        if points[i][1] > top:
            kept.append(i)
            top = points[i][1]
    return kept[::-1]


def _points(entry: Entry, found: Sequence[Entry], group: str) -> list[Point]:
    heads = {head.key: head.question for head in columns(found, group)}
    family = 2 if entry.aggregates else int(entry.conditioned)
    points = []
    for features in ("model", *entry.readouts):
        x, *ys = (
            entry.answer(features, heads[key]) if key in heads else None
            for key in ("relative_r2", "top1_sequence", "top1_mean")
        )
        y = next((y for y in ys if y), None)
        if x and y:
            own = features == "model"
            name = _short(entry.name) + ("" if own else f" · {features}")
            points.append(Point(x, y, name, family, not own, entry.conditioned or family < 2))
    return points


def _draw(axes: Axes, point: Point) -> None:
    _, colour, mark = FAMILIES[point.family]
    axes.errorbar(
        point.x.mean,
        100 * point.y.mean,
        xerr=_bar(point.x),
        yerr=_bar(point.y, 100),
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


def _bar(figure: Value, scale: float = 1) -> float | None:
    return None if math.isnan(figure.spread) else scale * figure.spread


def _short(contender: str) -> str:
    """What a contender is called in the plot: the method and its first two settings; the table has
    the others."""
    method, *settings = re.split("[:,]", contender)
    shown = settings if len(settings) <= SETTINGS else [*settings[:SETTINGS], "…"]
    return f"{method} · {', '.join(shown)}" if shown else method


def _draw_front(axes: Axes, best: Sequence[Point]) -> labels.Floats:
    """The step line from the left edge over the best points down to the lower edge, and its corners
    [N, 2]."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    xs, ys = [point.x.mean for point in best], [100 * point.y.mean for point in best]
    steps = [
        (x, height)
        for x, y, below in zip(xs, ys, [*ys[1:], low], strict=True)
        for height in (y, below)
    ]
    corners = np.array([(left, ys[0]), *steps])
    axes.plot(*corners.T, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    axes.set(xlim=(left, right), ylim=(low, high))
    return corners


def _legend(axes: Axes, points: Sequence[Point]) -> None:
    present = {point.family for point in points}
    handles = [
        Line2D(
            [],
            [],
            color=colour,
            marker=mark,
            linestyle="",
            markersize=7,
            label=style.mathtext(label),
        )
        for number, (label, colour, mark) in enumerate(FAMILIES)
        if number in present
    ]
    if readout := next((point for point in points if point.readout), None):
        mark = FAMILIES[readout.family][2]
        small = Line2D(
            [],
            [],
            color=style.MUTED,
            marker=mark,
            linestyle="",
            markersize=READOUT,
            label="their other readouts",
        )
        small.set(markeredgecolor=style.PAPER, alpha=FAINT)
        handles.append(small)
    if not all(point.filled for point in points):
        hollow = Line2D(
            [],
            [],
            color=style.AGG,
            marker="o",
            linestyle="",
            markersize=7,
            label="the same without actions",
        )
        hollow.set(markerfacecolor=style.PAPER, markeredgewidth=1.4)
        handles.append(hollow)
    handles.append(
        Line2D(
            [],
            [],
            color=style.INK,
            linewidth=0.9,
            linestyle=(0, (4, 2)),
            label="Pareto draw_pareto",
        )
    )
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=3,
        handletextpad=0.4,
        columnspacing=1.4,
    )


def _name(
    figure: Figure, axes: Axes, points: Sequence[Point], named: set[int], steps: labels.Floats
) -> None:
    """Names beside their marks, with a thin line to those that stand away."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is settled, and names shall not change it
    unit = figure.dpi / 72
    middles = axes.transData.transform([(point.x.mean, 100 * point.y.mean) for point in points])
    sizes = {i: _extent(axes, points[i], PADDING * unit) for i in sorted(named)}
    lines = np.concatenate(
        [*(_bars(axes, point) for point in points), _legs(axes.transData.transform(steps))]
    )
    spots = labels.place(middles, sizes, lines, np.array(axes.get_window_extent().extents), unit)
    for i, spot in spots.items():
        point = points[i]
        leader = (
            {"arrowstyle": "-", "color": style.MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
            if spot.leads
            else None
        )
        axes.annotate(
            point.name,
            (point.x.mean, 100 * point.y.mean),
            tuple(spot.offset / unit),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_font(point),
            color=style.MUTED if point.family == 0 else FAMILIES[point.family][1],
            arrowprops=leader,
            path_effects=[patheffects.withStroke(linewidth=2, foreground=style.PAPER)],
            zorder=4,
        )


def _font(point: Point) -> float:
    return 7.5 if point.readout else 8.5


def _extent(axes: Axes, point: Point, air: float) -> tuple[float, float]:
    """Width and height of a name with so much air around it, in pixels."""
    text = axes.text(0, 0, point.name, fontsize=_font(point))
    box = text.get_window_extent()
    text.remove()
    return box.width + air, box.height + air


def _bars(axes: Axes, point: Point) -> labels.Floats:
    """The boxes [2, 4] of a mark's error bars, in pixels."""
    x, y, dx, dy = point.x.mean, 100 * point.y.mean, _bar(point.x) or 0.0, _bar(point.y, 100) or 0.0
    ends = axes.transData.transform([(x - dx, y), (x + dx, y), (x, y - dy), (x, y + dy)])
    return np.concatenate([_legs(ends[:2]), _legs(ends[2:])])


def _legs(corners: labels.Floats) -> labels.Floats:
    """The boxes [N - 1, 4] of the legs of a line with corners [N, 2]; each goes along an axis."""
    return np.concatenate(
        [np.minimum(corners[1:], corners[:-1]) - 1, np.maximum(corners[1:], corners[:-1]) + 1], 1
    )

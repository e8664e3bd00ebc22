"""Results of a variant as plots; those of several are in `comparison`.

Invariance is accuracy with more and more views; equivariance is what z predicts of the pose.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqjepa.report import style
from seqjepa.report.runs import Variant
from seqjepa.report.tables import CONTROLS, Question, Value, questions, value

SIZE = (5.0, 3.5)
ACCURACY = (
    "Invariance: the class, from more and more views",
    "views M of an unseen object",
    "top-1 accuracy, %",
)
POSE = ("Equivariance: what changed, from two views", "R² on unseen objects", "")
DASHES = (0, (3, 2))

# Features, input, name, colour and dashes of each curve of accuracy.
CURVES = (
    ("model", "sequence", "z_AGG", style.AGG, "-"),
    ("model", "mean", "mean of z", style.Z, "-"),
    ("random", "sequence", "untrained z_AGG", style.RANDOM, "-"),
    ("random", "mean", "untrained mean of z", style.RANDOM, DASHES),
)
# Features, name, colour, mark and its size; the model's is drawn last, above its controls.
MARKS = (
    ("random", "untrained z", style.RANDOM, "o", 6.5),
    ("pixels", CONTROLS["pixels"], style.RANDOM, "x", 5),
    ("ceiling", "supervised z", style.MUTED, "|", 11),
    ("model", "z", style.Z, "o", 8),
)


def has_accuracy_by_views(variant: Variant) -> bool:
    """Return True if classes were predicted from several views."""
    return any(
        record.split == variant.split
        and record.features == "model"
        and record.task.startswith("class")
        and record.views > 1
        for record in variant.records
    )


def has_pose(variant: Variant) -> bool:
    """Return True if R² of changes of pose was measured."""
    return any(
        record.split == variant.split
        and record.features == "model"
        and record.task.startswith("relative")
        and record.metric == "r2"
        for record in variant.records
    )


def accuracy_by_views(
    variant: Variant,
    classes: int | None,
    *,
    ceiling: Variant | None = None,
) -> Figure:
    """Plot the accuracy of z_AGG and of the mean of the same views' z, for M views.

    Beside them stand one view's z, the untrained encoder and guessing.

    Args:
        variant: evaluated.
        classes: number among the objects, for the level of guessing; None where it is unknown.
        ceiling: a supervised run on the same data, whose mean of z is drawn too.
    """
    figure, axes = style.panel(*ACCURACY, SIZE)

    # Names stand at the ends of their lines, not in a legend.
    ends: list[tuple[float, float, str, str]] = []
    for features, source, name, colour, dashes in CURVES:
        if end := draw_curve(axes, variant, features, source, colour, dashes):
            ends.append((*end, name, colour))

    if ceiling is not None and (points := _accuracies(ceiling, "model", "mean")):
        x, y, _ = np.array(points).T
        axes.plot(x, y, color=style.MUTED, linestyle=":", zorder=1)
        ends.append((float(x[-1]), float(y[-1]), "supervised", style.MUTED))

    # A single view has no aggregate: a mark of its own, and no point of the curves.
    one_view = value(variant.runs, "model", variant.split, Question("class", "view", 1, "top1"))
    if one_view:
        _mark_one_view(axes, 100 * one_view.mean)

    if classes:
        guessing = 100 / classes
        axes.axhline(guessing, color=style.RULE, linewidth=1)
        rightmost = max([end[0] for end in ends], default=1)
        ends.append((rightmost, guessing, "guessing", style.MUTED))

    finish_accuracies(axes)
    if ceiling is not None:
        # Room above 100 %, or the names of the curves at the top would stand in the title.
        axes.set_ylim(0, 108)
        axes.set_yticks(range(0, 101, 20))
    style.place_labels(axes, ends)
    return figure


def pose_by_features(variant: Variant, *, ceiling: Variant | None = None) -> Figure:
    """Plot how well two views' z predict the change between them on held-out objects.

    The controls stand on the same line, and the z of a supervised ceiling on the same data.
    """
    figure, axes = style.panel(*POSE, SIZE)
    asked = changes([variant])
    for row, question in enumerate(asked):
        _draw_row(axes, variant, ceiling, row, question, labelled=row == len(asked) - 1)
    finish_rows(axes, asked)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        ncols=3 if ceiling is None else 2,
        handletextpad=0.3,
        reverse=True,
    )
    return figure


def draw_curve(
    axes: Axes,
    variant: Variant,
    features: str,
    source: str,
    colour: str,
    dashes: Any,
    *,
    thin: bool = False,
) -> tuple[float, float] | None:
    """Draw accuracy against the number of views; return the curve's end, None without figures."""
    points = _accuracies(variant, features, source)
    if not points:
        return None
    x, y, spread = np.array(points).T
    look: Any = {"linewidth": 1} if thin else {"marker": "o", "markersize": 4.5}
    axes.plot(x, y, color=colour, linestyle=dashes, clip_on=False, **look)
    axes.fill_between(x, y - spread, y + spread, color=colour, alpha=0.15, linewidth=0)
    return float(x[-1]), float(y[-1])


def finish_accuracies(axes: Axes) -> None:
    """Settle the axes of a plot of accuracies, with some room above the highest."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, min(100.0, 1.08 * axes.dataLim.y1) or 100.0)


def changes(variants: Sequence[Variant]) -> list[Question]:
    """Return the questions about what changed between two views, the first one last."""
    return [
        question
        for question in reversed(questions(variants, every=False))
        if question.kind == "relative" and question.metric == "r2"
    ]


def finish_rows(axes: Axes, asked: Sequence[Question]) -> None:
    """Settle the axes of a plot with a row for each question, drawn upwards."""
    # A zero R² is what guessing scores: it is always in the picture.
    axes.set(ylim=(-0.6, len(asked) - 0.4), xlim=(min(0, axes.get_xlim()[0]), None))
    names = [question.target for question in asked]
    axes.set_yticks(range(len(asked)), names, **style.AS_IT_IS)
    axes.tick_params("y", length=0, labelcolor=style.INK, labelsize=9.5)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.spines["left"].set_visible(False)


def draw_mark(axes: Axes, figure: Value, height: float, **look: Any) -> None:
    """Draw a figure with its spread; see `Axes.errorbar` for looks."""
    spread = None if np.isnan(figure.spread) else figure.spread or None
    axes.errorbar(figure.mean, height, xerr=spread, clip_on=False, **look)


def _accuracies(variant: Variant, features: str, source: str) -> list[tuple[int, float, float]]:
    """Return the number of views, accuracy and spread, in per cent, of each point of a curve."""
    points = []
    for views in sorted({record.views for record in variant.records}):
        question = Question("class", source, views, "top1")
        if found := value(variant.runs, features, variant.split, question):
            points.append((views, 100 * found.mean, 100 * found.spread))
    return points


def _mark_one_view(axes: Axes, accuracy: float) -> None:
    """Draw a hollow diamond, with its name, at one view."""
    axes.plot(
        [1],
        [accuracy],
        "D",
        color=style.PAPER,
        markeredgecolor=style.Z,
        markeredgewidth=1.6,
        markersize=6.5,
        zorder=3,
    )

    axes.annotate(
        style.mathtext("z, one view"),
        (1, accuracy),
        (8, -3),
        textcoords="offset points",
        color=style.Z,
        va="top",
    )


def _draw_row(
    axes: Axes,
    variant: Variant,
    ceiling: Variant | None,
    row: int,
    question: Question,
    *,
    labelled: bool,
) -> None:
    """Draw the marks of a question and the line that joins them; one row labels the legend."""
    found: dict[str, Value | None] = {
        features: value(variant.runs, features, variant.split, question) for features, *_ in MARKS
    }
    if ceiling is not None:
        found["ceiling"] = value(ceiling.runs, "model", ceiling.split, question)
    means = [figure.mean for figure in found.values() if figure]
    axes.plot([min(means), max(means)], [row, row], color=style.RULE, linewidth=1.2, zorder=1)

    for features, name, colour, mark, size in MARKS:
        if figure := found.get(features):
            shown = style.mathtext(name) if labelled else None
            draw_mark(axes, figure, row, fmt=mark, color=colour, markersize=size, label=shown)

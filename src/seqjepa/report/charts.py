"""Results as plots: invariance, which is accuracy with more and more views, and equivariance, which
is what z tells of the pose."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqjepa.report import style
from seqjepa.report.runs import Variant
from seqjepa.report.tables import questions, value

SIZE = (5.0, 3.5)


def has(variant: Variant, kind: str) -> bool:
    """Whether there are figures of the class with several views (`class`), or of the poses
    (`relative`)."""
    records = [
        record
        for run in variant.runs
        for record in run.records
        if record.split == variant.split and record.features == "model"
    ]
    return any(
        r.task.startswith(kind) and (r.views > 1 if kind == "class" else r.metric == "r2")
        for r in records
    )


def accuracy_by_views(variant: Variant, classes: int | None, *, top: float | None = None) -> Figure:
    """Accuracy of z_AGG against the mean of the same views' z, for M views, with one view and the
    untrained encoder.

    Args:
        variant: evaluated.
        classes: among the objects, for the level of guessing; None where that is not known.
        top: end of the y axis, the same for plots to be compared.
    """
    figure, axes = style.panel(
        "Invariance: the class, from more and more views",
        "views M of an unseen object",
        "top-1 accuracy, %",
        SIZE,
    )
    lines = (
        ("model", "sequence", "z_AGG", style.AGG, "-"),
        ("model", "mean", "mean of z", style.Z, "-"),
        ("random", "sequence", "untrained z_AGG", style.RANDOM, "-"),
        ("random", "mean", "untrained mean of z", style.RANDOM, (0, (3, 2))),
    )
    counts = sorted({record.views for run in variant.runs for record in run.records})
    ends = []
    for features, source, name, colour, dash in lines:
        found = [
            (m, value(variant.runs, features, variant.split, ("class", source, m, "top1")))
            for m in counts
        ]
        points = [(m, 100 * v.mean, 100 * v.spread) for m, v in found if v]
        if points:
            x, y, spread = np.array(points).T
            axes.plot(x, y, color=colour, linestyle=dash, marker="o", markersize=4.5, clip_on=False)
            axes.fill_between(x, y - spread, y + spread, color=colour, alpha=0.15, linewidth=0)
            ends.append((float(x[-1]), float(y[-1]), name, colour))
    one = value(variant.runs, "model", variant.split, ("class", "view", 1, "top1"))
    if one:
        axes.plot(
            [1],
            [100 * one.mean],
            "D",
            color=style.PAPER,
            markeredgecolor=style.Z,
            markeredgewidth=1.6,
            markersize=6.5,
            zorder=3,
        )
        axes.annotate(
            style.mathtext("z, one view"),
            (1, 100 * one.mean),
            (8, -3),
            textcoords="offset points",
            color=style.Z,
            va="top",
        )
    if classes:
        axes.axhline(100 / classes, color=style.RULE, linewidth=1)
        ends.append(
            (max([end[0] for end in ends], default=1), 100 / classes, "guessing", style.MUTED)
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, top)
    style.place_labels(axes, ends)
    return figure


def pose_by_features(variant: Variant) -> Figure:
    """How well two views' z tell what changed between them, on held-out objects, beside what the
    controls tell."""
    figure, axes = style.panel(
        "Equivariance: what changed, from two views", "R² on unseen objects", "", SIZE
    )
    asked = [
        q
        for q in questions([variant], every=False)
        if q[0].startswith("relative ") and q[3] == "r2"
    ][::-1]
    kinds = (
        ("random", "untrained z", style.RANDOM, "o", 6.5),
        ("pixels", "raw pixels", style.RANDOM, "x", 5),
        ("model", "z", style.Z, "o", 8),
    )
    for row, question in enumerate(asked):
        found = {
            features: value(variant.runs, features, variant.split, question)
            for features, *_ in kinds
        }
        means = [v.mean for v in found.values() if v]
        axes.plot([min(means), max(means)], [row, row], color=style.RULE, linewidth=1.2, zorder=1)
        for features, name, colour, mark, size in kinds:
            if v := found[features]:
                spread = 0 if np.isnan(v.spread) else v.spread
                label = style.mathtext(name) if row == len(asked) - 1 else None
                axes.errorbar(
                    v.mean,
                    row,
                    xerr=spread or None,
                    fmt=mark,
                    color=colour,
                    markersize=size,
                    label=label,
                    clip_on=False,
                )
    axes.set(ylim=(-0.6, len(asked) - 0.4), xlim=(min(0, axes.get_xlim()[0]), None))
    axes.set_yticks(
        range(len(asked)),
        [question[0].removeprefix("relative ").replace("_", " ") for question in asked],
    )
    axes.tick_params("y", length=0, labelcolor=style.INK, labelsize=9.5)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.spines["left"].set_visible(False)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, handletextpad=0.3, reverse=True
    )
    return figure

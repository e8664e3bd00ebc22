"""Results of several variants in one plot: each variant in its colour, controls in grey."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seqjepa.report import style
from seqjepa.report.charts import (
    ACCURACY,
    DASHES,
    MARKS,
    POSE,
    SIZE,
    changes,
    draw_curve,
    draw_mark,
    finish_accuracies,
    finish_rows,
)
from seqjepa.report.runs import Variant
from seqjepa.report.tables import CONTROLS, different, value

SOURCES = (("sequence", "-"), ("mean", DASHES))
LINE = 0.2  # inches of a line of the legend
MARK = 0.16  # inches of a line of marks
FITTING = 2.4  # inches between title and axis of a plot of the usual height
WIDE = 64  # characters of a line of the legend
BAND = 0.8  # of the height of a row, over which its marks are spread

Entries = Sequence[tuple[Line2D, str]]  # marks of a legend, and what they stand for


def accuracy_by_views(variants: Sequence[Variant], classes: int | None) -> Figure:
    """Plot the accuracy of z_AGG of M views, and dashed that of the mean of the same views' z.

    Args:
        variants: of which at least one was asked about several views.
        classes: number among the objects, for the level of guessing; None where it is unknown.
    """
    names = [(_line(colour), variant.label) for variant, colour in style.coloured(variants)]
    words = [(_line(style.INK), "z_AGG"), (_line(style.INK, linestyle=DASHES), "mean of z")]
    untrained = different(variants, "random")
    if untrained:
        words.append((_line(style.RANDOM), CONTROLS["random"]))
    if classes:
        words.append((_line(style.RULE), "guessing"))
    figure, axes = style.panel(*ACCURACY, _size(names, words))

    # Controls come first, below the rest.
    for variant in untrained:
        for source, dashes in SOURCES:
            draw_curve(axes, variant, "random", source, style.RANDOM, dashes, thin=True)
    for variant, colour in style.coloured(variants):
        for source, dashes in SOURCES:
            draw_curve(axes, variant, "model", source, colour, dashes)
    if classes:
        axes.axhline(100 / classes, color=style.RULE, linewidth=1)
    finish_accuracies(axes)
    _add_legend(figure, names, words)
    return figure


def pose_by_features(variants: Sequence[Variant]) -> Figure:
    """Plot how well two views' z predict the change between them, a line for each variant.

    The controls of all variants share a line.
    """
    marks: dict[str, Any] = {
        features: {"fmt": mark, "markersize": size} for features, _, _, mark, size in MARKS
    }
    lines = [("model", [variant], colour) for variant, colour in style.coloured(variants)]
    controls = {features: different(variants, features) for features in CONTROLS}
    lines += [(features, shown, style.RANDOM) for features, shown in controls.items() if shown]

    names = [(_dot(colour, "o"), variant.label) for variant, colour in style.coloured(variants)]
    words = [
        (_dot(colour, marks[features]["fmt"]), CONTROLS[features])
        for features, _, colour in lines
        if features in CONTROLS
    ]
    asked = changes(variants)
    width, height = _size(names, words)
    more = max(0.0, MARK * len(asked) * len(lines) / BAND - FITTING)
    figure, axes = style.panel(*POSE, (width, height + more))

    # The first line stands highest in each row.
    for row, question in enumerate(asked):
        for place, (features, shown, colour) in enumerate(reversed(lines)):
            level = row + BAND * ((place + 0.5) / len(lines) - 0.5)
            for variant in shown:
                if found := value(variant.runs, features, variant.split, question):
                    draw_mark(axes, found, level, color=colour, **marks[features])
        if row:
            axes.axhline(row - 0.5, color=style.RULE, linewidth=0.8)
    finish_rows(axes, asked)
    _add_legend(figure, names, words)
    return figure


def _line(colour: str, **look: Any) -> Line2D:
    return Line2D([], [], color=colour, **look)


def _dot(colour: str, mark: str) -> Line2D:
    return _line(colour, marker=mark, linestyle="")


def _in_one_line(names: Entries, words: Entries) -> bool:
    """Return True if a name and a word fit beside each other."""
    longest = (max((len(text) for _, text in entries), default=0) for entries in (names, words))
    return sum(longest) <= WIDE


def _size(names: Entries, words: Entries) -> tuple[float, float]:
    """Return the size of a plot with room for a legend below it."""
    fitting = _in_one_line(names, words)
    lines = max(len(names), len(words)) if fitting else len(names) + len(words)
    return SIZE[0], SIZE[1] + LINE * lines


def _add_legend(figure: Figure, names: Entries, words: Entries) -> None:
    """Write a legend below the axes: names of variants, beside or above the other words."""
    columns = 1 + _in_one_line(names, words)
    # Columns are filled one after the other.
    blank = [(_line(style.PAPER, linestyle=""), "")] * (columns - 1)
    names = [*names, *blank * (len(words) - len(names))]
    entries = [*names, *words, *blank * (len(names) - len(words))]
    # Matplotlib leaves out labels that begin with an underscore: texts are set afterwards.
    legend = figure.legend(
        [handle for handle, _ in entries],
        map(str, range(len(entries))),
        loc="outside lower left",
        ncols=columns,
        handlelength=1.6,
    )
    for place, text in enumerate(legend.get_texts()):
        own = place < len(names)
        words_of = entries[place][1]
        text.set(text=words_of if own else style.mathtext(words_of), parse_math=not own)

"""Training curves."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from seqjepa.report import style
from seqjepa.report.runs import Floats, Variant

# Positions, clocks and counters are no curves.
IGNORED = re.compile(r"step|views_seen|time/seconds|.*/steps?")


@dataclass(frozen=True)
class Panel:
    """A plot of related figures of the training log.

    Attributes:
        title: its heading.
        ylabel: with the unit.
        pattern: regular expression for the keys it shows.
        scale: factor to the unit.
        log: logarithmic axis.
        note: what to look for.
    """

    title: str
    ylabel: str
    pattern: str
    scale: float = 1
    log: bool = False
    note: str = ""


# A key belongs to the first panel whose pattern it matches.
PANELS = (
    Panel("Loss", "loss", r"loss.*"),
    Panel("Class, online probes", "accuracy on training batches, %", r"online/class.*", 100),
    Panel("Action, online probe", "R² on training batches", r"online/.*r2"),
    Panel(
        "Spread of what the loss compares",
        "std of normalised features × √D",
        r"(?!z_|agg_).*_std",
        note="1: directions spread evenly; 0: collapse.",
    ),
    Panel(
        "Spread of the features",
        "std of normalised features × √D",
        r".*_std",
        note="1: directions spread evenly; 0: collapse.",
    ),
    Panel(
        "Effective rank",
        "RankMe, dimensions",
        r".*_rankme",
        note="How many dimensions are in use; 1: collapse.",
    ),
    Panel("Learning rate", "learning rate", r"lr"),
    Panel("Target encoder", "EMA momentum", r".*momentum"),
    Panel("Gradient", "norm", r"grad_norm", log=True),
    Panel("Speed", "views per second", r"time/views_per_second"),
)
# By the last part of a key, or else by the word before its first underscore.
NAMES = {
    "z": "z",
    "agg": "z_AGG",
    "class_view": "z, one view",
    "class_sequence": "z_AGG",
    "projection": "projection",
    "equivariant": "equivariant projection",
    "output": "output",
    "loss": "loss",
    "loss_last": "last view only",
}
AXES = {"step": "optimizer step", "views_seen": "views seen"}

Line = tuple[str, Variant, str]  # a key of the log, whose log, and the line's colour


def training(variants: Sequence[Variant]) -> list[tuple[Panel, Figure]]:
    """Plot the logs: one plot for each panel, or with several variants one for each key."""
    keys = dict.fromkeys(key for variant in variants for run in variant.runs for key in run.metrics)
    drawn = []
    for panel, matching in _panels(keys):
        if len(variants) == 1:
            shown = [(panel, _lines_of_variant(matching, variants[0]))]
        else:
            shown = [
                (_panel_of(key, panel, matching), _lines_of(key, variants)) for key in matching
            ]
        drawn += [(each, _plot(each, lines, variants)) for each, lines in shown]
    return drawn


def _panels(keys: Iterable[str]) -> list[tuple[Panel, list[str]]]:
    """Deal the keys of the log to panels; those that fit none get panels by their prefixes."""
    left = [key for key in keys if not IGNORED.fullmatch(key)]
    found = []
    for panel in PANELS:
        matching = [key for key in left if re.fullmatch(panel.pattern, key)]
        left = [key for key in left if key not in matching]
        if matching:
            found.append((panel, matching))

    by_prefix: dict[str, list[str]] = {}
    for key in left:
        by_prefix.setdefault(key.partition("/")[0], []).append(key)
    for prefix, matching in by_prefix.items():
        words = prefix.replace("_", " ")
        found.append((Panel(words.capitalize(), words, ""), matching))
    return found


def _panel_of(key: str, panel: Panel, matching: Sequence[str]) -> Panel:
    """Return the panel under a title that names one of its keys, unless the title does already."""
    if len(matching) == 1 or _name(key) == panel.title.lower():
        return panel
    return replace(panel, title=f"{panel.title}, {_name(key)}")


def _lines_of_variant(keys: Sequence[str], variant: Variant) -> dict[str, Line]:
    """Return a line for each key, by its name."""
    return {_name(key): (key, variant, _colour(key, i)) for i, key in enumerate(keys)}


def _lines_of(key: str, variants: Sequence[Variant]) -> dict[str, Line]:
    """Return a line for each variant that logged the key, by its label."""
    # A variant keeps its colour in plots that others are missing from.
    return {
        variant.label: (key, variant, colour)
        for variant, colour in style.coloured(variants)
        if any(key in run.metrics for run in variant.runs)
    }


def _plot(panel: Panel, lines: Mapping[str, Line], variants: Sequence[Variant]) -> Figure:
    """Draw lines by name; the x axis is the same for all plots of a report."""
    # Views seen compare runs whose batches differ.
    runs = [run for variant in variants for run in variant.runs]
    axis = "views_seen" if all("views_seen" in run.metrics for run in runs) else "step"
    figure, axes = style.panel(panel.title, AXES[axis], panel.ylabel)

    for key, variant, colour in lines.values():
        logs = [run.metrics for run in variant.runs if key in run.metrics]
        x, mean, spread = _over_seeds(logs, key, axis)
        low, high = panel.scale * (mean - spread), panel.scale * (mean + spread)
        axes.plot(x, panel.scale * mean, color=colour)
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)

    if panel.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(_count))
        axes.yaxis.set_minor_formatter(NullFormatter())
    _finish(axes, lines if len(lines) > 1 else {})
    return figure


def _finish(axes: Axes, lines: Mapping[str, Line]) -> None:
    """Settle the axes, and write a legend of named lines."""
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(_count))
    if lines:
        # Matplotlib leaves out labels that begin with an underscore: names are set afterwards.
        legend = axes.legend(axes.lines, map(str, range(len(lines))), loc="best", handlelength=1.4)
        for text, (name, (_, variant, _)) in zip(legend.get_texts(), lines.items(), strict=True):
            is_label = name == variant.label
            text.set(text=name if is_label else style.mathtext(name), parse_math=not is_label)


def _over_seeds(
    logs: Sequence[Mapping[str, Floats]], key: str, axis: str
) -> tuple[Floats, Floats, Floats]:
    """Return positions, mean and sample standard deviation where all runs logged a finite value.

    The standard deviation of one run is NaN.
    """
    curves = []
    for log in logs:
        points = zip(log[axis].tolist(), log[key].tolist(), strict=True)
        curves.append({x: y for x, y in points if np.isfinite(y)})
    common = sorted(set.intersection(*map(set, curves))) if curves else []

    values = np.array([[curve[x] for x in common] for curve in curves])
    values = values.reshape(len(curves), len(common))  # also where there are none
    mean = values.mean(0) if curves else np.array([])
    spread = values.std(0, ddof=1) if len(curves) > 1 else np.full(len(common), np.nan)
    return np.array(common), mean, spread


def _colour(key: str, order: int) -> str:
    # What speaks of a representation has its colour, in all plots.
    if re.search(r"(^|/)agg_|sequence$", key):
        return style.AGG
    if re.search(r"(^|/)z_|view$|action_r2$", key):
        return style.Z
    colours = (style.INK, *style.VARIANTS)
    return colours[order % len(colours)]


def _name(key: str) -> str:
    last = key.rpartition("/")[2]
    return NAMES.get(last) or NAMES.get(last.partition("_")[0]) or last.replace("_", " ")


def _count(number: float, _: int | None = None) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g} {unit}"
    return f"{number:g}"

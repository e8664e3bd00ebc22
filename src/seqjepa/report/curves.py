"""Training curves."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from seqjepa.report import style
from seqjepa.report.runs import Floats, Variant

IGNORED = re.compile(r"step|views_seen|time/seconds|.*/steps?")


@dataclass(frozen=True)
class Panel:
    """A plot of related figures of the training log.

    Attributes:
        title: its heading.
        ylabel: with the unit.
        pattern: of the keys it shows.
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


PANELS = (
    Panel("Loss", "loss", r"loss.*"),
    Panel("Class, online probes", "accuracy on training batches, %", r"online/class.*", 100),
    Panel("Action, online probe", "R² on training batches", r"online/.*r2"),
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
NAMES = {
    "z": "z",
    "agg": "z_AGG",
    "class_view": "z, one view",
    "class_sequence": "z_AGG",
    "loss": "loss",
    "loss_last": "last view only",
}


def training(variants: Sequence[Variant]) -> list[tuple[Panel, Figure]]:
    """One plot per kind of figure in the logs, whichever are there; with several variants, one per
    figure."""
    shown = []
    for panel, keys in _panels(
        dict.fromkeys(key for variant in variants for run in variant.runs for key in run.metrics)
    ):
        if len(variants) == 1:
            shown.append(
                (
                    panel,
                    _plot(
                        panel,
                        {
                            _name(key): (key, variants[0], _colour(key, i))
                            for i, key in enumerate(keys)
                        },
                        variants,
                    ),
                )
            )
            continue
        for key in keys:
            named = (
                panel
                if _name(key) == panel.title.lower() or len(keys) == 1
                else replace(panel, title=f"{panel.title}, {_name(key)}")
            )
            coloured = zip(variants, cycle(style.VARIANTS), strict=False)
            lines = {
                v.label: (key, v, colour)
                for v, colour in coloured
                if any(key in run.metrics for run in v.runs)
            }
            shown.append((named, _plot(named, lines, variants)))
    return shown


def _panels(keys: Iterable[str]) -> list[tuple[Panel, list[str]]]:
    """Which keys of the log go into which plot; what no panel knows gets one by its prefix."""
    left = [key for key in keys if not IGNORED.fullmatch(key)]
    found = []
    for panel in PANELS:
        matching = [key for key in left if re.fullmatch(panel.pattern, key)]
        left = [key for key in left if key not in matching]
        found.append((panel, matching))
    for prefix in dict.fromkeys(key.partition("/")[0] for key in left):
        words = prefix.replace("_", " ")
        found.append(
            (
                Panel(words.capitalize(), words, ""),
                [key for key in left if key.partition("/")[0] == prefix],
            )
        )
    return [(panel, matching) for panel, matching in found if matching]


def _plot(
    panel: Panel, lines: Mapping[str, tuple[str, Variant, str]], variants: Sequence[Variant]
) -> Figure:
    """Lines by name, each a figure of a variant in a colour. The axis is the same for all plots of
    a report."""
    axis = (
        "views_seen"
        if all("views_seen" in run.metrics for variant in variants for run in variant.runs)
        else "step"
    )
    figure, axes = style.panel(
        panel.title, {"step": "optimizer step", "views_seen": "views seen"}[axis], panel.ylabel
    )
    for name, (key, variant, colour) in lines.items():
        x, mean, spread = _over_seeds(
            [run.metrics for run in variant.runs if key in run.metrics], key, axis
        )
        axes.plot(x, panel.scale * mean, color=colour, label=style.mathtext(name))
        axes.fill_between(
            x,
            panel.scale * (mean - spread),
            panel.scale * (mean + spread),
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    if panel.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(_count))
        axes.yaxis.set_minor_formatter(NullFormatter())
    _finish(axes, legend=len(lines) > 1)
    return figure


def _finish(axes: Axes, *, legend: bool) -> None:
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(_count))
    if legend:
        axes.legend(loc="best", handlelength=1.4)


def _over_seeds(
    logs: Iterable[Mapping[str, Floats]], key: str, axis: str
) -> tuple[Floats, Floats, Floats]:
    """Position, mean and sample standard deviation (NaN for one run) at the positions that all runs
    logged."""
    curves = [dict(zip(log[axis].tolist(), log[key].tolist(), strict=True)) for log in logs]
    curves = [{at: y for at, y in curve.items() if np.isfinite(y)} for curve in curves]
    common = sorted(set.intersection(*map(set, curves))) if curves else []
    values = np.array([[curve[at] for at in common] for curve in curves]).reshape(
        len(curves), len(common)
    )
    spread = values.std(0, ddof=1) if len(curves) > 1 else np.full(len(common), np.nan)
    return np.array(common), values.mean(0) if curves else np.array([]), spread


def _colour(key: str, order: int) -> str:
    if re.search(r"(^|/)agg_|sequence$", key):
        return style.AGG
    if re.search(r"(^|/)z_|view$|action_r2$", key):
        return style.Z
    return (style.INK, *style.VARIANTS)[order % 5]


def _name(key: str) -> str:
    last = key.rpartition("/")[2]
    return NAMES.get(last) or NAMES.get(last.partition("_")[0]) or last.replace("_", " ")


def _count(number: float, _: int | None = None) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g} {unit}"
    return f"{number:g}"

"""The first things a reader should know of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqjepa.report import style
from seqjepa.report.runs import Run, Variant
from seqjepa.report.tables import (
    METRICS,
    Question,
    columns,
    describe,
    name_input,
    questions,
    text,
    value,
)

ONLINE = {
    "online/class_sequence": ("class from the whole sequence", style.AGG),
    "online/class_view": ("class from one view", style.Z),
    "online/action_r2": ("action from two views, R²", style.Z),
}


@dataclass(frozen=True)
class Fact:
    """A key figure.

    Attributes:
        label: what it is.
        figure: the number, with its spread over seeds.
        unit: of the number, set smaller.
        note: what to compare it with.
        colour: of the representation it speaks of.
    """

    label: str
    figure: str
    unit: str
    note: str
    colour: str


def facts(variant: Variant) -> list[Fact]:
    """A variant's key figures on held-out objects; before evaluation, those of the online
    probes."""
    asked = [
        q
        for q in questions([variant], every=False)
        if q[0] == "class" or q[0].startswith("relative")
    ]
    relative = [q for q in asked if q[0] != "class"][:1]
    order = {"sequence": 0, "mean": 1, "view": 2}
    chosen = sorted((q for q in asked if q[0] == "class"), key=lambda q: order.get(q[1], 3))
    chosen += [
        q for q in asked if relative and q[0] == relative[0][0] and q[3] in ("r2", "median_degrees")
    ]
    found = [_measured(variant, question) for question in chosen]
    return [fact for fact in found if fact] or _online(variant)


def summary(run: Run) -> str:
    """What was trained on what, for how long, in a sentence."""
    config, train = run.config, run.config.get("train", {})
    words = f"{config['method']['kind']} on the {config['world']['kind']} world"
    if {"num_views", "batch_size"} <= set(train):
        words += f": sequences of {train['num_views']} views, batches of {train['batch_size']}"
    return f"{words}; {effort(run)}."


def effort(run: Run) -> str:
    """How long it was trained."""
    words = f"{int(run.metrics['step'][-1]):,} optimizer steps"
    if "views_seen" in run.metrics:
        words += f", {amount(run.metrics['views_seen'][-1])} views"
    if "time/seconds" in run.metrics:
        words += f" in {duration(float(np.nanmax(run.metrics['time/seconds'])))}"
    return words


def amount(count: float) -> str:
    """A large count in words."""
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if count >= size:
            return f"{count / size:.3g} {word}"
    return f"{count:,.0f}"


def duration(seconds: float) -> str:
    """A time in the unit people would use."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _measured(variant: Variant, question: Question) -> Fact | None:
    figure = value(variant.runs, "model", variant.split, question)
    if figure is None:
        return None
    task, source, _, metric = question
    found = [
        (column, value(column.runs, column.features, variant.split, question))
        for column in columns([variant])
    ]
    controls = [
        f"{column.label} {text(control, metric)}"
        for column, control in found
        if control and column.features != "model"
    ]
    what = "class" if task == "class" else describe(task.removeprefix("relative "))
    label = (
        f"{what} from {name_input(question)}"
        if metric == "top1"
        else f"{what} between two views, {METRICS[metric].rstrip(', °')}"
    )
    number = text(figure, metric) + "°" * (metric == "median_degrees")
    return Fact(
        label,
        number,
        "%" * (metric == "top1"),
        " · ".join(controls),
        style.AGG if source == "sequence" else style.Z,
    )


def _online(variant: Variant) -> list[Fact]:
    found = []
    for key, (label, colour) in ONLINE.items():
        lasts = [float(run.metrics[key][-1]) for run in variant.runs if key in run.metrics]
        if lasts:
            share = key != "online/action_r2"
            figure = f"{100 * np.mean(lasts):.1f}" if share else f"{np.mean(lasts):.3f}"
            found.append(
                Fact(label, figure, "%" if share else "", "online probe, training batches", colour)
            )
    return found


def glance(variants: Sequence[Variant]) -> tuple[list[str], list[tuple[Variant, list[str]]]]:
    """Key figures of several variants side by side: their labels, and the figures of each
    variant."""
    known = [
        (variant, {fact.label: f"{fact.figure} {fact.unit}".strip() for fact in facts(variant)})
        for variant in variants
    ]
    labels = list(dict.fromkeys(label for _, figures in known for label in figures))
    return labels, [
        (variant, [figures.get(label, "–") for label in labels]) for variant, figures in known
    ]

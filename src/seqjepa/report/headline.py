"""Key figures of runs, and sentences about them, for the head of a page."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqjepa.report import style
from seqjepa.report.runs import Run, Variant
from seqjepa.report.tables import Question, questions, results_columns, text, value
from seqjepa.report.words import amount, duration

ONLINE = {
    "online/class_sequence": ("class from the whole sequence", style.AGG),
    "online/class_view": ("class from one view", style.Z),
    "online/action_r2": ("action from two views, R²", style.Z),
}


@dataclass(frozen=True)
class Fact:
    """A key figure.

    Attributes:
        label: the quantity.
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
    """Return a variant's key figures on held-out objects.

    Before evaluation, return those of the online probes.
    """
    asked = questions([variant], every=False)
    # First the accuracy of the aggregate, which the method is for, then its rivals.
    order = {"sequence": 0, "mean": 1, "view": 2}
    classes = [question for question in asked if question.task == "class"]
    chosen = sorted(classes, key=lambda question: order.get(question.input, 3))

    # Of the factors, the first: a rotation where the world has one.
    changes = [question for question in asked if question.kind == "relative"]
    chosen += [
        question
        for question in changes
        if question.task == changes[0].task and question.metric in ("r2", "median_degrees")
    ]

    found = [_measured(variant, question) for question in chosen]
    return [fact for fact in found if fact] or _online(variant)


def summary(run: Run) -> str:
    """Return a sentence: what was trained on what, for how long."""
    config, train = run.config, run.config.get("train", {})
    words = f"{config['method']['kind']} on the {config['world']['kind']} world"
    if {"num_views", "batch_size"} <= set(train):
        words += f": sequences of {train['num_views']} views, batches of {train['batch_size']}"
    return f"{words}; {effort(run)}."


def effort(run: Run) -> str:
    """Return how long a run was trained, in words."""
    words = f"{int(run.metrics['step'][-1]):,} optimizer steps"
    if "views_seen" in run.metrics:
        words += f", {amount(run.metrics['views_seen'][-1])} views"
    if "time/seconds" in run.metrics:
        words += f" in {duration(float(np.nanmax(run.metrics['time/seconds'])))}"
    return words


def glance(variants: Sequence[Variant]) -> tuple[list[str], list[tuple[Variant, list[str]]]]:
    """Return the labels of all variants' key figures, and each variant's figures in that order."""
    known = []
    for variant in variants:
        figures = {fact.label: f"{fact.figure} {fact.unit}".strip() for fact in facts(variant)}
        known.append((variant, figures))
    labels = list(dict.fromkeys(label for _, figures in known for label in figures))
    return labels, [
        (variant, [figures.get(label, "–") for label in labels]) for variant, figures in known
    ]


def _measured(variant: Variant, question: Question) -> Fact | None:
    """Return the model's answer to a question, beside those of readouts and controls."""
    figure = value(variant.runs, "model", variant.split, question)
    if figure is None:
        return None

    others = []
    for column in results_columns([variant]):
        other = value(column.runs, column.features, variant.split, question)
        if other and column.features != "model":
            others.append(f"{column.label} {text(other, question.metric)}")

    if question.metric == "top1":
        label = f"{question.target} from {question.input_label}"
    else:
        # The number carries the degree sign.
        label = f"{question.target} between two views, {question.metric_label.rstrip(', °')}"

    number = text(figure, question.metric)
    if question.metric == "median_degrees":
        number += "°"
    unit = "%" if question.metric == "top1" else ""
    colour = style.AGG if question.input == "sequence" else style.Z
    return Fact(label, number, unit, " · ".join(others), colour)


def _online(variant: Variant) -> list[Fact]:
    """Return what the online probes last logged."""
    note = "online probe, training batches"
    found = []
    for key, (label, colour) in ONLINE.items():
        lasts = [float(run.metrics[key][-1]) for run in variant.runs if key in run.metrics]
        if not lasts:
            continue
        mean = np.mean(lasts)
        if key == "online/action_r2":
            found.append(Fact(label, f"{mean:.3f}", "", note, colour))
        else:
            found.append(Fact(label, f"{100 * mean:.1f}", "%", note, colour))
    return found

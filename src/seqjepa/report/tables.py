"""Figures of results.json as words and tables."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from seqjepa.evaluation.protocol import Record
from seqjepa.report import style
from seqjepa.report.runs import Run, Variant

Question = tuple[str, str, int, str]  # task, input, views and metric

INPUTS = {
    "view": "z of one view",
    "image": "z of the whole image",
    "mean": "mean of {} views’ z",
    "logits": "mean of {} views’ logits",
    "sequence": "z_AGG of {} views",
    "pair": "z of two views",
}
COLOURS = {
    "view": style.Z,
    "image": style.Z,
    "mean": style.Z,
    "logits": style.Z,
    "pair": style.Z,
    "sequence": style.AGG,
}
CONTROLS = {"random": "random features", "pixels": "raw pixels"}
METRICS = {
    "top1": "top-1 accuracy, %",
    "r2": "R²",
    "r2_global": "R², SIE’s variant",
    "median_degrees": "median error, °",
}
KINDS = {"class": "Class", "relative": "Change between two views", "individual": "Pose of one view"}
SHOWN_VIEWS = 5  # the number of views that the paper's tables are about


@dataclass(frozen=True)
class Value:
    """A figure over the runs of a variant: its mean, the sample standard deviation (NaN for one
    run) and how many runs."""

    mean: float
    spread: float
    n: int


@dataclass(frozen=True)
class Column:
    """A column of the results table.

    Attributes:
        label: its head.
        features: whose figures: `model`, `random` or `pixels`.
        runs: whose mean is shown.
    """

    label: str
    features: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Cell:
    """A table cell: the text, and whether it is the best of its row and split."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A table row: what was measured, the colour of the representation it was measured on, and the
    figures."""

    label: str
    colour: str
    cells: tuple[Cell, ...]


Block = tuple[str, tuple[Row, ...]]


@dataclass(frozen=True)
class Table:
    """A table: its splits, each over all the columns, and blocks of rows under a task's name."""

    splits: tuple[str, ...]
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]


def question_of(record: Record) -> Question:
    """What was measured, whatever the features and the split."""
    return record.task, record.input, record.views, record.metric


def value(runs: Iterable[Run], features: str, split: str, question: Question) -> Value | None:
    """The answer of some features to a question, over runs; None if no run has it."""
    found = [
        r.value
        for run in runs
        for r in run.records
        if (r.features, r.split, question_of(r)) == (features, split, question)
    ]
    if not found:
        return None
    return Value(
        float(np.mean(found)),
        float(np.std(found, ddof=1)) if len(found) > 1 else math.nan,
        len(found),
    )


def text(figure: Value | None, metric: str) -> str:
    """The figure in the metric's unit, `mean ± spread` over several runs."""
    if figure is None:
        return "–"
    scale, digits = {"top1": (100, 1), "median_degrees": (1, 1)}.get(metric, (1, 3))
    mean = f"{scale * figure.mean:.{digits}f}".replace("-", "−")
    return mean if math.isnan(figure.spread) else f"{mean} ± {scale * figure.spread:.{digits}f}"


def columns(variants: Sequence[Variant]) -> tuple[Column, ...]:
    """The model columns, one per variant, then readouts and controls; variants of which these came
    out the same share them."""
    alone = len(variants) == 1
    chosen = [
        Column("model" if alone else variant.label, "model", variant.runs) for variant in variants
    ]
    others = dict.fromkeys(
        r.features
        for variant in variants
        for run in variant.runs
        for r in run.records
        if r.features != "model"
    )
    for features in sorted(
        others, key=lambda features: list(CONTROLS).index(features) if features in CONTROLS else -1
    ):
        name = CONTROLS.get(features, features)
        different: list[Variant] = []
        for variant in variants:
            mine = _figures(variant, features)
            if mine and all(mine != _figures(other, features) for other in different):
                different.append(variant)
        chosen += [
            Column(name if len(different) == 1 else f"{name} · {v.label}", features, v.runs)
            for v in different
        ]
    return tuple(chosen)


def _figures(variant: Variant, features: str) -> list[tuple[str, Question, float]]:
    """All that was measured on some features, to a thousandth: the number of threads shows in the
    digits beyond."""
    return [
        (r.split, question_of(r), round(r.value, 3))
        for run in variant.runs
        for r in run.records
        if r.features == features
    ]


def table(variants: Sequence[Variant], splits: Sequence[str], *, every: bool) -> Table:
    """The results on some splits.

    Args:
        variants: in the columns, beside their controls.
        splits: side by side.
        every: whether to show every number of views, or only the one of `SHOWN_VIEWS` (else the
            largest there is).
    """
    heads = columns(variants)
    blocks: dict[str, list[Question]] = {}
    for question in questions(variants, every=every):
        blocks.setdefault(question[0].partition(" ")[0], []).append(question)
    return Table(
        tuple(splits),
        heads,
        tuple(_block(kind, asked, splits, heads) for kind, asked in blocks.items()),
    )


def questions(variants: Sequence[Variant], *, every: bool) -> list[Question]:
    """What was measured, in the order of results.json."""
    records = [record for variant in variants for run in variant.runs for record in run.records]
    several = {record.views for record in records if record.input in ("mean", "logits", "sequence")}
    shown = (
        several
        if every or not several
        else {SHOWN_VIEWS if SHOWN_VIEWS in several else max(several)}
    )
    return list(
        dict.fromkeys(
            question_of(r)
            for r in records
            if r.views in shown or r.input in ("view", "image", "pair")
        )
    )


def splits_of(variants: Sequence[Variant]) -> list[str]:
    """The splits that were evaluated, those of the training distribution first."""
    found = {record.split for variant in variants for run in variant.runs for record in run.records}
    ours = {variant.split for variant in variants}
    return sorted(found, key=lambda split: (split not in ours, split))


def describe(split: str) -> str:
    """A split's name for people."""
    return split.replace("ood_", "unseen ").replace("_", " ")


def name_target(question: Question) -> str:
    """What the probe tells, in words."""
    return (question[0].partition(" ")[2] or question[0]).replace("_", " ")


def name_metric(question: Question) -> str:
    """The metric and its unit."""
    return METRICS.get(question[3], question[3])


def name_input(question: Question) -> str:
    """What the probe reads, in words."""
    _, source, views, _ = question
    words = INPUTS.get(source, source).format(views)
    return words.replace("1 views’", "1 view’s").replace("1 views", "1 view")


NAMES = (name_target, name_input, name_metric)


def _block(
    kind: str, asked: Sequence[Question], splits: Sequence[str], heads: Sequence[Column]
) -> Block:
    """The rows of a kind of task. What all of them share goes into the block's title, what differs
    into their labels."""
    several = [len({name(question) for question in asked}) > 1 for name in NAMES]
    title = [KINDS.get(kind, kind)] + [
        name(asked[0]) for name, differs in zip(NAMES[1:], several[1:], strict=True) if not differs
    ]
    rows = []
    for question in asked:
        label = [
            name(question) for name, differs in zip(NAMES, several, strict=True) if differs
        ] or [NAMES[0](question)]
        cells = [cell for split in splits for cell in _cells(question, split, heads)]
        rows.append(Row(", ".join(label), COLOURS.get(question[1], style.INK), tuple(cells)))
    return " · ".join(title), tuple(rows)


def _cells(question: Question, split: str, heads: Sequence[Column]) -> list[Cell]:
    figures = [value(head.runs, head.features, split, question) for head in heads]
    known = [figure.mean for figure in figures if figure is not None]
    pick: Callable[[list[float]], float] = min if question[3] == "median_degrees" else max
    best = pick(known) if len(known) > 1 else None
    return [
        Cell(text(figure, question[3]), figure is not None and figure.mean == best)
        for figure in figures
    ]

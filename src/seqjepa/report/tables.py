"""Figures of results.json as words and tables."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seqjepa.evaluation.protocol import Record
from seqjepa.report import style
from seqjepa.report.runs import Run, Variant

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
# The untrained encoder is `random` in results.json, and "untrained" wherever people read of it.
CONTROLS = {"random": "untrained features", "pixels": "pixels, 16x16"}
METRICS = {
    "top1": "top-1 accuracy, %",
    "r2": "R²",
    "r2_global": "R², SIE’s variant",
    "r2_nearest": "R², nearer of q and −q",
    "median_degrees": "median error, °",
}
KINDS = {"class": "Class", "relative": "Change between two views", "individual": "Pose of one view"}
# The number of views that the paper's tables are about.
SHOWN_VIEWS = 5


class Question(NamedTuple):
    """The question that a figure answers, whatever the features and the split.

    Attributes:
        task, input, views, metric: as in `protocol.Record`.
    """

    task: str
    input: str
    views: int
    metric: str

    @property
    def kind(self) -> str:
        """The task without the group of factors: `class`, `relative` or `individual`."""
        return self.task.partition(" ")[0]

    @property
    def target(self) -> str:
        """The predicted quantity: `class`, or the name of a group of factors as it is."""
        return self.task.partition(" ")[2] or self.task

    @property
    def input_label(self) -> str:
        """The probe's input, in words."""
        words = INPUTS.get(self.input, self.input).format(self.views)
        return words.replace("1 views’", "1 view’s").replace("1 views", "1 view")

    @property
    def metric_label(self) -> str:
        """The metric and its unit."""
        return METRICS.get(self.metric, self.metric)

    def best(self, means: Sequence[float]) -> float | None:
        """Return the best of several answers; None if there are fewer than two."""
        if len(means) < 2:
            return None
        return min(means) if self.metric == "median_degrees" else max(means)


@dataclass(frozen=True)
class Value:
    """A figure over the runs of a variant.

    Attributes:
        mean: over the runs.
        spread: sample standard deviation; NaN for one run.
        n: number of runs.
    """

    mean: float
    spread: float
    n: int

    @classmethod
    def of(cls, found: Sequence[float]) -> "Value":
        """Return the figure over the runs that these numbers were found in, at least one."""
        spread = float(np.std(found, ddof=1)) if len(found) > 1 else math.nan
        return cls(float(np.mean(found)), spread, len(found))


@dataclass(frozen=True)
class ResultsColumn:
    """A column of the results table.

    Attributes:
        label: its head.
        features: as in `protocol.Record`: `model`, a readout or a control.
        runs: the runs whose mean is shown.
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
    """A table row.

    Attributes:
        label: the question, as far as its block does not say it.
        colour: of the representation that was asked.
        cells: for each split, a figure for each column.
    """

    label: str
    colour: str
    cells: tuple[Cell, ...]


Block = tuple[str, tuple[Row, ...]]  # a title and the rows below it


@dataclass(frozen=True)
class ResultsTable:
    """A table: its splits, each over all the columns, and blocks of rows under a task's name."""

    splits: tuple[str, ...]
    columns: tuple[ResultsColumn, ...]
    blocks: tuple[Block, ...]


def question_of(record: Record) -> Question:
    """Return the question that a record answers."""
    return Question(record.task, record.input, record.views, record.metric)


def value(runs: Iterable[Run], features: str, split: str, question: Question) -> Value | None:
    """Return the answer of some features to a question, over runs; None if no run has it."""
    found = [
        record.value
        for run in runs
        for record in run.records
        if record.features == features and record.split == split and question_of(record) == question
    ]
    return Value.of(found) if found else None


def text(figure: Value | None, metric: str) -> str:
    """Return the figure in the metric's unit, as `mean ± spread` over several runs."""
    if figure is None:
        return "–"
    scale, digits = {"top1": (100, 1), "median_degrees": (1, 1)}.get(metric, (1, 3))
    mean = f"{scale * figure.mean:.{digits}f}".replace("-", "−")
    return mean if math.isnan(figure.spread) else f"{mean} ± {scale * figure.spread:.{digits}f}"


def describe_split(split: str) -> str:
    """Return a split's name for people."""
    if not split.startswith("ood_"):
        return split
    return "unseen " + split.removeprefix("ood_").replace("_", " ")


def results_columns(variants: Sequence[Variant]) -> tuple[ResultsColumn, ...]:
    """Return a column for each variant's model, then those of readouts and controls.

    Variants with equal readouts or controls share their column.
    """
    alone = len(variants) == 1
    columns = [
        ResultsColumn("model" if alone else variant.label, "model", variant.runs)
        for variant in variants
    ]
    for features in _others(variants):
        name = CONTROLS.get(features, features)
        shown = different(variants, features)
        for variant in shown:
            label = name if len(shown) == 1 else f"{name} · {variant.label}"
            columns.append(ResultsColumn(label, features, variant.runs))
    return tuple(columns)


def _others(variants: Sequence[Variant]) -> list[str]:
    """Return all features but the model's: readouts in order of appearance, then controls."""
    found = dict.fromkeys(record.features for variant in variants for record in variant.records)
    readouts = [features for features in found if features not in ("model", *CONTROLS)]
    return readouts + [features for features in CONTROLS if features in found]


def different(variants: Sequence[Variant], features: str) -> list[Variant]:
    """Return the variants that have figures of some features, without repetitions."""
    different: list[Variant] = []
    for variant in variants:
        figures = _rounded(variant, features)
        if figures and all(figures != _rounded(other, features) for other in different):
            different.append(variant)
    return different


def _rounded(variant: Variant, features: str) -> list[tuple[str, Question, float]]:
    """Return all figures of some features, to a thousandth."""
    # The digits beyond depend on the number of threads.
    return [
        (record.split, question_of(record), round(record.value, 3))
        for record in variant.records
        if record.features == features
    ]


def results_table(
    variants: Sequence[Variant], splits: Sequence[str], *, every: bool
) -> ResultsTable:
    """Return the results on some splits.

    Args:
        variants: in the columns, beside their controls.
        splits: side by side.
        every: whether to show every number of views, or only the one of `SHOWN_VIEWS` (else the
            largest there is).
    """
    columns = results_columns(variants)
    by_kind: dict[str, list[Question]] = {}
    for question in questions(variants, every=every):
        by_kind.setdefault(question.kind, []).append(question)
    blocks = [_block(kind, asked, splits, columns) for kind, asked in by_kind.items()]
    return ResultsTable(tuple(splits), columns, tuple(blocks))


def questions(variants: Sequence[Variant], *, every: bool) -> list[Question]:
    """Return the questions that were asked, in the order of results.json.

    Args:
        variants: evaluated.
        every: see `results_table`.
    """
    records = [record for variant in variants for record in variant.records]
    several = {record.views for record in records if record.input in ("mean", "logits", "sequence")}
    if every or not several:
        shown = several
    else:
        shown = {SHOWN_VIEWS if SHOWN_VIEWS in several else max(several)}

    # A view, an image and a pair are of one length, and always shown.
    found = [
        question_of(record)
        for record in records
        if record.views in shown or record.input in ("view", "image", "pair")
    ]
    return list(dict.fromkeys(found))


def splits_of(variants: Sequence[Variant]) -> list[str]:
    """Return the splits that were evaluated, those of the training distribution first."""
    found = {record.split for variant in variants for record in variant.records}
    in_distribution = {variant.split for variant in variants}
    return sorted(found, key=lambda split: (split not in in_distribution, split))


def _block(
    kind: str, asked: Sequence[Question], splits: Sequence[str], columns: Sequence[ResultsColumn]
) -> Block:
    """Return the rows of a kind of task under a title."""
    # What all rows share goes into the block's title, what differs into their labels.
    several_targets = len({question.target for question in asked}) > 1
    several_inputs = len({question.input_label for question in asked}) > 1
    several_metrics = len({question.metric_label for question in asked}) > 1

    title = [KINDS.get(kind, kind)]
    if not several_inputs:
        title.append(asked[0].input_label)
    if not several_metrics:
        title.append(asked[0].metric_label)

    rows = []
    for question in asked:
        label = [question.target] if several_targets else []
        if several_inputs:
            label.append(question.input_label)
        if several_metrics:
            label.append(question.metric_label)
        cells = [cell for split in splits for cell in _cells(question, split, columns)]
        colour = COLOURS.get(question.input, style.INK)
        rows.append(Row(", ".join(label) or question.target, colour, tuple(cells)))
    return " · ".join(title), tuple(rows)


def _cells(question: Question, split: str, columns: Sequence[ResultsColumn]) -> list[Cell]:
    figures = [value(column.runs, column.features, split, question) for column in columns]
    best = question.best([figure.mean for figure in figures if figure is not None])
    return [
        Cell(text(figure, question.metric), figure is not None and figure.mean == best)
        for figure in figures
    ]

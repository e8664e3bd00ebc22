"""Contenders side by side in a table, below each its readouts, and last the controls."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any
from urllib.parse import quote

from seqjepa.report.benchmark.entries import (
    ROTATION,
    Entry,
    FigureOfMerit,
    control,
    figures_of_merit,
)
from seqjepa.report.benchmark.footnotes import footnotes
from seqjepa.report.tables import CONTROLS, Cell, text
from seqjepa.report.words import amount


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        label: the contender, its readout or a control.
        kind: `method`, `readout`, `control` or `ceiling`.
        conditioned: what the method is conditioned on.
        cells: a figure for each column.
        views_seen: in training.
        n: number of seeds; of a control from the fewest to the most that a figure has.
    """

    label: str
    kind: str
    conditioned: str
    cells: tuple[Cell, ...]
    views_seen: str
    n: str


@dataclass(frozen=True)
class BenchmarkTable:
    """A table and its footnotes."""

    columns: tuple[FigureOfMerit, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def heads(self) -> list[tuple[str, ...]]:
        """The head of each column: label, condition, figures, views and seeds."""
        figures = [column.title for column in self.columns]
        return [("method",), ("conditioned on",), *figures, ("views seen",), ("n",)]


def benchmark_table(found: Sequence[Entry], groups: Sequence[str] = ROTATION) -> BenchmarkTable:
    """Return the table of contenders, with the best figure of each column marked.

    Controls and the supervised ceiling do not compete.

    Args:
        found: from `entries`.
        groups: of the world's factors, whose R² is shown.
    """
    columns = figures_of_merit(found, groups)
    rows = [(entry, features) for entry in found for features in ("model", *entry.readouts)]
    compete = [(entry, features) for entry, features in rows if not entry.is_ceiling]
    best = [_best(compete, column) for column in columns]

    lines = [_line(entry, features, columns, best) for entry, features in rows]
    for features, label in CONTROLS.items():
        if (line := _control_line(found, features, label, columns)) is not None:
            lines.append(line)
    return BenchmarkTable(columns, tuple(lines), tuple(footnotes(found, groups)))


def markdown(table: BenchmarkTable, links: Mapping[str, str] | None = None) -> str:
    """Return the table in Markdown, its footnotes below.

    Args:
        table: from `benchmark_table`.
        links: by contender, a path to the config.json that rebuilds it.
    """
    heads = [exact(", ".join(parts)) for parts in table.heads]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'---:|' * (len(heads) - 2)}"]
    for line in table.lines:
        cells = [f"**{cell.text}**" if cell.best else cell.text for cell in line.cells]
        row = [_markdown_label(line, links or {}), line.conditioned, *cells]
        lines.append(f"| {' | '.join([*row, line.views_seen, line.n])} |")
    return "\n".join([*lines, "", *(f"- {exact(note)}" for note in table.notes), ""])


def exact(text: str) -> str:
    """Return text of which Markdown shows every character, and takes none for its own."""
    # Underscores within a word and brackets without an address are shown as they are.
    special = r"[\\`*<|$~]|\](?=[(\[:])|(?<!\w)_|_(?!\w)"
    return re.sub(special, r"\\\g<0>", text)


def line_as_json(
    found: Sequence[Entry], features: str, columns: Sequence[FigureOfMerit]
) -> dict[str, Any]:
    """Return a line of the table as JSON data.

    By column it holds the values of all runs, their mean and their sample standard deviation (null
    for one run).

    Args:
        found: the contender, or all of them for the figures of a control.
        features: `model`, a readout or a control.
        columns: the figures.
    """
    line = {}
    for column in columns:
        known = (values for entry in found if (values := entry.values(features, column.question)))
        if values := next(known, []):
            std = stdev(values) if len(values) > 1 else None
            line[column.key] = {"mean": mean(values), "std": std, "values": values}
    return line


def _line(
    entry: Entry,
    features: str,
    columns: Sequence[FigureOfMerit],
    best: Sequence[float | None],
) -> Line:
    """Return the line of a contender or of one of its readouts."""
    cells = []
    for column, top in zip(columns, best, strict=True):
        answer = entry.answer(features, column.question)
        is_best = answer is not None and answer.mean == top and not entry.is_ceiling
        cells.append(Cell(text(answer, column.question.metric), is_best))
    if features != "model":
        return Line(features, "readout", "", tuple(cells), "", "")

    conditioned = "actions" if entry.conditioned else "–"
    views_seen = amount(entry.views_seen) if entry.runs else "–"
    n = f"{len(entry.runs)} ({len(entry.failed)} failed)" if entry.failed else str(len(entry.runs))
    kind = "ceiling" if entry.is_ceiling else "method"
    return Line(entry.name, kind, conditioned, tuple(cells), views_seen, n)


def _control_line(
    found: Sequence[Entry], features: str, label: str, columns: Sequence[FigureOfMerit]
) -> Line | None:
    """Return the line of a control, None if no contender was measured beside it."""
    figures = [control(found, features, column.question) for column in columns]
    counts = sorted({figure.n for figure in figures if figure})
    if not counts:
        return None

    # Figures come from several contenders, whose numbers of seeds may differ.
    n = f"{counts[0]}–{counts[-1]}" if len(counts) > 1 else str(counts[0])
    cells = [
        Cell(text(figure, column.question.metric))
        for figure, column in zip(figures, columns, strict=True)
    ]
    return Line(label, "control", "", tuple(cells), "", n)


def _best(rows: Sequence[tuple[Entry, str]], column: FigureOfMerit) -> float | None:
    """Return the best mean in a column, None if there are fewer than two."""
    answers = [entry.answer(features, column.question) for entry, features in rows]
    return column.question.best([answer.mean for answer in answers if answer is not None])


def _markdown_label(line: Line, links: Mapping[str, str]) -> str:
    """Return a line's label: linked, indented or in italics, by its kind."""
    label = exact(line.label)
    if line.kind == "readout":
        return f"&emsp;{label}"
    if line.kind == "control":
        return f"*{label}*"
    if line.label in links:
        label = f"[{label}]({quote(links[line.label])})"
    return f"*{label}*" if line.kind == "ceiling" else label

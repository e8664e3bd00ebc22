"""Contenders side by side in a table, below each its readouts, and last the controls."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from seqjepa.report.benchmark.entries import CONTROLS, Column, Entry, columns, control
from seqjepa.report.benchmark.footnotes import footnotes
from seqjepa.report.headline import amount
from seqjepa.report.tables import Cell, Question, Value, text


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        label: the contender, its readout or a control.
        kind: `method`, `readout` or `control`.
        conditioned: on what.
        cells: a figure for each column.
        views_seen: in training.
        n: how many seeds; of a control from the fewest to the most that a figure has.
    """

    label: str
    kind: str
    conditioned: str
    cells: tuple[Cell, ...]
    views_seen: str
    n: str


@dataclass(frozen=True)
class Table:
    """A table and its footnotes."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def heads(self) -> list[tuple[str, ...]]:
        """What stands above each column of a line: its label, what it is conditioned on, figures,
        views and seeds."""
        return [
            ("method",),
            ("conditioned on",),
            *(column.title for column in self.columns),
            ("views seen",),
            ("n",),
        ]


def table(found: Sequence[Entry], group: str = "rotation") -> Table:
    """The table of contenders with the best figure of each column marked; controls do not compete.

    Args:
        found: from `entries`.
        group: of the world's factors, whose R² is shown.
    """
    heads = columns(found, group)
    rows = [(entry, features) for entry in found for features in ("model", *entry.readouts)]
    best = [
        _best(head.question, [entry.answer(features, head.question) for entry, features in rows])
        for head in heads
    ]
    lines = [_line(entry, features, heads, best) for entry, features in rows]
    for features, label in CONTROLS.items():
        figures = [control(found, features, head.question) for head in heads]
        if known := sorted({figure.n for figure in figures if figure}):
            n = f"{known[0]}–{known[-1]}" if len(known) > 1 else str(known[0])
            cells = tuple(
                Cell(text(figure, head.question[3]))
                for figure, head in zip(figures, heads, strict=True)
            )
            lines.append(Line(label, "control", "", cells, "", n))
    return Table(heads, tuple(lines), tuple(footnotes(found, group)))


def markdown(shown: Table, links: Mapping[str, str] | None = None) -> str:
    """The table in Markdown, its footnotes below.

    Args:
        shown: the table.
        links: by contender, a path to the config.json that rebuilds it.
    """
    heads = [", ".join(parts) for parts in shown.heads]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'---:|' * (len(heads) - 2)}"]
    for line in shown.lines:
        label = {
            "method": line.label,
            "readout": f"&emsp;{line.label}",
            "control": f"*{line.label}*",
        }[line.kind]
        if line.kind == "method" and links and line.label in links:
            label = f"[{label}]({links[line.label]})"
        cells = [f"**{cell.text}**" if cell.best else cell.text for cell in line.cells]
        lines.append(
            f"| {' | '.join([label, line.conditioned, *cells, line.views_seen, line.n])} |"
        )
    return "\n".join([*lines, "", *(f"- {note}" for note in shown.notes), ""])


def figures(found: Sequence[Entry], features: str, heads: Sequence[Column]) -> dict[str, Any]:
    """A line of the table as JSON data: by column the values of all runs, their mean and sample
    standard deviation (null for one run).

    Args:
        found: the contender, or all of them for the figures of a control.
        features: `model`, a readout or a control.
        heads: the columns.
    """
    said = {}
    for head in heads:
        if values := next(
            filter(None, (entry.values(features, head.question) for entry in found)), []
        ):
            said[head.key] = {
                "mean": mean(values),
                "std": stdev(values) if len(values) > 1 else None,
                "values": values,
            }
    return said


def _line(
    entry: Entry, features: str, heads: Sequence[Column], best: Sequence[float | None]
) -> Line:
    answers = [entry.answer(features, head.question) for head in heads]
    cells = tuple(
        Cell(text(answer, head.question[3]), answer is not None and answer.mean == top)
        for answer, head, top in zip(answers, heads, best, strict=True)
    )
    if features != "model":
        return Line(features, "readout", "", cells, "", "")
    n = f"{len(entry.runs)}{f' ({len(entry.failed)} failed)' if entry.failed else ''}"
    conditioned = "actions" if entry.conditioned else "–"
    return Line(
        entry.name, "method", conditioned, cells, amount(entry.views_seen) if entry.runs else "–", n
    )


def _best(question: Question, answers: Iterable[Value | None]) -> float | None:
    """The best mean, if there is more than one."""
    known = [answer.mean for answer in answers if answer is not None]
    return (min if question[3] == "median_degrees" else max)(known) if len(known) > 1 else None

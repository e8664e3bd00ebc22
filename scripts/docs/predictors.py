"""Figures of predictors: retrieval, the group of actions, and path integration."""

from collections.abc import Mapping
from typing import NamedTuple

from committed import Committed, MissingError, asked, measured
from seqjepa.report.runs import Variant
from seqjepa.report.tables import Value


class Column(NamedTuple):
    """A figure: its title, the part that has it, task, metric and length."""

    title: str
    part: str
    task: str
    metric: str
    views: int


HIT = Column("H@1 from one view", "retrieval", "retrieval", "h@1", 1)
MRR = Column("MRR from one view", "retrieval", "retrieval", "mrr", 1)
COLUMNS = (
    HIT,
    MRR,
    Column("MRR from five", "retrieval", "retrieval", "mrr", 5),
    Column("PRE from one view", "retrieval", "retrieval", "pre", 1),
    Column("MRR after 3 actions", "group", "rollout", "mrr", 3),
    Column("one step", "group", "group", "one step", 1),
    Column("identity", "group", "group", "identity", 1),
    Column("composition", "group", "group", "composition", 1),
)
# The inputs of heads of path integration, by `Record.features`.
PATHS = {"model": "views and actions", "no actions": "views", "no vision": "actions"}


def path_column(views: int) -> Column:
    """Return the R² of path integration of rotation over so many views."""
    return Column("path", "path", "path rotation", "r2", views)


def figure(variant: Variant, column: Column, features: str = "model") -> Value:
    """Return a figure of the runs that were asked for it.

    Raises:
        MissingError: none was.
    """
    values = measured(variant, column.part, features, column.task, column.metric, column.views)
    if not values:
        raise MissingError(f"{variant.label}: {column.title}")
    return Value.of(values)


def table(runs: Committed, rows: Mapping[str, str]) -> str:
    """Return a table in Markdown of the runs that were asked, the seeds of a run in one row.

    Args:
        runs: the committed ones.
        rows: names of runs, `experiment/run`, with their labels.
    """
    titles = " | ".join(column.title for column in COLUMNS)
    lines = [f"| objective | n | {titles} |", "|---|---:|" + "---:|" * len(COLUMNS)]
    counts = {
        name: max(asked(runs[name], column.part) for column in COLUMNS)
        for name in rows
        if name in runs
    }
    shown = [name for name, number in counts.items() if number]
    if not shown:
        return "*Not measured yet.*\n"

    for name in shown:
        number = counts[name]
        lines.append(f"| {rows[name]} | {number} | {_cells(runs[name], 'model')} |")
    lines.append(f"| chance | | {_cells(runs[shown[0]], 'chance')} |")
    return "\n".join(lines) + "\n"


def path_table(runs: Committed, rows: Mapping[str, str]) -> str:
    """Return a table in Markdown of the R² of path integration, with its ablations.

    Args:
        runs: the committed ones.
        rows: names of runs, `experiment/run`, with their labels.
    """
    lengths = range(1, 8)
    lines = [
        f"| objective | reads | n | {' | '.join(f'M = {views}' for views in lengths)} |",
        "|---|---|---:|" + "---:|" * len(lengths),
    ]
    for name, label in rows.items():
        variant = runs.get(name)
        if variant is None or not (number := asked(variant, "path")):
            continue
        for inputs, words in PATHS.items():
            found = [figure(variant, path_column(views), inputs) for views in lengths]
            about = f"{label} | {words} | {number}" if inputs == "model" else f" | {words} | "
            lines.append(f"| {about} | {' | '.join(map(_text, found))} |")
    return "\n".join(lines) + "\n"


def _cells(variant: Variant, features: str) -> str:
    cells = []
    for column in COLUMNS:
        try:
            found = figure(variant, column, features)
        except MissingError:
            cells.append("–")
            continue
        cells.append(_text(found) if features == "model" else f"{found.mean:.3f}")
    return " | ".join(cells)


def _text(found: Value) -> str:
    spread = f" ± {found.spread:.3f}" if found.n > 1 else ""
    return f"{found.mean:.3f}{spread}".replace("-", "−")

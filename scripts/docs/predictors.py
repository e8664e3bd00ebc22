"""Tables of predictors: retrieval and the group of actions, from docs/results/parts."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from committed import RESULTS

PARTS = RESULTS / "parts"


class Column(NamedTuple):
    """A figure: its title, the part that has it, task, metric and length."""

    title: str
    part: str
    task: str
    metric: str
    views: int


COLUMNS = (
    Column("H@1 from one view", "retrieval", "retrieval", "h@1", 1),
    Column("MRR from one view", "retrieval", "retrieval", "mrr", 1),
    Column("MRR from five", "retrieval", "retrieval", "mrr", 5),
    Column("PRE from one view", "retrieval", "retrieval", "pre", 1),
    Column("MRR after 3 actions", "group", "rollout", "mrr", 3),
    Column("one step", "group", "group", "one step", 1),
    Column("identity", "group", "group", "identity", 1),
    Column("composition", "group", "group", "composition", 1),
)


def table(rows: Mapping[str, str], folder: Path = PARTS) -> str:
    """Return a table in Markdown of the runs that were asked, the seeds of a run in one row.

    Args:
        rows: names of runs, `experiment/run`, with their labels.
        folder: of the parts.
    """
    lines = [
        f"| objective | n | {' | '.join(column.title for column in COLUMNS)} |",
        "|---|---:|" + "---:|" * len(COLUMNS),
    ]
    chance: list[Any] = []
    for name, label in rows.items():
        seeds = sorted(folder.glob(f"{name}_seed*"))
        if not seeds:
            continue
        found = [_records(seed) for seed in seeds]
        lines.append(f"| {label} | {len(seeds)} | {' | '.join(_cells(found, 'model'))} |")
        chance = found[:1]
    if not chance:
        return "*Not measured yet.*\n"
    lines.append(f"| chance | | {' | '.join(_cells(chance, 'chance'))} |")
    return "\n".join(lines) + "\n"


def _records(folder: Path) -> dict[tuple[str, str, str, int], float]:
    """Return the figures of a run by features, task, metric and length."""
    records = [
        record
        for path in folder.glob("*.json")
        for record in json.loads(path.read_text())["records"]
    ]
    keys = ("features", "task", "metric", "views")
    return {tuple(record[key] for key in keys): record["value"] for record in records}


def _cells(found: list[dict[tuple[str, str, str, int], float]], features: str) -> list[str]:
    cells = []
    for column in COLUMNS:
        key = (features, column.task, column.metric, column.views)
        values = [each[key] for each in found if key in each]
        spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
        cells.append(f"{mean(values):.3f}{spread}" if values else "–")
    return cells

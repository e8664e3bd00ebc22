"""Our figure of a cell, from what its runs have left in their folders."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from seqjepa.errors import DataError
from seqjepa.report.runs import read_results
from seqjepa.reproduce.costs import count_gflops
from seqjepa.reproduce.jobs import job_folder, part_path
from seqjepa.reproduce.layout import GFLOPS, HOURS, Cell, Run, Where
from seqjepa.reproduce.scales import Scale
from seqjepa.runs.folder import METRICS


@dataclass(frozen=True)
class Figure:
    """A figure over seeds.

    Attributes:
        mean: in the paper's unit.
        spread: sample standard deviation; None of one seed.
        n: number of seeds.
    """

    mean: float
    spread: float | None
    n: int


def figure(cell: Cell, scale: Scale, out: Path, seeds: int) -> Figure | None:
    """Return our figure of a cell, None while no run has it."""
    if cell.where.part == GFLOPS:
        return Figure(count_gflops(cell.where), None, 1)
    assert cell.run is not None
    found = values(cell.run, cell.where, scale, out, seeds)
    if cell.over is not None:
        # Seeds are compared in pairs.
        below = values(cell.over, cell.where, scale, out, seeds)
        found = {seed: found[seed] / below[seed] for seed in found if below.get(seed)}
    if cell.minus is not None:
        less = values(cell.run, cell.minus, scale, out, seeds)
        found = {seed: found[seed] - less[seed] for seed in found if seed in less}
    return summary(list(found.values()))


def summary(numbers: Sequence[float]) -> Figure | None:
    """Return the figure over seeds; None of none."""
    if not numbers:
        return None
    spread = stdev(numbers) if len(numbers) > 1 else None
    return Figure(mean(numbers), spread, len(numbers))


def values(run: Run, where: Where, scale: Scale, out: Path, seeds: int) -> dict[int, float]:
    """Return a run's figures by seed."""
    found: dict[int, float] = {}
    for seed in range(seeds):
        folder = job_folder(out, run, seed)
        split = scale.split(run, where.split)
        value = _hours(folder) if where.part == HOURS else recorded(folder, where, split)
        if value is not None:
            found[seed] = value
    return found


def recorded(folder: Path, where: Where, split: str) -> float | None:
    """Return the figure in a run's results, in the paper's unit; None if it is not among them.

    Args:
        folder: of the run.
        where: the figure is.
        split: name of its split in records.
    """
    results = _results(folder, where.part)
    if results is None:
        return None
    numbers: list[float] = [
        record["value"]
        for task in where.tasks
        for record in results["records"]
        if (record["task"], record["split"], record["features"]) == (task, split, where.features)
        and (record["input"], record["views"], record["metric"])
        == (where.input, where.views, where.metric)
    ]
    # All tasks that are averaged, or nothing.
    if len(numbers) != len(where.tasks):
        return None
    return mean(numbers) * (100 if where.percent else 1)


def _results(folder: Path, part: str) -> dict[str, Any] | None:
    """Return the results of a part of a run that was trained to its end; None without.

    A damaged file is none: its part is asked again.
    """
    path = part_path(folder, part)
    if not path.exists():
        return None
    try:
        results = _read(path, path.stat().st_mtime_ns)
    except DataError:
        return None
    return results if results["step"] == results["experiment"]["train"]["steps"] else None


@lru_cache(maxsize=256)
def _read(path: Path, written: int) -> dict[str, Any]:
    """Read results; `written` is their time, so that new ones are read again."""
    return read_results(path)


def _hours(folder: Path) -> float | None:
    """Return the hours that a run has been trained for, None if it has not ended."""
    seconds = train_seconds(folder)
    return None if seconds is None else seconds / 3600


def train_seconds(folder: Path) -> float | None:
    """Return the seconds of training behind the last line of a run's log; None without one."""
    path = folder / METRICS
    if not path.exists():
        return None
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        return float(json.loads(lines[-1])["time"]["seconds"])
    except (IndexError, ValueError, KeyError):
        return None  # it is being written

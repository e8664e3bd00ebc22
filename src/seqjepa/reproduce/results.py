"""Our figure of a cell, from what its runs have left in their folders."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

from seqjepa.benchmark.standings import training_seconds
from seqjepa.errors import DataError
from seqjepa.report.runs import read_results
from seqjepa.report.tables import Value
from seqjepa.reproduce.costs import count_gflops
from seqjepa.reproduce.jobs import job_folder, part_path
from seqjepa.reproduce.layout import GFLOPS, HOURS, Cell, Run, Where
from seqjepa.reproduce.scales import Scale


@dataclass(frozen=True)
class Results:
    """The results of the runs in a folder.

    Attributes:
        scale: how large the runs are.
        out: the folder.
        seeds: number of seeds, from 0 on.
    """

    scale: Scale
    out: Path
    seeds: int

    def figure(self, cell: Cell) -> Value | None:
        """Return our figure of a cell, in the paper's unit; None while no run has it."""
        if cell.where.part == GFLOPS:
            return Value.of([count_gflops(cell.where)])
        assert cell.run is not None
        found = self.by_seed(cell.run, cell.where)
        if cell.over is not None:
            # Seeds are compared in pairs.
            below = self.by_seed(cell.over, cell.where)
            found = {seed: found[seed] / below[seed] for seed in found if below.get(seed)}
        if cell.minus is not None:
            less = self.by_seed(cell.run, cell.minus)
            found = {seed: found[seed] - less[seed] for seed in found if seed in less}
        return Value.of(list(found.values())) if found else None

    def by_seed(self, run: Run, where: Where) -> dict[int, float]:
        """Return a run's figures by seed."""
        split = self.scale.split(run, where.split)
        found: dict[int, float] = {}
        for seed in range(self.seeds):
            folder = job_folder(self.out, run, seed)
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
    """Return the hours that a run has been trained for; None without a log."""
    seconds = training_seconds(folder)
    return None if seconds is None else seconds / 3600

"""The table, data and figure of a benchmark's folder, written from the standings of its runs."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from seqjepa.benchmark.standings import (
    RESULTS,
    SPLIT,
    Standing,
    Warn,
    read_standings,
    training_seconds,
)
from seqjepa.config import from_json, kind
from seqjepa.files import disk_errors, json_bytes, locked, slug, write_atomically
from seqjepa.model import build_method
from seqjepa.report import style
from seqjepa.report.benchmark.entries import (
    Entry,
    FigureOfMerit,
    entries,
    figures_of_merit,
    shown_views,
)
from seqjepa.report.benchmark.pareto import draw_pareto
from seqjepa.report.benchmark.table import (
    BenchmarkTable,
    benchmark_table,
    exact,
    line_as_json,
    markdown,
)
from seqjepa.report.tables import CONTROLS
from seqjepa.runs.folder import CONFIG, read_config, read_spec

FORMAT = 2  # format 1 has one group of factors


def publish(out: Path, recipe: str, warn: Warn = lambda text: None) -> BenchmarkTable:
    """Write `benchmark.json`, `benchmark.md` and, where there are points, figures.

    `benchmark.png` is about the first group of factors, `benchmark_GROUP.png` about each other one.

    Returns:
        The table.

    Raises:
        ConfigError, DataError: see `read_standings`.
        DiskError: if they cannot be written.
    """
    with disk_errors(f"cannot write to the benchmark's folder {out}"):
        out.mkdir(parents=True, exist_ok=True)
        # Of several processes the last one has read all results.
        with locked(out):
            return _publish(out, recipe, read_standings(out, recipe, warn))


def _publish(out: Path, recipe: str, standings: Sequence[Standing]) -> BenchmarkTable:
    """Write the files from standings, see `publish`."""
    ended = [standing for standing in standings if standing.results]
    found = _entries(standings)
    # A recipe has one world: any run names its groups of factors.
    groups = _groups(ended[0].folder) if ended else []

    summary = _summary(found, standings, groups, recipe)
    write_atomically(out / "benchmark.json", json_bytes(summary))

    # A contender's link leads to the config of its first seed.
    table = benchmark_table(found, groups)
    links = {standing.name: f"{standing.folder.name}/{CONFIG}" for standing in reversed(ended)}
    page = f"# Benchmark: {exact(recipe)}\n\n{markdown(table, links)}"
    write_atomically(out / "benchmark.md", page.encode())

    with style.look():
        for group in groups:
            name = "benchmark" if group == groups[0] else f"benchmark_{slug(group)}"
            if (figure := draw_pareto(found, group)) is not None:
                write_atomically(out / f"{name}.png", style.picture(name, figure, "").png)
    return table


def _entries(standings: Sequence[Standing]) -> list[Entry]:
    """Return the contenders' entries in the table."""
    results = [(standing.name, standing.results) for standing in standings if standing.results]
    conditioned = {standing.name: standing.experiment.method.uses_actions for standing in standings}
    failed: dict[str, list[str]] = {}
    for standing in standings:
        if standing.failure:
            why = f"seed {standing.experiment.seed}: {standing.failure}"
            failed.setdefault(standing.name, []).append(why)
    return entries(results, conditioned, failed)


def _groups(folder: Path) -> list[str]:
    """Return the names of the groups of factors that are shown, rotations first.

    They are those of actions or, where the world has none, of all factors.
    """
    spec = read_spec(folder)
    groups = spec.actions.groups or spec.factors.groups
    return [group.name for group in sorted(groups, key=lambda group: not group.is_rotation)]


def _summary(
    found: Sequence[Entry], standings: Sequence[Standing], groups: Sequence[str], recipe: str
) -> dict[str, Any]:
    """Return the contents of benchmark.json."""
    columns = figures_of_merit(found, groups)
    figures = {
        column.key: {"title": ", ".join(column.title), **column.question._asdict()}
        for column in columns
    }
    contenders = [
        _contender_summary(entry, [run for run in standings if run.name == entry.name], columns)
        for entry in found
    ]
    controls = {features: line_as_json(found, features, columns) for features in CONTROLS}

    return {
        "format": FORMAT,
        "recipe": recipe,
        "split": SPLIT,
        "groups": groups,
        "views": shown_views(found),
        "figures": figures,
        "contenders": contenders,
        "controls": controls,
    }


def _contender_summary(
    entry: Entry, standings: Sequence[Standing], columns: Sequence[FigureOfMerit]
) -> dict[str, Any]:
    """Return what a contender is, what its training took, and its figures."""
    ended = [standing for standing in standings if standing.results]
    ended.sort(key=lambda standing: standing.experiment.seed)
    runs = [_run_summary(standing) for standing in ended]
    readouts = {name: line_as_json([entry], name, columns) for name in entry.readouts}

    # Seeds of a contender differ in nothing else.
    experiment = standings[0].experiment
    train = experiment.train
    return {
        "name": entry.name,
        "conditioned": entry.conditioned,
        "n": len(entry.runs),
        "failed": list(entry.failed),
        "figures": line_as_json([entry], "model", columns),
        "readouts": readouts,
        "method": kind(type(experiment.method)),
        "steps": train.steps,
        "views_seen": train.steps * train.views_per_step,
        "parameters": _parameters(ended[0].folder) if ended else None,
        "training_seconds": _mean_and_std([run["training_seconds"] for run in runs]),
        "runs": runs,
    }


def _run_summary(standing: Standing) -> dict[str, Any]:
    """Return where a run's files are and what it took; the machine is the one that evaluated it."""
    return {
        "seed": standing.experiment.seed,
        "config": f"{standing.folder.name}/{CONFIG}",
        "results": f"{standing.folder.name}/{RESULTS}",
        "training_seconds": training_seconds(standing.folder),
        "machine": (standing.results or {}).get("machine"),
    }


def _mean_and_std(seconds: Sequence[float | None]) -> dict[str, float | None] | None:
    """Return mean and sample standard deviation of the known ones, None if there are none."""
    known = [each for each in seconds if each is not None]
    if not known:
        return None
    return {"mean": mean(known), "std": stdev(known) if len(known) > 1 else None}


# It is asked again after each run, and building a large method takes seconds.
@cache
def _parameters(folder: Path) -> int:
    """Return the number of parameters that are trained."""
    experiment = from_json(read_config(folder))
    method = build_method(experiment, read_spec(folder))
    return sum(parameter.numel() for parameter in method.parameters() if parameter.requires_grad)

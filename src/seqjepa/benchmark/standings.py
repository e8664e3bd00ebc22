"""The results of a benchmark's folder: read from all runs in it, written as JSON, Markdown and a
figure."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from seqjepa.benchmark.contenders import folder_name
from seqjepa.config import Experiment, from_json, kind, to_json
from seqjepa.errors import ConfigError, DataError, DiskError
from seqjepa.files import json_bytes, locked, write_atomically
from seqjepa.model import build_method
from seqjepa.report import style
from seqjepa.report.benchmark.entries import CONTROLS, Entry, columns, entries, shown_views
from seqjepa.report.benchmark.pareto import draw_pareto
from seqjepa.report.benchmark.table import Table, figures, markdown, table
from seqjepa.report.runs import read_object, read_results, require_keys
from seqjepa.runs.config_file import dump_config, expanded, load_config
from seqjepa.runs.folder import (
    CONFIG,
    METRICS,
    changed_data,
    read_config,
    read_spec,
)
from seqjepa.worlds.base import WorldConfig, WorldSpec

FORMAT = 1
RESULTS, FAILED = "results.json", "failed.json"
SPLIT = "test"

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Standing:
    """A run that has ended.

    Attributes:
        folder: of the run.
        name: of the contender.
        experiment: that was run.
        results: the data of its results.json, None if it failed.
        failure: why it failed, empty if it did not.
    """

    folder: Path
    name: str
    experiment: Experiment
    results: dict[str, Any] | None
    failure: str = ""


def finished(folder: Path) -> dict[str, Any] | None:
    """The results of a run that was trained to its last step and evaluated on the test split; None
    while there are none.

    Raises:
        DataError: if results.json is damaged.
    """
    if not (folder / RESULTS).exists():
        return None
    results = read_results(folder / RESULTS)
    whole = (
        results["step"] == results["experiment"]["train"].get("steps") and results["split"] == SPLIT
    )
    return results if whole else None


def note_failure(folder: Path, experiment: Experiment, why: str) -> None:
    """Leave word in a run's folder that it failed, for the tables of all processes."""
    try:
        write_atomically(
            folder / FAILED,
            json_bytes({"experiment": dump_config(to_json(experiment)), "why": why}),
        )
    except OSError as error:
        raise DiskError(f"cannot write {folder / FAILED}: {error.strerror or error}") from error


def read(out: Path, recipe: str, warn: Warn) -> list[Standing]:
    """All runs in a benchmark's folder that have ended.

    Args:
        out: the folder.
        recipe: name of the recipe that all of them must have come from.
        warn: is told of runs that cannot be used since their method is not known here.

    Raises:
        ConfigError: if there are runs of another recipe.
        DataError: if a results.json or failed.json is damaged, or if runs on the same world had
            different data.
    """
    found: list[Standing] = []
    for folder in sorted(path for path in out.glob("*") if path.is_dir()):
        results = finished(folder)
        failure = None if results or not (folder / FAILED).exists() else _failure(folder / FAILED)
        if (ended := results or failure) is None:
            continue
        config = ended["experiment"]
        name = config["name"].removeprefix(f"{recipe}_")
        if folder.name != folder_name(name, config["seed"]):
            raise ConfigError(
                f"{folder} is a run of {config['name']!r} and no contender on {recipe!r}: choose another --out"
            )
        try:
            experiment = from_json(expanded(config))
        except ConfigError as error:
            warn(
                f"{folder} is left out of the table, since its experiment cannot be rebuilt: {error}"
            )
            continue
        found.append(Standing(folder, name, experiment, results, failure["why"] if failure else ""))
        if results:
            require_same_data(found, experiment.world, read_spec(folder), f"the data of {folder}")
    return found


def require_same_data(
    there: Sequence[Standing], world: WorldConfig, spec: WorldSpec, what: str
) -> None:
    """Raise a DataError if data differ from those of the first of the runs on that world that have
    results.

    Args:
        there: the runs.
        world: that the data are of.
        spec: of the data.
        what: what to call the data in the message.
    """
    first = next((run for run in there if run.results and run.experiment.world == world), None)
    if first is not None and (changed := changed_data(first.folder, spec)):
        raise DataError(
            f"{what} is not what {first.folder} was run on; restore it, or choose another --out:\n  "
            + "\n  ".join(changed)
        )


def _failure(path: Path) -> dict[str, Any]:
    """The data of a failed.json."""
    data, remedy = read_object(path), "remove the file to run it again"
    require_keys(path, data, {"experiment", "why"}, remedy)
    require_keys(path, data["experiment"], {"name", "seed"}, remedy)
    data["experiment"] = load_config(data["experiment"])
    return data


def publish(out: Path, recipe: str, warn: Warn = lambda text: None) -> Table:
    """Write `benchmark.json`, `benchmark.md` and, where there is anything to draw, `benchmark.png`;
    return the table.

    Raises:
        ConfigError, DataError: see `read`.
        DiskError: if they cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out):  # of several processes the last one has read all results
            return _publish(out, recipe, read(out, recipe, warn))
    except OSError as error:
        raise DiskError(
            f"cannot write to the benchmark's folder {out}: {error.strerror or error}"
        ) from error


def _publish(out: Path, recipe: str, standings: Sequence[Standing]) -> Table:
    ended = [standing for standing in standings if standing.results]
    found, group = _entries(standings), _group(ended[0].folder) if ended else "rotation"
    shown = table(found, group)
    links = {standing.name: f"{standing.folder.name}/{CONFIG}" for standing in reversed(ended)}
    write_atomically(out / "benchmark.json", json_bytes(_summary(found, standings, group, recipe)))
    write_atomically(
        out / "benchmark.md", f"# Benchmark: {recipe}\n\n{markdown(shown, links)}".encode()
    )
    with style.look():
        if (figure := draw_pareto(found, group)) is not None:
            write_atomically(out / "benchmark.png", style.picture("benchmark", figure, "").png)
    return shown


def _entries(standings: Sequence[Standing]) -> list[Entry]:
    conditioned = {standing.name: standing.experiment.method.uses_actions for standing in standings}
    failed: dict[str, list[str]] = {}
    for standing in standings:
        if standing.failure:
            failed.setdefault(standing.name, []).append(
                f"seed {standing.experiment.seed}: {standing.failure}"
            )
    return entries(
        [(standing.name, standing.results) for standing in standings if standing.results],
        conditioned,
        failed,
    )


def _group(folder: Path) -> str:
    """The group whose R² is shown: rotation or, where the world has none, the first group of its
    actions, else of its factors."""
    spec = read_spec(folder)
    groups = (*spec.actions.groups, *spec.factors.groups)
    return next(
        (group.name for group in groups if group.is_rotation),
        groups[0].name if groups else "rotation",
    )


def _summary(
    found: Sequence[Entry], standings: Sequence[Standing], group: str, recipe: str
) -> dict[str, Any]:
    heads = columns(found, group)
    fields = ("task", "input", "views", "metric")
    return {
        "format": FORMAT,
        "recipe": recipe,
        "split": SPLIT,
        "group": group,
        "views": shown_views(found),
        "figures": {
            head.key: {
                "title": ", ".join(head.title),
                **dict(zip(fields, head.question, strict=True)),
            }
            for head in heads
        },
        "contenders": [
            {
                "name": entry.name,
                "conditioned": entry.conditioned,
                "n": len(entry.runs),
                "failed": list(entry.failed),
                "figures": figures([entry], "model", heads),
                "readouts": {name: figures([entry], name, heads) for name in entry.readouts},
                **_effort([standing for standing in standings if standing.name == entry.name]),
            }
            for entry in found
        ],
        "controls": {features: figures(found, features, heads) for features in CONTROLS},
    }


def _effort(mine: Sequence[Standing]) -> dict[str, Any]:
    """What a contender is and what its training took; the machine is the one that evaluated it."""
    ended = sorted(
        (standing for standing in mine if standing.results),
        key=lambda standing: standing.experiment.seed,
    )
    experiment = mine[0].experiment
    train, seconds = experiment.train, [_training_seconds(standing.folder) for standing in ended]
    known = [s for s in seconds if s is not None]
    runs = [
        {
            "seed": standing.experiment.seed,
            "config": f"{standing.folder.name}/{CONFIG}",
            "results": f"{standing.folder.name}/{RESULTS}",
            "training_seconds": took,
            "machine": (standing.results or {}).get("machine"),
        }
        for standing, took in zip(ended, seconds, strict=True)
    ]
    return {
        "method": kind(type(experiment.method)),
        "steps": train.steps,
        "views_seen": train.steps * train.batch_size * train.num_views,
        "parameters": _parameters(ended[0].folder) if ended else None,
        "training_seconds": {"mean": mean(known), "std": stdev(known) if len(known) > 1 else None}
        if known
        else None,
        "runs": runs,
    }


def _training_seconds(folder: Path) -> float | None:
    """What the run's log says at its end; None where that was lost."""
    try:
        return float(
            json.loads((folder / METRICS).read_bytes().splitlines()[-1])["time"]["seconds"]
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


@cache
def _parameters(folder: Path) -> int:
    """How many parameters are trained."""
    experiment = from_json(read_config(folder))
    method = build_method(experiment, read_spec(folder))
    return sum(parameter.numel() for parameter in method.parameters() if parameter.requires_grad)

"""The parts of run folders that a report reads, and the grouping of runs by their settings."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqjepa.display import warn
from seqjepa.errors import ConfigError, DataError, SeqJepaError
from seqjepa.evaluation.protocol import FORMAT, Record
from seqjepa.evaluation.subject import results_folder
from seqjepa.files import json_bytes, sha256
from seqjepa.runs.config_file import load_config
from seqjepa.runs.folder import read_spec
from seqjepa.runs.movable import is_path, may_change

# Settings that two runs of one experiment may differ in, beside those that may change in a run.
INCIDENTAL = ("seed", "name")
TRANSFER = "transfer/"  # before the name of a part about another world
LABELLED = 3  # settings that fit into a label

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        folder: its path.
        config: the experiment as JSON data.
        metrics: one value per logged step for each figure, NaN where it was not logged; nested
            keys are joined by a slash.
        results: the JSON data of results.json, None before evaluation.
        data: a digest of the data that it was trained on, empty where unknown.
        parts: the figures of further parts of its evaluation, by their names.
        unread: the errors of parts whose files cannot be read, by their names.
    """

    folder: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, Floats]
    results: Mapping[str, Any] | None
    data: str = ""
    parts: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    unread: Mapping[str, SeqJepaError] = field(default_factory=dict)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The figures of results.json."""
        return tuple(Record(**record) for record in (self.results or {}).get("records", ()))

    @property
    def seed(self) -> int:
        """The seed that everything random in the run derives from."""
        return int(self.config["seed"])

    @property
    def settings(self) -> dict[str, Any]:
        """The config, flattened, without the settings that make no other experiment.

        Data are known by their digest, wherever they are.
        """
        return {
            key: self.data if self.data and is_path(key) and value is not None else value
            for key, value in flatten(self.config).items()
            if key not in INCIDENTAL and (is_path(key) or not may_change(key))
        }


@dataclass(frozen=True)
class Variant:
    """Runs that differ in nothing but their seed.

    Attributes:
        label: a name unlike those of the report's other variants.
        runs: at least one.
    """

    label: str
    runs: tuple[Run, ...]

    @property
    def records(self) -> list[Record]:
        """The figures of all runs."""
        return [record for run in self.runs for record in run.records]

    @property
    def split(self) -> str:
        """The held-out split of the training distribution that was evaluated.

        It is `test`, or `val` while settings are being chosen.
        """
        return next((str(run.results["split"]) for run in self.runs if run.results), "test")


def read_run(folder: Path, split: str | None = None) -> Run:
    """Read a run folder as the training and evaluation commands leave it.

    A further part of the evaluation that cannot be read does not keep the rest from being read.

    Args:
        folder: of the run.
        split: whose results are read; default: test, or val if nothing was asked of test.

    Raises:
        ConfigError: if the folder is no run, or a newer version wrote it.
        DataError: if another file of it is missing or damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        remedy = _runs_inside(folder) or "Give folders that `seqjepa train` wrote"
        raise ConfigError(f"{folder} is no run folder: it has no config.json. {remedy}")
    # Paths keep their "~" for the home folder: a report may be shown to others.
    config = read_object(path)
    remedy = "restore the file or train again"
    require_keys(path, config, {"name", "seed", "method", "world"}, remedy)

    metrics = _read_metrics(folder / "metrics.jsonl")
    measured = results_folder(folder, split or _evaluated_split(folder))
    evaluated = measured / "results.json"
    results = read_results(evaluated) if evaluated.exists() else None
    parts, unread = _read_parts(measured)
    return Run(folder, load_config(config, path), metrics, results, _data(folder), parts, unread)


def group(runs: Sequence[Run]) -> list[Variant]:
    """Group runs of equal settings into variants, in order of first appearance.

    A variant is called by the recipe's name or, where names clash, by the settings that differ.
    Of runs that are the same, one is kept.

    Raises:
        ConfigError: if two runs of the same settings and seed came out differently.
    """
    variants: list[list[Run]] = []
    for run in runs:
        seeds = next((seeds for seeds in variants if seeds[0].settings == run.settings), None)
        if seeds is None:
            variants.append([run])
            continue
        twin = next((other for other in seeds if other.seed == run.seed), None)
        if twin is None:
            seeds.append(run)
        elif not _same(twin, run):
            raise ConfigError(
                f"{twin.folder} and {run.folder} have the same settings and seed but other "
                "results: a seed counts once, name only one of them"
            )

    firsts = [seeds[0] for seeds in variants]
    return [
        Variant(_label(seeds[0], firsts), tuple(sorted(seeds, key=lambda run: run.seed)))
        for seeds in variants
    ]


def flatten(data: Mapping[str, Any], prefix: str = "", joint: str = ".") -> dict[str, Any]:
    """Return nested JSON objects as one, with their keys joined."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}{joint}", joint)
        else:
            flat[prefix + key] = value
    return flat


def differing(runs: Iterable[Run]) -> list[str]:
    """Return the settings in which runs differ, in the config's order."""
    settings = [run.settings for run in runs]
    keys = dict.fromkeys(key for each in settings for key in each)
    # Settings may be lists, which cannot be in a set: their JSON can.
    return [key for key in keys if len({json.dumps(each.get(key)) for each in settings}) > 1]


def _same(one: Run, other: Run) -> bool:
    """Return True if two runs came out the same, whatever time they took."""
    first, second = _untimed(one), _untimed(other)
    logged = first.keys() == second.keys() and all(
        np.array_equal(figures, second[key], equal_nan=True) for key, figures in first.items()
    )
    return logged and one.records == other.records


def _untimed(run: Run) -> dict[str, Floats]:
    return {key: figures for key, figures in run.metrics.items() if not key.startswith("time/")}


def _label(run: Run, others: Sequence[Run]) -> str:
    """Return a name for the variant of a run, unlike those of the others."""
    # The name of the recipe alone is enough where no other variant has it.
    rivals = [other for other in others if other.config["name"] == run.config["name"]]
    changed = [
        f"{key.rpartition('.')[2].replace('_', ' ')} {flatten(run.config).get(key, '–')}"
        for key in differing(rivals)
    ]
    if not changed:
        return str(run.config["name"])
    if len(changed) <= LABELLED:
        return ", ".join(changed)
    return f"{run.config['name']} · {run.folder.name}"


def _data(folder: Path) -> str:
    """Return a digest of the data that a run was trained on; empty where unknown."""
    try:
        data = read_spec(folder).data
    except ConfigError:
        return ""  # a report needs no world.json
    return sha256(json_bytes(data)) if data else ""


def _runs_inside(folder: Path) -> str:
    """Return what to give in place of a folder of runs; empty if there are none."""
    runs = sorted(str(found.parent) for found in folder.glob("*/config.json"))
    if not runs:
        return ""
    table = folder / "benchmark.md"
    page = f". The benchmark's table is {table}" if table.exists() else ""
    return f"It holds runs, name some of them: {', '.join(runs)}{page}"


def _evaluated_split(folder: Path) -> str:
    """Return the split of a run's evaluation: `test`, or `val` while settings are chosen."""
    on_test = any((folder / name).exists() for name in ("results.json", "suite", "transfer"))
    return "test" if on_test else "val"


def _read_parts(
    folder: Path,
) -> tuple[dict[str, tuple[Record, ...]], dict[str, SeqJepaError]]:
    """Return the figures of a run's further parts, and the errors of those without, by name."""
    # Those about another world have its name behind a slash.
    files = {found.stem: found for found in sorted((folder / "suite").glob("*.json"))}
    others = sorted((folder / "transfer").glob("*.json"))
    files |= {f"{TRANSFER}{found.stem}": found for found in others}

    parts, unread = dict[str, tuple[Record, ...]](), dict[str, SeqJepaError]()
    for name, found in files.items():
        try:
            parts[name] = read_records(found)
        except SeqJepaError as error:
            unread[name] = error
    return parts, unread


def _read_metrics(path: Path) -> dict[str, Floats]:
    """Read the training log.

    Raises:
        DataError: if it is missing, damaged or empty.
    """
    if not path.is_file():
        raise DataError(
            f"{path} is missing: the run has logged nothing yet, or its folder was copied in part"
        )

    logged: dict[float, dict[str, float]] = {}
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = _numbers(json.loads(line))
            # After a resume the same step is logged again: the later line counts.
            logged[entry["step"]] = entry
        except (ValueError, KeyError, AttributeError) as error:
            # The last line may be half written, at this moment or before a crash.
            if number == len(lines):
                break
            raise DataError(
                f"{path}, line {number} is no record of a step ({error}): "
                "remove the line or train again"
            ) from error
    if not logged:
        raise DataError(
            f"{path} holds no step yet: wait until the run has logged one (train.log_every)"
        )

    steps = [logged[step] for step in sorted(logged)]
    keys = dict.fromkeys(key for entry in steps for key in entry)
    return {key: np.array([entry.get(key, math.nan) for entry in steps]) for key in keys}


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a logged step, by their joined keys."""
    return {
        key: float(value)
        for key, value in flatten(record, joint="/").items()
        if isinstance(value, int | float)
    }


def read_results(path: Path) -> dict[str, Any]:
    """Read a results.json, whose records fit `protocol.Record`.

    Raises:
        ConfigError: if a newer version wrote its experiment.
        DataError: if the file is damaged or of another version.
    """
    data, remedy = read_object(path), "evaluate the run again, seqjepa evaluate"
    if data.get("format") not in (1, FORMAT):
        raise DataError(
            f"{path} has format {data.get('format')!r}, this version reads up to {FORMAT}: {remedy}"
        )
    if data["format"] == 1:
        warn(f"the probes behind {path} stopped early, as in version 0.1: {remedy}")
    require_keys(path, data, {"experiment", "step", "split", "records"}, remedy)
    require_keys(path, data["experiment"], {"name", "seed", "method", "world", "train"}, remedy)
    data["experiment"] = load_config(data["experiment"], path)

    fields = {field.name for field in dataclasses.fields(Record)}
    required = fields - ({"steps", "rising"} if data["format"] == 1 else set())
    for record in data["records"]:
        if not required <= set(record) <= fields:
            expected = ", ".join(sorted(fields))
            raise DataError(f"{path}: record {record} must have {expected}: {remedy}")
    return data


def read_records(path: Path) -> tuple[Record, ...]:
    """Read the records of a file of results, see `read_results`."""
    return tuple(Record(**record) for record in read_results(path)["records"])


def require_keys(path: Path, data: Any, keys: Set[str], remedy: str) -> None:
    """Raise a DataError if JSON data of a file is no object with these keys."""
    if missing := keys - set(data if isinstance(data, Mapping) else ()):
        raise DataError(f"{path} has no {', '.join(sorted(missing))}: {remedy}")


def read_object(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file.

    Raises:
        DataError: if there is none.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not isinstance(data, dict):
        raise DataError(f"{path} must hold a JSON object, got {type(data).__name__}")
    return data

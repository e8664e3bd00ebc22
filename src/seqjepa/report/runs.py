"""What a report reads of run folders: config.json, metrics.jsonl and results.json, and which runs
belong together."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqjepa.errors import ConfigError, DataError
from seqjepa.evaluation.protocol import Record
from seqjepa.runs.config_file import load_config

INCIDENTAL = ("seed", "name", "train.log_every", "train.checkpoint_every")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        folder: where it is.
        config: the experiment as JSON data.
        metrics: figure -> one value per logged step, NaN where it was not logged; nested keys are
            joined by a slash.
        results: the JSON data of results.json, None before evaluation.
    """

    folder: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, Floats]
    results: Mapping[str, Any] | None

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The figures of results.json."""
        return tuple(Record(**record) for record in (self.results or {}).get("records", ()))

    @property
    def seed(self) -> int:
        """Of the whole run."""
        return int(self.config["seed"])

    @property
    def settings(self) -> dict[str, Any]:
        """The config, flattened, without what makes no other experiment."""
        return {key: value for key, value in flatten(self.config).items() if key not in INCIDENTAL}


@dataclass(frozen=True)
class Variant:
    """Runs that differ in nothing but their seed.

    Attributes:
        label: a name that tells it from the report's other variants.
        runs: at least one.
    """

    label: str
    runs: tuple[Run, ...]

    @property
    def split(self) -> str:
        """The held-out split of the training distribution that was evaluated: `test`, or `val`
        while settings are being chosen."""
        return next((str(run.results["split"]) for run in self.runs if run.results), "test")


def read_run(folder: Path) -> Run:
    """A run folder as the training and evaluation commands leave it.

    Raises:
        ConfigError: if the folder is no run.
        DataError: if a file of it is missing or damaged.
    """
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{folder} is no run folder: it has no config.json. Give folders that `seqjepa train` wrote"
        )
    config = read_object(
        folder / "config.json"
    )  # as it is written, "~" for the home folder: a report may be shown to others
    require_keys(
        folder / "config.json",
        config,
        {"name", "seed", "method", "world"},
        "restore the file or train again",
    )
    results = folder / "results.json"
    return Run(
        folder,
        load_config(config),
        _metrics(folder / "metrics.jsonl"),
        read_results(results) if results.exists() else None,
    )


def group(runs: Sequence[Run]) -> list[Variant]:
    """Variants in order of first appearance, each under the recipe's name or, where names clash,
    the settings that differ.

    Raises:
        ConfigError: if two runs of the same settings and seed came out differently; of two that are
            the same one is kept.
    """
    members: list[list[Run]] = []
    for run in runs:
        known = next((known for known in members if known[0].settings == run.settings), None)
        if known is None:
            members.append([run])
        elif (other := next((other for other in known if other.seed == run.seed), None)) is None:
            known.append(run)
        elif not _same(other, run):
            both = f"{other.folder} and {run.folder}"
            raise ConfigError(
                f"{both} have the same settings and seed but other results: a seed counts once, name only one of them"
            )
    firsts = [known[0] for known in members]
    return [
        Variant(_label(known[0], firsts), tuple(sorted(known, key=lambda run: run.seed)))
        for known in members
    ]


def flatten(data: Mapping[str, Any], prefix: str = "", joint: str = ".") -> dict[str, Any]:
    """Nested JSON objects as one, keys joined."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= (
            flatten(value, f"{prefix}{key}{joint}", joint)
            if isinstance(value, Mapping)
            else {prefix + key: value}
        )
    return flat


def differing(runs: Iterable[Run]) -> list[str]:
    """The settings in which runs differ, in the config's order."""
    settings = [run.settings for run in runs]
    keys = dict.fromkeys(key for each in settings for key in each)
    return [key for key in keys if len({json.dumps(each.get(key)) for each in settings}) > 1]


def _same(one: Run, other: Run) -> bool:
    """Whether two runs came out the same, whatever the time that they took."""
    first, second = (
        {key: x for key, x in run.metrics.items() if not key.startswith("time/")}
        for run in (one, other)
    )
    logged = first.keys() == second.keys() and all(
        np.array_equal(x, second[key], equal_nan=True) for key, x in first.items()
    )
    return logged and one.records == other.records


def _label(run: Run, others: Sequence[Run]) -> str:
    rivals = [other for other in others if other.config["name"] == run.config["name"]]
    changed = [
        f"{key.rpartition('.')[2].replace('_', ' ')} {run.settings.get(key, '–')}"
        for key in differing(rivals)
    ]
    if not changed:
        return str(run.config["name"])
    return ", ".join(changed) if len(changed) <= 3 else f"{run.config['name']} · {run.folder.name}"


def _metrics(path: Path) -> dict[str, Floats]:
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
            entry = {
                key: float(value)
                for key, value in flatten(json.loads(line), joint="/").items()
                if isinstance(value, int | float)
            }
            logged[entry["step"]] = (
                entry  # after a resume the same step is logged again: the later line counts
            )
        except (ValueError, KeyError, AttributeError) as error:
            if number == len(lines):
                break  # being written at this moment, or cut by a crash
            raise DataError(
                f"{path}, line {number} is no record of a step ({error}): remove the line or train again"
            ) from error
    if not logged:
        raise DataError(
            f"{path} holds no step yet: wait until the run has logged one (train.log_every)"
        )
    steps = [logged[step] for step in sorted(logged)]
    keys = dict.fromkeys(key for entry in steps for key in entry)
    return {key: np.array([entry.get(key, math.nan) for entry in steps]) for key in keys}


def read_results(path: Path) -> dict[str, Any]:
    """The data of a results.json, its records as `protocol.Record` has them.

    Raises:
        DataError: if the file is damaged or of another version.
    """
    data, again = read_object(path), "evaluate the run again, seqjepa evaluate"
    if data.get("format") != 1:
        raise DataError(f"{path} has format {data.get('format')!r}, this version reads 1: {again}")
    require_keys(path, data, {"experiment", "step", "split", "records"}, again)
    require_keys(path, data["experiment"], {"name", "seed", "method", "world", "train"}, again)
    data["experiment"] = load_config(data["experiment"])
    fields = {field.name for field in dataclasses.fields(Record)}
    for record in data["records"]:
        if set(record) != fields:
            raise DataError(
                f"{path}: record {record} must have {', '.join(sorted(fields))}: {again}"
            )
    return data


def require_keys(path: Path, data: Any, keys: Set[str], remedy: str) -> None:
    """Raise a DataError if JSON data of a file is no object with these keys."""
    if missing := keys - set(data if isinstance(data, Mapping) else ()):
        raise DataError(f"{path} has no {', '.join(sorted(missing))}: {remedy}")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

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

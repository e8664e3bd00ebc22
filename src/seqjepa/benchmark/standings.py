"""The runs of a benchmark's folder that have ended, with their results or failures."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqjepa.benchmark.contenders import folder_name
from seqjepa.config import Experiment, from_json, to_json
from seqjepa.errors import ConfigError, DataError
from seqjepa.files import disk_errors, json_bytes, write_atomically
from seqjepa.report.runs import read_object, read_results, require_keys
from seqjepa.runs.config_file import dump_config, expanded, load_config
from seqjepa.runs.folder import METRICS, changed_data, read_spec
from seqjepa.runs.movable import settled
from seqjepa.worlds.base import WorldConfig, WorldSpec

RESULTS, FAILED = "results.json", "failed.json"
SPLIT = "test"

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Standing:
    """A run that has ended.

    Attributes:
        folder: of the run.
        name: of the contender.
        experiment: what was run.
        results: the data of its results.json, None if it failed.
        failure: why it failed, empty if it did not.
    """

    folder: Path
    name: str
    experiment: Experiment
    results: dict[str, Any] | None
    failure: str = ""


def read_finished(folder: Path) -> dict[str, Any] | None:
    """Read the results of a run that was trained to its last step and evaluated on the test split.

    Return None while there are none.

    Raises:
        DataError: if results.json is damaged.
    """
    if not (folder / RESULTS).exists():
        return None
    results = read_results(folder / RESULTS)
    # Runs that are still being trained may have been evaluated in between.
    steps = results["experiment"]["train"].get("steps")
    whole = results["step"] == steps and results["split"] == SPLIT
    # Figures of version 0.1 cannot stand beside those of probes that converge.
    return results if whole and results["format"] > 1 else None


def training_seconds(folder: Path) -> float | None:
    """Return the seconds of training behind the last line of a run's log; None without one."""
    try:
        last = (folder / METRICS).read_bytes().splitlines()[-1]
        return float(json.loads(last)["time"]["seconds"])
    except (OSError, ValueError, LookupError, TypeError):
        return None  # there is none yet, or it is being written


def note_failure(folder: Path, experiment: Experiment, why: str) -> None:
    """Note in a run's folder that it failed, for the tables of all processes."""
    note = {"experiment": dump_config(to_json(experiment)), "why": why}
    with disk_errors(f"cannot write {folder / FAILED}"):
        write_atomically(folder / FAILED, json_bytes(note))


def read_standings(out: Path, recipe: str, warn: Warn) -> list[Standing]:
    """Read all runs in a benchmark's folder that have ended.

    Args:
        out: the folder.
        recipe: name of the recipe that all of them must have come from.
        warn: called with a message for each run that cannot be used since its method is unknown.

    Raises:
        ConfigError: if there are runs of another recipe.
        DataError: if a results.json or failed.json is damaged, or if runs on the same world had
            different data.
    """
    found: list[Standing] = []
    for folder in sorted(path for path in out.glob("*") if path.is_dir()):
        results = read_finished(folder)
        failure = None if results else _read_failure(folder)
        ended = results or failure
        if ended is None:
            continue

        # A folder that a benchmark of this recipe has not made is not to be mixed in.
        config = ended["experiment"]
        name = config["name"].removeprefix(f"{recipe}_")
        if folder.name != folder_name(name, config["seed"]):
            raise ConfigError(
                f"{folder} is a run of {config['name']!r} and no contender on {recipe!r}: "
                "choose another --out"
            )
        try:
            experiment = from_json(expanded(config))
        except ConfigError as error:
            # Its method may come from a file that is not loaded here.
            warn(
                f"{folder} is left out of the table, since its experiment cannot be rebuilt: "
                f"{error}"
            )
            continue

        why = failure["why"] if failure else ""
        found.append(Standing(folder, name, experiment, results, why))
        if results:
            require_same_data(found, experiment.world, read_spec(folder), f"the data of {folder}")
    return found


def require_same_data(
    ended: Sequence[Standing], world: WorldConfig, spec: WorldSpec, what: str
) -> None:
    """Raise a DataError if data differ from those of the first run on that world with results.

    Args:
        ended: the runs.
        world: that the data are of.
        spec: of the data.
        what: a name for the data in the message.
    """
    # Of a world whose data are elsewhere now, the digests still tell.
    same = settled({"world": to_json(world)})
    on_it = (run for run in ended if settled({"world": to_json(run.experiment.world)}) == same)
    first = next((run for run in on_it if run.results), None)
    if first is not None and (changed := changed_data(first.folder, spec)):
        listed = "\n  ".join(changed)
        raise DataError(
            f"{what} is not what {first.folder} was run on; "
            f"restore it, or choose another --out:\n  {listed}"
        )


def _read_failure(folder: Path) -> dict[str, Any] | None:
    """Read the failed.json of a run, None if there is none."""
    path = folder / FAILED
    if not path.exists():
        return None
    data, remedy = read_object(path), "remove the file to run it again"
    require_keys(path, data, {"experiment", "why"}, remedy)
    require_keys(path, data["experiment"], {"name", "seed"}, remedy)
    data["experiment"] = load_config(data["experiment"], path)
    return data

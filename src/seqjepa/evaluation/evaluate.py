"""Evaluation of a trained run: its newest checkpoint is measured, its `results.json` written."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from seqjepa.config import EvaluateConfig, to_json
from seqjepa.devices import cpu_name, find_device, place
from seqjepa.display import silenced, warn
from seqjepa.evaluation.measure import Stages, measure
from seqjepa.evaluation.protocol import FORMAT, Record
from seqjepa.files import disk_errors, json_bytes, write_atomically
from seqjepa.model import load
from seqjepa.runs.config_file import dump_config
from seqjepa.runs.folder import changed_data
from seqjepa.runs.movable import build_world, move


def evaluate(
    run_dir: str | Path,
    *,
    split: str = "test",
    config: EvaluateConfig | None = None,
    progress: bool = True,
    device: str | torch.device | None = None,
    quick: bool = False,
    paths: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Evaluate a run's newest checkpoint and write `results.json` into its folder.

    The file is written whole or not at all.

    Args:
        run_dir: of the run.
        split: held-out objects of the training distribution: `test`, or `val` while choosing
            settings.
        config: how to probe, if not as the run's experiment says.
        progress: show on the terminal what is being done.
        device: default: CUDA where there is one, else the CPU.
        quick: ask only of the model's features, on `split` alone, for the class and the factors
            that actions are made of.
        paths: where the data are now, if not where the run's config says: by the world's field,
            such as `path`.

    Returns:
        The contents of `results.json`: beside `records`, what they came from. `machine` is the
        machine and the precision of the evaluation, `trained` the same of the training; `data` are
        the digests of the data evaluated on, and `changed_data` its differences from the data
        trained on.

    Raises:
        ConfigError: if the folder is no run, or its world has no such path.
        CheckpointError: if it has no valid checkpoint.
        DataError: if the world's data are missing or the split is unknown.
        DiskError: if the results cannot be written.
    """
    path = Path(run_dir) / "results.json"
    with silenced(not progress):
        stages, where, moved = Stages(progress), find_device(device), paths or {}
        results = _results(Path(run_dir), split, config, stages, where, quick, moved)
    with disk_errors(f"cannot write {path}"):
        write_atomically(path, json_bytes(results))
    return results


def _results(
    run_dir: Path,
    split: str,
    config: EvaluateConfig | None,
    stages: Stages,
    device: torch.device,
    quick: bool,
    paths: Mapping[str, str],
) -> dict[str, Any]:
    """Return the contents of `results.json`."""
    with stages("model and world"):
        model = load(run_dir, device, warn=warn)
        experiment = move(model.experiment, paths)
        if config is not None:
            experiment = replace(experiment, evaluate=config)
        world = build_world(experiment.world).to(device)
    changed = changed_data(run_dir, world.spec)
    if changed:
        warn(f"the data is not what the run in {run_dir} was trained on: {'; '.join(changed)}")

    records, sizes = measure(
        model.method, experiment, world, split=split, stages=stages, quick=quick
    )
    if rising := _still_rising(records, experiment.evaluate.max_steps):
        warn(rising)

    libraries = ("seqjepa", "torch", "numpy", "scikit-learn")
    versions = {"python": platform.python_version()} | {name: version(name) for name in libraries}
    machine = {"cpu": cpu_name(), "threads": torch.get_num_threads()}
    return {
        "format": FORMAT,
        "experiment": dump_config(to_json(experiment)),
        "seed": experiment.seed,
        "step": model.step,
        "split": split,
        "versions": versions,
        "machine": machine | place(experiment.evaluate.precision, device),
        "trained": model.environment,
        "seconds": {name: round(seconds, 1) for name, seconds in stages.seconds.items()},
        "data": world.spec.data,
        "changed_data": changed,
        "sizes": sizes,
        "records": [asdict(record) for record in records],
    }


def _still_rising(records: Sequence[Record], max_steps: int) -> str:
    """Return a warning that names the probes that had not converged; empty if all had."""
    names = sorted({f"{record.features}: {record.task}" for record in records if record.rising})
    if not names:
        return ""
    return (
        f"probes were still improving after {max_steps:,} steps ({', '.join(names)}): "
        f"--max-steps {2 * max_steps} tells more"
    )

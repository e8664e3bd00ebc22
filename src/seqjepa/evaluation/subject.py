"""A run whose newest checkpoint is evaluated: opened once, for every part of an evaluation."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import torch

from seqjepa.config import EvaluateConfig, Experiment, to_json
from seqjepa.devices import cpu_name, device_of, find_device, place, use_bf16
from seqjepa.display import Stages, warn
from seqjepa.errors import ConfigError
from seqjepa.evaluation.protocol import FORMAT
from seqjepa.files import disk_errors, json_bytes, write_atomically
from seqjepa.methods.base import Method
from seqjepa.model import Model, load
from seqjepa.runs.config_file import dump_config
from seqjepa.runs.folder import changed_data
from seqjepa.runs.movable import build_world, move
from seqjepa.worlds.base import World


class NotApplicableError(ConfigError):
    """A run cannot be asked this: its method or its world lacks what is needed."""


@dataclass(frozen=True)
class Subject:
    """A trained model, the world that it is asked about, and how.

    Attributes:
        model: frozen.
        experiment: that made it, with the evaluation's own settings.
        world: that it was trained on.
        split: held-out objects.
        stages: what is being done, and how long it took.
        changed: differences of the data from those trained on.
    """

    model: Model
    experiment: Experiment
    world: World
    split: str
    stages: Stages
    changed: list[str]

    @classmethod
    def open(
        cls,
        run_dir: Path,
        *,
        split: str,
        config: EvaluateConfig | None,
        progress: bool,
        device: str | torch.device | None,
        paths: Mapping[str, str] | None,
    ) -> Self:
        """Load a run's model and build its world; see `evaluate` for arguments and errors."""
        stages, where = Stages(progress), find_device(device)
        with stages("model and world"):
            model = load(run_dir, where, warn=warn)
            experiment = move(model.experiment, paths or {})
            if config is not None:
                experiment = replace(experiment, evaluate=config)
            world = build_world(experiment.world).to(where)
        changed = changed_data(run_dir, world.spec)
        if changed:
            warn(f"the data is not what the run in {run_dir} was trained on: {'; '.join(changed)}")
        return cls(model, experiment, world, split, stages, changed)

    @property
    def method(self) -> Method:
        """The model's method."""
        return self.model.method

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return device_of(self.method)

    @property
    def bf16(self) -> bool:
        """True if forward passes are in bf16."""
        return use_bf16(self.experiment.evaluate.precision, self.device)

    def header(self) -> dict[str, Any]:
        """Return what results say of themselves, beside their records.

        `machine` is the machine and the precision of the evaluation, `trained` the same of the
        training; `data` are the digests of the data evaluated on, and `changed_data` its
        differences from the data trained on.
        """
        libraries = ("seqjepa", "torch", "numpy", "scikit-learn")
        versions = {"python": platform.python_version()}
        machine = {"cpu": cpu_name(), "threads": torch.get_num_threads()}
        return {
            "format": FORMAT,
            "experiment": dump_config(to_json(self.experiment)),
            "seed": self.experiment.seed,
            "step": self.model.step,
            "split": self.split,
            "versions": versions | {name: version(name) for name in libraries},
            "machine": machine | place(self.experiment.evaluate.precision, self.device),
            "trained": self.model.environment,
            "seconds": {name: round(seconds, 1) for name, seconds in self.stages.seconds.items()},
            "data": self.world.spec.data,
            "changed_data": self.changed,
        }


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write results whole or not at all, and the folder that they are in.

    Raises:
        DiskError: if they cannot be written.
    """
    with disk_errors(f"cannot write {path}"):
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json_bytes(results))

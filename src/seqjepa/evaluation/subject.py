"""A run whose newest checkpoint is evaluated: opened once, for every part of an evaluation."""

import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import torch

from seqjepa.config import EvaluateConfig, Experiment, to_json
from seqjepa.devices import cpu_name, device_of, find_device, place, use_bf16
from seqjepa.display import Stages, warn
from seqjepa.errors import ConfigError
from seqjepa.evaluation.features import FeatureTable, extract, inference
from seqjepa.evaluation.protocol import FORMAT, Protocol
from seqjepa.evaluation.sampling import choose_samplings, splits_to_probe
from seqjepa.evaluation.timings import note_seconds
from seqjepa.files import disk_errors, json_bytes, write_atomically
from seqjepa.methods.base import Method
from seqjepa.model import Model, load
from seqjepa.runs.config_file import dump_config
from seqjepa.runs.folder import warn_of_changed_data
from seqjepa.runs.movable import build_world, move
from seqjepa.worlds.base import World


def results_folder(run_dir: Path, split: str) -> Path:
    """Return the folder of a split's results: the run's own for `test`, else one in it."""
    return run_dir if split == "test" else run_dir / split


class NotApplicableError(ConfigError):
    """A run cannot be asked this: its method or its world lacks what is needed."""


@dataclass(frozen=True)
class Subject:
    """A trained model, the world that it is asked about, and how.

    Attributes:
        run_dir: of the run.
        model: frozen.
        experiment: that made it, with the evaluation's own settings.
        world: that it was trained on.
        split: held-out objects.
        stages: what is being done, and how long it took since results were last written.
        changed: differences of the data from those trained on.
    """

    run_dir: Path
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
        changed = warn_of_changed_data(run_dir, world.spec, warn)
        return cls(run_dir, model, experiment, world, split, stages, changed)

    @property
    def method(self) -> Method:
        """The model's method."""
        return self.model.method

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return device_of(self.method)

    @property
    def results_dir(self) -> Path:
        """The folder of results, see `results_folder`."""
        return results_folder(self.run_dir, self.split)

    @property
    def bf16(self) -> bool:
        """True if forward passes are in bf16."""
        return use_bf16(self.experiment.evaluate.precision, self.device)

    def inference(self) -> AbstractContextManager[None]:
        """Return a context for forward passes of the method, see `features.inference`."""
        return inference(self.method, bf16=self.bf16)

    def protocol(self, features: str = "model") -> Protocol:
        """Return the settings of questions to one kind of features; see `Protocol`."""
        experiment, width = self.experiment, self.method.encoder.dim
        return Protocol(features, experiment.evaluate, experiment.seed, width, self.bf16)

    def tables(self, method: Method, *, fewest: int = 2) -> dict[str, FeatureTable]:
        """Return a method's features of objects to learn from, `train`, and of the split.

        Args:
            method: the subject's, or a control.
            fewest: number of views that every object must have.
        """
        splits = splits_to_probe(self.world.spec, self.split)
        samplings = choose_samplings(self.experiment, self.world, splits, fewest=fewest)
        return {
            name: extract(method, self.world, splits[name], sampling, bf16=self.bf16)
            for name, sampling in samplings.items()
        }

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
            "data": self.world.spec.data,
            "changed_data": self.changed,
        }

    def write(self, file: str, results: Mapping[str, Any]) -> Path:
        """Write a file of results in `results_dir`, whole or not at all, and return its path.

        The seconds that they took go to `timings.json` there: the same evaluation writes the same
        results.

        Raises:
            DiskError: if they cannot be written.
        """
        path = self.results_dir / file
        with disk_errors(f"cannot write {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json_bytes(results))
            note_seconds(self.results_dir, file, self.stages.take())
        return path

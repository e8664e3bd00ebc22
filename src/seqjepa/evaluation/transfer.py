"""Transfer: a run's frozen model is asked about another world (seq-JEPA, figure 15).

Probes of that world's classes and factors are trained and tested on its own objects, as in an
evaluation of a run that was trained on it; beside them stand probes with few labels and nearest
neighbours. The controls are the same, but for the readouts of methods, which are left out.

Actions are what the model was trained with. Where the other world has no such factors, nothing is
asked that needs them: z_AGG of an aggregator that reads actions, and the parts about the predictor.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from seqjepa.actions import ActionSpace
from seqjepa.checks import instance
from seqjepa.config import EvaluateConfig, kind
from seqjepa.devices import find_device
from seqjepa.display import Stages, silenced, warn
from seqjepa.errors import ConfigError
from seqjepa.evaluation.class_probes import classify
from seqjepa.evaluation.evaluate import still_rising
from seqjepa.evaluation.few_labels import few_labels
from seqjepa.evaluation.knn import nearest_neighbours
from seqjepa.evaluation.measure import Measurement
from seqjepa.evaluation.protocol import Record
from seqjepa.evaluation.sampling import choose_samplings, splits_to_probe
from seqjepa.evaluation.subject import NotApplicableError, Subject
from seqjepa.evaluation.suite import PARTS, PROBES, chosen_parts
from seqjepa.files import json_bytes, sha256, slug
from seqjepa.model import load
from seqjepa.runs.movable import is_path
from seqjepa.worlds.base import WorldConfig, WorldSpec

FOLDER = "transfer"


def transfer(
    run_dir: str | Path,
    world: WorldConfig,
    *,
    name: str = "",
    parts: Collection[str] = (PROBES,),
    split: str = "test",
    config: EvaluateConfig | None = None,
    progress: bool = True,
    device: str | torch.device | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Ask a run's newest checkpoint about another world, and write `transfer/NAME.json`.

    The file is written whole or not at all, in the folder of `evaluate`'s results; nothing else
    in the run's folder changes.

    Args:
        run_dir: of the run.
        world: the config of the other world.
        name: of the file; by default that of the kind of world.
        parts: questions, see `evaluate_suite`.
        split, config, progress, device: see `evaluate`.

    Returns:
        The file's path and its contents: the records, what they came from (`Subject.header`, with
        the other world in its experiment), and in `left_out` a line for each thing that does not
        fit.

    Raises:
        ConfigError: if the folder is no run, or the world's images have other channels than those
            trained on.
        NotApplicableError: if nothing can be asked.
        CheckpointError, DataError, DiskError: as `evaluate`.
    """
    instance("world", world, WorldConfig, "seqjepa.recipe(NAME)().world is one")
    names = chosen_parts(parts)
    with silenced(not progress):
        other = _Other.open(Path(run_dir), world, split, config, Stages(progress), device)
        results = other.results(names)

    file = _file(other.subject.results_dir, name or kind(type(world)), results)
    return other.subject.write(file, results), results


@dataclass(frozen=True)
class _Other:
    """A run's model and the other world.

    Attributes:
        subject: the model, with the other world in place of its own.
        acts: whether the other world has the actions that the model was trained with.
        single: whether all views of an object are the same, so that one is enough.
    """

    subject: Subject
    acts: bool
    single: bool

    @classmethod
    def open(
        cls,
        run_dir: Path,
        chosen: WorldConfig,
        split: str,
        config: EvaluateConfig | None,
        stages: Stages,
        device: str | torch.device | None,
    ) -> "_Other":
        """Load the model and build the world."""
        where = find_device(device)
        with stages("model and world"):
            model = load(run_dir, where, warn=warn)
            outline = chosen.outline()
            if outline is not None:
                _require_channels(outline, model.spec)
            world = chosen.build().to(where)
            _require_channels(world.spec, model.spec)

            # Actions are those trained with, whatever the other world's config says.
            acts = _has_groups(world.spec, model.spec.actions)
            if acts:
                names = tuple(group.name for group in model.spec.actions.groups)
                world.spec = replace(world.spec, actions=world.spec.factors.select(names))
                chosen = _acting(chosen, names)
            experiment = replace(model.experiment, world=chosen)
            if config is not None:
                experiment = replace(experiment, evaluate=config)

        # Views that are drawn without limit, and in which nothing varies.
        single = world.spec.views_per_object is None and not world.spec.factors.groups
        return cls(Subject(run_dir, model, experiment, world, split, stages, []), acts, single)

    def results(self, parts: Collection[str]) -> dict[str, Any]:
        """Return the contents of the file."""
        subject, left_out = self.subject, self._differences()
        records, sizes = list[Record](), dict[str, int]()
        for part in parts:
            try:
                if part == PROBES:
                    found, sizes = self._probe()
                    records += found
                    left_out += self._unasked(found)
                    continue
                self._require_actions()
                with subject.stages(part):
                    records += PARTS[part](subject)
            except NotApplicableError as error:
                left_out.append(f"{part}: left out, {error}")

        if not records:
            raise NotApplicableError("; ".join(left_out))
        about = {"part": FOLDER, "left_out": left_out, "sizes": sizes}
        return subject.header() | about | {"records": [asdict(record) for record in records]}

    def _probe(self) -> tuple[list[Record], dict[str, int]]:
        """Return the figures of all probes, and the number of objects of each split."""
        subject = self.subject
        experiment, world, method = subject.experiment, subject.world, subject.method
        splits, fewest = splits_to_probe(world.spec, subject.split), 1 if self.single else 2
        samplings = choose_samplings(experiment, world, splits, fewest=fewest)
        if self.single:
            samplings = {
                name: replace(sampling, num_views=1, draws=1)
                for name, sampling in samplings.items()
            }

        sequences = self.acts or not method.aggregates_actions
        measurement = Measurement(
            subject,
            splits,
            samplings,
            world.spec.factors,
            questions=(classify, few_labels, nearest_neighbours),
            sequences=sequences,
            trained=subject.model.spec,
        )
        records = measurement.records("model", method)
        # Beside a control of an evaluation these answer more questions.
        records += measurement.controls(part=FOLDER, sequences=sequences)
        if rising := still_rising(records, experiment.evaluate.max_steps):
            warn(rising)
        return records, measurement.sizes

    def _require_actions(self) -> None:
        if not self.acts:
            raise NotApplicableError(self._no_actions())

    def _no_actions(self) -> str:
        spec = self.subject.world.spec
        groups = ", ".join(group.name for group in self.subject.model.spec.actions.groups)
        return f"world {spec.name!r} has not the actions trained with ({groups or 'none'})"

    def _differences(self) -> list[str]:
        """Return lines about views that are not like those trained on."""
        trained, spec = self.subject.model.spec, self.subject.world.spec
        lines = []
        if trained.image_shape != spec.image_shape:
            (_, height, width), (_, *own) = spec.image_shape, trained.image_shape
            lines.append(
                f"views have {height} x {width} pixels, those trained on {own[0]} x {own[1]}: the "
                "encoder sees them as they are"
            )
        if self.single:
            lines.append("images are seen as they are, one view of each: no sequences, no factors")
        return lines

    def _unasked(self, records: Collection[Record]) -> list[str]:
        """Return lines about probes that could not be trained or tested."""
        method, spec = self.subject.method, self.subject.world.spec
        lines = []
        if not any(record.task == "class" for record in records):
            split = f"split {self.subject.split!r} of {spec.name!r}"
            lines.append(f"class: left out, no class is both in training and in {split}")
        elif method.aggregates and method.aggregates_actions and not self.acts:
            lines.append(f"z_AGG: left out, {self._no_actions()}")
        return lines


def _require_channels(spec: WorldSpec, trained: WorldSpec) -> None:
    """Raise a ConfigError if a model cannot read a world's images."""
    channels, own = spec.image_shape[0], trained.image_shape[0]
    if channels != own:
        raise ConfigError(
            f"the run was trained on images of {own} channels, those of world {spec.name!r} have "
            f"{channels}: ask it about images of {own}"
        )


def _has_groups(spec: WorldSpec, actions: ActionSpace) -> bool:
    """Return whether a world's factors have all groups of the actions, with the same meaning."""
    known = {group.name: group for group in spec.factors.groups}
    return bool(actions.groups) and all(known.get(group.name) == group for group in actions.groups)


def _acting(config: WorldConfig, names: tuple[str, ...]) -> WorldConfig:
    """Return a world's config with these actions, if it chooses any."""
    if all(field.name != "actions" for field in fields(config)):
        return config
    chosen: Any = {"actions": names}
    return replace(config, **chosen)


def _file(folder: Path, name: str, results: dict[str, Any]) -> str:
    """Return the file of results: of another world of the same name, it has a digest."""
    stem = f"{FOLDER}/{slug(name) or 'world'}"
    try:
        earlier = _identity(json.loads((folder / f"{stem}.json").read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return f"{stem}.json"  # it is not there, or damaged
    own = _identity(results)
    return f"{stem}.json" if earlier == own else f"{stem}_{own[:8]}.json"


def _identity(results: dict[str, Any]) -> str:
    """Return a digest of the world that results are about, wherever its data are."""
    world, data = results["experiment"]["world"], results["data"]
    if data:
        world = {key: value for key, value in world.items() if not is_path(f"world.{key}")}
    return sha256(json_bytes({"world": world, "data": data}))

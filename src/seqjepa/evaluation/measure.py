"""Measurement of a method's frozen features and of two controls, on held-out objects.

Every figure is measured on several kinds of features: the `model`'s, its readouts' if the method
has any, a `random` model's (same architecture, untrained) and raw `pixels`. Beyond the paper's
protocol: these controls, the splits out of distribution, and the mean of M views' z and of their
logits beside their z_AGG.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from seqjepa.actions import ActionSpace
from seqjepa.config import Experiment
from seqjepa.devices import device_of, use_bf16
from seqjepa.display import Stages
from seqjepa.evaluation.class_probes import classify
from seqjepa.evaluation.control import random_control
from seqjepa.evaluation.factor_probes import regress
from seqjepa.evaluation.features import (
    FeatureTable,
    aggregate,
    extract,
    extract_pixels,
    inference,
)
from seqjepa.evaluation.kept import control_key, kept
from seqjepa.evaluation.protocol import Protocol, Record, Tables, labelled, longest_sequences
from seqjepa.evaluation.sampling import Sampling, choose_samplings, splits_to_probe
from seqjepa.methods.base import Method
from seqjepa.worlds.base import World, WorldSpec

ClassQuestion = Callable[[Protocol, Tables, Mapping[str, Tensor] | None], list[Record]]


def measure(
    method: Method,
    experiment: Experiment,
    world: World,
    *,
    split: str,
    stages: Stages,
    quick: bool = False,
) -> tuple[list[Record], dict[str, int]]:
    """Return all figures of a method, and the number of objects of each split.

    The figures come from those objects. The method is left as it was. `quick` leaves out controls,
    readouts, splits out of distribution and factors that no action is made of.
    """
    # The splits. All have pairs of views, or the evaluation ends before anything is computed.
    splits = splits_to_probe(world.spec, split, ood=not quick)
    samplings = choose_samplings(experiment, world, splits)
    sizes = {name: samplings[name].size(world.size(splits[name])) for name in splits}

    # Each source of features: its tables, then its sequences, then its records.
    device = device_of(method)
    width = method.encoder.dim
    space = world.spec.actions if quick else world.spec.factors
    measurement = Measurement(experiment, world, device, width, splits, samplings, stages, space)
    records = measurement.records("model", method, readouts=not quick)
    if quick:
        return records, sizes
    for name in ("random", "pixels"):
        key = control_key(name, experiment, world.spec, samplings, device)
        records += kept(key, partial(measurement.control, name))
    return records, sizes


@dataclass(frozen=True)
class Measurement:
    """The same measurement for each source of features.

    Attributes:
        experiment: that the features are of.
        world: that they are measured on.
        device: of features and probes.
        width: features of the encoder.
        splits: see `splits_to_probe`.
        samplings: the views of each split.
        stages: for the terminal.
        space: the groups of factors that are asked for.
        questions: about the class.
        sequences: whether the features of sequences are asked, too, if a method has any.
        trained: of the world that the method was trained on, if that is another one.
    """

    experiment: Experiment
    world: World
    device: torch.device
    width: int
    splits: Mapping[str, str]
    samplings: Mapping[str, Sampling]
    stages: Stages
    space: ActionSpace
    questions: tuple[ClassQuestion, ...] = (classify,)
    sequences: bool = True
    trained: WorldSpec | None = None

    def records(self, name: str, source: Method | None, *, readouts: bool = False) -> list[Record]:
        """Return all figures of one source of features.

        The tables die with this call: in large worlds those of one source fill the memory.

        Args:
            name: of the features, in records.
            source: the method that makes them; None for pixels.
            readouts: measure the method's other representations, too.
        """
        with self.stages(f"{name}: features"):
            tables = {split: self._table(source, split) for split in self.splits}
        known = labelled(tables)

        # Only the class is probed on sequences.
        sequences = None
        if source is not None and source.aggregates and self.sequences and known:
            with self.stages(f"{name}: sequences"):
                sequences = self._sequences(source, known)
        records = self._ask(name, tables, known, sequences)

        # Readouts are functions of a single view, so they have no sequences.
        if source is not None and readouts:
            for readout, read in self._readouts(source).items():
                with self.stages(f"{readout}: features"), inference(source):
                    read_tables = {split: table.read(read) for split, table in tables.items()}
                records += self._ask(readout, read_tables, labelled(read_tables), None)
        return records

    def control(self, name: str) -> list[Record]:
        """Return all figures of a control: the `random` model, or raw `pixels`."""
        if name == "pixels":
            return self.records(name, None)
        with self.stages("random model"):
            model = random_control(self.experiment, self.world, self.device, self.trained)
        return self.records(name, model)

    def _table(self, source: Method | None, split: str) -> FeatureTable:
        world, source_split, sampling = self.world, self.splits[split], self.samplings[split]
        if source is None:
            return extract_pixels(world, source_split, sampling, self.device)
        return extract(source, world, source_split, sampling, bf16=self._bf16)

    def _sequences(self, source: Method, tables: Tables) -> dict[str, Tensor]:
        """Return z_AGG [N, K, M, S] of each split's sequences."""
        config, actions = self.experiment.evaluate, self.world.spec.actions
        longest = longest_sequences(config, tables)
        sequences = {}
        for split, table in tables.items():
            orders = table.orders(longest[split], config.draws)
            sequences[split] = aggregate(source, table, actions, orders, bf16=self._bf16)
        return sequences

    def _ask(
        self, name: str, tables: Tables, known: Tables, sequences: Mapping[str, Tensor] | None
    ) -> list[Record]:
        """Return the answers to all questions about one kind of features."""
        experiment = self.experiment
        protocol = Protocol(name, experiment.evaluate, experiment.seed, self.width, self._bf16)
        records = []
        if known:
            with self.stages(f"{name}: class probes"):
                for question in self.questions:
                    records += question(protocol, known, sequences)
        with self.stages(f"{name}: factor probes"):
            records += regress(protocol, tables, self.space)
        return records

    def _readouts(self, method: Method) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Return the method's other representations.

        The context that they may read is drawn from the training objects.
        """
        size = min(method.context_size, self.world.size("train"))
        batches = self.world.loader(
            "train", num_views=2, batch_size=size, seed=self.experiment.seed
        )
        context = next(batches).to(self.device)
        with inference(method):
            return method.readouts(context)

    @property
    def _bf16(self) -> bool:
        return use_bf16(self.experiment.evaluate.precision, self.device)

"""Measurement of a method's frozen features and of two controls, on held-out objects.

Every figure is measured on several kinds of features: the `model`'s, its readouts' if the method
has any, a `random` model's (same architecture, untrained) and raw `pixels`. Beyond the paper's
protocol: these controls, the splits out of distribution, and the mean of M views' z and of their
logits beside their z_AGG.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from seqjepa.actions import ActionSpace
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
from seqjepa.evaluation.subject import Subject
from seqjepa.methods.base import Method
from seqjepa.worlds.base import WorldSpec

ClassQuestion = Callable[[Protocol, Tables, Mapping[str, Tensor] | None], list[Record]]


def measure(subject: Subject, *, quick: bool = False) -> tuple[list[Record], dict[str, int]]:
    """Return all figures of a subject's method, and the number of objects of each split.

    The figures come from those objects. The method is left as it was. `quick` leaves out controls,
    readouts, splits out of distribution and factors that no action is made of.
    """
    # All splits have pairs of views, or the evaluation ends before anything is computed.
    spec = subject.world.spec
    splits = splits_to_probe(spec, subject.split, ood=not quick)
    samplings = choose_samplings(subject.experiment, subject.world, splits)
    space = spec.actions if quick else spec.factors
    measurement = Measurement(subject, splits, samplings, space)

    records = measurement.records("model", subject.method, readouts=not quick)
    if not quick:
        records += measurement.controls()
    return records, measurement.sizes


@dataclass(frozen=True)
class Measurement:
    """The same measurement for each source of features.

    Attributes:
        subject: the model and the world that it is asked about.
        splits: see `splits_to_probe`.
        samplings: the views of each split.
        space: the groups of factors that are asked for.
        questions: about the class.
        sequences: whether the features of sequences are asked, too, if a method has any.
        trained: of the world that the method was trained on, if that is another one.
    """

    subject: Subject
    splits: Mapping[str, str]
    samplings: Mapping[str, Sampling]
    space: ActionSpace
    questions: tuple[ClassQuestion, ...] = (classify,)
    sequences: bool = True
    trained: WorldSpec | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The number of objects of each split."""
        world = self.subject.world
        return {
            name: self.samplings[name].size(world.size(self.splits[name])) for name in self.splits
        }

    def records(self, name: str, source: Method | None, *, readouts: bool = False) -> list[Record]:
        """Return all figures of one source of features.

        The tables die with this call: in large worlds those of one source fill the memory.

        Args:
            name: of the features, in records.
            source: the method that makes them; None for pixels.
            readouts: measure the method's other representations, too.
        """
        with self.subject.stages(f"{name}: features"):
            tables = {split: self._table(source, split) for split in self.splits}
        known = labelled(tables)

        # Only the class is probed on sequences.
        sequences = None
        if source is not None and source.aggregates and self.sequences and known:
            with self.subject.stages(f"{name}: sequences"):
                sequences = self._sequences(source, known)
        records = self._ask(name, tables, known, sequences)

        # Readouts are functions of a single view, so they have no sequences.
        if source is not None and readouts:
            for readout, read in self._readouts(source).items():
                with self.subject.stages(f"{readout}: features"), inference(source):
                    read_tables = {split: table.read(read) for split, table in tables.items()}
                records += self._ask(readout, read_tables, labelled(read_tables), None)
        return records

    def controls(self, **more: Any) -> list[Record]:
        """Return all figures of both controls: those kept of an earlier evaluation, if any.

        Args:
            more: what the figures depend on besides, to keep them apart; JSON data.
        """
        subject, records = self.subject, list[Record]()
        for name in ("random", "pixels"):
            key = control_key(
                name, subject.experiment, subject.world.spec, self.samplings, subject.device
            )
            records += kept(key and key | more, partial(self._control, name))
        return records

    def _control(self, name: str) -> list[Record]:
        """Return all figures of a control: the `random` model, or raw `pixels`."""
        if name == "pixels":
            return self.records(name, None)
        subject = self.subject
        with subject.stages("random model"):
            model = random_control(subject.experiment, subject.world, subject.device, self.trained)
        return self.records(name, model)

    def _table(self, source: Method | None, split: str) -> FeatureTable:
        subject, sampling = self.subject, self.samplings[split]
        if source is None:
            return extract_pixels(subject.world, self.splits[split], sampling, subject.device)
        return extract(source, subject.world, self.splits[split], sampling, bf16=subject.bf16)

    def _sequences(self, source: Method, tables: Tables) -> dict[str, Tensor]:
        """Return z_AGG [N, K, M, S] of each split's sequences."""
        config, actions = self.subject.experiment.evaluate, self.subject.world.spec.actions
        longest = longest_sequences(config, tables)
        sequences = {}
        for split, table in tables.items():
            orders = table.orders(longest[split], config.draws)
            sequences[split] = aggregate(source, table, actions, orders, bf16=self.subject.bf16)
        return sequences

    def _ask(
        self, name: str, tables: Tables, known: Tables, sequences: Mapping[str, Tensor] | None
    ) -> list[Record]:
        """Return the answers to all questions about one kind of features."""
        protocol, stages = self.subject.protocol(name), self.subject.stages
        records = []
        if known:
            with stages(f"{name}: class probes"):
                for question in self.questions:
                    records += question(protocol, known, sequences)
        with stages(f"{name}: factor probes"):
            records += regress(protocol, tables, self.space)
        return records

    def _readouts(self, method: Method) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Return the method's other representations.

        The context that they may read is drawn from the training objects.
        """
        world, seed = self.subject.world, self.subject.experiment.seed
        size = min(method.context_size, world.size("train"))
        batches = world.loader("train", num_views=2, batch_size=size, seed=seed)
        context = next(batches).to(self.subject.device)
        with inference(method):
            return method.readouts(context)

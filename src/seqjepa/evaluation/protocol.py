"""The rules that hold for every question to frozen features (seq-JEPA, section 4 and appendix A.2).

Probes learn on split `train`, from rows of its feature table picked afresh for each object and
epoch. Tests look at several fixed draws of each object's views: the same for all kinds of features,
and the same for the mean of views as for z_AGG.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from seqjepa.config import EvaluateConfig
from seqjepa.evaluation.features import FeatureTable
from seqjepa.evaluation.probes import Combine, Inputs, Training

# Hidden layers of MLP probes (methods: section 4.2).
HIDDEN = (1024, 1024)
# Draws of each test object's views; `config.draws` of its sequences.
ROUNDS = 8

Tables = Mapping[str, FeatureTable]


@dataclass(frozen=True)
class Record:
    """One figure.

    Attributes:
        features: `model`, a readout of it (`Method.readouts`), or a control: `random` (the
            untrained model) or `pixels`.
        split: that it was measured on.
        task: `class`, `relative <group>` or `individual <group>`.
        input: of the probe: one `view`, the whole `image` that views are made from, the `mean` of
            views, the whole `sequence` (z_AGG), or a `pair` of views; `logits` is the mean of the
            logits that the probe of one view gives for each.
        views: number of views in that input.
        metric: `top1`, `r2`, `r2_global` or `median_degrees`.
        value: the figure; top1 is a share.
    """

    features: str
    split: str
    task: str
    input: str
    views: int
    metric: str
    value: float


@dataclass(frozen=True)
class Protocol:
    """Settings of all questions to one kind of features.

    Attributes:
        features: their name in records.
        config: how probes are trained.
        seed: of everything random.
    """

    features: str
    config: EvaluateConfig
    seed: int

    def linear(self, epochs: int) -> Training:
        """Return the training of linear probes."""
        return self._training((), epochs, self.config.lr)

    def mlp(self) -> Training:
        """Return the training of MLP probes."""
        return self._training(HIDDEN, self.config.mlp_epochs, self.config.mlp_lr)

    def _training(self, hidden: tuple[int, ...], epochs: int, lr: float) -> Training:
        return Training(
            hidden=hidden,
            epochs=epochs,
            batch_size=self.config.batch_size,
            lr=lr,
            cosine=self.config.cosine,
        )


def longest_sequences(config: EvaluateConfig, tables: Tables) -> dict[str, int]:
    """Return the largest number M of views that are aggregated, by split.

    None is longer than the sequences that probes learn from.
    """
    most = min(config.views, tables["train"].longest)
    return {split: min(most, table.longest) for split, table in tables.items()}


def labelled(tables: Tables) -> dict[str, FeatureTable]:
    """Return the objects of known class, by split.

    The splits are `train` and those that share a class with it. The dict is empty if training knows
    no class.
    """
    known = {split: table.where(table.labels >= 0) for split, table in tables.items()}
    classes = known["train"].labels.unique()
    return {
        split: table
        for split, table in known.items()
        if bool(torch.isin(table.labels, classes).any())
    }


def test_tables(tables: Tables) -> list[tuple[str, FeatureTable]]:
    """Return the splits that are tested on, with their names."""
    return [(split, table) for split, table in tables.items() if split != "train"]


def view_inputs(table: FeatureTable, picks: int, combine: Combine) -> Inputs:
    """Return inputs of probes that are made of an object's views."""
    return Inputs(table.views, picks, combine, table.sequence_length)

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
from seqjepa.evaluation.fitting import Fit, Training
from seqjepa.evaluation.probes import Combine, Inputs

# The paper's probes (methods: section 4.2): hidden units of the MLP's layers, passes of MLPs and
# linear classifiers, and of linear regressions.
HIDDEN, PASSES, REGRESSION_PASSES = 1024, 300, 50
# Hidden units for each of the encoder's features, at most the paper's, of MLPs that converge.
UNITS = 4
# Of results.json. Format 1, of version 0.1, has figures of probes that stop early.
FORMAT = 2
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
        metric: `top1`, `r2`, `r2_global`, `median_degrees`, or `r2_nearest`, which earlier results
            lack.
        value: the figure; top1 is a share.
        steps: of Adam that trained the probe; None in results of version 0.1.
        rising: whether the probe was still improving when it was stopped; None if not measured.
    """

    features: str
    split: str
    task: str
    input: str
    views: int
    metric: str
    value: float
    steps: int | None = None
    rising: bool | None = None


def make_records(
    features: str,
    split: str,
    task: str,
    source: str,
    views: int,
    figures: Mapping[str, float],
    fit: Fit | None = None,
) -> list[Record]:
    """Return the records of figures.

    Args:
        features, split, task, views: see `Record`.
        source: see `Record.input`.
        figures: by metric.
        fit: of the probe that gave them; None if there was none.
    """
    steps, rising = (None, None) if fit is None else (fit.steps, fit.rising)
    about = (features, split, task, source, views)
    return [Record(*about, metric, value, steps, rising) for metric, value in figures.items()]


@dataclass(frozen=True)
class Protocol:
    """Settings of all questions to one kind of features.

    Attributes:
        features: their name in records.
        config: how probes are trained.
        seed: of everything random.
        width: features of the encoder, which the size of MLP probes follows, whatever they read.
        bf16: whether probes that converge are trained in bf16.
    """

    features: str
    config: EvaluateConfig
    seed: int
    width: int
    bf16: bool = False

    def linear(self, *, regression: bool = False) -> Training:
        """Return the training of linear probes, classifiers or regressions."""
        if self.config.protocol == "paper":
            return self._paper((), REGRESSION_PASSES if regression else PASSES)
        return self._converged((), lr=1e-2, tolerance=0.005)

    def mlp(self) -> Training:
        """Return the training of MLP probes."""
        if self.config.protocol == "paper":
            return self._paper((HIDDEN, HIDDEN), PASSES)
        width = min(HIDDEN, UNITS * self.width)
        return self._converged((width, width), lr=2e-3, tolerance=0.01)

    def _paper(self, hidden: tuple[int, ...], passes: int) -> Training:
        return Training(hidden=hidden, batch_size=256, lr=1e-3, passes=passes)

    def _converged(self, hidden: tuple[int, ...], lr: float, tolerance: float) -> Training:
        # What converged soonest on a CPU, of what was tried (docs/methods.md).
        return Training(
            hidden=hidden,
            batch_size=1024,
            lr=lr,
            beta2=0.95,
            tolerance=tolerance,
            max_steps=self.config.max_steps,
            bf16=self.bf16,
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
    """Return inputs of probes that are made of an object's views.

    Where the order of views means something, several views are the beginning of a sequence.
    """
    ordered = table.sequence_length is not None
    orders = table.orders(picks, rounds=table.views.shape[1]) if ordered else None
    return Inputs(table.views, picks, combine, orders)

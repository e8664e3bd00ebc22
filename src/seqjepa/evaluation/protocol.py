"""The questions that evaluation asks of frozen features: class, and the factors of views (seq-JEPA,
section 4 and appendix A.2).

Probes learn on split `train`, from rows of its feature table picked afresh for each object and
epoch. Tests look at several fixed draws of each object's views: the same for all kinds of features,
and the same for the mean of views as for z_AGG."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from seqjepa.actions import ActionSpace, Group
from seqjepa.config import EvaluateConfig
from seqjepa.evaluation.features import FeatureTable, windows
from seqjepa.evaluation.probes import (
    Combine,
    Inputs,
    Probe,
    Training,
    classes,
    concatenated,
    each,
    fit,
    generator,
    median_degrees,
    r2,
    r2_global,
    running_mean,
    top1,
    values,
)

HIDDEN = (1024, 1024)  # of MLP probes (methods: section 4.2)
ROUNDS = 8  # draws of each test object; of what an aggregator made, config.draws

Tables = Mapping[str, FeatureTable]


@dataclass(frozen=True)
class Record:
    """One figure.

    Attributes:
        features: `model`, a readout of it (`Method.readouts`), or a control: `random` (the
            untrained model) or `pixels`.
        split: that it was measured on.
        task: `class`, `relative <group>` or `individual <group>`.
        input: what the probe reads: one `view`, the whole `image` that views are made from, the
            `mean` of views, the whole `sequence` (z_AGG), or a `pair` of views; `logits` is the
            mean of what the probe of one view says of each.
        views: how many views that takes.
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
    """Asks one kind of features.

    Attributes:
        features: what they are called in records.
        config: how probes are trained.
        seed: of everything random.
    """

    features: str
    config: EvaluateConfig
    seed: int

    def classify(self, tables: Tables, sequences: Mapping[str, Tensor] | None) -> list[Record]:
        """Top-1 of linear probes on one view, on the mean of M views and on z_AGG of M views, for
        each M a probe of its own; and of the mean of the logits that the probe of one view gives
        for M views.

        The views of a mean are drawn afresh in each epoch, z_AGG is one of the object's cached
        ones: if this favours one, then the mean. Where the order of views means something, both
        read the beginnings of the same sequences.

        Args:
            tables: by split, what `labelled` returns.
            sequences: by split, [N, K, M, S], z_AGG of all prefixes of K sequences
                (`features.aggregate`); None where there is none.
        """
        longest = {
            split: min(self.config.views, tables["train"].longest, table.longest)
            for split, table in tables.items()
        }
        questions = {
            "view": (
                {split: _read(table, 1, concatenated) for split, table in tables.items()},
                ROUNDS,
            ),
            "mean": (
                {
                    split: _read(table, longest[split], running_mean)
                    for split, table in tables.items()
                },
                self.config.draws,
            ),
        }
        if all(table.whole is not None for table in tables.values()):
            wholes = {
                split: table.whole[:, None]
                for split, table in tables.items()
                if table.whole is not None
            }
            questions["image"] = (
                {split: Inputs(whole, 1, concatenated) for split, whole in wholes.items()},
                1,
            )
        if sequences is not None:
            questions["sequence"] = (
                {split: Inputs(values, 1, each) for split, values in sequences.items()},
                self.config.draws,
            )
        labels, training = tables["train"].labels, self._linear(self.config.linear_epochs)
        records = []
        for name, (inputs, rounds) in questions.items():
            random = generator(self.seed, "class", name)
            probe = fit(inputs["train"], lambda _: labels, classes(labels), training, random)
            for split, table in _tests(tables):
                logits = torch.cat(
                    [probe.predict(inputs[split], choice) for choice in inputs[split].fixed(rounds)]
                )
                truth = table.labels.repeat(len(logits) // len(table))
                scores = [top1(truth, head) for head in logits.unbind(1)]
                records += [
                    Record(self.features, split, "class", name, m, "top1", score)
                    for m, score in enumerate(scores, 1)
                ]
                if name == "view":
                    records += self._vote(probe, split, table, longest[split])
        return records

    def _vote(self, probe: Probe, split: str, table: FeatureTable, longest: int) -> list[Record]:
        """Top-1 of the mean of M views' logits, over the same draws of views as the mean of their
        features."""
        everything = table.views.shape[1]
        of_views = _read(table, 1, concatenated)
        each_view = torch.stack(
            [probe.predict(of_views, choice)[:, 0] for choice in of_views.fixed(everything)], 1
        )  # [N, V, C]
        orders = windows(everything, longest, self.config.draws, table.sequence_length)
        draws = [running_mean(each_view[:, order]) for order in orders]
        truth = table.labels.repeat(len(draws))
        scores = [top1(truth, logits) for logits in torch.cat(draws).unbind(1)]
        return [
            Record(self.features, split, "class", "logits", m, "top1", score)
            for m, score in enumerate(scores, 1)
        ]

    def regress(self, tables: Tables, space: ActionSpace) -> list[Record]:
        """How well each group of factors can be told: its change from the features of two views,
        its value from those of one.

        Linear probes need not be told apart, so one tells all the groups that get a linear probe.

        Args:
            tables: by split, `train` among them.
            space: the groups, and where they stand in the poses.
        """
        mlp, linear = self._mlp(), self._linear(self.config.linear_regression_epochs)
        probes: list[tuple[tuple[str, ...], Training]] = [
            ((group.name,), mlp) for group in space.groups if _needs_mlp(group)
        ]
        if rest := tuple(group.name for group in space.groups if not _needs_mlp(group)):
            probes.append((rest, linear))
        records = []
        for names, training in probes:
            records += self._regress("relative", "pair", 2, tables, space.select(names), training)
            records += self._regress("individual", "view", 1, tables, space.select(names), training)
        return records

    def _regress(
        self,
        task: str,
        name: str,
        views: int,
        tables: Tables,
        space: ActionSpace,
        training: Training,
    ) -> list[Record]:
        """The figures of one probe, which tells all groups of the space."""
        inputs = {split: _read(table, views, concatenated) for split, table in tables.items()}
        random = generator(self.seed, task, *(group.name for group in space.groups))

        def targets(choice: Tensor) -> Tensor:
            return torch.cat(factors(tables["train"], space, choice), 1)

        some = inputs["train"].fixed(1)[0]
        widths = [part.shape[1] for part in factors(tables["train"], space, some)]
        probe = fit(inputs["train"], targets, values(targets(some)), training, random)
        records = []
        for split, table in _tests(tables):
            choices = inputs[split].fixed(ROUNDS)
            told = torch.cat(
                [probe.predict(inputs[split], choice)[:, 0] for choice in choices]
            ).split(widths, 1)
            rounds = zip(*(factors(table, space, choice) for choice in choices), strict=True)
            for group, parts, predicted in zip(space.groups, rounds, told, strict=True):
                scores = _scores(group, torch.cat(parts), predicted)
                records += [
                    Record(self.features, split, f"{task} {group.name}", name, views, *score)
                    for score in scores.items()
                ]
        return records

    def _linear(self, epochs: int) -> Training:
        config = self.config
        return Training(
            epochs=epochs, batch_size=config.batch_size, lr=config.lr, cosine=config.cosine
        )

    def _mlp(self) -> Training:
        config = self.config
        return Training(
            hidden=HIDDEN,
            epochs=config.mlp_epochs,
            batch_size=config.batch_size,
            lr=config.mlp_lr,
            cosine=config.cosine,
        )


def _read(table: FeatureTable, picks: int, combine: Combine) -> Inputs:
    return Inputs(table.views, picks, combine, table.sequence_length)


def labelled(tables: Tables) -> dict[str, FeatureTable]:
    """The objects of known class, of `train` and of the splits that share a class with it; nothing
    if training knows no class."""
    known = {split: table.where(table.labels >= 0) for split, table in tables.items()}
    classes = known["train"].labels.unique()
    return {
        split: table
        for split, table in known.items()
        if bool(torch.isin(table.labels, classes).any())
    }


def factors(table: FeatureTable, space: ActionSpace, choice: Tensor) -> tuple[Tensor, ...]:
    """For each group [N, d]: its action between the two views chosen (choice [N, 2]), or its value
    in the one (choice [N, 1])."""
    poses = table.poses[torch.arange(len(table), device=choice.device)[:, None], choice]
    own = [(group, poses[..., space.columns(group)]) for group in space.groups]
    if choice.shape[1] == 1:
        return tuple(group.absolute(pose[:, 0]) for group, pose in own)
    return tuple(group.between(pose[:, 0], pose[:, 1]) for group, pose in own)


def _needs_mlp(group: Group) -> bool:
    """Rotations, crops and colour jitters are told by MLPs, all else by linear probes (methods:
    section 4.2)."""
    return group.is_rotation or group.name in ("crop", "jitter")


def _scores(group: Group, truth: Tensor, predicted: Tensor) -> dict[str, float]:
    scores = {"r2": r2(truth, predicted)}
    if group.is_rotation:
        scores |= {
            "r2_global": r2_global(truth, predicted),
            "median_degrees": median_degrees(truth, predicted),
        }
    return scores


def _tests(tables: Tables) -> list[tuple[str, FeatureTable]]:
    return [(split, table) for split, table in tables.items() if split != "train"]

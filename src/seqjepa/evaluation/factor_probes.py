"""Factors of views, by regression: the change between two views and the value of one."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seqjepa.actions import ActionSpace, Group
from seqjepa.evaluation.features import FeatureTable
from seqjepa.evaluation.fitting import Fit, Training, fit
from seqjepa.evaluation.metrics import median_degrees, r2, r2_global, r2_nearest
from seqjepa.evaluation.probes import concatenated, generator_for, regression
from seqjepa.evaluation.protocol import (
    ROUNDS,
    Protocol,
    Record,
    Tables,
    make_records,
    test_tables,
    view_inputs,
)


@dataclass(frozen=True)
class Question:
    """A quantity of a group of factors, and the views that it is predicted from.

    Attributes:
        task: first word of `Record.task`.
        input: see `Record.input`.
        views: number of views in that input.
    """

    task: str
    input: str
    views: int


RELATIVE, INDIVIDUAL = Question("relative", "pair", 2), Question("individual", "view", 1)
QUESTIONS = (RELATIVE, INDIVIDUAL)


def regress(protocol: Protocol, tables: Tables, space: ActionSpace) -> list[Record]:
    """Return the figures of each group of factors.

    They are of the group's change, predicted from two views, and of its value, predicted from one.

    Args:
        protocol: for the features in the tables.
        tables: by split, `train` among them.
        space: the groups, and their columns in the poses.
    """
    records = []
    for part, training in parts(protocol, space):
        for question in QUESTIONS:
            records += ask(protocol, question, tables, part, training)
    return records


def parts(protocol: Protocol, space: ActionSpace) -> list[tuple[ActionSpace, Training]]:
    """Return the groups of each probe, and its training.

    It is an MLP for each group that needs one, since its outputs would share hidden units, and one
    linear probe for all the rest, whose outputs do not influence each other.
    """
    linear, mlp = protocol.linear(regression=True), protocol.mlp()
    found = [(space.select((group.name,)), mlp) for group in space.groups if _needs_mlp(group)]
    rest = tuple(group.name for group in space.groups if not _needs_mlp(group))
    if rest:
        found.append((space.select(rest), linear))
    return found


def ask(
    protocol: Protocol, question: Question, tables: Tables, space: ActionSpace, training: Training
) -> list[Record]:
    """Return the figures of one probe, which predicts all groups of the space side by side.

    Args:
        protocol: for the features in the tables.
        question: to the features.
        tables: by split, `train` among them.
        space: the groups.
        training: of the probe.
    """
    found = learn(protocol, question, tables["train"], space, training)
    records = []
    for split, table in test_tables(tables):
        inputs = view_inputs(table, question.views, concatenated)
        choices = inputs.test_choices(ROUNDS)
        predicted = torch.cat([found.probe.predict(inputs, choice)[:, 0] for choice in choices])
        truths = [factors(table, space, choice) for choice in choices]

        # Group by group: its columns of the predictions, and its truth in each round.
        widths = [part.shape[1] for part in truths[0]]
        by_group = zip(space.groups, predicted.split(widths, 1), *truths, strict=True)
        for group, columns, *truth in by_group:
            task = f"{question.task} {group.name}"
            about = (protocol.features, split, task, question.input, question.views)
            scores = _scores(group, torch.cat(truth), columns)
            records += make_records(*about, scores, found)
    return records


def learn(
    protocol: Protocol,
    question: Question,
    table: FeatureTable,
    space: ActionSpace,
    training: Training,
) -> Fit:
    """Return a probe of the groups of a space, side by side, that has learned from a table.

    Arguments are as those of `ask`.
    """
    inputs = view_inputs(table, question.views, concatenated)

    def targets(choice: Tensor) -> Tensor:
        return torch.cat(factors(table, space, choice), 1)

    # The first choice of views stands for all: its targets give the mean and the spread.
    objective = regression(targets(inputs.test_choices(1)[0]))
    generator = generator_for(protocol.seed, question.task, *(group.name for group in space.groups))
    return fit(inputs, targets, objective, training, generator)


def factors(table: FeatureTable, space: ActionSpace, choice: Tensor) -> tuple[Tensor, ...]:
    """Return [N, d] for each group: its action between two views, or its value in one.

    The views are those chosen: choice [N, 2] for actions, choice [N, 1] for values.
    """
    # [N, views, P], then of each group [N, views, p].
    rows = torch.arange(len(table), device=choice.device)[:, None]
    poses = table.poses[rows, choice]
    own = [(group, poses[..., space.columns(group)]) for group in space.groups]
    if choice.shape[1] == 1:
        return tuple(group.absolute(pose[:, 0]) for group, pose in own)
    return tuple(group.between(pose[:, 0], pose[:, 1]) for group, pose in own)


def _needs_mlp(group: Group) -> bool:
    """Return whether MLPs predict a group: rotations, crops and colour jitters.

    Linear probes predict all else (methods: section 4.2).
    """
    return group.is_rotation or group.name in ("crop", "jitter")


def _scores(group: Group, truth: Tensor, predicted: Tensor) -> dict[str, float]:
    """Return the figures of a group by their metrics; none if nothing of it varies."""
    scores = {"r2": r2(truth, predicted)}
    if math.isnan(scores["r2"]):
        return {}
    if group.is_rotation:
        scores["r2_global"] = r2_global(truth, predicted)
        scores["r2_nearest"] = r2_nearest(truth, predicted)
        scores["median_degrees"] = median_degrees(truth, predicted)
    return scores

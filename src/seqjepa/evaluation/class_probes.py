"""Class of an object, by linear probes on one view, the mean of views, z_AGG and whole images."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from seqjepa.evaluation.features import FeatureTable
from seqjepa.evaluation.fitting import Fit, fit
from seqjepa.evaluation.metrics import top1
from seqjepa.evaluation.probes import (
    Inputs,
    Probe,
    classification,
    concatenated,
    generator_for,
    per_prefix,
    running_mean,
)
from seqjepa.evaluation.protocol import (
    ROUNDS,
    Protocol,
    Record,
    Tables,
    longest_sequences,
    make_records,
    test_tables,
    view_inputs,
)


@dataclass(frozen=True)
class Question:
    """A kind of input that the class is predicted from.

    Attributes:
        name: see `Record.input`.
        inputs: of each split.
        rounds: draws of each test object.
    """

    name: str
    inputs: Mapping[str, Inputs]
    rounds: int


def classify(
    protocol: Protocol, tables: Tables, sequences: Mapping[str, Tensor] | None
) -> list[Record]:
    """Return top-1 of linear probes on one view and on M views.

    For each M, one probe reads the mean of M views and another reads z_AGG of M views, of the same
    sequences. Top-1 is also returned of the mean of the logits that the probe of one view gives for
    M views.

    Args:
        protocol: for the features in the tables.
        tables: by split, what `labelled` returns.
        sequences: by split, [N, K, M, S], z_AGG of all prefixes of K sequences
            (`features.aggregate`); None if the features have none.
    """
    longest = longest_sequences(protocol.config, tables)

    records = []
    for question in class_questions(protocol, tables, sequences):
        averaged = longest if question.name == "view" else None
        records += ask(protocol, question, tables, averaged)
    return records


def ask(
    protocol: Protocol,
    question: Question,
    tables: Tables,
    averaged: Mapping[str, int] | None = None,
) -> list[Record]:
    """Return top-1 of the linear probe that answers a question.

    Args:
        protocol: for the features in the tables.
        question: the input.
        tables: by split, what `labelled` returns.
        averaged: of a probe of one view, largest number of views whose logits are averaged, by
            split; None for no average.
    """
    labels = tables["train"].labels
    name, objective, training = question.name, classification(labels), protocol.linear()
    generator = generator_for(protocol.seed, "class", name)
    # An object's class does not depend on the rows that are picked of it.
    found = fit(question.inputs["train"], lambda _: labels, objective, training, generator)
    probe = found.probe

    records = []
    for split, table in test_tables(tables):
        inputs = question.inputs[split]
        choices = inputs.test_choices(question.rounds)
        logits = torch.cat([probe.predict(inputs, choice) for choice in choices])
        records += _records(protocol, found, split, name, table.labels, logits)
        # Averaged over views, the logits of this probe need no training of their own.
        if averaged is not None and table.views.shape[1] > 1:
            logits = _mean_logits(protocol, probe, table, averaged[split])
            records += _records(protocol, found, split, "logits", table.labels, logits)
    return records


def class_questions(
    protocol: Protocol, tables: Tables, sequences: Mapping[str, Tensor] | None
) -> list[Question]:
    """Return everything that the class is predicted from; see `classify` for arguments."""
    longest = longest_sequences(protocol.config, tables)
    draws = protocol.config.draws
    single, mean = {}, {}
    for split, table in tables.items():
        single[split] = view_inputs(table, 1, concatenated)
        # The sequences whose z_AGG is compared.
        orders = table.orders(longest[split], draws)
        mean[split] = Inputs(table.views, longest[split], running_mean, orders)
    questions = [Question("view", single, ROUNDS)]
    # Where an object has a single view, there is no mean of several.
    if tables["train"].views.shape[1] > 1:
        questions.append(Question("mean", mean, draws))

    # Whole images are asked about if all splits have them.
    wholes = {split: table.whole for split, table in tables.items() if table.whole is not None}
    if len(wholes) == len(tables):
        images = {split: Inputs(whole[:, None], 1, concatenated) for split, whole in wholes.items()}
        questions.append(Question("image", images, 1))

    if sequences is not None:
        prefixes = {split: Inputs(z_agg, 1, per_prefix) for split, z_agg in sequences.items()}
        questions.append(Question("sequence", prefixes, draws))
    return questions


def _mean_logits(protocol: Protocol, probe: Probe, table: FeatureTable, longest: int) -> Tensor:
    """Return the mean of the logits of M views, [draws N, M, C].

    It is over the same draws of views as the mean of their features.
    """
    views = table.views.shape[1]
    inputs = view_inputs(table, 1, concatenated)
    of_each = [probe.predict(inputs, choice)[:, 0] for choice in inputs.test_choices(views)]
    # [N, V, C]: the logits of every view once. Each order then averages M of them.
    logits = torch.stack(of_each, 1)
    orders = table.orders(longest, protocol.config.draws)
    return torch.cat([running_mean(logits[:, order]) for order in orders])


def _records(
    protocol: Protocol, found: Fit, split: str, name: str, labels: Tensor, logits: Tensor
) -> list[Record]:
    """Return top-1 for each M of logits [draws N, M, C].

    The logits are those of all N objects, draw after draw.
    """
    truth, records = labels.repeat(len(logits) // len(labels)), list[Record]()
    for m, of_m in enumerate(logits.unbind(1), 1):
        figures = {"top1": top1(truth, of_m)}
        records += make_records(protocol.features, split, "class", name, m, figures, found)
    return records

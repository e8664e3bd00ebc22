"""Class of an object where few are labelled: the linear probes of `class_probes` on n a class.

The labelled objects are drawn DRAWS times, the same ones for all kinds of features; of a class that
has fewer than n, they are all. A probe sees every cached view of them, and inputs are scaled by the
mean and spread of all training objects, which needs no labels. Nothing can be held out of so few,
so all probes take as many steps as the shortest of those that converge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seqjepa.evaluation.class_probes import Question, class_questions
from seqjepa.evaluation.fitting import FEWEST, Fit, fit
from seqjepa.evaluation.metrics import top1
from seqjepa.evaluation.probes import Inputs, classification, generator_for
from seqjepa.evaluation.protocol import Protocol, Record, Tables, make_records, test_tables

LABELS, DRAWS = (1, 5, 10), 5


def few_labels(
    protocol: Protocol, tables: Tables, sequences: Mapping[str, Tensor] | None
) -> list[Record]:
    """Return top-1 with n labels a class, and its standard deviation over the draws.

    Args:
        protocol, tables, sequences: see `class_probes.classify`.
    """
    labels = tables["train"].labels.cpu()
    records = []
    for number in LABELS:
        draws = [
            choose(labels, number, generator_for(protocol.seed, "labels", f"{number}", f"{draw}"))
            for draw in range(DRAWS)
        ]
        task = f"class, {number} label{'s' * (number > 1)}"
        for question in class_questions(protocol, tables, sequences):
            # A probe for each M and draw takes long: of sequences, z_AGG is worth it.
            if question.name == "mean":
                continue
            found = _fit(protocol, question, tables, draws, task)
            for split, table in test_tables(tables):
                for views, shares in enumerate(_shares(found, question, split, table.labels), 1):
                    about = (protocol.features, split, task, question.name, views)
                    figures = {"top1": float(shares.mean()), "top1_std": float(shares.std())}
                    records += make_records(*about, figures, found)
    return records


def choose(labels: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return objects drawn at random, `number` of each class or all that it has.

    Args:
        labels: [N] int64, from 0; on the CPU.
        number: n, objects of a class.
        generator: of the choice.

    Returns:
        Their places in `labels`, class after class, so that another draw has the same labels.
    """
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]
    # The place of each object within its class.
    counts = labels.bincount()
    within = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[order]]
    return order[within < number]


def _fit(
    protocol: Protocol, question: Question, tables: Tables, draws: Sequence[Tensor], task: str
) -> Fit:
    """Train the probes of all draws side by side: for each M those of every draw."""
    inputs = question.inputs["train"]
    everything = tables["train"].labels
    labels = everything[draws[0]]

    # [n C, K, draws, ...]: object i of every draw has the same class.
    values = torch.stack([inputs.values[draw] for draw in draws], 2)

    def of_each(rows: Tensor) -> Tensor:
        return torch.stack([inputs.combine(drawn) for drawn in rows.unbind(2)], 2).flatten(1, 2)

    return fit(
        replace(inputs, values=values, combine=of_each),
        lambda _: labels,
        classification(everything),
        replace(protocol.linear(), passes=FEWEST),
        generator_for(protocol.seed, task, question.name),
        scaled_by=_repeated(inputs),
    )


def _repeated(inputs: Inputs) -> Inputs:
    """Return the same inputs for the probes of every draw."""
    return replace(inputs, combine=lambda rows: inputs.combine(rows).repeat_interleave(DRAWS, 1))


def _shares(found: Fit, question: Question, split: str, labels: Tensor) -> Tensor:
    """Return top-1 [M, DRAWS] on M views, by the probes of each draw."""
    inputs = _repeated(question.inputs[split])
    choices = inputs.test_choices(question.rounds)
    logits = torch.cat([found.probe.predict(inputs, choice) for choice in choices])
    truth = labels.repeat(len(choices))
    shares = [top1(truth, of_one) for of_one in logits.unbind(1)]
    by_head = torch.tensor(shares, dtype=torch.float64)
    return by_head.view(-1, DRAWS)

"""Class of an object by its nearest neighbours: no probe is trained, so nothing is adapted.

The K training objects of the largest cosine vote, each by one input drawn at random of it, with
weight exp(cosine / 0.1) (Wu et al. 2018).
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.evaluation.class_probes import class_questions
from seqjepa.evaluation.metrics import top1
from seqjepa.evaluation.probes import Inputs, generator_for
from seqjepa.evaluation.protocol import Protocol, Record, Tables, make_records, test_tables

K = 20
TEMPERATURE = 0.1
ROWS = 256  # of features classified at once


def nearest_neighbours(
    protocol: Protocol, tables: Tables, sequences: Mapping[str, Tensor] | None
) -> list[Record]:
    """Return top-1 of the nearest neighbours, for everything that linear probes read.

    Args:
        protocol, tables, sequences: see `class_probes.classify`.
    """
    labels, task = tables["train"].labels, f"class, {K} neighbours"
    records = list[Record]()
    for question in class_questions(protocol, tables, sequences):
        known = question.inputs["train"]
        generator = generator_for(protocol.seed, "neighbours", question.name)
        bank = _of_all(known, known.draw(generator))

        for split, table in test_tables(tables):
            inputs = question.inputs[split]
            asked = [_of_all(inputs, choice) for choice in inputs.test_choices(question.rounds)]
            truth = table.labels.repeat(len(asked))
            for views, queries in enumerate(torch.cat(asked).unbind(1), 1):
                votes = nearest_votes(bank[:, views - 1], labels, queries, min(K, len(bank)))
                about = (protocol.features, split, task, question.name, views)
                records += make_records(*about, {"top1": top1(truth, votes)})
    return records


def _of_all(inputs: Inputs, choice: Tensor) -> Tensor:
    """Return the inputs [N, H, W] of all objects, by their rows `choice` [N, picks]."""
    return inputs(torch.arange(len(inputs), device=choice.device), choice)


def nearest_votes(known: Tensor, labels: Tensor, asked: Tensor, k: int) -> Tensor:
    """Return the votes [n, C] for each class, of the k nearest by cosine (Wu et al. 2018).

    Args:
        known: [N, D], features whose class is known.
        labels: [N], their classes 0 .. C - 1.
        asked: [n, D], features whose class is asked for.
        k: number of neighbours that vote, each with weight exp(cosine / temperature).
    """
    known, asked = F.normalize(known, dim=-1), F.normalize(asked, dim=-1)
    votes = asked.new_zeros(len(asked), int(labels.max()) + 1)
    for part, counted in zip(asked.split(ROWS), votes.split(ROWS), strict=True):
        cosines, nearest = (part @ known.T).topk(k)
        counted.scatter_add_(1, labels[nearest], (cosines / TEMPERATURE).exp())
    return votes
